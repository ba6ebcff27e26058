"""The whole loop on simulated losses: what hides the object, or looks like it, does not get its track."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from storm_ros import create_tracker
from storm_ros.core import se3
from storm_ros.core.types import EventType, LossCause, TrackEvent, TrackStatus
from storm_ros.sim.failures import FailureClip, failure_clip

NOTICED = 6
"""Frames within which a pose must be withdrawn: L = 3, and what the moving average adds."""


@dataclass(eq=False)
class Followed:
    """A clip that was tracked: error of each frame in metres (NaN without a pose), what is there, and the events."""

    clip: FailureClip
    errors_m: np.ndarray
    roles: list[str | None]
    visible: np.ndarray
    events: list[TrackEvent]

    def causes(self) -> list[LossCause | None]:
        return [e.cause for e in self.events if e.type is EventType.LOST]

    def absent_for(self, frames: int) -> np.ndarray:
        """Frames before which not a pixel was visible for so many frames at least."""
        gone = self.visible < 0.02
        return np.array([gone[max(0, i - frames) : i + 1].all() for i in range(len(gone))])


def follow(kind: str, number: int) -> Iterator[Followed]:
    with failure_clip(kind, number) as clip:
        truth, target = clip.ground_truth, clip.target_id
        tracker = create_tracker()
        reference = tracker.set_reference(clip.read(0), truth.mask(0, target))
        obj_T_gt = se3.inverse(reference.views[0].cam_T_obj) @ truth.pose(0, target)
        errors_m, roles, visible, events = [], [], [], []
        for n in clip.numbers:
            result = tracker.step(clip.read(n))
            pose = result.objects["object"].cam_T_obj
            assert (pose is None) == (result.objects["object"].status in (TrackStatus.LOST, TrackStatus.SEARCHING))
            errors_m.append(np.nan if pose is None else se3.distance(pose @ obj_T_gt, truth.pose(n, target)))
            roles.append(None if pose is None else clip.role_at(n, pose @ obj_T_gt))
            visible.append(truth.visible_fraction(n, target))
            events.extend(result.events)
        yield Followed(clip, np.array(errors_m), roles, np.array(visible), events)


@pytest.fixture(scope="module")
def hidden() -> Iterator[Followed]:
    yield from follow("occlusion", 0)


@pytest.fixture(scope="module")
def lookalike() -> Iterator[Followed]:
    yield from follow("lookalike_front", 0)


@pytest.fixture(scope="module")
def beside() -> Iterator[Followed]:
    yield from follow("lookalike_beside", 0)


def test_a_full_occlusion_does_not_hand_the_track_to_the_occluder(hidden: Followed) -> None:
    gone = hidden.absent_for(NOTICED)
    assert gone.any()
    assert np.isnan(hidden.errors_m[gone]).all()
    assert all(cause in (LossCause.OCCLUDED, LossCause.NO_DEPTH) for cause in hidden.causes())
    assert len(hidden.causes()) == 1


@pytest.mark.parametrize("clip", ["hidden", "lookalike"])
def test_the_object_is_found_again_where_it_is(clip: str, request: pytest.FixtureRequest) -> None:
    run: Followed = request.getfixturevalue(clip)
    found = [e for e in run.events if e.type is EventType.RELOCALIZED]
    assert len(found) == 1
    assert found[0].cause is run.causes()[0]
    assert found[0].jump_m is not None
    after = run.errors_m[found[0].frame :]
    assert not np.isnan(after).any()
    assert np.nanmax(after) < 0.015


def test_a_look_alike_in_front_does_not_get_the_track(lookalike: Followed) -> None:
    assert lookalike.causes() == [LossCause.OCCLUDED]
    hidden = lookalike.absent_for(NOTICED) | (lookalike.visible > 0.9)
    assert "lookalike" not in [role for role, sure in zip(lookalike.roles, hidden, strict=True) if sure]


def test_a_look_alike_beside_does_not_get_the_track(beside: Followed) -> None:
    assert (beside.absent_for(NOTICED)).any()
    assert "lookalike" not in beside.roles
    assert beside.causes()
    assert np.nanmax(beside.errors_m[-10:]) < 0.015
