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
        ms: of every piece of work, milliseconds.
        busy: CPU time spent per wall time: how many threads were at work.
        baseline_ms: of the fixed workload, next to it.
    """

    ms: tuple[float, ...]
    busy: float
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
    def mean(self) -> float:
        """Mean in milliseconds."""
        return float(np.mean(self.ms))


def best_of(repeats: int, work: Callable[[], Sequence[float]]) -> Timing:
    """Repeat a series of timed pieces of work, and take the series with the lowest median.

    Other processes can only slow it down, so that the quickest series is nearest to what the machine can do.

    Args:
        repeats: how often.
        work: returns the milliseconds of each piece.
    """
    series: list[Timing] = []
    for _ in range(repeats):
        before = baseline_ms()
        wall, cpu = time.perf_counter(), time.process_time()
        ms = tuple(work())
        busy = (time.process_time() - cpu) / max(time.perf_counter() - wall, 1e-9)
        series.append(Timing(ms, busy, min(before, baseline_ms())))
    return min(series, key=lambda timing: timing.p50)


def timed(work: Callable[[], object]) -> float:
    """Milliseconds that a piece of work takes."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def baseline_ms(repeats: int = 9) -> float:
    """Milliseconds of a fixed workload on one thread: a blur and gradients of an image, distances and a sort.

    Figures divided by it can be compared between machines, roughly.
    """
    rng = np.random.default_rng(0)
    image = rng.random((480, 640), dtype=np.float32)
    points = rng.random((120_000, 3))
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return min(timed(lambda: _workload(image, points)) for _ in range(repeats))
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
