"""What the pose estimate says of itself, as numbers of about unit size."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from storm_ros.core.types import PoseEstimate

EVIDENCE = 8
"""Score, its log odds, inlier ratio, residual, colour difference, whether that is known, depth coverage, occlusion."""

_LIMIT = 0.01
_USUAL_RESIDUAL_M = 0.005
_USUAL_COLOUR = 0.08
_MOST = 3.0


def evidence(estimate: PoseEstimate) -> npt.NDArray[np.float32]:
    """The estimate's figures (8,); those that are not known count as poor."""
    odds = min(max(estimate.score, _LIMIT), 1.0 - _LIMIT)
    coloured = math.isfinite(estimate.colour_error)
    residual = estimate.residual_m / _USUAL_RESIDUAL_M if math.isfinite(estimate.residual_m) else _MOST
    return np.array(
        [
            estimate.score,
            math.log(odds / (1.0 - odds)) / 3.0,
            estimate.inlier_ratio,
            min(residual, _MOST),
            min(estimate.colour_error / _USUAL_COLOUR, _MOST) if coloured else _MOST,
            float(coloured),
            min(estimate.depth_coverage, estimate.in_view),
            estimate.occluded,
        ],
        dtype=np.float32,
    )
