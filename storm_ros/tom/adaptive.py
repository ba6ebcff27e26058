"""A gate that learns from the track itself what its good energies are, with a bound on false alarms.

A sequential test by betting. Each energy is compared with the track's earlier ones: the conformal p-value (Vovk,
Gammerman and Shafer, Algorithmic Learning in a Random World, 2005) says how rare so high an energy was. A bet that pays
when p is small turns it into an e-value, whose mean is at most 1 while the energies are exchangeable, and the evidence

    M_t = (M_{t-1} + 1) * e_t

(the e-detector of Shin, Ramdas and Rinaldo, 2022, in Shiryaev and Roberts' form) then has a mean of at most t. By
Doob's inequality, which is Ville's for a growing sum of martingales, it reaches 1/r within n frames with a probability
of at most n * r, and the mean time to a false alarm is at least 1/r frames, whatever the distribution of the energies.
No labels are needed.

The bound is exact while the history holds all of the track's energies, and a good approximation once the oldest are
dropped (the tests simulate both). It does not hold for energies that drift or depend on those just before, which real
ones do to some degree; hence `gate.reach`, which keeps the learnt threshold near the verifier's own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from storm_ros.core.config import GateConfig
from storm_ros.core.types import GateState
from storm_ros.tom.gate import smoothed_energy

WARM_UP = 30
"""Energies after which the learnt threshold takes over from the fixed one."""

_MEMORY = 300
_POWER = 0.25
_STAKE = 0.9
_PAYING = _POWER ** (1.0 / (1.0 - _POWER))  # the p-value below which the bet pays more than its stake


class AdaptiveGate:
    """Gives a track up when the evidence against its energies being those of before reaches 1 / `gate.alarm_rate`.

    Only energies within `gate.reach` of tau are left to the evidence: below, a pose is right however unusual its
    energy; above, L bad frames in a row end the track as in `EnergyGate`, and so they do while the gate warms up.
    """

    def __init__(self, config: GateConfig | None = None, tau: float | None = None) -> None:
        """Take the settings from the configuration, and tau too where it is not given."""
        self.config = config or GateConfig()
        self.tau = self.config.tau if tau is None else tau

    def start(self) -> GateState:
        """The state of a fresh track."""
        return GateState(threshold=self.tau)

    def step(self, state: GateState, energy: float, *, unusable: bool = False) -> GateState:
        """The state after one more frame.

        Args:
            state: before it.
            energy: of this frame; NaN when none could be computed, which counts as bad and teaches nothing.
            unusable: this frame is bad whatever its energy (the object is out of view, or has no depth).
        """
        c = self.config
        smoothed = smoothed_energy(state.smoothed, energy, c.smoothing)
        learnt = len(state.history) >= WARM_UP
        evidence, history = state.evidence, state.history
        if math.isfinite(energy):
            if learnt:
                evidence = (evidence + 1.0) * e_value(p_value(history, energy))
            history = (*history, energy)[-_MEMORY:]
        floor, ceiling = (self.tau - c.reach, self.tau + c.reach) if learnt else (self.tau, self.tau)
        bad = unusable or not math.isfinite(energy) or smoothed > ceiling
        alarmed = smoothed > floor and evidence * c.alarm_rate >= 1.0
        suspect = smoothed > floor and evidence * math.sqrt(c.alarm_rate) >= 1.0
        bad_frames = state.bad_frames + 1 if bad or suspect else 0
        return GateState(
            smoothed=smoothed,
            threshold=min(max(learnt_threshold(history), floor), ceiling) if learnt else self.tau,
            bad_frames=bad_frames,
            lost=alarmed or (bad and bad_frames >= c.patience),
            history=history,
            evidence=evidence,
        )


def p_value(history: Sequence[float], energy: float) -> float:
    """Share of energies, this one included, that are at least as high: uniform or larger for exchangeable ones."""
    return (1.0 + sum(before >= energy for before in history)) / (len(history) + 1.0)


def e_value(p: float) -> float:
    """What a bet against p being uniform pays: a part is kept, the rest pays k * p^(k - 1), whose mean is 1."""
    return (1.0 - _STAKE) + _STAKE * _POWER * p ** (_POWER - 1.0)


def learnt_threshold(history: Sequence[float]) -> float:
    """The energy above which a frame adds to the evidence."""
    ordered = sorted(history)
    return ordered[min(len(ordered) - 1, math.ceil((1.0 - _PAYING) * len(ordered)))]
