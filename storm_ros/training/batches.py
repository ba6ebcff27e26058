"""Batches of looks at scenes with references to ask for, drawn from shards in an order that the seed decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from storm_ros.encoders.nano_input import input_planes
from storm_ros.som.colour_counts import palette
from storm_ros.som.sizes import FIT_MARGIN, LOOK_MARGIN
from storm_ros.training.augment import ColourChange, changed_depth, changed_pixels, random_change
from storm_ros.training.looks import (
    QueryLook,
    ReferenceLook,
    Scene,
    camouflaged,
    close_look,
    plain_look,
    reference_look,
    stray_look,
)
from storm_ros.training.order import OrderedStream
from storm_ros.training.settings import OptimConfig

Floats = npt.NDArray[np.float32]
Rng = np.random.Generator

MIN_VISIBLE_PX = 40
MIN_REFERENCE_PX = 120
MAX_ANGLE_DEG = 65.0
MIN_VISIBLE = 0.15

_SHARPNESS = 6.0  # with which a likely false candidate is preferred
_STRAY = 0.25  # share of the false candidates that are no object at all


@dataclass(frozen=True, eq=False)
class Batch:
    """Looks, references, and which is asked for where.

    Attributes:
        planes: (B, H, W, 7) input of the looks.
        reference: (N, V, S, S, 7) input of the references.
        reference_mask: (N, V, S, S) in [0, 1].
        which: (B, K) reference of each pair.
        target: (B, K, H / 2, W / 2) share of the object in each cell; zero where it is absent.
        present: (B, K) whether the object is in the look.
        weight: (B, K) 1, or 0 where the truth is in doubt: hardly visible, or seen from too far around.
        visible: (B, K) share of the object that is not hidden or cut off; 0 where it is absent.
        extent: (B, K) width of the look over the object's size; 0 where either is not known.
        scene: (N,) scene of each reference.
        owner: (B, H / 8 * W / 8) reference whose object a cell shows, -1 for none.
        points: (B, H / 8 * W / 8, 3) where the cell is in that object's frame, metres; NaN where it is not known.
        reference_points: (N, V * S / 8 * S / 8, 3) the same of the references' cells.
        size: (N,) of the objects as the references show them, metres; 0 where it is not known.
    """

    planes: Floats
    reference: Floats
    reference_mask: Floats
    which: npt.NDArray[np.int64]
    target: Floats
    present: npt.NDArray[np.bool_]
    weight: Floats
    visible: Floats
    extent: Floats
    scene: npt.NDArray[np.int64]
    owner: npt.NDArray[np.int64]
    points: Floats
    reference_points: Floats
    size: Floats


class Scenes(Protocol):
    """Scenes by number: `Shards`, or those of a ring."""

    def __len__(self) -> int:
        """Number of scenes that an epoch takes from."""
        ...

    @property
    def advance(self) -> int:
        """How many are left behind for as many new ones after each epoch."""
        ...

    def scene(self, index: int) -> Scene:
        """Arrays of one scene, as `make_scene` returns them."""
        ...


def make_batch(shards: Scenes, config: OptimConfig, side: int, key: tuple[int, ...], scenes: list[int]) -> Batch:
    """One batch.

    Args:
        shards: the scenes.
        config: batch size, pairs, views, changes.
        side: of a reference crop in pixels.
        key: seed of everything random here.
        scenes: which are looked at.
    """
    rng = np.random.default_rng(key)
    views = 1 if rng.random() < 0.7 else int(rng.integers(1, config.views + 1))
    parts: list[dict[str, npt.NDArray[Any]]] = []
    first = 0
    for place, index in enumerate(scenes):
        scene = shards.scene(index)
        count = len(scene["ref_visible"])
        parts.append(_looks_at(scene, config, side, views, rng))
        parts[-1]["which"] = parts[-1]["which"] + first
        parts[-1]["owner"] = np.where(parts[-1]["owner"] >= 0, parts[-1]["owner"] + first, -1)
        parts[-1]["scene"] = np.full(count, place, np.int64)
        first += count
    return Batch(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})  # type: ignore[arg-type]


class BatchStream(OrderedStream[Batch]):
    """Batches by step number, made ahead on a thread; the same seed and step give the same batch."""

    def __init__(self, shards: Scenes, config: OptimConfig, side: int, *, rank: int = 0, world: int = 1) -> None:
        """Take the source.

        Args:
            shards: the scenes.
            config: batch size, seed and so on.
            side: of a reference crop in pixels.
            rank: number of this process.
            world: number of processes; they take different scenes.
        """
        super().__init__(len(shards), config.batch, (config.seed, 12), rank, world, shards.advance)
        self.shards, self.config, self.side = shards, config, side

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        key = (self.config.seed, 11, step, self.rank)
        return make_batch(self.shards, self.config, self.side, key, self.chosen(step))


def _looks_at(scene: Scene, config: OptimConfig, side: int, views: int, rng: Rng) -> dict[str, npt.NDArray[Any]]:
    """The part of a batch that one scene makes; references by their number in the scene."""
    tint = random_change(rng, strong=True) if config.augment else None
    count = len(scene["ref_visible"])
    chosen = _chosen_views(scene, views, rng)
    references = [
        [reference_look(scene, i, j, side, rng if config.augment else None) for j in chosen[i]] for i in range(count)
    ]
    size = np.array([references[i][0].size_m for i in range(count)], np.float32)
    alike = _likeness(references, size)
    looks: list[dict[str, npt.NDArray[Any]]] = []
    for _ in range(config.looks):
        image = int(rng.integers(len(scene["rgb"])))
        looks.append(_one_look(scene, image, chosen, references, size, alike, config, tint, rng))
    out = {name: np.stack([look[name] for look in looks]) for name in looks[0]}
    out["reference"] = np.stack(
        [np.stack([_planes(r.rgb, r.depth_m, r.focal_px, tint, config, rng) for r in row]) for row in references]
    )
    out["reference_mask"] = np.stack([np.stack([r.mask for r in row]) for row in references])
    out["reference_points"] = np.stack([np.concatenate([r.points for r in row]) for row in references])
    out["size"] = size
    if config.augment and rng.random() < 0.5:
        _mirror(out)
    return out


def _one_look(
    scene: Scene, image: int, chosen: npt.NDArray[np.int64], references: list[list[ReferenceLook]], size: Floats,
    alike: npt.NDArray[np.float64], config: OptimConfig, tint: ColourChange | None, rng: Rng,
) -> dict[str, npt.NDArray[Any]]:  # fmt: skip
    shown = np.flatnonzero(np.asarray(scene["visible"][image]) >= MIN_VISIBLE_PX)
    shape = (config.height, config.width)
    if not len(shown) or rng.random() >= config.close_share:
        anchor = int(rng.choice(shown)) if len(shown) else 0
        look = plain_look(scene, image, shape, rng)
        return _asked(scene, image, look, chosen, references, size, config, tint, rng, (anchor,))
    anchor = wanted = int(rng.choice(shown))
    if rng.random() < config.false_share:  # somewhere the object is not, but might be thought to be
        wanted = int(rng.integers(len(size)))
        others = shown[shown != wanted]
        if len(others):
            anchor = int(rng.choice(others, p=softmax(_SHARPNESS * alike[wanted, others])))
    known = float(size[wanted]) if rng.random() >= config.unknown_size else 0.0
    margin = LOOK_MARGIN if rng.random() < 0.5 else float(rng.uniform(FIT_MARGIN, LOOK_MARGIN))
    if wanted != anchor and known > 0 and rng.random() < _STRAY:
        look = stray_look(scene, image, known, margin, shape, rng)
        return _asked(scene, image, look, chosen, references, size, config, tint, rng, (wanted,))
    look = close_look(scene, image, anchor, known, margin, shape, rng)
    hidden = -1
    if config.augment and rng.random() < config.paint_share:
        look, hidden = camouflaged(look, wanted, references[wanted][0], size, rng)
    return _asked(scene, image, look, chosen, references, size, config, tint, rng, (anchor, wanted), hidden)


def _likeness(references: list[list[ReferenceLook]], size: Floats) -> npt.NDArray[np.float64]:
    """(N, N) in [0, 1] how alike objects are in colours and size."""
    masks = [row[0].mask > 0.5 for row in references]
    whole = np.ones_like(masks[0])
    palettes = np.stack(
        [palette(row[0].rgb, mask if mask.any() else whole) for row, mask in zip(references, masks, strict=True)]
    )
    colours = np.minimum(palettes[:, None], palettes[None]).sum(-1)
    length = np.log(np.maximum(size, 0.01))
    return colours * np.exp(-np.abs(length[:, None] - length[None]))


def _asked(
    scene: Scene, image: int, look: QueryLook, chosen: npt.NDArray[np.int64], references: list[list[ReferenceLook]],
    size: Floats, config: OptimConfig, tint: ColourChange | None, rng: Rng, first: tuple[int, ...],
    hidden: int = -1,
) -> dict[str, npt.NDArray[Any]]:  # fmt: skip
    height, width = look.owner.shape
    count = len(size)
    pixels = np.bincount(look.owner.ravel(), minlength=count + 1)[1 : count + 1]
    whole = np.maximum(np.asarray(scene["whole"][image]), 1)
    scale = float(scene["focal"][image]) / look.focal_px
    seen = np.minimum(pixels * scale * scale / whole, 1.0)  # of the whole object
    angle = np.asarray(scene["angle_deg"][image])[np.arange(count)[:, None], chosen].min(1)
    ready = _usable(scene)[np.arange(count), chosen[:, 0]]
    present = (pixels >= MIN_VISIBLE_PX) & (seen > MIN_VISIBLE)
    sure = ready & ((present & (angle < MAX_ANGLE_DEG)) | (pixels == 0))
    if hidden >= 0:  # it has other colours than its references
        sure[hidden] = False
    keep = [i for i in dict.fromkeys(first) if sure[i]]
    yes = [int(i) for i in rng.permutation(np.flatnonzero(sure & present)) if i not in keep]
    no = [int(i) for i in rng.permutation(np.flatnonzero(sure & ~present)) if i not in keep]
    share = max(1, round(config.pairs * (1.0 - config.absent_share)))
    asked = (keep + yes)[:share]
    asked += no[: config.pairs - len(asked)]
    asked += [i for i in yes if i not in asked][: config.pairs - len(asked)]
    rest = [int(i) for i in rng.permutation(count) if i not in asked]
    which = np.array((asked + rest + asked * config.pairs + [0] * config.pairs)[: config.pairs], np.int64)
    target = np.zeros((config.pairs, height // 2, width // 2), np.float32)
    for j, number in enumerate(which):
        if present[number]:
            cells = (look.owner == number + 1).astype(np.float32)
            target[j] = cv2.resize(cells, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    extent = np.where((size > 0) & (look.width_m > 0), look.width_m / np.maximum(size, 1e-6), 0.0)
    return {
        "planes": _planes(look.rgb, look.depth_m, look.focal_px, tint, config, rng),
        "which": which,
        "target": target,
        "present": present[which],
        "weight": sure[which].astype(np.float32),
        "visible": np.where(present, seen, 0.0)[which].astype(np.float32),
        "extent": extent[which].astype(np.float32),
        "owner": look.cells,
        "points": look.points,
    }


def _mirror(part: dict[str, npt.NDArray[np.generic]]) -> None:
    """Exchange right and left in everything of a scene's part."""
    b, height, width = part["planes"].shape[:3]
    n, v, side = part["reference"].shape[:3]
    rows, columns, cells = height // 8, width // 8, side // 8
    part["planes"] = part["planes"][:, :, ::-1]
    part["target"] = part["target"][..., ::-1]
    part["owner"] = part["owner"].reshape(b, rows, columns)[:, :, ::-1].reshape(b, -1)
    part["points"] = part["points"].reshape(b, rows, columns, 3)[:, :, ::-1].reshape(b, -1, 3)
    part["reference"] = part["reference"][:, :, :, ::-1]
    part["reference_mask"] = part["reference_mask"][..., ::-1]
    points = part["reference_points"].reshape(n, v, cells, cells, 3)
    part["reference_points"] = points[:, :, :, ::-1].reshape(n, -1, 3)


def _usable(scene: Scene) -> npt.NDArray[np.bool_]:
    """(N, R) which references show enough of their object."""
    mask_px = np.asarray(scene["ref_mask"]).sum((2, 3))
    return (np.asarray(scene["ref_visible"], np.float32) > 0.6) & (mask_px > MIN_REFERENCE_PX)


def _chosen_views(scene: Scene, views: int, rng: Rng) -> npt.NDArray[np.int64]:
    """Which references (N, V) of each object to give, usable ones first."""
    usable = _usable(scene)
    out = np.zeros((len(usable), views), np.int64)
    for i, good in enumerate(usable):
        order = [*rng.permutation(np.flatnonzero(good)), *np.flatnonzero(~good)]
        few = [j for j in order if good[j]] or order
        out[i] = [few[v % len(few)] for v in range(views)]
    return out


def _planes(
    rgb: npt.NDArray[np.uint8], depth: Floats, focal: float, tint: ColourChange | None, config: OptimConfig, rng: Rng
) -> Floats:
    if tint is not None:
        rgb = changed_pixels(changed_pixels(rgb, tint), random_change(rng, strong=False))
        if rng.random() < config.depth_dropout:
            return input_planes(rgb, None, focal)
        depth = changed_depth(depth, rng)
    return input_planes(rgb, depth, focal)
