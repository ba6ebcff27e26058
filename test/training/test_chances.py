"""The logistic regression behind a candidate's chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing: pip install storm_ros[learned]")

from storm_ros.core.errors import InputError  # noqa: E402
from storm_ros.som.judging import SIGNALS  # noqa: E402
from storm_ros.som.loading import load_som  # noqa: E402
from storm_ros.training.chances import _candidates, fit, weighed  # noqa: E402
from storm_ros.training.shards import Shards  # noqa: E402


def test_a_known_law_is_found_again() -> None:
    rng = np.random.default_rng(0)
    signals = rng.normal([1.0, -2.0, 0.0], [1.0, 0.5, 3.0], (4000, 3))
    logit = 1.5 * (signals[:, 0] - 1.0) - 2.0 * (signals[:, 1] + 2.0) + 0.3
    found = fit(signals, rng.random(4000) < 1.0 / (1.0 + np.exp(-logit)))
    assert np.allclose(found.weight, [1.5, -2.0, 0.0], atol=0.2)
    assert np.allclose(found.mean, [1.0, -2.0, 0.0], atol=0.15)
    assert abs(found.bias - 0.3) < 0.15


def test_signals_that_never_change_and_separable_ones_give_finite_weights() -> None:
    signals = np.column_stack([np.linspace(-1, 1, 40), np.full(40, 3.0)])
    found = fit(signals, signals[:, 0] > 0)
    assert np.isfinite(found.weight).all()
    assert found.weight[0] > 1.0
    assert found.weight[1] == 0.0


def test_too_few_right_candidates_are_said_so(painted: Path) -> None:
    network, shards = load_som("som-nano")[0], Shards([painted])  # whose flat squares it does not find
    with pytest.raises(InputError, match=r"in 3 cases 0 are right: at least 2 right"):
        weighed(network, shards, 3)


def test_candidates_bring_their_signals(painted: Path) -> None:
    network, shards = load_som("som-nano")[0], Shards([painted])
    with torch.no_grad():  # so that flat squares are found, too
        network.judge[-1].bias[0] += 20.0
        network.correct.bias += 20.0
    rows = list(_candidates(network, shards, 3))
    assert rows
    assert all(signals.shape == (len(SIGNALS),) and np.isfinite(signals).all() for signals, _ in rows)
