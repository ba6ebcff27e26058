"""Pose errors: ADD, ADD-S, their AUC, centre and rotation error, and the alignment of a model-free run."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from storm_ros.core import se3
from storm_ros.core.types import Pose

AUC_LIMIT_MM = 100
"""Largest threshold of the accuracy curve; the curve is read every millimetre from 0."""

MAX_POINTS = 2000
"""Vertices that are compared per frame; of a larger mesh so many are taken at even steps."""


class VertexErrors:
    """ADD and ADD-S of one mesh; builds the search tree once for all frames.

    A mesh of more than `MAX_POINTS` vertices is compared at `MAX_POINTS` of them, taken at even steps of the
    vertex list; the nearest vertex (ADD-S) is always looked for among all, so that ADD-S never exceeds ADD.

    Args:
        vertices: (V, 3) in metres, in the mesh's own frame.
    """

    def __init__(self, vertices: npt.ArrayLike) -> None:
        points = np.asarray(vertices, dtype=np.float64).reshape(-1, 3)
        self._points = points[evenly(len(points), MAX_POINTS)]
        self._tree = KDTree(points)

    def add(self, cam_T_obj: Pose, cam_T_gt: Pose) -> float:
        """Mean distance in metres of corresponding vertices under two poses (4, 4)."""
        apart = se3.apply(cam_T_obj, self._points) - se3.apply(cam_T_gt, self._points)
        return float(np.linalg.norm(apart, axis=1).mean())

    def adds(self, cam_T_obj: Pose, cam_T_gt: Pose) -> float:
        """Mean distance in metres from each vertex under the truth to the nearest one under the estimate."""
        obj_T_gt = se3.inverse(cam_T_obj) @ np.asarray(cam_T_gt, dtype=np.float64)
        nearest, _ = self._tree.query(se3.apply(obj_T_gt, self._points))
        return float(np.mean(nearest))


def add(vertices: npt.ArrayLike, cam_T_obj: Pose, cam_T_gt: Pose) -> float:
    """ADD in metres: mean distance of corresponding vertices (V, 3) under two poses (4, 4)."""
    return VertexErrors(vertices).add(cam_T_obj, cam_T_gt)


def adds(vertices: npt.ArrayLike, cam_T_obj: Pose, cam_T_gt: Pose) -> float:
    """ADD-S in metres: mean distance from each vertex under the truth to the nearest one under the estimate."""
    return VertexErrors(vertices).adds(cam_T_obj, cam_T_gt)


def evenly(count: int, limit: int) -> npt.NDArray[np.intp]:
    """At most `limit` of the indices 0 … count - 1, at even steps, the first and the last among them."""
    if count <= limit:
        return np.arange(count)
    return np.linspace(0, count - 1, limit).round().astype(np.intp)


def auc(errors_mm: Iterable[float | None]) -> float:
    """Area under the accuracy curve in percent.

    The curve is the share of frames whose error is at most a threshold; thresholds run from 0 to 100 mm in
    steps of 1 mm, the area is the trapezoids' sum over the largest possible one.

    Args:
        errors_mm: one error a frame in millimetres; None, NaN or infinite where there was no pose, which
            counts as wrong at every threshold.

    Returns:
        0 to 100; NaN without any frame.
    """
    values = np.array([np.inf if e is None else e for e in errors_mm], dtype=np.float64)
    if not len(values):
        return float("nan")
    values[np.isnan(values)] = np.inf
    thresholds = np.arange(AUC_LIMIT_MM + 1, dtype=np.float64)
    share = (values[:, None] <= thresholds[None, :]).mean(0)
    return float(((share[1:] + share[:-1]) / 2.0).sum() / AUC_LIMIT_MM * 100.0)


def rotation_error_deg(cam_T_obj: Pose, cam_T_gt: Pose) -> float:
    """Angle in degrees between the rotations of two poses (4, 4)."""
    return float(np.degrees(se3.angle_between(cam_T_obj, cam_T_gt)))


def centre_error_mm(cam_T_obj: Pose, cam_T_gt: Pose) -> float:
    """Distance in millimetres between the origins of two poses (4, 4)."""
    return se3.distance(cam_T_obj, cam_T_gt) * 1000.0


def alignment(cam_T_obj_ref: Pose, cam_T_gt_ref: Pose) -> Pose:
    """obj_T_gt (4, 4) from the two poses in the reference frame; the only frame it may come from.

    A run without a model has an object frame of its own: ``cam_T_obj[t] @ obj_T_gt`` is what compares with
    ``cam_T_gt[t]``.
    """
    return se3.inverse(cam_T_obj_ref) @ np.asarray(cam_T_gt_ref, dtype=np.float64)
