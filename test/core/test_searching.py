"""The search on its own thread: it never holds a frame up, and what it finds is verified again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from storm_ros import create_tracker
from storm_ros.core import se3
from storm_ros.core.config import StormConfig, with_values
from storm_ros.core.errors import StormError
from storm_ros.core.references import make_reference
from storm_ros.core.tracker import Tracker
from storm_ros.core.types import Candidate, EventType, RgbdFrame, TrackStatus
from storm_ros.sim import SimulatedRecording, tabletop_sequence

PATIENCE_S = 30.0
FRAMES = 16


class HeldUp:
    """A segmenter that waits for a permission before it looks."""

    def __init__(self, segmenter: object) -> None:
        self.segmenter = segmenter
        self.allowed, self.asked = threading.Event(), threading.Event()
        self.threads: set[str] = set()
        self.error: Exception | None = None

    def describe(self, reference: object) -> object:
        return self.segmenter.describe(reference)

    def segment(self, frame: RgbdFrame, description: object) -> tuple[Candidate, ...]:
        self.threads.add(threading.current_thread().name)
        self.asked.set()
        assert self.allowed.wait(PATIENCE_S)
        if self.error is not None:
            raise self.error
        return self.segmenter.segment(frame, description)


@pytest.fixture(scope="module")
def recording() -> Iterator[SimulatedRecording]:
    """Boxes and cans; the camera moves."""
    with tabletop_sequence(6, frames=FRAMES, count=3, kinds=("box", "can"), width=320, height=240) as recorded:
        yield recorded


@pytest.fixture(scope="module")
def frames(recording: SimulatedRecording) -> list[RgbdFrame]:
    return [recording.read(n) for n in recording.numbers]


def tracker_of(recording: SimulatedRecording, frames: list[RgbdFrame]) -> tuple[Tracker, HeldUp]:
    """One object is pointed at in frame 1, where the tracking begins; another, of frame 0, must be found."""
    settings = {"search.background": True, "search.confirm": 1, "search.every": 1, "search.rivals": False}
    tracker = create_tracker(with_values(StormConfig(), settings))
    segmenter = HeldUp(tracker.parts.segmenter)
    tracker.parts = replace(tracker.parts, segmenter=segmenter)
    truth = recording.ground_truth
    tracker.set_reference(frames[1], truth.mask(1, 1), object_id="near")
    tracker.add_reference(make_reference(tracker.parts, frames[0], truth.mask(0, 3), "wanted"))
    return tracker, segmenter


def test_a_slow_search_delays_no_frame_and_finds_the_object(
    recording: SimulatedRecording, frames: list[RgbdFrame]
) -> None:
    tracker, segmenter = tracker_of(recording, frames)
    with tracker:
        for frame in frames[1:8]:  # each of these steps would wait for ever if it searched by itself
            result = tracker.step(frame)
            assert result.objects["near"].status is TrackStatus.TRACKING
            assert result.objects["wanted"].status is TrackStatus.SEARCHING
        assert segmenter.asked.wait(PATIENCE_S)
        assert segmenter.threads == {"storm-search"}
        segmenter.allowed.set()
        found = None
        for frame in frames[8:]:
            assert tracker._searcher.wait(PATIENCE_S)
            result = tracker.step(frame)
            assert result.objects["near"].status is TrackStatus.TRACKING
            found = found or next((e for e in result.events if e.type is EventType.FOUND), None)
        assert found is not None
        assert found.object_id == "wanted"
        pose = result.objects["wanted"].cam_T_obj
        truth = recording.ground_truth
        reference = tracker.references["wanted"].views[0].cam_T_obj
        obj_T_gt = se3.inverse(reference) @ truth.pose(0, 3)
        assert pose is not None
        assert se3.distance(pose @ obj_T_gt, truth.pose(FRAMES - 1, 3)) < 0.01


def test_an_answer_of_an_older_frame_is_brought_to_the_newest(
    recording: SimulatedRecording, frames: list[RgbdFrame]
) -> None:
    tracker, segmenter = tracker_of(recording, frames)
    with tracker:
        tracker.step(frames[1])
        assert segmenter.asked.wait(PATIENCE_S)
        segmenter.allowed.set()
        assert tracker._searcher.wait(PATIENCE_S)
        result = tracker.step(frames[6])  # five frames later
        assert result.timing_ms["search"] > 0.0
        tentative = tracker.state.objects["wanted"].tentative
        assert tentative is not None
        reference = tracker.references["wanted"].views[0].cam_T_obj
        truth = recording.ground_truth
        obj_T_gt = se3.inverse(reference) @ truth.pose(0, 3)
        assert se3.distance(tentative.motion.cam_T_obj @ obj_T_gt, truth.pose(6, 3)) < 0.01


def test_an_answer_about_an_object_that_was_replaced_is_dropped(
    recording: SimulatedRecording, frames: list[RgbdFrame]
) -> None:
    tracker, segmenter = tracker_of(recording, frames)
    with tracker:
        tracker.step(frames[1])
        assert segmenter.asked.wait(PATIENCE_S)
        truth = recording.ground_truth
        tracker.add_reference(make_reference(tracker.parts, frames[0], truth.mask(0, 2), "wanted"))
        segmenter.allowed.set()
        assert tracker._searcher.wait(PATIENCE_S)
        tracker.step(frames[2])
        assert tracker.state.objects["wanted"].tentative is None


def test_an_error_of_the_search_comes_out_of_the_next_step(
    recording: SimulatedRecording, frames: list[RgbdFrame]
) -> None:
    tracker, segmenter = tracker_of(recording, frames)
    with tracker:
        segmenter.error = StormError("the weights are damaged")
        segmenter.allowed.set()
        tracker.step(frames[1])
        assert tracker._searcher.wait(PATIENCE_S)
        with pytest.raises(StormError, match="the weights are damaged"):
            tracker.step(frames[2])


def test_the_thread_ends_with_the_tracker(recording: SimulatedRecording, frames: list[RgbdFrame]) -> None:
    tracker, segmenter = tracker_of(recording, frames)
    segmenter.allowed.set()
    tracker.step(frames[1])
    thread = tracker._searcher._thread
    assert thread is not None
    assert thread.is_alive()
    tracker.close()
    tracker.close()
    assert not thread.is_alive()


def test_a_closed_tracker_does_not_search_to_the_end(
    recording: SimulatedRecording, frames: list[RgbdFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker, segmenter = tracker_of(recording, frames)
    registered: list[object] = []
    monkeypatch.setattr(type(tracker.parts.pose), "register", lambda *a: registered.append(a))
    tracker.step(frames[1])
    assert segmenter.asked.wait(PATIENCE_S)
    closing = threading.Thread(target=tracker.close)
    closing.start()
    while not tracker._searcher._closed:
        closing.join(0.01)
    segmenter.allowed.set()
    closing.join(PATIENCE_S)
    assert not tracker._searcher._thread.is_alive()
    assert not registered, "what was segmented is not registered any more"


def test_without_the_setting_there_is_no_thread(recording: SimulatedRecording, frames: list[RgbdFrame]) -> None:
    tracker, segmenter = tracker_of(recording, frames)
    tracker.config = StormConfig()
    segmenter.allowed.set()
    tracker.step(frames[1])
    assert segmenter.threads == {threading.current_thread().name}
    assert tracker._searcher._thread is None
