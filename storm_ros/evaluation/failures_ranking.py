"""How well an energy tells bad frames from good ones, whatever the threshold: AUROC, AUPR, FPR at 95 % TPR.

A bad frame is the positive, a higher energy says that it is more likely bad. A frame without an energy (NaN) counts as
worse than any other, as the gate takes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Roc:
    """The curve of an energy: shares of good and of bad frames at or above each threshold.

    Attributes:
        thresholds: (N,) falling; the first lies above every energy.
        false: (N,) share of the good frames, rising from 0 to 1.
        true: (N,) share of the bad frames, rising from 0 to 1.
    """

    thresholds: Values
    false: Values
    true: Values


def roc(good: npt.ArrayLike, bad: npt.ArrayLike) -> Roc | None:
    """The curve from the energies of good (G,) and of bad frames (B,); None where one of the two is empty."""
    low, high = _ordered(good), _ordered(bad)
    if not len(low) or not len(high):
        return None
    levels = np.unique(np.concatenate([low, high]))[::-1]
    at_or_above = [1.0 - np.searchsorted(values, levels, side="left") / len(values) for values in (low, high)]
    start = np.zeros(1)
    false, true = (np.concatenate([start, share]) for share in at_or_above)
    return Roc(np.concatenate([[np.inf], levels]), false, true)


def auroc(good: npt.ArrayLike, bad: npt.ArrayLike) -> float:
    """Chance that a bad frame has the higher energy of the two, a tie counting half; NaN where there are none."""
    low, high = _ordered(good), _ordered(bad)
    if not len(low) or not len(high):
        return float("nan")
    below = np.searchsorted(low, high, side="left")
    tied = np.searchsorted(low, high, side="right") - below
    return float((below + 0.5 * tied).sum() / (len(low) * len(high)))


def aupr(good: npt.ArrayLike, bad: npt.ArrayLike) -> float:
    """Average precision: the precision at each threshold, weighted by the recall gained there; NaN without bad ones."""
    low, high = _ordered(good), _ordered(bad)
    if not len(high):
        return float("nan")
    levels = np.unique(np.concatenate([low, high]))[::-1]
    true = len(high) - np.searchsorted(high, levels, side="left")
    false = len(low) - np.searchsorted(low, levels, side="left")
    gained = np.diff(np.concatenate([[0], true])) / len(high)
    return float((gained * true / (true + false)).sum())


def fpr_at_tpr(good: npt.ArrayLike, bad: npt.ArrayLike, share: float = 0.95) -> float:
    """Share of the good frames at or above the highest threshold that catches this share of the bad ones; or NaN."""
    low, high = _ordered(good), _ordered(bad)
    if not len(low) or not len(high):
        return float("nan")
    needed = int(np.ceil(share * len(high) - 1e-9))
    threshold = high[len(high) - needed]
    return float((low >= threshold).mean())


def _ordered(values: npt.ArrayLike) -> Values:
    array = np.array(values, dtype=np.float64).ravel()
    array[np.isnan(array)] = np.inf
    return np.sort(array)
