"""What the pose estimate says of itself, as numbers of about unit size."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from storm_ros.core.types import PoseEstimate

Floats = npt.NDArray[np.float64]

EVIDENCE = 8
"""Score, its log odds, inlier ratio, residual, colour difference, whether that is known, depth coverage, occlusion."""

_ODDS, _ODDS_UNIT = 1, 3.0
_SHARE = 0.25  # of the estimate's own energy, chosen on clips of a failure benchmark with another seed
_LIMIT = 0.01
_USUAL_RESIDUAL_M = 0.005
_USUAL_COLOUR = 0.08
_MOST = 3.0


def own_energy(figures: Floats) -> Floats:
    """The estimate's own energy (...): minus the log odds of its score, from its figures (..., 8)."""
    return np.asarray(-_ODDS_UNIT * figures[..., _ODDS])


def joint_energy(logit: Floats, figures: Floats) -> Floats:
    """Energy (...) of the network's logit (...) and the estimate's figures (..., 8).

    The network was trained on single pictures, in which figures differ widely between objects. Along a track they are
    steady: where the network is sure of both of two poses, they tell which is the better one.
    """
    return -logit + _SHARE * own_energy(figures)


def evidence(estimate: PoseEstimate) -> npt.NDArray[np.float32]:
    """The estimate's figures (8,); those that are not known count as poor."""
    odds = min(max(estimate.score, _LIMIT), 1.0 - _LIMIT)
    coloured = math.isfinite(estimate.colour_error)
    residual = estimate.residual_m / _USUAL_RESIDUAL_M if math.isfinite(estimate.residual_m) else _MOST
    return np.array(
        [
            estimate.score,
            math.log(odds / (1.0 - odds)) / _ODDS_UNIT,
            estimate.inlier_ratio,
            min(residual, _MOST),
            min(estimate.colour_error / _USUAL_COLOUR, _MOST) if coloured else _MOST,
            float(coloured),
            min(estimate.depth_coverage, estimate.in_view),
            estimate.occluded,
        ],
        dtype=np.float32,
    )
