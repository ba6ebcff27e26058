"""Shards: folders of plain arrays, written once and read in any order without loading them whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from storm_ros.core.errors import InputError, OutputError, RecordingError
from storm_ros.core.types import Mesh
from storm_ros.training.scenes import make_scene
from storm_ros.training.settings import SceneConfig
from storm_ros.training.studio import Studio

DEPTH_STEP_M = 0.0005
"""Metres per unit of a stored depth."""

FIELDS = (
    "rgb", "depth", "owner", "focal", "centre", "visible", "whole", "angle_deg", "cam_T_obj",
    "ref_rgb", "ref_depth", "ref_mask", "ref_focal", "ref_centre", "ref_visible", "ref_cam_T_obj",
)  # fmt: skip


def write_shard(folder: Path, config: SceneConfig, number: int, scans: Sequence[Mesh], device: str = "cpu") -> Path:
    """Make the scenes of a shard and write them; a shard that is there already stays.

    Args:
        folder: of all shards.
        config: of the scenes.
        number: of the shard; with the seed it decides everything in it.
        scans: scanned objects to choose from.
        device: of the ray caster.

    Returns:
        The shard's folder.

    Raises:
        OutputError: it cannot be written.
    """
    target = folder / f"{number:05d}"
    if target.is_dir():
        return target
    studio = Studio(config, number, scans, device)
    made = [
        make_scene(studio, config, np.random.default_rng([config.seed, number, 2, i])) for i in range(config.scenes)
    ]
    draft = folder / f".{number:05d}.{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir(parents=True)
        for name in FIELDS:
            np.save(draft / f"{name}.npy", np.stack([scene[name] for scene in made]))
        os.replace(draft, target)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        reason = error.strerror or error
        raise OutputError(f"shard {target} cannot be written ({reason}): make room or choose another disk") from None
    return target


def open_shard(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """Arrays of all scenes of a shard, by name; not yet in memory.

    Raises:
        RecordingError: it is damaged or of another layout.
    """
    try:
        return {name: np.load(path / f"{name}.npy", mmap_mode="r") for name in FIELDS}
    except (OSError, ValueError) as error:
        raise RecordingError(f"shard {path} cannot be read ({error}): delete it and make it again") from error


class Shards:
    """All scenes of some folders, by number; pixels are read from disk when they are asked for."""

    def __init__(self, folders: Sequence[str | Path]) -> None:
        """List what is there; shards that come later are not seen.

        Raises:
            InputError: no shard in the folders.
            RecordingError: a shard that is damaged or of another layout.
        """
        paths = sorted(p for folder in folders for p in Path(folder).glob("[0-9]*") if p.is_dir())
        if not paths:
            where = ", ".join(str(f) for f in folders) or "no folder"
            raise InputError(f"no shard in {where}: make some with storm train scenes --out FOLDER")
        self.paths = paths
        self._open: dict[int, dict[str, npt.NDArray[np.generic]]] = {}
        self._first = np.cumsum([0] + [len(self._shard(i)["focal"]) for i in range(len(paths))])

    advance = 0
    """New scenes after each epoch; see `RingScenes`."""

    def __len__(self) -> int:
        """Number of scenes."""
        return int(self._first[-1])

    def __getstate__(self) -> dict[str, object]:
        """What another process needs: it opens the shards by itself."""
        return {**self.__dict__, "_open": {}}

    def scene(self, index: int) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays of one scene, as `make_scene` returns them; not yet in memory."""
        shard = int(np.searchsorted(self._first, index, side="right")) - 1
        return {name: values[index - self._first[shard]] for name, values in self._shard(shard).items()}

    def _shard(self, index: int) -> dict[str, npt.NDArray[np.generic]]:
        if index not in self._open:
            self._open[index] = open_shard(self.paths[index])
        return self._open[index]
