"""Cases for the verifier: their labels are what the truth says, and covers cover what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.core.types import Camera, PoseEstimate, RgbdFrame
from storm_ros.pose import GeometricEstimator
from storm_ros.training.scenes import make_scene
from storm_ros.training.settings import SceneConfig
from storm_ros.training.studio import Studio
from storm_ros.training.tom_cases import KINDS, scene_episodes
from storm_ros.training.tom_labels import Truth, label_of
from storm_ros.training.tom_occluders import covered
from storm_ros.training.tom_settings import TomDataConfig

BOX = np.stack(np.meshgrid(*[np.linspace(-a, a, 5) for a in (0.05, 0.07, 0.03)], indexing="ij"), -1).reshape(-1, 3)
POSE = se3.transform(se3.so3_exp([0.2, 0.1, 0.0]), [0.0, 0.0, 0.8])


def estimate(pose: np.ndarray, colour: float = 0.03) -> PoseEstimate:
    return PoseEstimate(pose, 0.9, 0.9, 0.002, colour, 1.0, 1.0, 0.0)


def truth(colour: float = 0.03) -> Truth:
    return Truth(POSE, BOX, 0.09, colour)


def moved(metres: float) -> np.ndarray:
    pose = POSE.copy()
    pose[0, 3] += metres
    return pose


def turned(degrees: float) -> np.ndarray:
    pose = POSE.copy()
    pose[:3, :3] = pose[:3, :3] @ se3.so3_exp([0.0, 0.0, np.radians(degrees)])
    return pose


def test_small_errors_are_right_large_ones_wrong_and_those_between_are_no_example() -> None:
    assert label_of(estimate(moved(0.004)), truth()) is True
    assert label_of(estimate(turned(4.0)), truth()) is True
    assert label_of(estimate(moved(0.024)), truth()) is None
    assert label_of(estimate(moved(0.1)), truth()) is False


def test_turned_into_itself_it_is_wrong_only_where_the_colours_say_so() -> None:
    assert label_of(estimate(turned(180.0)), truth()) is None
    assert label_of(estimate(turned(180.0), colour=0.2), truth()) is False
    assert label_of(estimate(turned(180.0), colour=float("nan")), truth()) is None


@pytest.fixture(scope="module")
def scene() -> dict[str, np.ndarray]:
    config = SceneConfig(
        scenes=1, objects=3, shown=2, queries=2, references=1, width=160, height=120, reference_px=96, stock=4, rooms=1,
        scans=0, household="", close_share=1.0,
    )  # fmt: skip
    return make_scene(Studio(config, 0, ()), config, np.random.default_rng(4))  # pyright: ignore[reportReturnType]


def test_covers_hide_as_much_as_is_said(scene: dict[str, np.ndarray]) -> None:
    own = np.zeros((120, 160), bool)
    own[40:80, 60:100] = True
    frame = RgbdFrame(
        np.full((120, 160, 3), 90, np.uint8), np.full((120, 160), 0.8, np.float32), Camera(160, 120, 150, 150, 80, 60)
    )
    made = {whole: covered(scene, frame, own, 9, np.random.default_rng(1), whole=whole) for whole in (True, False)}
    for whole, cover in made.items():
        assert cover is not None
        changed = (cover.frame.rgb != 90).any(2) | (cover.frame.depth_m != np.float32(0.8))
        assert changed[own].mean() == pytest.approx(cover.share, abs=0.02)
        assert (cover.front & own).sum() / own.sum() == pytest.approx(cover.share)
        assert (cover.share > 0.93) == whole
        hiding = cover.frame.depth_m[own & changed]
        assert np.median(hiding[hiding > 0]) < 0.8
    assert (frame.rgb == 90).all()


def test_episodes_of_a_scene(scene: dict[str, np.ndarray]) -> None:
    config = TomDataConfig(episodes=3, max_angle_deg=120.0, min_visible=0.2)
    first, again = (
        list(scene_episodes(scene, config, GeometricEstimator(), np.random.default_rng(2))) for _ in range(2)
    )
    assert first
    for episode, same in zip(first, again, strict=True):
        assert episode.sources[0] == -1
        assert len(episode.views) == len(episode.sources) <= config.views
        assert [c.right for c in episode.cases] == [c.right for c in same.cases]
        for case in episode.cases:
            assert np.isfinite(case.figures).all()
            assert not (case.right and KINDS[case.kind] in ("hidden", "gone", "twin"))
    kinds = {KINDS[case.kind] for episode in first for case in episode.cases}
    assert {"tracked", "turned", "drifted", "twin"} <= kinds
    assert any(case.right for episode in first for case in episode.cases)


def test_nothing_comes_of_objects_that_cannot_be_referred_to(scene: dict[str, np.ndarray]) -> None:
    hidden = {**scene, "ref_visible": np.zeros_like(scene["ref_visible"])}
    config = replace(TomDataConfig(), episodes=3)
    assert list(scene_episodes(hidden, config, GeometricEstimator(), np.random.default_rng(2))) == []
