"""The energy gate, by hand."""

from __future__ import annotations

import math

import pytest

from storm_ros.core.config import GateConfig
from storm_ros.tom import EnergyGate


def run(gate: EnergyGate, energies: list[float]) -> list[bool]:
    state, out = gate.start(), []
    for energy in energies:
        state = gate.step(state, energy)
        out.append(state.lost)
    return out


def test_lost_after_patience_frames_in_a_row() -> None:
    gate = EnergyGate(GateConfig(tau=0.0, patience=3, smoothing=1.0))
    assert run(gate, [1, 1, -1, 1, 1, 1]) == [False, False, False, False, False, True]


def test_average_is_exponential_and_starts_with_the_first_energy() -> None:
    gate = EnergyGate(GateConfig(smoothing=0.25))
    state = gate.step(gate.start(), -2.0)
    assert state.smoothed == -2.0
    state = gate.step(state, 2.0)
    assert state.smoothed == pytest.approx(0.25 * 2.0 + 0.75 * -2.0)
    assert state.bad_frames == 0


def test_smoothing_rides_over_one_bad_frame() -> None:
    gate = EnergyGate(GateConfig(tau=0.0, patience=1, smoothing=0.3))
    assert run(gate, [-3, -3, 4, -3]) == [False, False, False, False]


def test_nan_is_bad_but_leaves_the_average() -> None:
    gate = EnergyGate(GateConfig(patience=2))
    state = gate.step(gate.step(gate.start(), -1.0), math.nan)
    assert state.smoothed == -1.0
    assert state.bad_frames == 1
    assert gate.step(state, math.nan).lost


def test_unusable_frames_count_whatever_their_energy() -> None:
    gate = EnergyGate(GateConfig(patience=2))
    state = gate.step(gate.start(), -4.0, unusable=True)
    assert state.bad_frames == 1
    assert gate.step(state, -4.0, unusable=True).lost
    assert not gate.step(state, -4.0).lost
