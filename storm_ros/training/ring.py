"""A ring of shards: scenes are made while a training uses them, and removed once it has moved on.

Which scenes a step takes follows from the step alone, so that a slow machine waits but trains with the same data.
"""

from __future__ import annotations

import functools
import hashlib
import multiprocessing
import os
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from storm_ros.core.errors import InputError, StormError
from storm_ros.training.making import leave_signals, make_shard
from storm_ros.training.settings import SceneConfig, StreamConfig
from storm_ros.training.shards import open_shard

if TYPE_CHECKING:
    from typing_extensions import Self

Item = TypeVar("Item")

FAILED = "failed.txt"
LOOK_AHEAD = 32
"""Steps before its use from which a batch may be begun."""

_POLL_S = 0.02
_PATIENCE_S = 1800.0


def ring_folder(out: Path, config: SceneConfig) -> Path:
    """Where the shards of a training lie; other scenes lie elsewhere."""
    return out / f"ring-{hashlib.sha256(repr(config).encode()).hexdigest()[:12]}"


class RingScenes:
    """Scenes of an endless row of shards by number, read as `Shards` reads them; waits for those not yet made."""

    def __init__(self, folder: Path, config: SceneConfig, stream: StreamConfig) -> None:
        """Read from a folder that `RingMakers` fills."""
        self._folder, self._scenes, self._stream = folder, config.scenes, stream
        self._since = time.time()
        self._open: dict[int, dict[str, npt.NDArray[np.generic]]] = {}

    def __len__(self) -> int:
        """Number of scenes in use at a time."""
        return self._stream.shards * self._scenes

    @property
    def advance(self) -> int:
        """How many scenes are new after each round through those in use."""
        return self._stream.fresh * self._scenes

    def __getstate__(self) -> dict[str, object]:
        """What another process needs: it opens the shards by itself."""
        return {**self.__dict__, "_open": {}}

    def scene(self, index: int) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays of one scene, as `make_scene` returns them; not yet in memory.

        Raises:
            InputError: its shard could not be made.
        """
        number, place = divmod(index, self._scenes)
        if number not in self._open:
            path = self._folder / f"{number:05d}"
            self._await(path)
            used_up = number - 2 * self._stream.shards
            self._open = {**{n: s for n, s in self._open.items() if n > used_up}, number: open_shard(path)}
        return {name: values[place] for name, values in self._open[number].items()}

    def _await(self, path: Path) -> None:
        began = time.monotonic()
        while not path.is_dir():
            failed = self._folder / FAILED
            if _written(failed) > self._since:
                raise InputError(f"a shard could not be made: {failed.read_text(encoding='utf-8')}")
            if time.monotonic() - began > _PATIENCE_S:
                raise InputError(
                    f"shard {path} was not made within {_PATIENCE_S:.0f} s: its maker is gone or too slow; make fewer "
                    "scenes a shard (scenes.scenes), or go on with --resume"
                )
            time.sleep(_POLL_S)


class RingMakers:
    """Processes, or one thread, that make the shards of a ring before their turn."""

    def __init__(
        self, folder: Path, config: SceneConfig, stream: StreamConfig, *, device: str, rounds: tuple[int, int]
    ) -> None:
        """Make nothing yet.

        Args:
            folder: of the shards.
            config: of the scenes.
            stream: how many of them.
            device: of the ray caster.
            rounds: first and last round of the training.
        """
        self._folder, self._stream = folder, stream
        self._work = functools.partial(make_shard, folder=folder, config=config, device=device)
        self._next, self._end = rounds[0] * stream.fresh, rounds[1] * stream.fresh + stream.shards
        self._low = -1
        self._workers: list[Any] = []

    def __enter__(self) -> Self:
        """Start those who work."""
        self._folder.mkdir(parents=True, exist_ok=True)
        spawn = multiprocessing.get_context("spawn")
        self._orders: Any = spawn.Queue() if self._stream.makers else queue.SimpleQueue()
        args = self._orders, self._work, self._folder
        if self._stream.makers:
            self._workers = [
                spawn.Process(target=_serve_apart, args=args, daemon=True) for _ in range(self._stream.makers)
            ]
        else:
            self._workers = [threading.Thread(target=_serve, args=args, daemon=True)]
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End them, a thread once it has finished its shard, and whoever waits for one."""
        _give_up(self._folder, "the training has ended")
        if not self._stream.makers:
            while not self._orders.empty():
                self._orders.get_nowait()
            self._orders.put(None)
        for worker in self._workers:
            if self._stream.makers:
                worker.terminate()
            worker.join()

    def turn(self, now: int, soon: int) -> None:
        """Order what comes next, and remove what is used up.

        Args:
            now: round that is in use.
            soon: last round that batches may be made of by now.
        """
        stop = min(soon * self._stream.fresh + self._stream.shards + self._stream.ahead, self._end)
        for number in range(self._next, stop):
            self._orders.put(number)
        self._next = max(self._next, stop)
        low = (now - 1) * self._stream.fresh  # one round more: of several processes some may be behind
        if low > self._low:
            self._low = low
            for path in self._folder.glob("[0-9]*"):
                if int(path.name) < low:
                    shutil.rmtree(path, ignore_errors=True)


def supplied(
    batches: Iterator[Item], steps: range, epochs: Callable[[int], tuple[int, int]], makers: RingMakers
) -> Iterator[Item]:
    """The batches of some steps, with the shards they are made of ordered in time.

    Args:
        batches: in order; none is begun before it is asked for, or more than `LOOK_AHEAD` steps early.
        steps: they are for.
        epochs: first and last epoch that a step takes from.
        makers: of the shards.
    """
    for step in steps:
        makers.turn(epochs(step)[0], epochs(min(step + LOOK_AHEAD, steps.stop - 1))[1])
        yield next(batches)


def _serve_apart(orders: Any, work: Callable[[int], Path], folder: Path) -> None:
    leave_signals()
    _serve(orders, work, folder)


def _serve(orders: Any, work: Callable[[int], Path], folder: Path) -> None:
    while True:
        number = orders.get()
        if number is None:
            return
        try:
            work(number)
        except (StormError, OSError, RuntimeError, ValueError, MemoryError) as error:
            _give_up(folder, " ".join(str(error).split()) or type(error).__name__)
            return


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _give_up(folder: Path, reason: str) -> None:
    draft = folder / f".{FAILED}.{os.getpid()}"
    draft.write_text(reason, encoding="utf-8")
    os.replace(draft, folder / FAILED)
