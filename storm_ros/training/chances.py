"""Fits the chance that a candidate is the object: `python -m storm_ros.training.chances --shards DIR`.

The shards hold scenes that the segmenter was not trained on, of objects it knows; those it is judged on stay out. The
constants that it writes belong into `storm_ros.som.judging`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from storm_ros.core.config import SegmenterConfig
from storm_ros.som.masks import mask_iou
from storm_ros.training.held_out import simulated_cases
from storm_ros.training.shards import Shards

Doubles = npt.NDArray[np.float64]

_WRONG, _RIGHT = 0.1, 0.4
"""IoU below which a mask is not the object's, and from which it is; those between are left out."""

_RIDGE = 3.0


class Fit(NamedTuple):
    """A logistic regression: chance = 1 / (1 + exp(-(weight @ (signals - mean) + bias)))."""

    mean: Doubles
    weight: Doubles
    bias: float


def fit(signals: Doubles, right: npt.NDArray[np.bool_]) -> Fit:
    """Fit a logistic regression with a small ridge.

    Args:
        signals: (N, S).
        right: (N,).
    """
    mean, spread = signals.mean(0), signals.std(0) + 1e-6
    rows = np.column_stack([(signals - mean) / spread, np.ones(len(signals))])
    ridge = np.array([_RIDGE] * signals.shape[1] + [0.0])

    def loss(w: Doubles) -> tuple[float, Doubles]:
        z = rows @ w
        value = np.sum(np.logaddexp(0.0, z) - right * z) + 0.5 * np.sum(ridge * w * w)
        return float(value), rows.T @ (0.5 * (1.0 + np.tanh(0.5 * z)) - right) + ridge * w

    found = np.asarray(minimize(loss, np.zeros(rows.shape[1]), jac=True).x)
    return Fit(mean, found[:-1] / spread, float(found[-1]))


def candidates(shards: Shards, cases: int, weights: str, seed: int = 0) -> Iterator[tuple[Doubles, bool]]:
    """Signals of the candidates of many cases, and whether each is right."""
    from storm_ros.factory import build_segmenter
    from storm_ros.som.segmenter import SomSegmenter

    segmenter = build_segmenter(SegmenterConfig(name="som", weights=weights, presence=0.0))
    assert isinstance(segmenter, SomSegmenter)
    for case in simulated_cases(shards, cases, seed):
        for mask, signals in segmenter.measured(case.frame, segmenter.describe(case.reference)):
            overlap = mask_iou(mask, case.mask) if case.mask is not None else 0.0
            if not _WRONG < overlap < _RIGHT:
                yield signals, overlap >= _RIGHT


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit and write the constants."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", required=True, metavar="DIR")
    parser.add_argument("--cases", type=int, default=300, metavar="N")
    parser.add_argument("--weights", default="som-nano", metavar="FILE")
    given = parser.parse_args(arguments)
    rows = list(candidates(Shards([given.shards]), given.cases, given.weights))
    result = fit(np.array([signals for signals, _ in rows]), np.array([right for _, right in rows]))
    mean, weight = (", ".join(f"{value:.3f}" for value in row) for row in (result.mean, result.weight))
    sys.stdout.write(
        f"{len(rows)} candidates, {sum(right for _, right in rows)} of them right\n"
        f"_MEAN = np.array([{mean}])\n_WEIGHT = np.array([{weight}])\n_BIAS = {result.bias:.3f}\n"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
