"""A recording and a tracker made by hand: what a run does is seen without a real tracker in between."""

import cv2
import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.core.config import StormConfig
from storm_ros.core.errors import InputError, RecordingError
from storm_ros.core.types import (
    Camera,
    EventType,
    Mesh,
    ObjectResult,
    Reference,
    RgbdFrame,
    TrackEvent,
    TrackResult,
    TrackStatus,
    View,
)

CAMERA = Camera(64, 48, 60.0, 60.0, 31.5, 23.5)
TETRAHEDRON = Mesh(
    np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1]], np.float32),
    np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32),
    name="tetrahedron",
)


def square_mask(left=20):
    mask = np.zeros((48, 64), bool)
    mask[15:35, left : left + 20] = True
    return mask


class HandTruth:
    """Object 7 moves 1 mm a frame; object 8 is there, but has no masks."""

    object_ids = (7, 8)

    def pose(self, number, obj_id):
        x_m = number * 0.001 if obj_id == 7 else 0.3
        return se3.transform(np.eye(3), [x_m, 0, 0.5])

    def visible_fraction(self, number, obj_id):
        return 1.0

    def mask(self, number, obj_id):
        return square_mask() if obj_id == 7 else None

    def mesh(self, obj_id):
        return TETRAHEDRON if obj_id == 7 else None


class HandRecording:
    """Frames 10 to 29, of which some cannot be read."""

    name = "hand made"
    scene_id = 3
    rate_hz = 30.0
    camera = CAMERA

    def __init__(self, unreadable=(), truth=True):
        self.numbers = tuple(range(10, 30))
        self.unreadable = set(unreadable)
        self.warnings = []
        self.ground_truth = HandTruth() if truth else None

    def read(self, number):
        if number in self.unreadable:
            raise RecordingError(f"cannot read frame {number}: the image is cut off")
        rgb = np.full((48, 64, 3), 100, np.uint8)
        depth = np.full((48, 64), 0.5, np.float32)
        return RgbdFrame(rgb, depth, CAMERA, stamp_ns=number * 33_000_000, index=number)

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


class HandTracker:
    """Says what the truth says; stops the run where it is told to."""

    def __init__(self, interrupt_at=None, fail_at=None, reject=()):
        self.config = StormConfig()
        self.references = {}
        self.seen = []
        self.events = []
        self.interrupt_at, self.fail_at, self.reject = interrupt_at, fail_at, reject

    def set_reference(self, frame, mask, *, object_id="object", mesh=None):
        if object_id in self.reject:
            raise InputError("the mask has 3 pixels: 64 are needed")
        pose = HandTruth().pose(frame.index, 7)
        return self.add_reference(Reference(object_id, (View(frame, mask, pose),), mesh or TETRAHEDRON))

    def add_reference(self, reference):
        self.references[reference.object_id] = reference
        self.events.append(
            TrackEvent(EventType.REFERENCE_SET, reference.object_id, self.seen[-1] if self.seen else 0, 0)
        )
        return reference

    def step(self, frame):
        if frame.index == self.interrupt_at:
            raise KeyboardInterrupt
        if frame.index == self.fail_at:
            raise InputError("this frame cannot be used")
        self.seen.append(frame.index)
        pose = HandTruth().pose(frame.index, 7)
        objects = {
            name: ObjectResult(name, TrackStatus.TRACKING, pose, square_mask(), 0.9, -1.0, -1.0, 0.0)
            for name in self.references
        }
        events, self.events = tuple(self.events), []
        return TrackResult(frame.index, frame.stamp_ns, objects, events, {"track": 1.0, "total": 1.5})


@pytest.fixture
def make_recording():
    return HandRecording


@pytest.fixture
def make_tracker():
    return HandTracker


@pytest.fixture
def mask_file(tmp_path):
    """Writes a mask image and returns its path."""

    def write(mask, name="mask.png"):
        path = tmp_path / name
        assert cv2.imwrite(str(path), mask.astype(np.uint8) * 255)
        return path

    return write


@pytest.fixture
def square():
    return square_mask
