"""Soft shadows of objects on the table: their outlines as each light throws them, drawn into small maps."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull, QhullError

from storm_ros.core import se3
from storm_ros.core.types import Mesh, Pose
from storm_ros.sim.shading import Light

Floats = npt.NDArray[np.float32]

MAP_SIZE = 288
EXTENT_M = 0.72
"""The maps cover a square of twice this side about the middle of the table."""

_CONTACT_REACH_M = 0.04


def hull_points(mesh: Mesh) -> npt.NDArray[np.float64]:
    """The corners (N, 3) of a mesh's convex hull: all that its shadow needs."""
    points = mesh.vertices.astype(np.float64)
    try:
        return points[ConvexHull(points).vertices]
    except QhullError:  # a flat mesh has no hull of its own
        return points


def shadow_maps(lights: Sequence[Light], hulls: Sequence[npt.NDArray[np.float64]], poses: Sequence[Pose]) -> Floats:
    """How much of each light reaches the table.

    Args:
        lights: L of them.
        hulls: (N, 3) points of every object, from `hull_points`.
        poses: world_T_obj of every object.

    Returns:
        (L + 1, S, S) float32 in [0, 1], x along columns, y along rows; the last is for light from everywhere.
    """
    maps = np.zeros((len(lights) + 1, MAP_SIZE, MAP_SIZE), np.float32)
    for hull, pose in zip(hulls, poses, strict=True):
        points = se3.apply(pose, hull)
        lowest = max(float(points[:, 2].min()), 0.0)
        if float(points[:, 2].max()) < 0.002:
            continue
        for layer, light in enumerate(lights):
            thrown = _thrown(points, light)
            if thrown is not None:
                _fill(maps[layer], thrown, 1.0)
        footprint = points[points[:, 2] < lowest + _CONTACT_REACH_M][:, :2]
        if len(footprint) > 2 and lowest < _CONTACT_REACH_M:
            _fill(maps[-1], footprint, 1.0 - lowest / _CONTACT_REACH_M)
    for layer in range(len(lights)):
        maps[layer] = 1.0 - 0.92 * cv2.GaussianBlur(maps[layer], (0, 0), 2.2)
    maps[-1] = 1.0 - 0.85 * cv2.blur(cv2.blur(maps[-1], (9, 9)), (7, 7))
    return maps


def _thrown(points: npt.NDArray[np.float64], light: Light) -> npt.NDArray[np.float64] | None:
    """Where points (N, 3) throw their shadow on the plane z = 0, (N, 2); None where the light is not above them."""
    at = np.asarray(light.position, dtype=np.float64)
    if light.distant:
        return None if at[2] <= 0.05 else points[:, :2] - points[:, 2:] * (at[:2] / at[2])
    if points[:, 2].max() > 0.9 * at[2]:
        return None
    share = points[:, 2:] / (at[2] - points[:, 2:])
    return points[:, :2] + share * (points[:, :2] - at[:2])


def _fill(image: Floats, points: npt.NDArray[np.float64], value: float) -> None:
    pixels = (points / EXTENT_M * 0.5 + 0.5) * MAP_SIZE - 0.5
    outline = cv2.convexHull(np.clip(pixels, -4000, 4000).astype(np.float32))
    cv2.fillConvexPoly(image, np.rint(outline * 8).astype(np.int32), value, cv2.LINE_AA, 3)
