"""Lets the same message through only now and then."""

from __future__ import annotations


class Throttle:
    """Remembers when each kind of message was let through last."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def due(self, key: str, now_s: float, every_s: float) -> bool:
        """Whether a message of this kind may pass now; if so it counts as passed."""
        last = self._last.get(key)
        if last is not None and now_s - last < every_s:
            return False
        self._last[key] = now_s
        return True
