"""Shards made by several processes, each by its number alone: who makes one changes nothing in it."""

from __future__ import annotations

import functools
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from storm_ros.core.errors import OutputError
from storm_ros.core.types import Mesh
from storm_ros.pose import GeometricEstimator
from storm_ros.training.recipe import case_scenes
from storm_ros.training.settings import SceneConfig
from storm_ros.training.shards import Shards, write_shard
from storm_ros.training.studio import scanned
from storm_ros.training.tom_settings import TomDataConfig
from storm_ros.training.tom_shards import write_case_shard


def make_shard(number: int, *, folder: Path, config: SceneConfig, held_out: bool = False, device: str = "cpu") -> Path:
    """Make a shard of scenes; one that is there already stays.

    Args:
        number: of the shard; with the configuration it decides everything in it.
        folder: of all shards.
        config: of the scenes.
        held_out: show the scanned objects that training leaves out, in place of the others.
        device: of the ray caster.

    Raises:
        OutputError: it cannot be written.
    """
    return write_shard(folder, config, number, _scans(config, held_out), device)


@functools.lru_cache(maxsize=2)
def _scans(config: SceneConfig, held_out: bool) -> list[Mesh]:
    return scanned(config, held_out=held_out)


def make_cases(number: int, *, folder: Path, config: TomDataConfig, scenes: Path, shards: int) -> Path:
    """Make a shard of cases; one that is there already stays.

    Args:
        number: of the shard.
        folder: of all shards.
        config: how many of what.
        scenes: folder of the scenes.
        shards: how many go through all scenes together.

    Raises:
        InputError: none of its scenes gives a case.
    """
    source = Shards([scenes])
    which = case_scenes(len(source), shards, number)
    return write_case_shard(folder, config, number, source, which, _estimator())


@functools.lru_cache(maxsize=1)
def _estimator() -> GeometricEstimator:
    return GeometricEstimator()


def made(
    work: Callable[[int], Path], numbers: Iterable[int], processes: int, stop: Callable[[], bool]
) -> Iterator[Path]:
    """Do a piece of work for each number.

    Args:
        work: a function of a module, or a partial one: other processes are given it.
        numbers: what it is called with.
        processes: how many work; up to one: this one does.
        stop: asked before each piece; where it says so, what is begun is finished and no more is.

    Yields:
        What was made, as it comes.

    Raises:
        OutputError: a process ended before its work was done.
    """
    left = list(numbers)
    if processes <= 1 or len(left) <= 1:
        for number in left:
            if stop():
                return
            yield work(number)
        return
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), initializer=leave_signals) as pool:
        waiting = [pool.submit(work, number) for number in left]
        try:
            for done in as_completed(waiting):
                if not done.cancelled():
                    yield done.result()
                if stop():
                    pool.shutdown(wait=False, cancel_futures=True)
        except BrokenProcessPool:
            raise OutputError(
                "a process that made shards was ended from outside (too little memory?): take fewer processes"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def leave_signals() -> None:
    """Let the process that began this one decide what Ctrl-C means."""
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
