"""Depth can be withheld from a segmenter, of the frames, of the references, or of both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from storm_ros.core.types import Camera, Candidate, Mesh, Reference, RgbdFrame, View
from storm_ros.evaluation.segmentation import WithoutDepth


class Records:
    """Keeps the depth that it is shown."""

    def __init__(self) -> None:
        self.reference = self.frame = np.zeros(0, np.float32)

    def describe(self, reference: Reference) -> str:
        self.reference = reference.views[0].frame.depth_m
        return reference.object_id

    def segment(self, frame: RgbdFrame, description: Any) -> tuple[Candidate, ...]:
        self.frame = frame.depth_m
        return (Candidate(frame.depth_m > 0, 0.5),) if description == "thing" else ()


@pytest.mark.parametrize(("frames", "references"), [(True, False), (False, True), (True, True)])
def test_depth_is_withheld_where_asked_and_kept_elsewhere(frames: bool, references: bool) -> None:
    frame = RgbdFrame(np.zeros((8, 10, 3), np.uint8), np.ones((8, 10), np.float32), Camera(10, 8, 9.0, 9.0, 5.0, 4.0))
    mesh = Mesh(np.eye(3, dtype=np.float32), np.array([[0, 1, 2]], np.int32))
    pose = np.eye(4)
    pose[2, 3] = 1.0
    reference = Reference("thing", (View(frame, np.ones((8, 10), bool), pose),), mesh)
    inner = Records()
    blind = WithoutDepth(inner, frames=frames, references=references)
    found = blind.segment(frame, blind.describe(reference))
    assert len(found) == 1
    assert inner.reference.any() != references
    assert inner.frame.any() != frames
    assert frame.depth_m.all()
