"""The energy gate of STORM: a moving average, a threshold, and patience."""

from __future__ import annotations

import math

from storm_ros.core.config import GateConfig
from storm_ros.core.types import GateState


class EnergyGate:
    """Gives a track up after L frames in a row whose smoothed energy is above tau (STORM's TOM)."""

    def __init__(self, config: GateConfig | None = None) -> None:
        """Take tau, L and the weight of the moving average from the configuration."""
        self.config = config or GateConfig()

    def start(self) -> GateState:
        """The state of a fresh track."""
        return GateState(threshold=self.config.tau)

    def step(self, state: GateState, energy: float, *, unusable: bool = False) -> GateState:
        """The state after one more frame.

        Args:
            state: before it.
            energy: of this frame; NaN when none could be computed, which counts as bad and leaves the average.
            unusable: this frame is bad whatever its energy (the object is out of view, or has no depth).
        """
        smoothed = state.smoothed
        if math.isfinite(energy):
            share = self.config.smoothing
            smoothed = energy if math.isnan(smoothed) else share * energy + (1.0 - share) * smoothed
        bad = unusable or not math.isfinite(energy) or smoothed > self.config.tau
        bad_frames = state.bad_frames + 1 if bad else 0
        return GateState(smoothed, self.config.tau, bad_frames, bad_frames >= self.config.patience)
