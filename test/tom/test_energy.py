"""Energy, probability, threshold."""

from __future__ import annotations

import math

import pytest

from storm_ros.core.errors import InputError
from storm_ros.tom import InlierVerifier, energy_of, probability
from storm_ros.tom.energy import threshold_of


def test_probability_of_an_energy() -> None:
    assert probability(0.0) == 0.5
    assert probability(-math.log(9.0)) == pytest.approx(0.9)
    assert probability(math.log(3.0)) == pytest.approx(0.25)
    assert probability(1e4) == 0.0
    assert probability(-1e4) == 1.0
    assert math.isnan(probability(math.nan))


def test_energy_of_a_probability_is_the_inverse() -> None:
    assert energy_of(0.9) == pytest.approx(-math.log(9.0))
    assert probability(energy_of(0.123)) == pytest.approx(0.123)


def test_the_threshold_is_a_percentile() -> None:
    energies = [float(i) for i in range(101)]
    assert threshold_of(energies) == pytest.approx(95.0)
    assert threshold_of(energies, 50.0) == pytest.approx(50.0)
    assert threshold_of([*energies, math.nan, math.inf]) == pytest.approx(95.0)


def test_too_few_energies_are_refused() -> None:
    with pytest.raises(InputError, match="19 energies of right poses: at least 20"):
        threshold_of([0.0] * 19 + [math.nan])


def test_the_baseline_states_its_threshold() -> None:
    assert InlierVerifier().tau == 0.0
