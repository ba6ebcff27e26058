"""Where an object may be seen from: viewpoints on an icosphere, turned in the image plane."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from storm_ros.core.se3 import so3_exp


@functools.lru_cache(maxsize=8)
def icosphere_directions(at_least: int) -> npt.NDArray[np.float64]:
    """Unit vectors (N, 3), evenly spread, from the smallest subdivided icosahedron with N >= at_least.

    N is 12, 42, 162 or 642.
    """
    golden = (1.0 + 5.0**0.5) / 2.0
    corners = [(0.0, s, t * golden) for s in (-1.0, 1.0) for t in (-1.0, 1.0)]
    points = np.array([np.roll(c, shift) for c in corners for shift in range(3)])
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    while len(points) < at_least:
        gaps = np.linalg.norm(points[:, None] - points[None], axis=2)
        nearest = np.sort(gaps, axis=1)[:, 1:7]
        near = gaps < 1.3 * np.median(nearest)
        first, second = np.nonzero(np.triu(near, 1))
        middle = points[first] + points[second]
        points = np.concatenate([points, middle / np.linalg.norm(middle, axis=1, keepdims=True)])
    return points


def view_rotations(directions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Rotations cam_R_obj (N, 3, 3) of cameras that look at the object's centre from N directions (N, 3)."""
    out = np.empty((len(directions), 3, 3))
    for i, direction in enumerate(directions):
        z = -direction
        helper = np.array([0.0, 1.0, 0.0]) if abs(z[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
        x = np.cross(helper, z)
        x /= np.linalg.norm(x)
        out[i] = np.stack([x, np.cross(z, x), z])
    return out


def turned(rotations: npt.NDArray[np.float64], turns: int) -> npt.NDArray[np.float64]:
    """Each rotation (N, 3, 3) turned about the optical axis in equal steps: (N, turns, 3, 3)."""
    angles = np.arange(turns) * (2.0 * np.pi / turns)
    c, s, zero, one = np.cos(angles), np.sin(angles), np.zeros(turns), np.ones(turns)
    about_z = np.stack([c, -s, zero, s, c, zero, zero, zero, one], 1).reshape(turns, 3, 3)
    return np.einsum("tij,njk->ntik", about_z, rotations)


def towards(ray: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Rotation (3, 3) that carries the optical axis onto a viewing ray (3,) by the shortest way."""
    r = ray / np.linalg.norm(ray)
    axis = np.cross([0.0, 0.0, 1.0], r)
    sine, cosine = float(np.linalg.norm(axis)), float(r[2])
    if sine < 1e-9:
        return np.eye(3)

    return so3_exp(axis / sine * np.arctan2(sine, cosine))
