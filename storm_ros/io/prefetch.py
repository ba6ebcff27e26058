"""Reads frames ahead on a thread, so that decoding overlaps the work on the frame before."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator

from storm_ros.core.errors import RecordingError
from storm_ros.core.types import RgbdFrame
from storm_ros.io.recording import Recording

_END = object()
_POLL_S = 0.05


def read_frames(
    recording: Recording, numbers: Iterable[int], *, ahead: int = 2
) -> Iterator[tuple[int, RgbdFrame | None]]:
    """Read frames in the given order, a few ahead of the consumer.

    The thread stops when the iteration ends, is closed, or is left by an error of the consumer.

    Args:
        recording: where from; read by one thread only while this runs.
        numbers: which frames.
        ahead: how many frames may wait.

    Yields:
        The number and its frame, or None where it cannot be read: the reason is then in `recording.warnings`.

    Raises:
        ValueError: `ahead` is not positive.
    """
    if ahead < 1:
        raise ValueError(f"ahead = {ahead}: at least one frame must fit")
    waiting: queue.Queue = queue.Queue(maxsize=ahead)
    stop = threading.Event()

    def put(item: object) -> bool:
        while not stop.is_set():
            try:
                waiting.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for number in numbers:
                try:
                    item = (number, recording.read(number), None)
                except RecordingError as error:
                    item = (number, None, str(error))
                if not put(item):
                    return
            put(_END)
        except BaseException as error:  # noqa: BLE001 - carried to the consumer, who raises it
            put(error)

    thread = threading.Thread(target=work, name="storm-read-frames", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not _END:
            if isinstance(item, BaseException):
                raise item
            number, frame, reason = item
            if reason is not None:
                recording.warnings.append(reason)
            yield number, frame
    finally:
        stop.set()
        thread.join()
