"""Batches of cases with a memory drawn for each, in an order that the seed decides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.encoders.nano_input import input_planes
from storm_ros.tom.crops import Crop, object_places
from storm_ros.tom.memory import between
from storm_ros.training.augment import ColourChange, changed_depth, changed_pixels, random_change
from storm_ros.training.order import OrderedStream
from storm_ros.training.tom_settings import TomOptimConfig
from storm_ros.training.tom_shards import CaseShards, StoredEpisode

Floats = npt.NDArray[np.float32]
Rng = np.random.Generator

SWAPPED = 255
"""Kind of the cases that are compared with another object's memory."""

_NONE = np.zeros(0, np.float32)
_DEPTH_DROPOUT = 0.05
_SAME_PICTURE = 0.4  # share of the cases whose memory may hold a view of their own picture, as a frame before it


@dataclass(frozen=True, eq=False)
class CaseBatch:
    """Crops, and which of them are cases and which their memories.

    Attributes:
        planes: (N, S, S, 7) input of all crops; of none where their features are known.
        encoded: (N, L, F) features of all crops; of none where they are not.
        places: (N, S, S, 5).
        now: (P,) crop of each case.
        memory: (P, V) crops of its memory, the reference first.
        usable: (P, V) whether there is one.
        between: (P, V, 3) how they lie to each other, see `memory.between`.
        figures: (P, 8); NaN where they are withheld.
        right: (P,) bool.
        kind: (P,) index in `KINDS`, or `SWAPPED`.
    """

    planes: Floats
    encoded: Floats
    places: Floats
    now: npt.NDArray[np.int64]
    memory: npt.NDArray[np.int64]
    usable: npt.NDArray[np.bool_]
    between: Floats
    figures: Floats
    right: npt.NDArray[np.bool_]
    kind: npt.NDArray[np.uint8]


class Encoded(Protocol):
    """Features of crops that were computed before."""

    def of(self, episode: int, place: int, version: int) -> Floats:
        """Features (L, F) of a crop of an episode, in one of its versions."""
        ...


def make_case_batch(
    shards: CaseShards,
    config: TomOptimConfig,
    key: tuple[int, ...],
    episodes: list[int],
    *,
    every: bool = False,
    encoded: Encoded | None = None,
) -> CaseBatch:
    """One batch.

    Args:
        shards: the cases.
        config: how many, and which changes.
        key: seed of everything random here.
        episodes: numbers of the objects.
        every: take all their cases and the whole memory, without changes, as an evaluation does.
        encoded: features of the crops, where they need not be computed.
    """
    rng = np.random.default_rng(key)
    crops = _Crops(config.seed, encoded)
    rows: list[_Row] = []
    for index in episodes:
        episode = shards.episode(index)
        chosen = range(len(episode.right)) if every else _chosen_cases(episode, config.cases, rng)
        crops.begin(index, episode, 0 if every else int(rng.integers(config.versions)))
        for case in chosen:
            views = memory_of(episode, case, 64 if every else config.views, None if every else rng)
            figures = episode.figures[case].copy()
            if not every and rng.random() < config.evidence_dropout:
                figures[:] = np.nan
            place = episode.views + case
            lie = between(
                episode.crops[place].cam_T_obj, episode.shape.center, [episode.crops[v].cam_T_obj for v in views],
                [bool(episode.sources[v] < 0) for v in views],
            )  # fmt: skip
            rows.append(
                _Row(index, crops.number(place), [crops.number(v) for v in views], lie, figures,
                     bool(episode.right[case]), int(episode.kind[case]))
            )  # fmt: skip
    if not every:
        rows += _swapped(rows, config.swapped, rng)
    return _stacked(crops, rows)


@dataclass(frozen=True, eq=False)
class _Row:
    episode: int
    now: int
    memory: list[int]
    between: Floats
    figures: Floats
    right: bool
    kind: int


class _Crops:
    """Input of the crops of a batch, each made once."""

    def __init__(self, seed: int, encoded: Encoded | None) -> None:
        self.planes: list[Floats] = []
        self.places: list[Floats] = []
        self.features: list[Floats] = []
        self._seed, self._encoded = seed, encoded

    def begin(self, index: int, episode: StoredEpisode, version: int) -> None:
        self._index, self._episode, self._version = index, episode, version
        self._numbers: dict[int, int] = {}

    def number(self, place: int) -> int:
        if place not in self._numbers:
            self._numbers[place] = len(self.places)
            crop = crop_version(self._episode, (self._seed, self._index), place, self._version)
            self.places.append(object_places(crop, self._episode.shape))
            if self._encoded is None:
                self.planes.append(input_planes(crop.rgb, crop.depth_m, crop.camera.fx))
            else:
                self.features.append(self._encoded.of(self._index, place, self._version))
        return self._numbers[place]


def crop_version(episode: StoredEpisode, key: tuple[int, int], place: int, version: int) -> Crop:
    """A crop of an episode as it is (version 0), or changed; the colours of one version change alike in all crops."""
    crop = episode.crops[place]
    if version == 0:
        return crop
    tint = random_change(np.random.default_rng([*key, 43, version]), strong=True)
    return changed_crop(crop, tint, np.random.default_rng([*key, 44, version, place]))


def _swapped(rows: list[_Row], share: float, rng: Rng) -> list[_Row]:
    """Right cases compared with the memory of another object, as if it were theirs: wrong ones."""
    right = [row for row in rows if row.right]
    out = []
    for i in rng.permutation(len(right))[: round(share * len(right))]:
        own = right[i]
        others = [row for row in rows if row.episode != own.episode]
        if not others:
            continue
        other = others[int(rng.integers(len(others)))]
        count = min(len(own.memory), len(other.memory))
        figures = own.figures if rng.random() < 0.5 else np.full_like(own.figures, np.nan)
        out.append(_Row(own.episode, own.now, other.memory[:count], own.between[:count], figures, False, SWAPPED))
    return out


def _stacked(crops: _Crops, rows: list[_Row]) -> CaseBatch:
    count, most = len(rows), max(len(row.memory) for row in rows)
    memory, usable = np.zeros((count, most), np.int64), np.zeros((count, most), bool)
    lie = np.zeros((count, most, 3), np.float32)
    for i, row in enumerate(rows):
        here = slice(0, len(row.memory))
        memory[i, here], usable[i, here], lie[i, here] = row.memory, True, row.between
    return CaseBatch(
        np.stack(crops.planes or [_NONE]), np.stack(crops.features or [_NONE]), np.stack(crops.places),
        np.array([row.now for row in rows]), memory, usable, lie,
        np.stack([row.figures for row in rows]), np.array([row.right for row in rows]),
        np.array([row.kind for row in rows], np.uint8),
    )  # fmt: skip


def _chosen_cases(episode: StoredEpisode, count: int, rng: Rng) -> list[int]:
    """Cases of an episode, as many right as wrong where there are."""
    right, wrong = rng.permutation(np.flatnonzero(episode.right)), rng.permutation(np.flatnonzero(~episode.right))
    half = count // 2
    few = min(len(right), half)
    chosen = [*right[:few], *wrong[: count - few]]
    chosen += list(right[few : few + count - len(chosen)])
    return [int(c) for c in chosen]


def memory_of(episode: StoredEpisode, case: int, most: int, rng: Rng | None) -> list[int]:
    """Views a case is compared with: the reference, and some of the others; without a generator all of them.

    A view of the very picture that the case is from stands for the frame before it: at most one, and not always.
    """
    source = int(episode.sources[episode.views + case])
    others = [v for v in range(1, episode.views) if episode.sources[v] != source]
    same = [v for v in range(1, episode.views) if episode.sources[v] == source]
    if rng is None:
        return [0, *others][:most]
    count = int(rng.integers(0, most))
    others = [int(v) for v in rng.permutation(others)[:count]]
    if same and len(others) < most - 1 and rng.random() < _SAME_PICTURE:
        others.append(same[0])
    return [0, *others]


def changed_crop(crop: Crop, tint: ColourChange, rng: Rng) -> Crop:
    """A crop with other colours, at times less sharp, with noise, or with parts of the depth gone."""
    rgb = changed_pixels(changed_pixels(crop.rgb, tint), random_change(rng, strong=False))
    if rng.random() < 0.2:
        rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), float(rng.uniform(0.5, 2.0))), np.uint8)
    if rng.random() < 0.3:
        noise = rng.normal(0, rng.uniform(2, 10), rgb.shape)
        rgb = np.clip(rgb + noise, 0, 255).astype(np.uint8)
    bare = rng.random() < _DEPTH_DROPOUT
    return replace(crop, rgb=rgb, depth_m=np.zeros_like(crop.depth_m) if bare else changed_depth(crop.depth_m, rng))


class CaseStream(OrderedStream[CaseBatch]):
    """Batches by step number, made ahead on a thread; the same seed and step give the same batch."""

    def __init__(
        self,
        shards: CaseShards,
        config: TomOptimConfig,
        *,
        encoded: Encoded | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """Take the source.

        Args:
            shards: the cases.
            config: batch size, seed and so on.
            encoded: features of the crops, where they need not be computed.
            rank: number of this process.
            world: number of processes; they take different objects.
        """
        super().__init__(len(shards), config.batch, (config.seed, 42), rank, world)
        self.shards, self.config, self.encoded = shards, config, encoded

    def batch(self, step: int) -> CaseBatch:
        """The batch of a step."""
        key = (self.config.seed, 41, step, self.rank)
        return make_case_batch(self.shards, self.config, key, self.chosen(step), encoded=self.encoded)
