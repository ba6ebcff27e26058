"""When a tracked object is added to, moved in and removed from a planning scene. Pure: knows neither ROS nor MoveIt."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from storm_ros.core import se3
from storm_ros.core.types import Pose

_GAP_S = 0.5
"""Poses further apart do not belong to one look: what came before says nothing about now."""


class Operation(enum.Enum):
    """What a planning scene is told."""

    ADD = "add"
    MOVE = "move"
    REMOVE = "remove"


@dataclass(frozen=True, kw_only=True)
class Rules:
    """When the scene changes.

    Attributes:
        stable_s: a pose is told once the object has rested for so long; 0: at once.
        stable_m: it rests while it moves by no more than this, metres.
        stable_rad: and turns by no more than this, radians.
        move_m: a smaller change of place is not told, metres.
        move_rad: nor a smaller turn, radians.
        remove_after_s: an object that was not seen for so long is removed; 0: never.
    """

    stable_s: float = 0.3
    stable_m: float = 0.005
    stable_rad: float = 0.06
    move_m: float = 0.005
    move_rad: float = 0.03
    remove_after_s: float = 3.0


@dataclass(frozen=True, eq=False)
class ObjectInScene:
    """What is known of one object.

    Attributes:
        present: the scene has it, in the world or attached to the robot.
        told: its pose as the scene was told; None when the robot may have put it elsewhere since.
        attached: it is attached to the robot, which then knows better where it is.
        seen: times in seconds and poses (4, 4) of the last stable time's observations, the oldest first, and of the one
            before them.
    """

    present: bool = False
    told: Pose | None = None
    attached: bool = False
    seen: tuple[tuple[float, Pose], ...] = ()


def observe(
    rules: Rules, known: ObjectInScene, time_s: float, world_T_obj: Pose
) -> tuple[ObjectInScene, Operation | None]:
    """Take in one more pose.

    Args:
        rules: when the scene changes.
        known: of the object so far.
        time_s: stamp of the pose.
        world_T_obj: (4, 4), metres, in a frame that does not move with the camera.

    Returns:
        What is known now, and what to tell the scene: to add it, to move it to this pose, or nothing.
    """
    seen = known.seen
    if seen and not 0 <= time_s - seen[-1][0] <= _GAP_S:
        seen = ()
    before = sum(time_s - old[0] >= rules.stable_s for old in seen)
    seen = (*seen[max(before - 1, 0) :], (time_s, world_T_obj))
    known = replace(known, seen=seen)
    if known.attached or not _rests(rules, seen):
        return known, None
    if not known.present:
        return replace(known, present=True, told=world_T_obj), Operation.ADD
    if known.told is not None and _within(known.told, world_T_obj, rules.move_m, rules.move_rad):
        return known, None
    return replace(known, told=world_T_obj), Operation.MOVE


def elapse(rules: Rules, known: ObjectInScene, now_s: float) -> tuple[ObjectInScene, Operation | None]:
    """Let time pass without a pose: an object that was not seen for too long is removed, unless the robot holds it.

    Args:
        rules: when the scene changes.
        known: of the object so far.
        now_s: the time, of the clock that stamps the poses.
    """
    if not known.present or known.attached or rules.remove_after_s <= 0 or not known.seen:
        return known, None
    if now_s - known.seen[-1][0] <= rules.remove_after_s:
        return known, None
    return ObjectInScene(), Operation.REMOVE


def attach(known: ObjectInScene, attached: bool) -> ObjectInScene:
    """Note that the robot has taken the object, or has let it go: then where it is has to be told anew."""
    if attached == known.attached:
        return known
    if attached:
        return replace(known, attached=True, present=True)
    return replace(known, attached=False, told=None, seen=())


def forget(known: ObjectInScene) -> ObjectInScene:
    """The scene is a new one, which does not have the object: it will be added again."""
    return replace(known, present=False, told=None, attached=False)


def vertices_of(corners: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """A mesh of a list of triangles.

    Args:
        corners: (3 N, 3), three after the other make a triangle.

    Returns:
        (V, 3) distinct vertices and (M, 3) triangles of indices into them; those without an area are left out.
    """
    vertices, index = np.unique(np.asarray(corners, np.float64).reshape(-1, 3), axis=0, return_inverse=True)
    faces = index.reshape(-1, 3).astype(np.int64)
    a, b, c = faces.T
    return vertices, faces[(a != b) & (b != c) & (c != a)]


def hull_of(vertices: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The convex hull of points (V, 3): closes a surface that was seen from one side only.

    Returns:
        Its vertices and triangles; the points' bounding box where they lie in one plane.
    """
    from scipy.spatial import ConvexHull, QhullError

    try:
        hull = ConvexHull(vertices)
    except (QhullError, ValueError):
        return _box_mesh(vertices.min(axis=0), vertices.max(axis=0))
    order = hull.vertices
    index = np.full(len(vertices), -1, np.int64)
    index[order] = np.arange(len(order))
    corners = vertices[hull.simplices]
    outward = np.einsum("ij,ij->i", np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]),
                        hull.equations[:, :3]) > 0  # fmt: skip
    faces = index[hull.simplices]
    return vertices[order], np.where(outward[:, None], faces, faces[:, ::-1])


def _box_mesh(low: npt.NDArray, high: npt.NDArray) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """A box, of at least a millimetre each way."""
    thin = np.maximum(1e-3 - (high - low), 0) / 2
    low, high = low - thin, high + thin
    corners = np.array([[(low, high)[(n >> axis) & 1][axis] for axis in range(3)] for n in range(8)], np.float64)
    quads = ((0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5))
    return corners, np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))], np.int64)


def _rests(rules: Rules, seen: tuple[tuple[float, Pose], ...]) -> bool:
    """Whether the object stayed where it is now for the whole stable time."""
    if rules.stable_s <= 0:
        return True
    now_s, pose = seen[-1]
    whole = now_s - seen[0][0] >= rules.stable_s
    return whole and all(_within(old, pose, rules.stable_m, rules.stable_rad) for _, old in seen)


def _within(a: Pose, b: Pose, metres: float, radians: float) -> bool:
    return bool(se3.distance(a, b) <= metres and se3.angle_between(a, b) <= radians)
