"""The memory of one object: the reference, and good views that differ from one another. Values in, values out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from storm_ros.core import se3
from storm_ros.core.types import Pose
from storm_ros.tom.crops import Shape

_TURN_RAD = np.deg2rad(12.0)
_DISTANCE_RATIO = 1.35
_LOOK = 0.25
_FRESH = 0.1  # of a full difference: what differs by less tells nothing new


@dataclass(frozen=True, eq=False)
class Entry:
    """A view of the object.

    Attributes:
        features: its tokens, whatever the network calls so.
        look: (C,) unit vector, the mean of what it looks like.
        cam_T_obj: (4, 4) pose it was seen at.
    """

    features: Any
    look: npt.NDArray[np.float32]
    cam_T_obj: Pose


@dataclass(frozen=True, eq=False)
class TomMemory:
    """What a track is compared with.

    Attributes:
        shape: of the object.
        references: views of the reference; they never leave.
        kept: good views since the track began, the oldest first.
    """

    shape: Shape
    references: tuple[Entry, ...]
    kept: tuple[Entry, ...] = ()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All views, the reference's first."""
        return (*self.references, *self.kept)


def unlike(a: Entry, b: Entry) -> float:
    """How different two views are; below 1 they are as good as one.

    The largest of: the turn between their poses, their ratio of distances, and how different they look.
    """
    turn = se3.angle_between(a.cam_T_obj, b.cam_T_obj) / _TURN_RAD
    depths = max(float(a.cam_T_obj[2, 3]), 1e-3), max(float(b.cam_T_obj[2, 3]), 1e-3)
    nearer = abs(np.log(depths[0] / depths[1])) / np.log(_DISTANCE_RATIO)
    look = (1.0 - float(a.look @ b.look)) / _LOOK
    return max(turn, float(nearer), look)


def tells_nothing_new(memory: TomMemory, entry: Entry) -> bool:
    """Whether a view is so like one that is kept that taking its place would be a waste of time."""
    return any(unlike(entry, other) < _FRESH for other in reversed(memory.kept))


def with_view(memory: TomMemory, entry: Entry, capacity: int) -> TomMemory:
    """The memory after a good view.

    A view like one that is kept takes its place. A new one is added; when there are too many, the older one of the two
    that are most alike leaves, so that what is kept stays diverse however long the object is seen from one side.

    Args:
        memory: before it.
        entry: the view.
        capacity: most views beside the reference.
    """
    if capacity <= 0:
        return memory
    gaps = [unlike(entry, other) for other in memory.kept]
    if gaps and min(gaps) < 1.0:
        nearest = int(np.argmin(gaps))
        others = (*memory.kept[:nearest], *memory.kept[nearest + 1 :])
        return replace(memory, kept=(*others, entry))
    kept = (*memory.kept, entry)
    while len(kept) > capacity:
        leaving = _most_redundant(kept)
        kept = (*kept[:leaving], *kept[leaving + 1 :])
    return replace(memory, kept=kept)


def _most_redundant(kept: Sequence[Entry]) -> int:
    """Number of the older one of the two views that are most alike."""
    pairs = [(unlike(kept[i], kept[j]), i) for i in range(len(kept)) for j in range(i + 1, len(kept))]
    return min(pairs)[1] if pairs else 0


def between(
    cam_T_obj: Pose, center: npt.NDArray[np.float64], poses: Sequence[Pose], references: Sequence[bool]
) -> npt.NDArray[np.float32]:
    """How a view lies to others.

    Args:
        cam_T_obj: (4, 4) pose of the view.
        center: (3,) of the object.
        poses: (4, 4) of V others.
        references: whether each is a reference view.

    Returns:
        (V, 3): cosine between the view directions, cosine of the whole turn, 1 for a reference view.
    """
    every = np.array([cam_T_obj, *poses])
    turned = every[:, :3, :3].reshape(-1, 9)
    towards = -(every[:, None, :3, 3] @ every[:, :3, :3])[:, 0] - center  # from the object's centre to the camera
    towards /= np.maximum(np.sqrt((towards * towards).sum(1)), 1e-9)[:, None]
    lie = np.empty((len(poses), 3), np.float32)
    lie[:, 0] = towards[1:] @ towards[0]
    lie[:, 1] = (turned[1:] @ turned[0] - 1.0) / 2.0
    lie[:, 2] = references
    return lie
