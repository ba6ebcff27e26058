"""The closed loop with hand-written parts: every energy, pose and candidate is chosen by the test."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.core.config import GateConfig, SearchConfig, StormConfig
from storm_ros.core.errors import InputError, NoDepthError, ReferenceMissingError
from storm_ros.core.tracker import Parts, Tracker, TrackerState, add_object, make_reference, step, withdraw
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


def estimate(
    x: float, score: float = 0.9, in_view: float = 1.0, depth: float = 1.0, occluded: float = 0.0
) -> PoseEstimate:
    return PoseEstimate(at(x), score, score, 0.001, 0.0, in_view, depth, occluded, mask=MASK)


class Scripted:
    """Every part in one: what it answers is set by frame number."""

    def __init__(self) -> None:
        self.energies: dict[int, float] = {}
        self.tracked: dict[int, PoseEstimate] = {}
        self.gone: range | tuple[int, ...] = ()
        self.judged: dict[int, PoseEstimate] = {}
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
        score = 0.1 if frame.index in self.gone else 0.9
        return self.tracked.get(frame.index, estimate(0.01 * frame.index, score))

    def judge(self, frame: RgbdFrame, model: int, cam_T_obj: Pose) -> PoseEstimate:
        return replace(self.judged.get(frame.index, estimate(0.0)), cam_T_obj=cam_T_obj)

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


def make(script: Scripted, **search: float) -> tuple[Parts, SearchConfig]:
    gate = EnergyGate(GateConfig(tau=0.0, patience=3, smoothing=1.0))
    settings = {"every": 1, "min_score": 0.6, "min_probability": 0.0, "confirm": 0, "rivals": False, **search}
    return Parts(script, script, script, script, gate), SearchConfig(**settings)


def run(
    script: Scripted, last: int, *, reference: RgbdFrame | None = None, seconds: float = 0.1, **search: float
) -> list[TrackResult]:
    parts, settings = make(script, **search)
    state = add_object(parts, TrackerState(), make_reference(parts, reference or frame(0), MASK, "cup"), settings)
    results = []
    for i in range(last + 1):
        state, result = step(parts, settings, state, frame(i, seconds))  # read anew: equal, not the same object
        results.append(result)
    return results


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
    script.gone = range(6, 7)
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


@pytest.mark.parametrize(
    ("expected", "cause"),
    [
        ({}, LossCause.ENERGY),
        ({3: 0.9, 4: 0.9, 5: 0.9}, LossCause.OCCLUDED),
        ({4: 0.9, 5: 0.9}, LossCause.OCCLUDED),
        ({5: 0.9}, LossCause.ENERGY),
    ],
)
def test_an_occlusion_is_seen_where_the_object_should_be(expected: dict[int, float], cause: LossCause) -> None:
    script = Scripted()
    script.energies = {3: BAD, 4: BAD, 5: BAD}
    script.judged = {i: estimate(0.0, occluded=share) for i, share in expected.items()}
    lost = [e for r in run(script, 5) for e in r.events if e.type is EventType.LOST]
    assert [(e.frame, e.cause) for e in lost] == [(5, cause)]


def test_a_short_doubt_before_does_not_count_as_the_cause() -> None:
    script = Scripted()
    script.energies = {i: BAD for i in (2, 3, 5, 6, 7)}
    script.judged = {i: estimate(0.0, occluded=0.9) for i in (2, 3)}
    lost = [e for r in run(script, 7) for e in r.events if e.type is EventType.LOST]
    assert [(e.frame, e.cause) for e in lost] == [(7, LossCause.ENERGY)]


def test_nan_energy_is_bad() -> None:
    script = Scripted()
    script.energies = {i: math.nan for i in (3, 4, 5)}
    assert (5, EventType.LOST) in events(run(script, 6))


def test_relocalised_event_tells_what_happened() -> None:
    script = Scripted()
    script.energies = {3: BAD, 4: BAD, 5: BAD, 8: -1.5}
    script.gone = range(6, 9)
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
    script.gone = range(6, 9)
    script.candidates = {7: (0.9,)}
    script.registered = {7: found}
    assert EventType.RELOCALIZED not in [t for _, t in events(run(script, 8))], reason


def test_the_search_begins_where_the_object_was() -> None:
    script = Scripted()
    script.energies = {3: BAD, 4: BAD, 5: BAD}
    script.gone = range(6, 8)
    results = run(script, 8)
    event = next(e for r in results for e in r.events if e.type is EventType.RELOCALIZED)
    assert (event.frame, event.frames_lost) == (8, 3)
    np.testing.assert_allclose(script.guesses[8][0], at(0.02), atol=1e-9)  # the last pose that was trusted
    assert script.searched == [6, 7]


def test_a_found_pose_is_reported_once_it_has_held() -> None:
    script = Scripted()
    script.energies = {3: BAD, 4: BAD, 5: BAD}
    script.gone = range(6, 7)
    results = run(script, 10, confirm=2)  # found in 7, held in 8 and 9
    assert [r.objects["cup"].status for r in results[6:11]] == [TrackStatus.LOST] * 3 + [TrackStatus.TRACKING] * 2
    assert [r.objects["cup"].cam_T_obj is None for r in results[6:11]] == [True] * 3 + [False] * 2
    event = next(e for r in results for e in r.events if e.type is EventType.RELOCALIZED)
    assert (event.frame, event.frames_lost, event.score) == (9, 4, 0.9)
    assert 8 not in script.remembered


@pytest.mark.parametrize("bad", ["energy", "out of view"])
def test_a_found_pose_that_does_not_hold_is_never_reported(bad: str) -> None:
    script = Scripted()
    script.energies = {3: BAD, 4: BAD, 5: BAD, **({8: BAD} if bad == "energy" else {})}
    script.gone = range(6, 7)
    script.tracked = {8: estimate(0.0, in_view=0.1)} if bad == "out of view" else {}
    results = run(script, 11, confirm=2, every=3)
    found = [e.frame for r in results for e in r.events if e.type is EventType.RELOCALIZED]
    assert found == [11]  # found in 7, dropped in 8, found in 9 without waiting, held in 10 and 11


@pytest.mark.parametrize(
    ("poor", "reported"), [((8,), 10), ((8, 10), 11), ((8, 9, 10), None), ((8, 9, 10, 11, 12), None)]
)
def test_a_found_pose_may_be_poor_in_between_but_not_for_long(poor: tuple[int, ...], reported: int | None) -> None:
    script = Scripted()
    script.energies = {3: BAD, 4: BAD, 5: BAD}
    script.gone = range(6, 7)
    script.tracked = {i: estimate(0.0, score=0.5) for i in poor} | {12: estimate(0.0, score=0.5)}
    results = run(script, 12, confirm=2)
    found = [e.frame for r in results for e in r.events if e.type is EventType.RELOCALIZED]
    assert found == ([] if reported is None else [reported])


@pytest.mark.parametrize(
    ("confirm", "first_sure", "reported"), [(0, 6, 6), (0, 7, 7), (1, 7, 7), (1, 8, 8), (1, 9, None)]
)
def test_a_found_pose_must_be_likelier_than_a_followed_one(confirm: int, first_sure: int, reported: int | None) -> None:
    script = Scripted()
    unsure = {i: -0.5 for i in range(6, first_sure)}
    script.energies = {3: BAD, 4: BAD, 5: BAD, **unsure, 9: BAD}
    results = run(script, 9, confirm=confirm, min_probability=0.8)
    found = [e.frame for r in results for e in r.events if e.type is EventType.RELOCALIZED]
    assert found == ([] if reported is None else [reported])


def test_what_is_hidden_speaks_for_nothing_in_a_search_but_does_in_a_track() -> None:
    script = Scripted()
    script.energies = {3: BAD, 4: BAD, 5: BAD}
    script.tracked = {1: estimate(0.0, occluded=0.4)} | {i: estimate(0.0, occluded=0.4) for i in range(6, 9)}
    results = run(script, 9)
    assert results[1].objects["cup"].status is TrackStatus.TRACKING
    assert [e.frame for r in results for e in r.events if e.type is EventType.RELOCALIZED] == [9]


def test_a_gap_makes_the_pose_stale() -> None:
    script = Scripted()
    results = run(script, 2, seconds=3.0)
    assert events(results)[2:] == [
        (1, EventType.LOST), (1, EventType.RELOCALIZED), (2, EventType.LOST), (2, EventType.RELOCALIZED),
    ]  # fmt: skip
    lost = next(e for r in results for e in r.events if e.type is EventType.LOST)
    assert lost.cause is LossCause.STALE_INPUT
    assert script.searched == []  # it was where it had been


def test_a_gap_may_be_allowed() -> None:
    assert EventType.LOST not in [t for _, t in events(run(Scripted(), 3, seconds=3.0, max_gap_s=0.0))]
    assert EventType.LOST not in [t for _, t in events(run(Scripted(), 3, seconds=1.9))]


def test_a_clock_set_back_makes_the_pose_stale() -> None:
    parts, search = make(Scripted())
    state = add_object(parts, TrackerState(), make_reference(parts, frame(0), MASK, "cup"), SearchConfig())
    state, _ = step(parts, search, state, replace(frame(0), stamp_ns=int(60e9)))
    _, result = step(parts, search, state, frame(1))
    assert [e.cause for e in result.events if e.type is EventType.LOST] == [LossCause.STALE_INPUT]


def test_poses_are_withdrawn_when_no_image_comes() -> None:
    script = Scripted()
    tracker = Tracker(*_with_config(script))
    tracker.set_reference(frame(0), MASK, object_id="cup")
    tracker.step(frame(0))
    result = tracker.expire(int(5e9))
    assert result.objects["cup"].status is TrackStatus.LOST
    assert result.objects["cup"].cause is LossCause.STALE_INPUT
    assert [(e.type, e.cause, e.stamp_ns) for e in result.events] == [
        (EventType.LOST, LossCause.STALE_INPUT, int(5e9)),
    ]
    assert tracker.expire(int(6e9)).events == ()
    again = tracker.step(frame(70))
    assert [e.type for e in again.events] == [EventType.RELOCALIZED]


def test_a_new_search_on_request() -> None:
    script = Scripted()
    tracker = Tracker(*_with_config(script))
    for name in ("cup", "can"):
        tracker.set_reference(frame(0), MASK, object_id=name)
    tracker.step(frame(0))
    result = tracker.relocalize("can", stamp_ns=7)
    assert [(e.object_id, e.cause) for e in result.events] == [("can", LossCause.REQUESTED)]
    assert tracker.state.objects["cup"].motion is not None
    after = tracker.step(frame(1))
    assert [(e.object_id, e.type) for e in after.events] == [("can", EventType.RELOCALIZED)]
    with pytest.raises(ReferenceMissingError, match="no object 'jar'"):
        tracker.relocalize("jar")


def test_withdrawing_what_has_no_pose_only_restarts_the_search() -> None:
    parts, _ = make(Scripted())
    state = add_object(parts, TrackerState(), make_reference(parts, frame(0), MASK, "cup"), SearchConfig())
    after, found = withdraw(state, LossCause.REQUESTED, 0)
    assert found == ()
    assert after.objects["cup"].status is TrackStatus.SEARCHING


def _with_config(script: Scripted) -> tuple[Parts, StormConfig]:
    parts, search = make(script)
    return parts, replace(StormConfig(), search=search)


def test_probability_follows_the_smoothed_energy() -> None:
    script = Scripted()
    script.energies = {2: 0.0, 3: BAD, 4: BAD, 5: BAD}
    script.gone = range(6, 7)
    results = run(script, 6)
    chances = [r.objects["cup"].probability for r in results]
    assert chances[1] == pytest.approx(1.0 / (1.0 + math.exp(GOOD)))
    assert chances[2] == pytest.approx(0.5)
    assert chances[3] == pytest.approx(1.0 / (1.0 + math.exp(BAD)))
    assert chances[5] == chances[6] == 0.0


class Calibrated(Scripted):
    """A verifier that has its own probabilities and counts what it keeps."""

    def probability(self, energy: float) -> float:
        return 0.25

    def memory_size(self, memory: int) -> int:
        return memory

    def start(self, reference: Reference) -> int:
        return 7


def test_a_verifier_may_tell_probability_and_memory() -> None:
    found = run(Calibrated(), 1)[0].objects["cup"]
    assert (found.probability, found.memory) == (0.25, 7)


def test_the_cause_is_told_while_the_object_is_lost() -> None:
    script = Scripted()
    script.tracked = {i: estimate(0.0, in_view=0.1) for i in (3, 4, 5, 6)}
    causes = [r.objects["cup"].cause for r in run(script, 8)]
    assert causes[4:8] == [None, LossCause.OUT_OF_VIEW, LossCause.OUT_OF_VIEW, None]


def test_search_runs_every_so_many_frames() -> None:
    script = Scripted()
    script.energies = {1: BAD, 2: BAD, 3: BAD}
    script.gone = range(4, 13)
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
    state = TrackerState()
    for name in ("cup", "can"):
        state = add_object(parts, state, make_reference(parts, first, MASK, name), SearchConfig())
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
