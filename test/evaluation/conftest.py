"""A small recorded run with everything in it, made by hand."""

import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.core.types import (
    Camera,
    EventType,
    LossCause,
    Mesh,
    ObjectResult,
    Reference,
    RgbdFrame,
    TrackEvent,
    TrackResult,
    TrackStatus,
    View,
)
from storm_ros.evaluation import RunRecorder

CAMERA = Camera(64, 48, 60.0, 60.0, 31.5, 23.5)
TETRAHEDRON = Mesh(
    np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1]], np.float32),
    np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32),
    name="tetrahedron",
)


class HandTruth:
    """A truth in which the object stands still at 0.5 m, and is absent in some frames."""

    object_ids = (7,)

    def __init__(self, absent=(), mesh=TETRAHEDRON):
        self.absent = set(absent)
        self._mesh = mesh

    def pose(self, number, obj_id):
        if obj_id != 7 or number in self.absent:
            return None
        return se3.transform(np.eye(3), [0, 0, 0.5])

    def visible_fraction(self, number, obj_id):
        return None if number in self.absent else 1.0

    def mask(self, number, obj_id):
        return None

    def mesh(self, obj_id):
        return self._mesh


def make_frame(number):
    rgb = np.full((48, 64, 3), 40 + number % 50, np.uint8)
    return RgbdFrame(rgb, np.full((48, 64), 0.5, np.float32), CAMERA, stamp_ns=number * 33_000_000, index=number)


def square_mask():
    mask = np.zeros((48, 64), bool)
    mask[15:35, 20:45] = True
    return mask


def make_result(number, status, *, events=(), x_m=0.0):
    has_pose = status in (TrackStatus.TRACKING, TrackStatus.SUSPECT)
    obj = ObjectResult(
        "cup",
        status,
        se3.transform(np.eye(3), [x_m, 0, 0.5]) if has_pose else None,
        square_mask() if has_pose else None,
        score=0.8 if has_pose else 0.0,
        energy=-1.0 if has_pose else float("nan"),
        smoothed_energy=-1.1 if has_pose else float("nan"),
        threshold=0.0,
        probability=0.5 + 0.04 * number if has_pose else 0.0,
        memory=number,
    )
    timing = {"track": 5.0 + number, "total": 6.0 + number} if has_pose else {"segment": 20.0, "total": 21.0}
    return TrackResult(number, number * 33_000_000, {"cup": obj}, events, timing)


@pytest.fixture
def reference():
    return Reference("cup", (View(make_frame(0), square_mask(), se3.transform(np.eye(3), [0, 0, 0.5])),), TETRAHEDRON)


@pytest.fixture
def recorded(reference):
    """Ten frames: tracked, lost in frames 4 to 6, found again 20 mm aside; frame 3 unreadable."""
    recorder = RunRecorder(pictures=6)
    recorder.add_reference(reference, 0)
    for number in range(10):
        if number == 3:
            recorder.add_unreadable(3)
            continue
        events = {
            0: (TrackEvent(EventType.REFERENCE_SET, "cup", 0, 0),),
            4: (TrackEvent(EventType.LOST, "cup", 4, 132_000_000, LossCause.NO_DEPTH, energy=1.5, threshold=0.0),),
            7: (
                TrackEvent(
                    EventType.RELOCALIZED,
                    "cup",
                    7,
                    231_000_000,
                    LossCause.NO_DEPTH,
                    3,
                    0.099,
                    -1.0,
                    0.0,
                    0.9,
                    0.02,
                    0.1,
                ),
            ),
        }.get(number, ())
        status = TrackStatus.LOST if 4 <= number < 7 else TrackStatus.TRACKING
        result = make_result(number, status, events=events, x_m=0.02 if number >= 7 else 0.0)
        recorder.add(make_frame(number), number, result, 0.01)
    return recorder


@pytest.fixture
def hand_truth():
    return HandTruth


@pytest.fixture
def step_result():
    return make_result


@pytest.fixture
def frame_of():
    return make_frame
