"""Rigid transforms as 4x4 matrices; twists are (translation, rotation), both in the left frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_SMALL_ANGLE = 1e-8


def skew(v: npt.ArrayLike) -> Array:
    """Cross-product matrix of a vector.

    Args:
        v: (3,) vector.

    Returns:
        (3, 3) matrix ``S`` with ``S @ w == cross(v, w)``.
    """
    x, y, z = np.asarray(v, dtype=np.float64)
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def so3_exp(rotvec: npt.ArrayLike) -> Array:
    """Rotation matrix (3, 3) of a rotation vector (3,) in radians (Rodrigues' formula)."""
    w = np.asarray(rotvec, dtype=np.float64)
    angle = float(np.linalg.norm(w))
    k = skew(w)
    if angle < _SMALL_ANGLE:
        return np.eye(3) + k
    return np.eye(3) + np.sin(angle) / angle * k + (1.0 - np.cos(angle)) / angle**2 * (k @ k)


def so3_log(rotation: npt.ArrayLike) -> Array:
    """Rotation vector (3,) in radians, of length at most pi, of a rotation matrix (3, 3)."""
    r = np.asarray(rotation, dtype=np.float64)
    cos_angle = np.clip((np.trace(r) - 1.0) / 2.0, -1.0, 1.0)
    axis_sin = np.array([r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]]) / 2.0
    sin_angle = float(np.linalg.norm(axis_sin))
    angle = float(np.arctan2(sin_angle, cos_angle))
    if sin_angle > 1e-6:
        return axis_sin * (angle / sin_angle)
    if cos_angle > 0.0:
        return axis_sin
    symmetric = (r + np.eye(3)) / 2.0  # at half a turn: the outer product of the axis with itself
    axis = symmetric[:, int(np.argmax(np.diag(symmetric)))]
    return axis / np.linalg.norm(axis) * angle


def transform(rotation: npt.ArrayLike, translation: npt.ArrayLike) -> Array:
    """Build a (4, 4) transform from a rotation (3, 3) and a translation (3,)."""
    out = np.eye(4)
    out[:3, :3] = rotation
    out[:3, 3] = translation
    return out


def inverse(a_T_b: npt.ArrayLike) -> Array:
    """Invert a rigid transform (4, 4)."""
    m = np.asarray(a_T_b, dtype=np.float64)
    rotation = m[:3, :3].T
    return transform(rotation, -rotation @ m[:3, 3])


def exp(twist: npt.ArrayLike) -> Array:
    """Transform (4, 4) of a decoupled twist: (3,) translation in metres, then (3,) rotation vector.

    The rotation does not move the translation (``R x + t``), which keeps the two readable and is what
    the optimisers here use.
    """
    xi = np.asarray(twist, dtype=np.float64)
    return transform(so3_exp(xi[3:]), xi[:3])


def apply(a_T_b: npt.ArrayLike, points_b: npt.ArrayLike) -> Array:
    """Map points (N, 3) from frame b to frame a."""
    m = np.asarray(a_T_b, dtype=np.float64)
    return np.asarray(points_b, dtype=np.float64) @ m[:3, :3].T + m[:3, 3]


def angle_between(a_T_b: npt.ArrayLike, a_T_c: npt.ArrayLike) -> float:
    """Angle in radians of the rotation between two poses (4, 4)."""
    r = np.asarray(a_T_b, dtype=np.float64)[:3, :3].T @ np.asarray(a_T_c, dtype=np.float64)[:3, :3]
    return float(np.linalg.norm(so3_log(r)))


def distance(a_T_b: npt.ArrayLike, a_T_c: npt.ArrayLike) -> float:
    """Distance in metres between the origins of two poses (4, 4)."""
    return float(np.linalg.norm(np.asarray(a_T_b)[:3, 3] - np.asarray(a_T_c)[:3, 3]))


def orthonormalised(a_T_b: npt.ArrayLike) -> Array:
    """Project the rotation part of a (4, 4) matrix back onto SO(3), against drift of long products."""
    m = np.array(a_T_b, dtype=np.float64)
    u, _, vt = np.linalg.svd(m[:3, :3])
    m[:3, :3] = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
    return m


def is_rigid(matrix: npt.ArrayLike, tolerance: float = 1e-4) -> bool:
    """Whether a matrix is a finite (4, 4) rigid transform."""
    m = np.asarray(matrix, dtype=np.float64)
    if m.shape != (4, 4) or not np.isfinite(m).all():
        return False
    r = m[:3, :3]
    orthonormal = np.abs(r @ r.T - np.eye(3)).max() < tolerance
    return bool(orthonormal and np.linalg.det(r) > 0 and np.abs(m[3] - [0, 0, 0, 1]).max() < tolerance)
