"""The learning gate: its bound on false alarms, simulated, and what it notices."""

from __future__ import annotations

import math

import numpy as np
import pytest

from storm_ros.core.config import GateConfig
from storm_ros.core.types import GateState
from storm_ros.tom import EnergyGate
from storm_ros.tom.adaptive import WARM_UP, AdaptiveGate, e_value, learnt_threshold, p_value


def frames_until_lost(gate: AdaptiveGate | EnergyGate, energies: np.ndarray) -> int | None:
    state = gate.start()
    for i, energy in enumerate(energies):
        state = gate.step(state, float(energy))
        if state.lost:
            return i
    return None


def wide(**settings: float) -> AdaptiveGate:
    """A gate whose evidence alone decides."""
    return AdaptiveGate(GateConfig(name="adaptive", reach=10.0, smoothing=1.0, **settings))


def test_p_value_is_the_share_of_energies_at_least_as_high() -> None:
    assert p_value([1.0, 2.0, 3.0], 2.5) == 2 / 4
    assert p_value([1.0, 2.0, 3.0], 9.0) == 1 / 4
    assert p_value([1.0, 2.0, 3.0], 1.0) == 1.0
    assert p_value([], 0.0) == 1.0


@pytest.mark.parametrize("count", [10, 30, 300])
def test_the_bet_pays_at_most_one_on_average(count: int) -> None:
    """Under exchangeability p is k / (n + 1) with equal chances."""
    values = [e_value(k / (count + 1)) for k in range(1, count + 2)]
    assert np.mean(values) <= 1.0
    assert values[0] > 1.0
    assert min(values) > 0.0


def test_the_learnt_threshold_is_where_the_evidence_begins_to_grow() -> None:
    history = np.random.default_rng(0).normal(-3.0, 0.5, 300).tolist()
    tau = learnt_threshold(history)
    assert e_value(p_value(history, tau + 0.1)) > 1.0
    assert e_value(p_value(history, tau - 0.1)) < 1.0


@pytest.mark.parametrize("kind", ["normal", "heavy tails", "skewed", "of few values"])
def test_false_alarms_stay_below_the_bound(kind: str) -> None:
    """At most n * rate of the null sequences of n frames raise an alarm, whatever the distribution."""
    rng = np.random.default_rng(5)
    rate, length, runs = 0.002, 150, 120
    alarms = 0
    for _ in range(runs):
        draw = {
            "normal": lambda: rng.normal(-1.0, 0.7, length),
            "heavy tails": lambda: -1.0 + rng.standard_t(2, length),
            "skewed": lambda: -2.0 + rng.exponential(1.0, length),
            "of few values": lambda: rng.choice([-3.0, -1.0, 1.0], length),
        }[kind]()
        alarms += frames_until_lost(wide(alarm_rate=rate, patience=100), np.clip(draw, -9.0, 9.0)) is not None
    assert alarms / runs <= rate * length  # 0.3: the fixed gate would raise one in nearly all of them


def test_the_bound_holds_long_after_the_oldest_energies_were_dropped() -> None:
    rng = np.random.default_rng(8)
    rate, length, runs = 0.0005, 1000, 12
    alarms = sum(
        frames_until_lost(wide(alarm_rate=rate, patience=100), rng.normal(-1.0, 0.7, length)) is not None
        for _ in range(runs)
    )
    assert alarms / runs <= rate * length


def test_a_shift_within_the_fixed_threshold_is_noticed() -> None:
    """An object whose good energies are very low: the fixed gate waits for the general threshold."""
    rng = np.random.default_rng(1)
    energies = np.concatenate([rng.normal(-3.0, 0.2, 120), rng.normal(-0.5, 0.2, 60)])
    fixed = EnergyGate(GateConfig())
    gate = AdaptiveGate(GateConfig(name="adaptive"))
    noticed = frames_until_lost(gate, energies)
    assert frames_until_lost(fixed, energies) is None
    assert noticed is not None
    assert 120 <= noticed < 135


def test_an_object_whose_good_energies_are_high_is_kept() -> None:
    """Good energies that straddle the fixed threshold: it gives up, the learnt one does not."""
    rng = np.random.default_rng(2)
    energies = np.concatenate([rng.normal(-0.8, 0.1, 40), rng.normal(0.05, 0.35, 200)])
    energies[:40] += np.linspace(0.0, 0.6, 40)
    assert frames_until_lost(EnergyGate(GateConfig()), energies) is not None
    assert frames_until_lost(AdaptiveGate(GateConfig(name="adaptive", alarm_rate=1e-5)), energies) is None


def test_low_energies_are_never_alarming_and_high_ones_always() -> None:
    rng = np.random.default_rng(3)
    good = rng.normal(-6.0, 0.1, 100)
    gate = AdaptiveGate(GateConfig(name="adaptive"))
    assert frames_until_lost(gate, np.concatenate([good, np.full(50, -3.0)])) is None
    lost = frames_until_lost(gate, np.concatenate([good, np.full(50, 6.0)]))
    assert lost is not None
    assert 100 <= lost <= 103


def test_it_is_the_fixed_gate_while_it_warms_up() -> None:
    energies = np.r_[np.full(WARM_UP - 10, -2.0), np.full(5, 2.0)]
    config = GateConfig(name="adaptive")
    assert frames_until_lost(AdaptiveGate(config), energies) == frames_until_lost(EnergyGate(config), energies)


def test_unusable_frames_count_and_teach_nothing() -> None:
    gate = AdaptiveGate(GateConfig(name="adaptive", patience=2))
    state = gate.step(gate.step(gate.start(), -2.0), math.nan)
    assert state.history == (-2.0,)
    assert state.bad_frames == 1
    assert gate.step(state, -2.0, unusable=True).lost


def test_a_step_leaves_the_state_it_was_given() -> None:
    gate = AdaptiveGate()
    state = GateState(history=tuple(np.linspace(-3, -2, 50)))
    assert gate.step(state, 5.0) == gate.step(state, 5.0)
    assert state.evidence == 0.0
    assert len(state.history) == 50
