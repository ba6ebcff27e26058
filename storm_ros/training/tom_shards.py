"""Shards of cases: folders of plain arrays, one crop after the other."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from storm_ros.core.errors import InputError, RecordingError
from storm_ros.core.types import Camera
from storm_ros.pose import GeometricEstimator
from storm_ros.tom.crops import Crop, Shape
from storm_ros.training.shards import Shards
from storm_ros.training.tom_cases import DEPTH_STEP_M, Episode, scene_episodes
from storm_ros.training.tom_settings import TomDataConfig

FIELDS = (
    "rgb", "depth", "mask", "camera", "cam_T_obj", "source", "figures", "right", "kind",
    "first", "views", "cases", "center", "radius",
)  # fmt: skip


def write_case_shard(
    folder: Path,
    config: TomDataConfig,
    number: int,
    scenes: Shards,
    which: Sequence[int],
    estimator: GeometricEstimator,
) -> Path:
    """Make the cases of some scenes and write them; a shard that is there already stays.

    Args:
        folder: of all shards of cases.
        config: how many of what.
        number: of the shard; with the seed and the scenes it decides everything in it.
        scenes: shards of scenes.
        which: numbers of the scenes in use.
        estimator: the one that is used in tracking, too.

    Returns:
        The shard's folder.

    Raises:
        InputError: none of the scenes gives a case.
    """
    target = folder / f"{number:05d}"
    if target.is_dir():
        return target
    made: list[Episode] = []
    for index in which:
        rng = np.random.default_rng([config.seed, number, index, 31])
        made.extend(scene_episodes(scenes.scene(index), config, estimator, rng))
    if not made:
        raise InputError(f"scenes {which[0]} to {which[-1]} give no case: make larger ones with storm train scenes")
    return write_episodes(target, made)


def write_episodes(target: Path, episodes: Sequence[Episode]) -> Path:
    """Write episodes as a shard: a folder that is not there yet."""
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for name, values in _arrays(episodes).items():
        np.save(draft / f"{name}.npy", values)
    os.replace(draft, target)
    return target


def _arrays(episodes: Sequence[Episode]) -> dict[str, npt.NDArray[np.generic]]:
    crops = [crop for e in episodes for crop in (*e.views, *(case.crop for case in e.cases))]
    cases = [case for e in episodes for case in e.cases]
    sizes = [len(e.views) + len(e.cases) for e in episodes]
    return {
        "rgb": np.stack([c.rgb for c in crops]),
        "depth": np.stack([np.clip(np.rint(c.depth_m / DEPTH_STEP_M), 0, 65535).astype(np.uint16) for c in crops]),
        "mask": np.stack([np.rint(255 * c.mask).astype(np.uint8) for c in crops]),
        "camera": np.array([[c.camera.fx, c.camera.cx, c.camera.cy] for c in crops], np.float32),
        "cam_T_obj": np.stack([c.cam_T_obj for c in crops]),
        "source": np.array([s for e in episodes for s in (*e.sources, *(case.source for case in e.cases))], np.int16),
        "figures": np.stack([case.figures for case in cases]),
        "right": np.array([case.right for case in cases]),
        "kind": np.array([case.kind for case in cases], np.uint8),
        "first": np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64),
        "views": np.array([len(e.views) for e in episodes], np.int16),
        "cases": np.array([len(e.cases) for e in episodes], np.int16),
        "center": np.stack([e.shape.center for e in episodes]),
        "radius": np.array([e.shape.radius_m for e in episodes]),
    }


@dataclass(frozen=True, eq=False)
class StoredEpisode:
    """An episode as it is read back: crops of V views, then of C cases.

    Attributes:
        crops: V + C of them.
        sources: (V + C,) number of the image in its scene; -1 for reference pictures.
        shape: without the points, which only cutting needs.
        views: V.
        figures: (C, 8).
        right: (C,) bool.
        kind: (C,) index in `KINDS`.
    """

    crops: list[Crop]
    sources: npt.NDArray[np.int16]
    shape: Shape
    views: int
    figures: npt.NDArray[np.float32]
    right: npt.NDArray[np.bool_]
    kind: npt.NDArray[np.uint8]


class CaseShards:
    """All episodes of some folders, by number; pixels are read from disk when they are asked for."""

    def __init__(self, folders: Sequence[str | Path]) -> None:
        """List what is there.

        Raises:
            InputError: no shard in the folders.
            RecordingError: a shard that is damaged or of another layout.
        """
        paths = sorted(p for folder in folders for p in Path(folder).glob("[0-9]*") if p.is_dir())
        if not paths:
            where = ", ".join(str(f) for f in folders) or "no folder"
            raise InputError(f"no shard of cases in {where}: make some with storm train cases --out FOLDER")
        self._shards = [_opened(path) for path in paths]
        self._first = np.cumsum([0] + [len(s["first"]) for s in self._shards])
        self._case_first = [np.concatenate([[0], np.cumsum(s["cases"])]) for s in self._shards]

        totals = [len(s["source"]) for s in self._shards]
        starts = np.cumsum([0, *totals])
        begins = [np.asarray(s["first"]) + start for s, start in zip(self._shards, starts[:-1], strict=True)]
        self.crop_first = np.concatenate([*begins, starts[-1:]])
        """(episodes + 1,) number of each episode's first crop among all crops, then how many there are."""

    def __len__(self) -> int:
        """Number of episodes."""
        return int(self._first[-1])

    def episode(self, index: int) -> StoredEpisode:
        """One episode."""
        number = int(np.searchsorted(self._first, index, side="right")) - 1
        shard, place = self._shards[number], index - int(self._first[number])
        start, views, cases = (int(shard[n][place]) for n in ("first", "views", "cases"))
        crops = slice(start, start + views + cases)
        own = slice(int(self._case_first[number][place]), int(self._case_first[number][place + 1]))
        shape = Shape(np.zeros((0, 3)), np.asarray(shard["center"][place]), float(shard["radius"][place]))
        return StoredEpisode(
            [_crop(shard, i) for i in range(crops.start, crops.stop)],
            np.asarray(shard["source"][crops], np.int16),
            shape,
            views,
            np.asarray(shard["figures"][own], np.float32),
            np.asarray(shard["right"][own], bool),
            np.asarray(shard["kind"][own], np.uint8),
        )


def _opened(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    try:
        return {name: np.load(path / f"{name}.npy", mmap_mode="r") for name in FIELDS}
    except (OSError, ValueError) as error:
        raise RecordingError(f"shard {path} cannot be read ({error}): delete it and make it again") from error


def _crop(shard: dict[str, npt.NDArray[np.generic]], i: int) -> Crop:
    rgb = np.asarray(shard["rgb"][i], np.uint8)
    focal, cx, cy = (float(v) for v in np.asarray(shard["camera"][i], np.float64))
    return Crop(
        rgb,
        np.asarray(shard["depth"][i], np.float32) * np.float32(DEPTH_STEP_M),
        np.asarray(shard["mask"][i], np.float32) * np.float32(1.0 / 255.0),
        Camera(rgb.shape[1], rgb.shape[0], focal, focal, cx, cy),
        np.asarray(shard["cam_T_obj"][i], np.float64),
    )
