"""The thread that computes: takes the newest images from the mailbox, and does requests between two of them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from storm_ros.ros.mailbox import Mailbox

T = TypeVar("T")
R = TypeVar("R")

_STOP_S = 10.0


class Worker(Generic[T]):
    """Processes the items of a mailbox one by one on its own thread, which lives from `start` to `stop`.

    Args:
        mailbox: where the items come from.
        process: what is done with each.
        failed: called with an exception that `process` raised; the thread goes on.
    """

    def __init__(self, mailbox: Mailbox[T], process: Callable[[T], None], failed: Callable[[Exception], None]) -> None:
        self._mailbox = mailbox
        self._process = process
        self._failed = failed
        self._lock = threading.Lock()
        self._jobs: deque[tuple[Callable[[], object], Future]] = deque()
        self._thread: threading.Thread | None = None
        self._stopping = False

    @property
    def running(self) -> bool:
        """Whether the thread is alive."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    def start(self) -> None:
        """Begin to process; twice does no harm."""
        with self._lock:
            if self.running:
                return
            self._stopping = False
            self._thread = threading.Thread(target=self._run, name="storm_worker", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread after the item at hand; requests that still wait are done. Twice does no harm.

        Raises:
            RuntimeError: the item at hand takes too long.
        """
        thread = self._thread
        if thread is None:
            return
        self._stopping = True
        self._mailbox.wake()
        thread.join(_STOP_S)
        if thread.is_alive():
            raise RuntimeError(f"the worker is still busy with an image after {_STOP_S:g} s")
        with self._lock:
            self._thread = None
            self._do_jobs()

    def between(self, job: Callable[[], R]) -> R:
        """Do something while no item is being processed, and return what it returns; here, when nothing runs.

        Raises:
            Exception: what the job raised.
        """
        if threading.current_thread() is self._thread:
            return job()
        future: Future[R] = Future()
        with self._lock:
            self._jobs.append((job, future))
            if self.running and not self._stopping:
                self._mailbox.wake()
            elif not self.running:
                self._do_jobs()
        return future.result()

    def _run(self) -> None:
        while not self._stopping:
            self._do_jobs()
            item = self._mailbox.take(0.5)
            if item is None or self._stopping:
                continue
            try:
                self._process(item)
            except Exception as error:  # noqa: BLE001 - one bad image must not end the node
                self._failed(error)

    def _do_jobs(self) -> None:
        while self._jobs:
            job, future = self._jobs.popleft()
            try:
                future.set_result(job())
            except BaseException as error:  # noqa: BLE001 - it belongs to the one who waits
                future.set_exception(error)
