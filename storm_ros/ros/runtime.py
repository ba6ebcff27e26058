"""Loads the tracker with everything compiled and warm, and frees it again."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress

import numpy as np

from storm_ros.core.config import StormConfig
from storm_ros.core.tracker import Tracker
from storm_ros.core.types import Camera, RgbdFrame
from storm_ros.factory import create_tracker, decided

_SIZE = (320, 240)
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # of malloc.h
_LARGE_BYTES = 32 << 20
"""Larger blocks are mapped one by one. Images are smaller: their pages are kept for the next ones."""


def steady_memory() -> None:
    """Keep the C library from holding more and more memory; call it before other threads begin.

    Images come and go on many threads. By default each thread gets an arena of its own, in which freed images leave
    holes; here one serves all. Its end is the only one that glibc's malloc_trim gives back: of a second arena up to
    64 MB stay, more or less by which threads happen to use it. What is freed is kept for the next image, since to map
    its pages anew would cost each frame milliseconds; `release` gives it back.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # not of GNU
        return
    mallopt(_ARENA_MAX, 1)
    mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
    mallopt(_TRIM_THRESHOLD, 2 * _LARGE_BYTES)


def load(config: StormConfig, threads: int = 1) -> Tracker:
    """A tracker that has seen an object already, so that its first real frame takes no longer than the others.

    Args:
        config: its settings.
        threads: CPU threads of PyTorch, for the whole process. More than the idle cores wait for each other.

    Raises:
        StormError: a part cannot be loaded; the message says what is missing.
    """
    config = decided(config)
    if config.segmenter.name == "som" or config.verifier.name == "tom":
        with suppress(ImportError):  # the part that needs PyTorch says so better
            from storm_ros.encoders.inference import use_threads

            use_threads(threads)  # before the parts are made: they note how many there are
    tracker = create_tracker(config)
    warm_up(tracker)
    gc.collect()
    gc.freeze()  # with PyTorch loaded a full collection takes as long as several frames
    return tracker


def warm_up(tracker: Tracker) -> None:
    """Let every part work once on a drawn scene: lift, prepare, track, verify, segment, register."""
    frame, mask = _drawn(0)
    tracker.set_reference(frame, mask, object_id="warm_up")
    tracker.step(frame)
    tracker.step(_drawn(1)[0])
    state = tracker.state.objects["warm_up"]
    candidates = tracker.parts.segmenter.segment(frame, state.description)
    tracker.parts.pose.register(frame, candidates[0].mask if candidates else mask, state.model)
    tracker.clear_reference("warm_up")


def release() -> None:
    """Give back what trackers that are not referred to any more held, on the GPU too."""
    gc.unfreeze()
    gc.collect()
    _return_to_system()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _return_to_system() -> None:
    """Let the C library give freed memory back, where it can: images leave holes that it would keep."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):  # not of GNU
        return


def _drawn(number: int) -> tuple[RgbdFrame, np.ndarray]:
    """A textured box before a table, moved a little with the number, and its mask."""
    width, height = _SIZE
    random = np.random.default_rng(0)
    rgb = np.full((height, width, 3), 90, np.uint8)
    depth_m = np.full((height, width), 1.0, np.float32)
    mask = np.zeros((height, width), bool)
    left, top, side = width // 2 - 40 + number, height // 2 - 40, 80
    mask[top : top + side, left : left + side] = True
    print_ = random.integers(0, 255, (side // 8, side // 8, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    rgb[top : top + side, left : left + side] = print_
    depth_m[top : top + side, left : left + side] = 0.8 + np.linspace(0.0, 0.03, side, dtype=np.float32)
    camera = Camera(width, height, 300.0, 300.0, (width - 1) / 2, (height - 1) / 2)
    return RgbdFrame(rgb, depth_m, camera, stamp_ns=number * 33_000_000), mask
