"""What is known after a frame, in one immutable value that any thread may read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from storm_ros.core.types import Reference, RgbdFrame, TrackResult


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The last frame that was processed.

    Attributes:
        header: of its colour image.
        frame: the images.
        result: what the tracker said.
        references: of all objects, in the order they were added.
        lost_ns: stamp of the loss by object, of those that are lost.
        arrived_s: when its images arrived, by a steady clock.
    """

    header: Any
    frame: RgbdFrame
    result: TrackResult
    references: Mapping[str, Reference]
    lost_ns: Mapping[str, int] = field(default_factory=dict)
    arrived_s: float = 0.0

    def mask_value(self, object_id: str) -> int:
        """Grey value of an object in the mask image: 255 for the only one, else its place from 1."""
        names = list(self.references)
        if len(names) <= 1:
            return 255
        return min(names.index(object_id) + 1, 255) if object_id in names else 0

    def seconds_lost(self, object_id: str) -> float:
        """How long an object has been lost by the image stamps, s; 0 while it is not."""
        lost_ns = self.lost_ns.get(object_id)
        return 0.0 if lost_ns is None else abs(self.frame.stamp_ns - lost_ns) * 1e-9
