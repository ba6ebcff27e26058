"""Timing: percentiles of repeated work, and a fixed workload that says how fast this machine is right now."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Timing:
    """Times of one kind of work.

    Attributes:
        ms: wall time of every piece of work, milliseconds.
        cpu_ms: CPU time of each, over all threads.
        baseline_ms: CPU time of the fixed workload, next to it.
    """

    ms: tuple[float, ...]
    cpu_ms: tuple[float, ...]
    baseline_ms: float

    @property
    def p50(self) -> float:
        """Median in milliseconds."""
        return float(np.percentile(self.ms, 50))

    @property
    def p95(self) -> float:
        """95th percentile in milliseconds."""
        return float(np.percentile(self.ms, 95))

    @property
    def cpu_p50(self) -> float:
        """Median CPU time in milliseconds; what other processes take away is not in it."""
        return float(np.percentile(self.cpu_ms, 50))

    @property
    def mean(self) -> float:
        """Mean in milliseconds."""
        return float(np.mean(self.ms))


def best_of(repeats: int, work: Callable[[], Sequence[tuple[float, float]]]) -> Timing:
    """Repeat a series of timed pieces of work, and take the series with the lowest median.

    Other processes can only slow it down, so that the quickest series is nearest to what the machine can do.

    Args:
        repeats: how often.
        work: returns the wall and CPU milliseconds of each piece (see `timed`).
    """
    series: list[Timing] = []
    for _ in range(repeats):
        before = baseline_ms()
        wall, cpu = zip(*work(), strict=True)
        series.append(Timing(wall, cpu, min(before, baseline_ms())))
    return min(series, key=lambda timing: timing.p50)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU milliseconds that a piece of work takes."""
    began = clocks()
    work()
    ended = clocks()
    return ended[0] - began[0], ended[1] - began[1]


def clocks() -> tuple[float, float]:
    """Wall time, and CPU time of all threads of this process, in milliseconds."""
    return time.perf_counter() * 1e3, time.process_time() * 1e3


def baseline_ms(repeats: int = 9) -> float:
    """CPU milliseconds of a fixed workload on one thread: a blur and gradients of an image, distances and a sort.

    CPU times divided by it can be compared between machines, roughly.
    """
    rng = np.random.default_rng(0)
    image = rng.random((480, 640), dtype=np.float32)
    points = rng.random((120_000, 3))
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return min(timed(lambda: _workload(image, points))[1] for _ in range(repeats))
    finally:
        cv2.setNumThreads(threads)


def _workload(image: np.ndarray, points: np.ndarray) -> float:
    smooth = cv2.GaussianBlur(image, (0, 0), 2.0)
    gradient = cv2.Sobel(smooth, cv2.CV_32F, 1, 0) ** 2 + cv2.Sobel(smooth, cv2.CV_32F, 0, 1) ** 2
    distance = np.sqrt((points * points).sum(1))
    return float(gradient.sum() + np.sort(distance)[::1000].sum())


def peak_rss_mb() -> float:
    """Peak resident memory of this process in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def load() -> float:
    """Load average of the last minute; NaN where the system has none."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
