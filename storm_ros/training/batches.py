"""Batches of query images with references to ask for, drawn from shards in an order that the seed decides."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.encoders.nano_input import CHANNELS, input_planes
from storm_ros.training.augment import ColourChange, changed_depth, changed_pixels, random_change, warped_reference
from storm_ros.training.settings import OptimConfig
from storm_ros.training.shards import DEPTH_STEP_M, Shards

Floats = npt.NDArray[np.float32]
Rng = np.random.Generator

MIN_VISIBLE_PX = 40
MIN_REFERENCE_PX = 120
MAX_ANGLE_DEG = 65.0


@dataclass(frozen=True, eq=False)
class Batch:
    """Query images, references, and which is asked for where.

    Attributes:
        planes: (B, H, W, 7) input of the query images.
        reference: (N, V, S, S, 7) input of the references.
        reference_mask: (N, V, S, S) in [0, 1].
        which: (B, K) reference of each pair.
        target: (B, K, H / 4, W / 4) share of the object in each cell; zero where it is absent.
        present: (B, K) whether the object is in the image.
        visible: (B, K) share of the object that is not hidden or cut off; 0 where it is absent.
    """

    planes: Floats
    reference: Floats
    reference_mask: Floats
    which: npt.NDArray[np.int64]
    target: Floats
    present: npt.NDArray[np.bool_]
    visible: Floats


def make_batch(shards: Shards, config: OptimConfig, side: int, key: tuple[int, ...], scenes: list[int]) -> Batch:
    """One batch.

    Args:
        shards: the scenes.
        config: batch size, pairs, views, changes.
        side: of a reference crop in pixels.
        key: seed of everything random here.
        scenes: the scene of each query image.
    """
    rng = np.random.default_rng(key)
    views = 1 if rng.random() < 0.75 else int(rng.integers(1, config.views + 1))
    own = max(1, round(config.pairs * 0.75))
    drawn = [_from_scene(shards.scene(s), config, side, views, own, rng) for s in scenes]
    count = len(drawn)
    which = np.zeros((count, config.pairs), np.int64)
    for k in range(count):
        which[k, :own] = np.arange(own) + k * own
        others = np.delete(np.arange(count * own), np.arange(own) + k * own)
        pool = others if len(others) else np.arange(own)
        which[k, own:] = rng.choice(pool, config.pairs - own, replace=len(pool) < config.pairs - own)
    target = np.zeros((count, config.pairs, *drawn[0].target.shape[1:]), np.float32)
    present = np.zeros((count, config.pairs), bool)
    visible = np.zeros((count, config.pairs), np.float32)
    for k, one in enumerate(drawn):
        for j in range(config.pairs):
            place = which[k, j] - k * own
            if 0 <= place < own:
                target[k, j], visible[k, j] = one.target[place], one.visible[place]
                present[k, j] = one.visible[place] > 0
    return Batch(
        np.stack([one.planes for one in drawn]), np.concatenate([one.reference for one in drawn]),
        np.concatenate([one.reference_mask for one in drawn]), which, target, present, visible,
    )  # fmt: skip


class BatchStream:
    """Batches by step number, made ahead on threads; the same seed and step give the same batch."""

    def __init__(self, shards: Shards, config: OptimConfig, side: int, *, rank: int = 0, world: int = 1) -> None:
        """Take the source.

        Args:
            shards: the scenes.
            config: batch size, seed and so on.
            side: of a reference crop in pixels.
            rank: number of this process.
            world: number of processes; they take different scenes.
        """
        self.shards, self.config, self.side, self.rank, self.world = shards, config, side, rank, world
        self._orders: dict[int, npt.NDArray[np.int64]] = {}

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        c = self.config
        first = (step * self.world + self.rank) * c.batch
        return make_batch(
            self.shards, c, self.side, (c.seed, 11, step, self.rank), [self._scene(first + i) for i in range(c.batch)]
        )

    def _scene(self, draw: int) -> int:
        epoch, place = divmod(draw, len(self.shards))
        if epoch not in self._orders:
            order = np.random.default_rng([self.config.seed, 12, epoch]).permutation(len(self.shards))
            self._orders = {epoch: order, **{e: o for e, o in self._orders.items() if e == epoch - 1}}
        return int(self._orders[epoch][place])

    def from_step(self, first: int, last: int, ahead: int = 2) -> Iterator[Batch]:
        """Batches of the steps first to last - 1, made ahead."""
        with ThreadPoolExecutor(1) as pool:
            waiting = [pool.submit(self.batch, s) for s in range(first, min(first + ahead, last))]
            for step in range(first, last):
                done = waiting.pop(0).result()
                if step + ahead < last:
                    waiting.append(pool.submit(self.batch, step + ahead))
                yield done


@dataclass(frozen=True, eq=False)
class _Drawn:
    planes: Floats
    reference: Floats
    reference_mask: Floats
    target: Floats
    visible: Floats


def _from_scene(
    scene: dict[str, npt.NDArray[np.generic]], config: OptimConfig, side: int, views: int, own: int, rng: Rng
) -> _Drawn:
    image = int(rng.integers(len(scene["rgb"])))
    owner = np.asarray(scene["owner"][image])
    top, left, height, width = _crop(owner, config, rng)
    window = (slice(top, top + height), slice(left, left + width))
    owner = owner[window]
    count = len(scene["visible"][image])
    pixels = np.bincount(owner.ravel(), minlength=count + 1)[1 : count + 1]
    wanted = _wanted(scene, image, pixels, config, own, rng)
    flip = bool(config.augment and rng.random() < 0.5)
    tint = random_change(rng, strong=True) if config.augment else None
    rgb = np.ascontiguousarray(scene["rgb"][image][window], dtype=np.uint8)
    depth = np.asarray(scene["depth"][image][window], dtype=np.float32) * np.float32(DEPTH_STEP_M)
    planes = _planes(rgb, depth, float(scene["focal"][image]), tint, config, rng)
    reference = np.zeros((own, views, side, side, CHANNELS), np.float32)
    masks = np.zeros((own, views, side, side), np.float32)
    target = np.zeros((own, height // 4, width // 4), np.float32)
    visible = np.zeros(own, np.float32)
    for j, number in enumerate(wanted):
        if pixels[number] >= MIN_VISIBLE_PX:
            cells = (owner == number + 1).astype(np.float32)
            target[j] = cv2.resize(cells, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
            visible[j] = min(1.0, pixels[number] / max(int(scene["whole"][image][number]), 1))
        for v, seen in enumerate(_views(scene, image, number, views, rng)):
            r_rgb, r_depth, r_mask, r_focal = warped_reference(
                np.asarray(scene["ref_rgb"][number, seen], np.uint8),
                np.asarray(scene["ref_depth"][number, seen], np.float32) * np.float32(DEPTH_STEP_M),
                np.asarray(scene["ref_mask"][number, seen], bool),
                float(scene["ref_focal"][number, seen]), side, rng if config.augment else None,
            )  # fmt: skip
            r_rgb = _agreeing(r_rgb, r_mask > 0.5, rgb, owner, number + 1, config.colour_agreement, rng)
            reference[j, v] = _planes(r_rgb, r_depth, r_focal, tint, config, rng)
            masks[j, v] = r_mask
    if flip:
        planes, target = planes[:, ::-1], target[..., ::-1]
        reference, masks = reference[:, :, :, ::-1], masks[..., ::-1]
    return _Drawn(planes, reference, masks, target, visible)


def _agreeing(
    rgb: npt.NDArray[np.uint8],
    mask: npt.NDArray[np.bool_],
    query: npt.NDArray[np.uint8],
    owner: npt.NDArray[np.uint8],
    number: int,
    share: float,
    rng: Rng,
) -> npt.NDArray[np.uint8]:
    """A reference whose exposure and white balance are brought nearer to the query image's.

    One camera takes both in use; its automatic exposure leaves less between them than two random cameras do. A
    reference that is not in the image comes near the brightness of something that is, or nothing would be hard.
    """
    there = owner == number
    colourful = bool(there.any())
    if share <= 0 or not mask.any():
        return rgb
    if not colourful:
        others = np.unique(owner[owner > 0])
        if not len(others) or rng.random() < 0.5:
            return rgb
        there = owner == others[rng.integers(len(others))]
    ours, theirs = query[there].mean(0) + 4.0, rgb[mask].mean(0) + 4.0
    gain = ours / theirs if colourful else np.full(3, ours.mean() / theirs.mean())
    gain = np.clip(gain, 0.4, 2.5) ** share
    return np.clip(rgb * gain.astype(np.float32), 0, 255).astype(np.uint8)


def _crop(owner: npt.NDArray[np.uint8], config: OptimConfig, rng: Rng) -> tuple[int, int, int, int]:
    """Top, left, height and width of the part of a query image that is used, about one of its objects."""
    full_h, full_w = owner.shape
    height, width = min(config.height or full_h, full_h), min(config.width or full_w, full_w)
    if (height, width) == (full_h, full_w):
        return 0, 0, full_h, full_w
    there = np.unique(owner[owner > 0])
    middle = rng.uniform(0, 1, 2) * [full_h, full_w]
    if len(there):
        rows, columns = np.nonzero(owner == there[rng.integers(len(there))])
        middle = np.array([rows.mean(), columns.mean()]) + rng.normal(0, 0.2, 2) * [height, width]
    top = int(np.clip(middle[0] - height / 2, 0, full_h - height))
    left = int(np.clip(middle[1] - width / 2, 0, full_w - width))
    return top, left, height, width


def _wanted(
    scene: dict[str, npt.NDArray[np.generic]],
    image: int,
    pixels: npt.NDArray[np.int64],
    config: OptimConfig,
    own: int,
    rng: Rng,
) -> list[int]:
    """Objects of the scene to ask for, mostly such that the image shows; with a usable reference all of them."""
    good = _usable(scene)
    angle = np.where(good, np.asarray(scene["angle_deg"][image]), 180.0)
    whole = np.maximum(np.asarray(scene["whole"][image]), 1)
    ready = good.any(1)
    present = (pixels >= MIN_VISIBLE_PX) & (pixels / whole > 0.15) & (angle.min(1) < MAX_ANGLE_DEG) & ready
    absent = (pixels == 0) & ready
    yes, no = rng.permutation(np.flatnonzero(present)), rng.permutation(np.flatnonzero(absent))
    few = int(rng.binomial(own, config.absent_share * 0.5)) if len(no) else 0
    chosen = [*no[:few], *yes[: own - few]]
    chosen += [*no[few:], *yes[own - few :]][: own - len(chosen)]
    fallback = np.flatnonzero(absent | present) if len(chosen) else np.arange(len(pixels))
    while len(chosen) < own:
        chosen.append(rng.choice(fallback))
    return [int(c) for c in chosen]


def _usable(scene: dict[str, npt.NDArray[np.generic]]) -> npt.NDArray[np.bool_]:
    """(N, R) which references show enough of their object."""
    mask_px = np.asarray(scene["ref_mask"]).sum((2, 3))
    return (np.asarray(scene["ref_visible"], np.float32) > 0.6) & (mask_px > MIN_REFERENCE_PX)


def _views(scene: dict[str, npt.NDArray[np.generic]], image: int, number: int, views: int, rng: Rng) -> list[int]:
    """Which references of an object to give: at least one from near enough to the query's view."""
    good = np.flatnonzero(_usable(scene)[number])
    good = good if len(good) else np.arange(len(scene["ref_visible"][number]))
    near = [int(g) for g in good if scene["angle_deg"][image][number][g] < MAX_ANGLE_DEG]
    pool = near or [int(g) for g in good]
    first = pool[int(rng.integers(len(pool)))]
    rest = [int(g) for g in good if g != first] or [first]
    return [first, *(rest[int(rng.integers(len(rest)))] for _ in range(views - 1))]


def _planes(
    rgb: npt.NDArray[np.uint8], depth: Floats, focal: float, tint: ColourChange | None, config: OptimConfig, rng: Rng
) -> Floats:
    if tint is not None:
        rgb = changed_pixels(changed_pixels(rgb, tint), random_change(rng, strong=False))
        if rng.random() < config.depth_dropout:
            return input_planes(rgb, None, focal)
        depth = changed_depth(depth, rng)
    return input_planes(rgb, depth, focal)
