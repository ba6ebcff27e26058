"""Which estimates count as right, which as wrong, and which are no example of either."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from storm_ros.core import se3
from storm_ros.core.types import Pose, PoseEstimate

_NEAR, _NEAR_M = 0.06, 0.005
_MOVED, _MOVED_M = 0.10, 0.008
_OFF, _OFF_M = 0.15, 0.012
_TURNED, _PALER = 0.30, 0.05


@dataclass(frozen=True, eq=False)
class Truth:
    """What an estimate is compared with.

    Attributes:
        cam_T_obj: (4, 4) true pose.
        vertices: (N, 3) of the model, metres.
        radius_m: half its diameter.
        colour_error: of the true pose; NaN without colour.
    """

    cam_T_obj: Pose
    vertices: npt.NDArray[np.float64]
    radius_m: float
    colour_error: float


def label_of(estimate: PoseEstimate, truth: Truth) -> bool | None:
    """Whether an estimate is right; None where it is neither right nor clearly wrong.

    Right: mean distances of the vertices (ADD, ADD-S) of a few per cent of the diameter. Wrong: the surface lies
    elsewhere (ADD-S), or it is turned into itself and the colours fit worse than at the truth.
    """
    ours, theirs = se3.apply(estimate.cam_T_obj, truth.vertices), se3.apply(truth.cam_T_obj, truth.vertices)
    diameter = 2.0 * truth.radius_m
    moved = float(np.linalg.norm(ours - theirs, axis=1).mean())
    near = float(np.asarray(KDTree(ours).query(theirs)[0]).mean())
    if near < max(_NEAR * diameter, _NEAR_M) and moved < max(_MOVED * diameter, _MOVED_M):
        return True
    if near > max(_OFF * diameter, _OFF_M):
        return False
    paler = estimate.colour_error > truth.colour_error + _PALER
    return False if moved > _TURNED * diameter and paler else None
