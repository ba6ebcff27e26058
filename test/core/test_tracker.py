"""The closed loop with hand-written parts: every energy, pose and candidate is chosen by the test."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.core.config import GateConfig, SearchConfig
from storm_ros.core.errors import InputError, NoDepthError, ReferenceMissingError
from storm_ros.core.tracker import Parts, Tracker, add_object, make_reference, step
from storm_ros.core.types import (
    Camera,
    Candidate,
    EventType,
    LossCause,
    Mesh,
    Pose,
    PoseEstimate,
    Reference,
    Registration,
    RgbdFrame,
    TrackResult,
    TrackStatus,
)
from storm_ros.tom import EnergyGate

CAMERA = Camera(20, 20, 20.0, 20.0, 9.5, 9.5)
MASK = np.ones((20, 20), bool)
TRIANGLE = Mesh(np.eye(3), np.array([[0, 1, 2]]))
GOOD, BAD = -2.0, 3.0


def frame(index: int, seconds_per_frame: float = 0.1) -> RgbdFrame:
    stamp = int(index * seconds_per_frame * 1e9)
    return RgbdFrame(np.zeros((20, 20, 3), np.uint8), np.ones((20, 20), np.float32), CAMERA, stamp, index)


def at(x: float) -> Pose:
    return se3.transform(np.eye(3), [x, 0.0, 1.0])


def estimate(x: float, score: float = 0.9, in_view: float = 1.0, depth: float = 1.0) -> PoseEstimate:
    return PoseEstimate(at(x), score, score, 0.001, 0.0, in_view, depth, 0.0, mask=MASK)


class Scripted:
    """Every part in one: what it answers is set by frame number."""

    def __init__(self) -> None:
        self.energies: dict[int, float] = {}
        self.tracked: dict[int, PoseEstimate] = {}
        self.candidates: dict[int, tuple[float, ...]] = {}
        self.registered: dict[float, PoseEstimate | None] = {}
        self.guesses: dict[int, tuple[Pose, ...]] = {}
        self.searched: list[int] = []
        self.remembered: list[int] = []
        self.forgotten = 0

    def build(self, frame: RgbdFrame, mask: np.ndarray) -> tuple[Mesh, Pose]:
        return TRIANGLE, at(0.0)

    def describe(self, reference: Reference) -> str:
        return reference.object_id

    def segment(self, frame: RgbdFrame, description: str) -> tuple[Candidate, ...]:
        self.searched.append(frame.index)
        return tuple(Candidate(MASK, score) for score in self.candidates.get(frame.index, ()))

    def prepare(self, reference: Reference) -> int:
        return 0

    def register(self, frame: RgbdFrame, mask: np.ndarray, model: int) -> Registration:
        found = self.registered.get(frame.index)
        if found is None:
            raise NoDepthError("none")
        return Registration(found)

    def track(self, frame: RgbdFrame, model: int, guesses: tuple[Pose, ...]) -> PoseEstimate:
        self.guesses[frame.index] = guesses
        return self.tracked.get(frame.index, estimate(0.01 * frame.index))

    def judge(self, frame: RgbdFrame, model: int, cam_T_obj: Pose) -> PoseEstimate:
        return replace(estimate(0.0), cam_T_obj=cam_T_obj)

    def forget(self, model: int) -> int:
        self.forgotten += 1
        return 0

    def remember(self, frame: RgbdFrame, *_: object) -> int:
        self.remembered.append(frame.index)
        return 0

    def start(self, reference: Reference) -> int:
        return 0

    def energy(self, frame: RgbdFrame, estimate: PoseEstimate, memory: int) -> float:
        return self.energies.get(frame.index, GOOD)


def make(script: Scripted, *, every: int = 1) -> tuple[Parts, SearchConfig]:
    gate = EnergyGate(GateConfig(tau=0.0, patience=3, smoothing=1.0))
    return Parts(script, script, script, script, gate), SearchConfig(every=every, min_score=0.6)


def run(script: Scripted, last: int, *, every: int = 1, reference: RgbdFrame | None = None) -> list[TrackResult]:
    parts, search = make(script, every=every)
    state = add_object(parts, _empty(parts), make_reference(parts, reference or frame(0), MASK, "cup"))
    results = []
    for i in range(last + 1):
        state, result = step(parts, search, state, frame(i))  # read anew: an equal image, not the same object
        results.append(result)
    return results


def _empty(parts: Parts):
    return Tracker(parts).state


def events(results: list[TrackResult]) -> list[tuple[int, EventType]]:
    return [(r.frame, e.type) for r in results for e in r.events]


def test_reference_frame_is_found_at_once() -> None:
    results = run(Scripted(), 2)
    assert events(results) == [(0, EventType.REFERENCE_SET), (0, EventType.FOUND)]
    assert [r.objects["cup"].status for r in results] == [TrackStatus.TRACKING] * 3
    np.testing.assert_allclose(results[2].objects["cup"].cam_T_obj, at(0.02))
    assert {"track", "verify", "total"} <= results[2].timing_ms.keys()


def test_lost_after_three_bad_frames_and_the_pose_is_withdrawn() -> None:
    script = Scripted()
    script.energies = {3: BAD, 4: BAD, 5: BAD}
    results = run(script, 6)
    states = [r.objects["cup"].status for r in results]
    assert states[3:7] == [TrackStatus.SUSPECT, TrackStatus.SUSPECT, TrackStatus.LOST, TrackStatus.LOST]
    assert results[4].objects["cup"].cam_T_obj is not None
    assert results[5].objects["cup"].cam_T_obj is None
    assert results[5].objects["cup"].mask is None
    lost = next(e for r in results for e in r.events if e.type is EventType.LOST)
    assert (lost.frame, lost.cause, lost.energy, lost.threshold) == (5, LossCause.ENERGY, BAD, 0.0)


def test_one_good_frame_ends_the_suspicion() -> None:
    script = Scripted()
    script.energies = {3: BAD, 4: BAD, 6: BAD, 7: BAD}
    results = run(script, 8)
    assert all(r.objects["cup"].cam_T_obj is not None for r in results)
    assert results[5].objects["cup"].status is TrackStatus.TRACKING


@pytest.mark.parametrize(
    ("seen", "cause"),
    [
        (estimate(0.0, in_view=0.1), LossCause.OUT_OF_VIEW),
        (estimate(0.0, depth=0.05), LossCause.NO_DEPTH),
    ],
)
def test_evident_causes_count_whatever_the_energy(seen: PoseEstimate, cause: LossCause) -> None:
    script = Scripted()
    script.tracked = {i: seen for i in (3, 4, 5)}
    lost = [e for r in run(script, 6) for e in r.events if e.type is EventType.LOST]
    assert [(e.frame, e.cause) for e in lost] == [(5, cause)]


def test_nan_energy_is_bad() -> None:
    script = Scripted()
    script.energies = {i: math.nan for i in (3, 4, 5)}
    assert (5, EventType.LOST) in events(run(script, 6))


def test_relocalised_event_tells_what_happened() -> None:
    script = Scripted()
    script.energies = {3: BAD, 4: BAD, 5: BAD, 8: -1.5}
    script.candidates = {8: (0.9,)}
    script.registered = {8: estimate(0.5, score=0.8)}
    results = run(script, 9)
    event = next(e for r in results for e in r.events if e.type is EventType.RELOCALIZED)
    assert (event.frame, event.cause, event.frames_lost, event.score) == (8, LossCause.ENERGY, 3, 0.8)
    assert event.seconds_lost == pytest.approx(0.3)
    assert event.jump_m == pytest.approx(0.5 - 0.02)  # from the last pose that was trusted, at frame 2
    assert event.energy == -1.5
    assert script.forgotten == 2  # when it was found first, and now
    assert results[9].objects["cup"].status is TrackStatus.TRACKING


@pytest.mark.parametrize(
    ("found", "energy", "reason"),
    [
        (estimate(0.5, score=0.5), GOOD, "the pose score is too low"),
        (estimate(0.5), 0.5, "the verifier says no"),
        (estimate(0.5, in_view=0.1), GOOD, "hardly in the image"),
        (None, GOOD, "no depth under the candidate"),
    ],
)
def test_both_the_pose_and_the_verifier_must_accept(found: PoseEstimate | None, energy: float, reason: str) -> None:
    script = Scripted()
    script.energies = {3: BAD, 4: BAD, 5: BAD, 7: energy}
    script.candidates = {7: (0.9,)}
    script.registered = {7: found}
    assert EventType.RELOCALIZED not in [t for _, t in events(run(script, 8))], reason


def test_search_runs_every_so_many_frames() -> None:
    script = Scripted()
    script.energies = {1: BAD, 2: BAD, 3: BAD}
    run(script, 12, every=4)
    assert script.searched == [4, 8, 12]


def test_doubtful_frames_are_not_remembered() -> None:
    script = Scripted()
    script.energies = {2: BAD}
    run(script, 3)
    assert sorted(set(script.remembered)) == [1, 3]


def test_prediction_is_offered_first() -> None:
    script = Scripted()
    run(script, 3)
    ahead, last = script.guesses[3]
    np.testing.assert_allclose(ahead, at(0.03), atol=1e-9)
    np.testing.assert_allclose(last, at(0.02), atol=1e-9)


def test_a_suspect_pose_tells_no_velocity_and_the_trusted_one_is_offered_again() -> None:
    script = Scripted()
    script.energies = {3: BAD}
    script.tracked = {3: estimate(5.0)}
    run(script, 4)
    last, trusted = script.guesses[4]
    np.testing.assert_allclose(last, at(5.0))
    np.testing.assert_allclose(trusted, at(0.02), atol=1e-9)


def test_reference_from_another_recording_is_searched_for() -> None:
    script = Scripted()
    script.candidates = {0: (0.9,)}
    script.registered = {0: estimate(0.3)}
    elsewhere = RgbdFrame(np.full((20, 20, 3), 7, np.uint8), np.ones((20, 20), np.float32), CAMERA, 0, 0)
    results = run(script, 1, reference=elsewhere)
    assert events(results) == [(0, EventType.REFERENCE_SET), (0, EventType.FOUND)]
    np.testing.assert_allclose(results[0].objects["cup"].cam_T_obj, at(0.3))


def test_objects_are_independent_and_a_frame_changes_no_old_state() -> None:
    script = Scripted()
    parts, search = make(script)
    first = frame(0)
    state = _empty(parts)
    for name in ("cup", "can"):
        state = add_object(parts, state, make_reference(parts, first, MASK, name))
    before = dict(state.objects)
    _, result = step(parts, search, state, first)
    assert list(result.objects) == ["cup", "can"]
    assert [e.object_id for e in result.events] == ["cup", "cup", "can", "can"]
    assert state.objects == before
    _, same = step(parts, search, state, first)
    np.testing.assert_array_equal(same.objects["cup"].cam_T_obj, result.objects["cup"].cam_T_obj)


def test_tracker_keeps_the_state() -> None:
    script = Scripted()
    tracker = Tracker(make(script)[0])
    tracker.set_reference(frame(0), MASK, object_id="cup")
    assert list(tracker.references) == ["cup"]
    assert tracker.step(frame(0)).objects["cup"].status in (TrackStatus.SEARCHING, TrackStatus.TRACKING)
    tracker.clear_reference("cup")
    assert tracker.step(frame(1)).objects == {}
    with pytest.raises(ReferenceMissingError, match="no object 'cup'"):
        tracker.clear_reference("cup")


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((20, 20), bool), "mask has 0 pixels"),
        (np.ones((5, 5), bool), r"shape \(5, 5\)"),
        (np.ones((20, 20)), "of type float64"),
        (np.full((20, 20), -1), "of type int64"),
    ],
)
def test_unusable_masks_change_nothing(mask: np.ndarray, message: str) -> None:
    tracker = Tracker(make(Scripted())[0])
    tracker.set_reference(frame(0), MASK, object_id="cup")
    before = tracker.state
    with pytest.raises(InputError, match=message):
        tracker.set_reference(frame(1), mask, object_id="cup")
    assert tracker.state is before
