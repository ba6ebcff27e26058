"""The energy gate of STORM: a moving average, a threshold, and patience."""

from __future__ import annotations

import math

from storm_ros.core.config import GateConfig
from storm_ros.core.types import GateState


class EnergyGate:
    """Gives a track up after L frames in a row whose smoothed energy is above tau (STORM's TOM)."""

    def __init__(self, config: GateConfig | None = None, tau: float | None = None) -> None:
        """Take L and the weight of the moving average from the configuration, and tau too where it is not given."""
        self.config = config or GateConfig()
        self.tau = self.config.tau if tau is None else tau

    def start(self) -> GateState:
        """The state of a fresh track."""
        return GateState(threshold=self.tau)

    def step(self, state: GateState, energy: float, *, unusable: bool = False) -> GateState:
        """The state after one more frame.

        Args:
            state: before it.
            energy: of this frame; NaN when none could be computed, which counts as bad and leaves the average.
            unusable: this frame is bad whatever its energy (the object is out of view, or has no depth).
        """
        smoothed = smoothed_energy(state.smoothed, energy, self.config.smoothing)
        bad = unusable or not math.isfinite(energy) or smoothed > self.tau
        bad_frames = state.bad_frames + 1 if bad else 0
        return GateState(smoothed, self.tau, bad_frames, bad_frames >= self.config.patience)


def smoothed_energy(before: float, energy: float, share: float) -> float:
    """The moving average after one more energy; one that is not finite leaves it as it is.

    Args:
        before: the average so far; NaN before the first.
        energy: the new one.
        share: weight of the new one in [0, 1].
    """
    if not math.isfinite(energy):
        return before
    return energy if math.isnan(before) else share * energy + (1.0 - share) * before
