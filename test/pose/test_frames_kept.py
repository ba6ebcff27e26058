"""What the estimator keeps of the frames it has seen: those in use, and no more."""

from __future__ import annotations

import gc
import weakref

import numpy as np

from storm_ros.core.types import Camera, RgbdFrame
from storm_ros.pose.geometric import GeometricEstimator


def test_frames_are_not_kept_alive() -> None:
    estimator = GeometricEstimator(device="cpu")
    camera = Camera(64, 48, 60.0, 60.0, 31.5, 23.5)
    frames = [RgbdFrame(np.zeros((48, 64, 3), np.uint8), np.ones((48, 64), np.float32), camera) for _ in range(30)]
    assert all(estimator._images(frame) is estimator._images(frame) for frame in frames), "one upload for each frame"
    alive = [weakref.ref(frame) for frame in frames]
    del frames
    gc.collect()
    assert sum(frame() is not None for frame in alive) <= 4
