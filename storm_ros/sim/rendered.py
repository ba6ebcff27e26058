"""A simulated recording rendered once into files that are mapped into memory, to be played at camera rate."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import TimeoutError as NotYet
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from storm_ros.core.errors import InputError, OutputError, StormError
from storm_ros.core.types import Camera, mask_window
from storm_ros.sim.scripts import demo_sequence
from storm_ros.sim.sequence import Phase, SimulatedRecording

_KEPT = 2
"""Rendered demos that stay on the disk; a whole one has some 400 MB."""

_CHUNK = 5
_POLL_S = 0.2
_ABANDONED_S = 86_400.0


@dataclass(frozen=True, eq=False)
class Rendered:
    """All frames of a recording, and its truth.

    Attributes:
        rgb: (N, H, W, 3) uint8.
        depth_mm: (N, H, W) uint16 millimetres, 0 invalid.
        cam_T_obj: (N, 4, 4) true poses of the target, metres.
        camera: intrinsics of both images.
        rate_hz: frames per second.
        phases: what happens when.
        box: x, y, width, height in pixels of the target in the first frame.
    """

    rgb: npt.NDArray[np.uint8]
    depth_mm: npt.NDArray[np.uint16]
    cam_T_obj: npt.NDArray[np.float64]
    camera: Camera
    rate_hz: float
    phases: tuple[Phase, ...]
    box: tuple[int, int, int, int]

    def __len__(self) -> int:
        """How many frames."""
        return len(self.rgb)

    def phase(self, number: int) -> str:
        """What happens in a frame."""
        return next(p.name for p in self.phases if p.first <= number <= p.last)


def there_and_back(step: int, frames: int) -> int:
    """Frame number at a step of an endless show that runs to the end and back again, without a cut."""
    if frames < 2:
        return 0
    place = step % (2 * frames - 2)
    return min(place, 2 * frames - 2 - place)


def open_demo(settings: Mapping[str, Any]) -> SimulatedRecording:
    """The demo of these arguments of `demo_sequence`."""
    return demo_sequence(**settings)


def first_frame(settings: Mapping[str, Any]) -> Rendered:
    """The demo's first frame only, for the time until all are rendered."""
    with open_demo(settings) as recording:
        frame = recording.read(0)
        return Rendered(
            frame.rgb[None],
            _millimetres(frame.depth_m)[None],
            _poses(recording)[:1],
            recording.camera,
            recording.rate_hz,
            recording.script,
            _box(recording.ground_truth.mask(0, recording.target_id)),
        )


def render_demo(
    settings: Mapping[str, Any],
    folder: Path | None = None,
    *,
    workers: int = 2,
    progress: Callable[[float], None] = lambda share: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Rendered:
    """Every frame of the demo: from the cache, or rendered into it by processes of low priority.

    Args:
        settings: arguments of `demo_sequence`.
        folder: the cache; `cache_folder()` by default.
        workers: processes that render.
        progress: told the share that is done, now and then.
        cancelled: asked often whether to give up.

    Raises:
        InputError: settings that make no demo.
        OutputError: the cache cannot be written, or it was given up.
    """
    with open_demo(settings) as recording:
        parent = folder or cache_folder()
        home = parent / _key(settings)
        try:
            if not (home / "done").exists():
                _render_into(home, recording, settings, workers, progress, cancelled)
            (home / "done").touch()
            _prune(parent)
            rgb, depth_mm = (np.load(home / name, mmap_mode="r") for name in ("rgb.npy", "depth_mm.npy"))
        except (OSError, ValueError) as error:
            if isinstance(error, StormError):
                raise
            raise OutputError(
                f"the rendered demo cannot be kept in {parent}: {error}; free some 500 MB there, or set "
                "XDG_CACHE_HOME to another folder"
            ) from None
        return Rendered(
            rgb,
            depth_mm,
            _poses(recording),
            recording.camera,
            recording.rate_hz,
            recording.script,
            _box(recording.ground_truth.mask(0, recording.target_id)),
        )


def cache_folder() -> Path:
    """Where rendered demos are kept: storm_ros in $XDG_CACHE_HOME, by default ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "storm_ros" / "demos"


def _key(settings: Mapping[str, Any]) -> str:
    """Name of a rendered demo: another one as soon as the settings or the simulator's code change."""
    digest = hashlib.sha256(repr(sorted(settings.items())).encode())
    package = Path(__file__).resolve().parents[1]
    for part in ("sim", "render"):
        for module in sorted((package / part).glob("*.py")):
            digest.update(module.read_bytes())
    return digest.hexdigest()[:16]


def _render_into(
    home: Path,
    recording: SimulatedRecording,
    settings: Mapping[str, Any],
    workers: int,
    progress: Callable[[float], None],
    cancelled: Callable[[], bool],
) -> None:
    """Render into a folder beside the final one, which then takes its place."""
    home.parent.mkdir(parents=True, exist_ok=True)
    camera, frames = recording.camera, len(recording.numbers)
    work = Path(tempfile.mkdtemp(prefix=".rendering-", dir=home.parent))
    try:
        shape = (frames, camera.height, camera.width)
        np.lib.format.open_memmap(work / "rgb.npy", "w+", np.uint8, (*shape, 3)).flush()
        np.lib.format.open_memmap(work / "depth_mm.npy", "w+", np.uint16, shape).flush()
        chunks = [range(first, min(first + _CHUNK, frames)) for first in range(0, frames, _CHUNK)]
        tasks = [(str(work), dict(settings), chunk) for chunk in chunks]
        with get_context("spawn").Pool(workers, _begin_worker) as pool:  # ends its processes on leaving, done or not
            results, done = pool.imap_unordered(_render_chunk, tasks), 0
            while done < len(chunks):
                if cancelled():
                    raise OutputError("the demo was not rendered to its end: it was given up")
                try:
                    results.next(timeout=_POLL_S)
                except NotYet:
                    continue
                done += 1
                progress(done / len(chunks))
        (work / "done").touch()
        try:
            work.replace(home)
        except OSError:
            if not (home / "done").exists():  # else another process has just rendered the same
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _begin_worker() -> None:
    """Let others go first, and leave Ctrl-C to the process that waits."""
    os.nice(5)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _render_chunk(task: tuple[str, dict[str, Any], Sequence[int]]) -> None:
    folder, settings, numbers = task
    rgb, depth_mm = (np.load(Path(folder) / name, mmap_mode="r+") for name in ("rgb.npy", "depth_mm.npy"))
    with open_demo(settings) as recording:
        for number in numbers:
            frame = recording.read(number)
            rgb[number], depth_mm[number] = frame.rgb, _millimetres(frame.depth_m)
    rgb.flush()
    depth_mm.flush()


def _prune(parent: Path) -> None:
    """Remove the demos that were not used for longest."""
    done = sorted(parent.glob("*/done"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in done[_KEPT:]:
        shutil.rmtree(old.parent, ignore_errors=True)
    for left in parent.glob(".rendering-*"):  # of a process that was killed
        if time.time() - left.stat().st_mtime > _ABANDONED_S:
            shutil.rmtree(left, ignore_errors=True)


def _millimetres(depth_m: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    return np.clip(np.rint(depth_m * 1000), 0, np.iinfo(np.uint16).max).astype(np.uint16)


def _poses(recording: SimulatedRecording) -> npt.NDArray[np.float64]:
    truth, target = recording.ground_truth, recording.target_id
    return np.stack([np.asarray(truth.pose(number, target), np.float64) for number in recording.numbers])


def _box(mask: npt.NDArray[np.bool_] | None) -> tuple[int, int, int, int]:
    if mask is None or not mask.any():
        raise InputError("the target is not visible in the demo's first frame: choose another seed")
    rows, columns = mask_window(mask)
    return columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start
