import cv2
import numpy as np
import pytest

from storm_ros.core.types import EventType, TrackEvent, TrackStatus
from storm_ros.evaluation import RunRecorder


def test_rows_come_back_as_they_went_in(recorded):
    rows = recorded.objects["cup"]
    assert rows.column("frame").tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert rows.column("position").tolist() == list(range(9))
    poses = dict(rows.poses())
    assert poses[5] is None
    assert poses[8][0, 3] == pytest.approx(0.02)
    assert rows.statuses()[3] is TrackStatus.LOST
    assert recorded.status_counts() == {"EMPTY": 0, "SEARCHING": 0, "TRACKING": 6, "SUSPECT": 0, "LOST": 3}
    assert recorded.unreadable == [3]


def test_times_hold_only_the_frames_in_which_a_stage_ran(recorded):
    timing = recorded.timing()
    assert len(timing["track"]) == 6
    assert timing["segment"].tolist() == [20.0, 20.0, 20.0]
    assert len(timing["total"]) == 9


def test_pictures_show_reference_and_events_in_order_and_can_be_decoded(recorded):
    pictures = recorded.pictures()
    assert len(pictures) <= 6
    captions = [p.caption for p in pictures]
    assert captions[0] == "reference of cup: frame 0"
    assert "frame 4: cup lost" in captions
    assert "frame 7: cup relocalized" in captions
    assert [p.frame for p in pictures[1:]] == sorted(p.frame for p in pictures[1:])
    image = cv2.imdecode(np.frombuffer(pictures[0].jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (48, 64, 3)


def test_pictures_stay_bounded_and_evenly_spread_in_a_long_run(step_result, frame_of):
    recorder = RunRecorder(pictures=4)
    held = 0
    for number in range(300):
        events = (TrackEvent(EventType.LOST, "cup", number, 0),) if number % 10 == 5 else ()
        recorder.add(frame_of(number), number, step_result(number, TrackStatus.TRACKING, events=events), 0.01)
        held = max(held, len(recorder._even_pictures) + len(recorder._event_pictures))
    assert held <= 2 * (2 * 4 + 1)
    frames = [p.frame for p in recorder.pictures()]
    assert len(frames) == 4
    assert frames[0] < 60
    assert frames[-1] > 200


def test_no_pictures_are_drawn_when_none_are_wanted(step_result, frame_of, reference):
    recorder = RunRecorder(pictures=0)
    recorder.add_reference(reference, 0)
    recorder.add(frame_of(0), 0, step_result(0, TrackStatus.TRACKING), 0.01)
    assert recorder.pictures() == []
    assert recorder.frames == 1
