"""The logistic regression behind a candidate's chance."""

from __future__ import annotations

import numpy as np

from storm_ros.training.chances import fit


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
