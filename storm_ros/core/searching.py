"""The search on a thread of its own, so that a frame never waits for it.

A mailbox of one frame per object, the newest; what was found is collected with a later frame, and the loop brings it
there and verifies it again before it believes it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass

from storm_ros.core.config import SearchConfig
from storm_ros.core.finding import Found, find
from storm_ros.core.state import ObjectState, Parts
from storm_ros.core.timing import Clock
from storm_ros.core.types import Reference, RgbdFrame

_PATIENCE_S = 5.0


@dataclass(frozen=True, eq=False)
class Answer:
    """What a search in an earlier frame brought.

    Attributes:
        found: the pose in that frame; None when the object was not found.
        reference: of the object that was searched for.
        frame: the image.
        milliseconds: how long it took.
    """

    found: Found | None
    reference: Reference
    frame: RgbdFrame
    milliseconds: float


@dataclass(frozen=True, eq=False)
class _Request:
    parts: Parts
    search: SearchConfig
    state: ObjectState
    frame: RgbdFrame


class BackgroundSearch:
    """Searches for lost objects one after the other; the thread begins with the first request."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[str, _Request] = {}
        self._answers: dict[str, Answer] = {}
        self._error: Exception | None = None
        self._busy: str | None = None
        self._closed = False
        self._thread: threading.Thread | None = None

    def request(
        self, parts: Parts, search: SearchConfig, frame: RgbdFrame, due: Mapping[str, ObjectState], lost: Set[str]
    ) -> None:
        """Ask for objects in a frame, in place of what was asked of them before and has not begun.

        Args:
            parts: the implementations; those used for searching must bear a call from another thread.
            search: settings.
            frame: the image.
            due: states of the objects to look for. One that is being looked for already is left out.
            lost: names of all that are still lost: what was asked of others is dropped.
        """
        with self._changed:
            if self._closed:
                return
            self._waiting = {name: asked for name, asked in self._waiting.items() if name in lost}
            for name, state in due.items():
                if name != self._busy:  # a name that is waiting keeps its turn
                    self._waiting[name] = _Request(parts, search, state, frame)
            if self._waiting and self._thread is None:
                self._thread = threading.Thread(target=self._work, name="storm-search", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def collect(self) -> dict[str, Answer]:
        """The answers since the last call, by object.

        Raises:
            Exception: a search failed; the error is the one that searching in the step would have raised.
        """
        with self._changed:
            error, self._error = self._error, None
            answers, self._answers = self._answers, {}
        if error is not None:
            raise error
        return answers

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is waiting or under way; False when that took too long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and self._busy is None, seconds)

    def close(self) -> None:
        """End the thread after the stage at hand of a search; twice does no harm."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_PATIENCE_S)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                name = next(iter(self._waiting))
                request = self._waiting.pop(name)
                self._busy = name
            answer: Answer | None = None
            error: Exception | None = None
            try:
                answer = _searched(request, lambda: self._closed)
            except _GivenUpError:
                pass
            except Exception as problem:  # noqa: BLE001 - carried to the thread that steps, which raises it
                error = problem
            with self._changed:
                self._busy = None
                self._error = self._error or error
                if answer is not None:
                    self._answers[name] = answer
                self._changed.notify_all()


class _GivenUpError(Exception):
    """Nobody waits for this search any more."""


class _EndingClock(Clock):
    """Ends a search before its next stage."""

    def __init__(self, closed: Callable[[], bool]) -> None:
        super().__init__()
        self._closed = closed

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside, unless the search has been given up."""
        if self._closed():
            raise _GivenUpError
        with super().stage(name):
            yield


def _searched(request: _Request, closed: Callable[[], bool]) -> Answer:
    start = time.perf_counter()
    found = find(request.parts, request.search, request.state, request.frame, _EndingClock(closed))
    return Answer(found, request.state.reference, request.frame, (time.perf_counter() - start) * 1e3)
