"""Ctrl-C ends a run after the frame at hand, so that nothing is left half written; a second one ends it at once.

Once the results are being completed, a few more are let pass: an impatient second press must not cost what was written.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_WHILE_FINISHING = 3


class StopRequest:
    """While entered, the first SIGINT or SIGTERM sets `requested`; the second raises KeyboardInterrupt.

    After `finish`, three more only set it: the results are being completed.

    Outside the main thread, where Python allows no handlers, it never becomes true. A signal the process was started
    to ignore stays ignored.
    """

    def __init__(self) -> None:
        self.requested = False
        self._let_pass = 1
        self._before: dict[signal.Signals, object] = {}

    @classmethod
    def finishing(cls) -> Self:
        """One for the time in which results are completed."""
        stop = cls()
        stop.finish()
        return stop

    def finish(self) -> None:
        """Let the next few signals pass without an interruption."""
        self._let_pass = _WHILE_FINISHING

    def __enter__(self) -> Self:
        """Install the handlers."""
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                before = signal.getsignal(number)
                if before is not signal.SIG_IGN and before is not None:
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the old handlers back."""
        for number, before in self._before.items():
            signal.signal(number, before)  # pyright: ignore[reportArgumentType]
        self._before.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self._let_pass -= 1
        if self._let_pass < 0:
            raise KeyboardInterrupt
