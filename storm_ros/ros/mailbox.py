"""A mailbox that holds the latest item only, so that a slow reader never falls behind."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Passes the newest item from callbacks to a worker; an unread one is replaced and counted as dropped."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._item: T | None = None
        self._woken = False
        self._received = 0
        self._dropped = 0

    @property
    def received(self) -> int:
        """Items put since the last `clear`."""
        return self._received

    @property
    def dropped(self) -> int:
        """Items that were replaced before they were taken, since the last `clear`."""
        return self._dropped

    def put(self, item: T) -> None:
        """Leave an item; the one that was not taken yet is lost."""
        with self._condition:
            self._received += 1
            self._dropped += self._item is not None
            self._item = item
            self._condition.notify()

    def take(self, timeout_s: float | None = None) -> T | None:
        """Take the item, waiting for one; None when the time is over or `wake` was called."""
        with self._condition:
            self._condition.wait_for(lambda: self._item is not None or self._woken, timeout_s)
            item, self._item, self._woken = self._item, None, False
            return item

    def wake(self) -> None:
        """Let the reader return from `take` with what there is."""
        with self._condition:
            self._woken = True
            self._condition.notify()

    def discard(self) -> None:
        """Throw an unread item away without counting it."""
        with self._condition:
            self._item = None

    def clear(self) -> None:
        """Empty it and count from zero."""
        with self._condition:
            self._item, self._woken, self._received, self._dropped = None, False, 0, 0
