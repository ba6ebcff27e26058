"""Energies and probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from storm_ros.core.errors import InputError

CALIBRATED_PERCENTILE = 95.0
"""Of the energies of right poses that were held out (STORM's TOM)."""

MIN_CALIBRATION = 20


def probability(energy: float) -> float:
    """Chance in [0, 1] that a pose of this energy is right: the logistic function of -energy; NaN stays NaN."""
    if math.isnan(energy):
        return energy
    return 0.5 * (1.0 - math.tanh(0.5 * energy))


def energy_of(chance: float) -> float:
    """Energy of a chance in (0, 1): the inverse of `probability`."""
    return math.log((1.0 - chance) / chance)


def threshold_of(energies: Sequence[float], percentile: float = CALIBRATED_PERCENTILE) -> float:
    """A percentile of the energies of right poses: the threshold above which a frame is bad.

    Args:
        energies: at least 20, of poses that are known to be right; those that are not finite are left out.
        percentile: in (0, 100].

    Raises:
        InputError: fewer.
    """
    known = [e for e in energies if math.isfinite(e)]
    if len(known) < MIN_CALIBRATION:
        raise InputError(
            f"{len(known)} energies of right poses: at least {MIN_CALIBRATION} are needed to calibrate; give more data"
        )
    return float(np.percentile(known, percentile))
