"""Tracking and registration of a rendered box whose pose is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.core.config import PoseConfig
from storm_ros.core.errors import InputError, NoDepthError
from storm_ros.core.types import Mesh, Reference, RgbdFrame, View
from storm_ros.pose import GeometricEstimator

Shoot = Callable[..., tuple[RgbdFrame, np.ndarray]]
START = se3.exp([0.01, -0.02, 0.6, 0.5, 0.4, 0.1])


@pytest.fixture(scope="module")
def estimator() -> GeometricEstimator:
    return GeometricEstimator()


def add_mm(mesh: Mesh, estimate: np.ndarray, truth: np.ndarray) -> float:
    gap = se3.apply(estimate, mesh.vertices) - se3.apply(truth, mesh.vertices)
    return float(np.linalg.norm(gap, axis=1).mean() * 1e3)


def test_track_corrects_a_displaced_pose(estimator: GeometricEstimator, box: Mesh, shoot: Shoot) -> None:
    frame, mask = shoot(START)
    model = estimator.prepare(Reference("box", (View(frame, mask, START),), box))
    truth = se3.exp([0.008, -0.004, 0.006, 0.0, 0.0, 0.0]) @ START @ se3.exp([0, 0, 0, 0.05, -0.04, 0.06])
    moved, _ = shoot(truth, noise_m=0.002, seed=1)
    out = estimator.track(moved, model, (START,))
    assert add_mm(box, out.cam_T_obj, truth) < 1.0
    assert out.score > 0.8
    assert out.in_view == 1.0


def test_colour_sees_a_slip_that_depth_cannot(box: Mesh, shoot: Shoot) -> None:
    """A box shifted along its front face: with depth alone the shift stays, with colour it is corrected."""
    facing = se3.transform(np.eye(3), [0.0, 0.0, 0.5])
    frame, mask = shoot(facing)
    reference = Reference("box", (View(frame, mask, facing),), box)
    shift = se3.transform(np.eye(3), [0.006, 0.004, 0.0])
    errors = {}
    for weight in (0.0, PoseConfig().colour_weight):
        estimator = GeometricEstimator(PoseConfig(colour_weight=weight))
        out = estimator.track(frame, estimator.prepare(reference), (shift @ facing,))
        errors[weight] = add_mm(box, out.cam_T_obj, facing)
    assert errors[0.0] > 2.0
    assert errors[PoseConfig().colour_weight] < 0.5


def test_track_finds_an_object_that_jumped_beside_the_guess(
    estimator: GeometricEstimator, box: Mesh, shoot: Shoot
) -> None:
    frame, mask = shoot(START)
    model = estimator.prepare(Reference("box", (View(frame, mask, START),), box))
    truth = se3.transform(np.eye(3), [0.07, 0.05, 0.0]) @ START
    jumped, _ = shoot(truth)
    assert add_mm(box, estimator.track(jumped, model, (START,)).cam_T_obj, truth) < 2.0


def test_track_takes_the_better_guess(estimator: GeometricEstimator, box: Mesh, shoot: Shoot) -> None:
    frame, mask = shoot(START)
    model = estimator.prepare(Reference("box", (View(frame, mask, START),), box))
    wrong = se3.transform(np.eye(3), [0.03, -0.03, 0.03]) @ START
    assert add_mm(box, estimator.track(frame, model, (wrong, START)).cam_T_obj, START) < 0.5


def test_score_falls_where_the_object_is_gone(estimator: GeometricEstimator, box: Mesh, shoot: Shoot) -> None:
    frame, mask = shoot(START)
    model = estimator.prepare(Reference("box", (View(frame, mask, START),), box))
    here = estimator.judge(frame, model, START)
    gone, _ = shoot(START, empty=True)
    assert here.score > 0.95
    assert estimator.judge(gone, model, START).score < 0.1
    assert estimator.track(gone, model, (START,)).score < 0.3


def test_judge_measures_occlusion_view_and_mask(estimator: GeometricEstimator, box: Mesh, shoot: Shoot) -> None:
    frame, mask = shoot(START)
    model = estimator.prepare(Reference("box", (View(frame, mask, START),), box))
    clear = estimator.judge(frame, model, START)
    assert (clear.mask & mask).sum() / (clear.mask | mask).sum() > 0.93
    columns = np.flatnonzero(mask.any(0))
    half = int(columns.mean())
    depth = frame.depth_m.copy()
    depth[:, :half] = 0.3
    hidden = estimator.judge(RgbdFrame(frame.rgb, depth, frame.camera), model, START)
    share = mask[:, :half].sum() / mask.sum()
    assert hidden.occluded == pytest.approx(share, abs=0.05)
    assert not hidden.mask[:, : half - 3].any()
    left = se3.transform(np.eye(3), [-0.36, 0.0, 0.0]) @ START  # about half of it outside on the left
    assert 0.2 < estimator.judge(frame, model, left).in_view < 0.8
    behind = se3.transform(np.eye(3), [0, 0, -2.0]) @ START
    assert estimator.judge(frame, model, behind).score == 0.0
    no_depth = RgbdFrame(frame.rgb, np.zeros_like(depth), frame.camera)
    assert estimator.judge(no_depth, model, START).depth_coverage == 0.0


def test_register_needs_no_prior_pose(estimator: GeometricEstimator, box: Mesh, shoot: Shoot) -> None:
    model = estimator.prepare(Reference("box", (), box))
    rng = np.random.default_rng(5)
    errors = []
    for i in range(6):
        truth = se3.exp([*rng.uniform(-0.06, 0.06, 2), rng.uniform(0.45, 0.7), *rng.uniform(-2.5, 2.5, 3)])
        frame, mask = shoot(truth, noise_m=0.002, seed=i)
        out = estimator.register(frame, mask, model)
        assert out.best.score >= 0.8
        errors.append(add_mm(box, out.best.cam_T_obj, truth))
    assert max(errors) < 4.0


def test_register_names_what_is_missing(estimator: GeometricEstimator, box: Mesh, shoot: Shoot) -> None:
    frame, mask = shoot(START)
    model = estimator.prepare(Reference("box", (), box))
    with pytest.raises(InputError, match="mask is 10x5 but the image is 320x240"):
        estimator.register(frame, np.ones((5, 10), bool), model)
    without = RgbdFrame(frame.rgb, np.where(mask, 0, frame.depth_m), frame.camera)
    with pytest.raises(NoDepthError, match="0 of the mask's"):
        estimator.register(without, mask, model)


def test_keyframes_are_kept_from_new_sides_only(box: Mesh, shoot: Shoot) -> None:
    estimator = GeometricEstimator(PoseConfig(keyframes=3))
    frame, mask = shoot(START)
    model = estimator.prepare(Reference("box", (View(frame, mask, START),), box))
    same = estimator.remember(frame, model, estimator.judge(frame, model, START))
    assert same is model
    for turn in (0.5, 1.0, 1.5):
        pose = START @ se3.exp([0, 0, 0, 0, turn, 0])
        turned, _ = shoot(pose)
        model = estimator.remember(turned, model, estimator.judge(turned, model, pose))
    assert len(model.keyframes) == 3
    assert model.keyframes[0].serial == same.keyframes[0].serial  # the reference never leaves
    assert len(estimator.forget(model).keyframes) == 1


def test_covariance_is_larger_where_the_box_can_slip(box: Mesh, shoot: Shoot) -> None:
    """Without colour, a face seen square on holds the distance, but not the shift along the face."""
    estimator = GeometricEstimator(PoseConfig(colour_weight=0.0))
    facing = se3.transform(np.eye(3), [0.0, 0.0, 0.5])
    frame, mask = shoot(facing)
    model = estimator.prepare(Reference("box", (View(frame, mask, facing),), box))
    covariance = estimator.track(frame, model, (facing,)).covariance
    assert covariance.shape == (6, 6)
    np.testing.assert_allclose(covariance, covariance.T, rtol=1e-6)
    assert np.linalg.eigvalsh(covariance).min() > 0
    assert covariance[0, 0] > 10 * covariance[2, 2]


def test_same_input_gives_the_same_bits(box: Mesh, shoot: Shoot) -> None:
    frame, mask = shoot(START)
    moved, _ = shoot(se3.exp([0.004, 0, 0, 0, 0, 0.02]) @ START, noise_m=0.002)
    results = []
    for _ in range(2):
        estimator = GeometricEstimator()
        model = estimator.prepare(Reference("box", (View(frame, mask, START),), box))
        results.append(estimator.track(moved, model, (START,)).cam_T_obj)
    np.testing.assert_array_equal(results[0], results[1])
