"""The dominant plane of a point cloud, such as the table around an object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_FLOOR_M = 0.003
_GROWTH = 0.005  # per metre of distance: depth noise and its quantisation grow with it


@dataclass(frozen=True, eq=False)
class Plane:
    """Points p with normal @ p == offset_m; the normal (3,) is of unit length and looks towards the camera."""

    normal: npt.NDArray[np.float64]
    offset_m: float

    def height(self, points: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Signed distance in metres of points (..., 3), positive on the camera's side."""
        return np.asarray(points @ self.normal - self.offset_m)


def tolerance_m(depth_m: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """How far depth measured on a plane lies off it at most, metres."""
    return _FLOOR_M + _GROWTH * depth_m


def fit_plane(
    points: npt.NDArray[np.floating], *, min_share: float = 0.3, trials: int = 120, limit: int = 600, seed: int = 0
) -> Plane | None:
    """Fit a plane to the largest flat part of some points (RANSAC, then least squares).

    Args:
        points: (N, 3) in the camera's frame, metres.
        min_share: share of the points that must lie on it.
        trials: planes tried.
        limit: points used, drawn evenly.
        seed: of the random draw.

    Returns:
        The plane, or None when no plane holds that share.
    """
    rng = np.random.default_rng(seed)
    p = np.asarray(points, dtype=np.float64)
    if len(p) > limit:
        p = p[rng.permutation(len(p))[:limit]]
    if len(p) < 16:
        return None
    triples = p[rng.integers(0, len(p), (trials, 3))]
    normals = np.cross(triples[:, 1] - triples[:, 0], triples[:, 2] - triples[:, 0])
    length = np.linalg.norm(normals, axis=1)
    usable = length > 1e-9
    if not usable.any():
        return None
    normals, triples = normals[usable] / length[usable, None], triples[usable]
    offsets = (normals * triples[:, 0]).sum(1)
    near = tolerance_m(p[:, 2])
    inliers = np.abs(p @ normals.T - offsets) < near[:, None]
    chosen = inliers[:, int(inliers.sum(0).argmax())]
    plane = None
    for _ in range(3):
        if chosen.sum() < max(8, min_share * len(p)):
            return None
        plane = _least_squares(p[chosen])
        chosen = np.abs(plane.height(p)) < near
    return plane


def _least_squares(p: npt.NDArray[np.float64]) -> Plane:
    middle = p.mean(0)
    normal = np.linalg.svd(p - middle, full_matrices=False)[2][2]
    offset = float(normal @ middle)
    return Plane(-normal, -offset) if offset > 0 else Plane(normal, offset)
