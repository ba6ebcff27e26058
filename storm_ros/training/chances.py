"""Fits the chance that a candidate is the object, on scenes the segmenter was not trained on but of objects it knows.

Those that it is judged on stay out.
"""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from storm_ros.core.config import SegmenterConfig
from storm_ros.core.errors import InputError
from storm_ros.encoders import ColourGradientEncoder
from storm_ros.som.judging import Weighing
from storm_ros.som.masks import mask_iou
from storm_ros.som.network import SomNetwork
from storm_ros.som.segmenter import SomSegmenter
from storm_ros.som.template import TemplateSegmenter
from storm_ros.training.held_out import simulated_cases
from storm_ros.training.shards import Shards

Doubles = npt.NDArray[np.float64]

_WRONG, _RIGHT = 0.1, 0.4
"""IoU below which a mask is not the object's, and from which it is; those between are left out."""

_FEWEST = 2
"""Right candidates, and wrong ones, that are needed."""

_RIDGE = 3.0


def weighed(network: SomNetwork, shards: Shards, cases: int) -> tuple[Weighing, int]:
    """How a network's candidates are to be weighed.

    Args:
        network: the segmenter's.
        shards: scenes that it was not trained on, of objects that it was.
        cases: how many are made of them.

    Returns:
        The weighing, and the number of candidates that it was fitted to.

    Raises:
        InputError: too few candidates are right, or wrong.
    """
    rows = list(_candidates(network, shards, cases))
    right = np.array([right for _, right in rows], dtype=bool)
    if min(np.count_nonzero(right), np.count_nonzero(~right)) < _FEWEST:
        raise InputError(
            f"of {len(rows)} candidates in {cases} cases {np.count_nonzero(right)} are right: at least {_FEWEST} right "
            "and as many wrong ones are needed to weigh them; use more cases, or train longer"
        )
    return fit(np.array([signals for signals, _ in rows]), right), len(rows)


def fit(signals: Doubles, right: npt.NDArray[np.bool_]) -> Weighing:
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
    return Weighing(mean, found[:-1] / spread, float(found[-1]))


def _candidates(network: SomNetwork, shards: Shards, cases: int) -> Iterator[tuple[Doubles, bool]]:
    """Signals (S,) of the candidates of many cases, and whether each is right."""
    config = SegmenterConfig(name="som", presence=0.0)
    segmenter = SomSegmenter(config, network, TemplateSegmenter(ColourGradientEncoder(), config))
    for case in simulated_cases(shards, cases):
        for mask, signals in segmenter.measured(case.frame, segmenter.describe(case.reference)):
            overlap = mask_iou(mask, case.mask) if case.mask is not None else 0.0
            if not _WRONG < overlap < _RIGHT:
                yield signals, overlap >= _RIGHT
