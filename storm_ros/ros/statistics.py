"""How fast the node is: rate, latency and stage times of the last seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

_WINDOW_S = 2.0
_LATEST_S = 10.0
"""A latency beyond this is one of two clocks that have nothing to do with each other."""


@dataclass
class Statistics:
    """Counts since the node was activated.

    Attributes:
        frames: images processed.
        stages_ms: times of the last one by stage.
    """

    frames: int = 0
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    _recent: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=1000))

    def add(self, now_s: float, latency_s: float, stages_ms: Mapping[str, float]) -> None:
        """Count an image.

        Args:
            now_s: time by a steady clock.
            latency_s: from its stamp until it was done, by the clock of the stamps.
            stages_ms: milliseconds by stage.
        """
        self.frames += 1
        self.stages_ms = dict(stages_ms)
        self._recent.append((now_s, latency_s if 0.0 <= latency_s <= _LATEST_S else float("nan")))

    def rate_hz(self, now_s: float) -> float:
        """Images per second lately."""
        return len(self._lately(now_s)) / _WINDOW_S

    def latency_ms(self, now_s: float) -> float:
        """Median latency lately; NaN where it is not known."""
        known = [latency for _, latency in self._lately(now_s) if not np.isnan(latency)]
        return float(np.median(known)) * 1e3 if known else float("nan")

    def _lately(self, now_s: float) -> list[tuple[float, float]]:
        return [entry for entry in self._recent.copy() if now_s - entry[0] <= _WINDOW_S]
