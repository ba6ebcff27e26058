"""Look-alikes of the verifier's cases: other looks are other looks, and a copy is where its pose says."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.core.types import Camera, RgbdFrame
from storm_ros.training.tom_twins import relit, repainted, twin_elsewhere

CAMERA = Camera(160, 120, 150.0, 150.0, 79.5, 59.5)
POSE = se3.transform(se3.so3_exp([0.1, 0.2, 0.0]), [-0.05, 0.02, 0.8])
OTHER = np.full((20, 30, 3), (20, 200, 90), np.uint8)


@pytest.fixture
def shot() -> tuple[RgbdFrame, np.ndarray]:
    """A brown disc with a pattern, 5 cm before a wall; and its pixels."""
    rng = np.random.default_rng(0)
    own = np.zeros((120, 160), np.uint8)
    centre = CAMERA.project(POSE[None, :3, 3])[0]
    cv2.circle(own, (round(centre[0]), round(centre[1])), 15, 1, -1)
    rgb = rng.integers(90, 110, (120, 160, 3)).astype(np.uint8)
    pattern = np.clip(np.array([150, 90, 50]) + rng.integers(-30, 30, (120, 160, 3)), 0, 255)
    rgb[own > 0] = pattern[own > 0]
    depth = np.where(own > 0, 0.8, 0.85).astype(np.float32)
    return RgbdFrame(rgb, depth, CAMERA), own > 0


def lab_apart(a: np.ndarray, b: np.ndarray) -> float:
    """Mean distance of colours after both are made equally light."""
    ours, theirs = (cv2.cvtColor(p[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0] for p in (a, b))
    apart = ours - theirs
    apart[:, 0] -= apart[:, 0].mean()
    return float(np.linalg.norm(apart, axis=1).mean())


def test_other_looks_are_clearly_other_and_only_the_objects(shot: tuple[RgbdFrame, np.ndarray]) -> None:
    frame, own = shot
    near = cv2.dilate(own.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0
    for seed in range(12):
        looks = repainted(frame.rgb, own, np.random.default_rng(seed), OTHER if seed % 2 else None)
        assert looks is not None
        assert lab_apart(frame.rgb[own], looks[own]) > 10.0
        assert (looks[~near] == frame.rgb[~near]).all()
        again = repainted(frame.rgb, own, np.random.default_rng(seed), OTHER if seed % 2 else None)
        assert np.array_equal(looks, again)
    assert repainted(frame.rgb, np.zeros_like(own), np.random.default_rng(0)) is None


def test_a_print_that_is_the_objects_own_is_no_other_look() -> None:
    grey = np.full((40, 40, 3), 128, np.uint8)
    found = [repainted(grey, np.ones((40, 40), bool), np.random.default_rng(s), grey) for s in range(20)]
    for looks in found:
        if looks is not None:
            assert lab_apart(grey.reshape(-1, 3), looks.reshape(-1, 3)) > 10.0


@pytest.mark.parametrize("front", [False, True])
def test_a_copy_is_where_its_pose_says(shot: tuple[RgbdFrame, np.ndarray], front: bool) -> None:
    frame, own = shot
    for seed in range(8):
        twin = twin_elsewhere(
            frame, frame.rgb, own, POSE, np.random.default_rng(seed), front=front, stretched=bool(seed % 2)
        )
        if twin is None:
            continue
        changed = twin.frame.depth_m != frame.depth_m
        rows, cols = np.nonzero(changed & (twin.frame.depth_m > 0))
        where = CAMERA.project(twin.cam_T_twin[None, :3, 3])[0]
        assert where == pytest.approx([(cols.min() + cols.max()) / 2, (rows.min() + rows.max()) / 2], abs=3.0)
        assert np.median(twin.frame.depth_m[changed]) == pytest.approx(twin.cam_T_twin[2, 3], abs=0.005)
        assert (twin.cam_T_twin[2, 3] < 0.75) == front
        assert twin.hidden == pytest.approx(float((changed & own).sum() / own.sum()), abs=0.35 if not front else 0.05)
        ray, old = twin.cam_T_twin[:3, 3], POSE[:3, 3]
        seen = [pose[:3, :3].T @ (-t / np.linalg.norm(t)) for pose, t in ((twin.cam_T_twin, ray), (POSE, old))]
        np.testing.assert_allclose(seen[0], seen[1], atol=1e-9)  # the same side of it faces the camera
        return
    pytest.fail("none of the seeds gave a look-alike")


def test_a_copy_that_would_be_out_of_the_image_is_none() -> None:
    own = np.zeros((40, 40), bool)
    own[2:38, 2:38] = True
    camera = Camera(40, 40, 50.0, 50.0, 19.5, 19.5)
    frame = RgbdFrame(np.full((40, 40, 3), 90, np.uint8), np.full((40, 40), 0.8, np.float32), camera)
    pose = se3.transform(np.eye(3), [0.0, 0.0, 0.8])
    assert twin_elsewhere(frame, frame.rgb, own, pose, np.random.default_rng(0), front=False, stretched=False) is None


def test_light_changes_light_and_little_else(shot: tuple[RgbdFrame, np.ndarray]) -> None:
    frame, _ = shot
    means = []
    for seed in range(20):
        light = relit(frame, np.random.default_rng(seed))
        assert np.array_equal(light.depth_m, frame.depth_m)
        ratio = light.rgb.reshape(-1, 3).mean(0) / frame.rgb.reshape(-1, 3).mean(0)
        assert np.ptp(np.log(ratio)) < 0.2
        means.append(ratio.mean())
    assert min(means) < 0.8
    assert max(means) > 1.15
