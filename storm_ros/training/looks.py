"""Looks at a simulated scene: windows of its query images as the segmenter cuts them, and their references."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.core import se3
from storm_ros.training.augment import painted, warped_reference
from storm_ros.training.shards import DEPTH_STEP_M

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Rng = np.random.Generator
Scene = dict[str, npt.NDArray[np.generic]]

_OTHER_SIZE = 0.16  # of the logarithm of size, above which two things are no twins


@dataclass(frozen=True, eq=False)
class ReferenceLook:
    """One view of a reference.

    Attributes:
        rgb: (S, S, 3).
        depth_m: (S, S).
        mask: (S, S) in [0, 1].
        focal_px: of this crop.
        size_m: longer side of the object as it appears here; 0 without depth.
        points: (S / 8 * S / 8, 3) where each cell is in the object's frame, metres; NaN where it is not known.
    """

    rgb: Pixels
    depth_m: Floats
    mask: Floats
    focal_px: float
    size_m: float
    points: Floats


@dataclass(frozen=True, eq=False)
class QueryLook:
    """A window of a query image.

    Attributes:
        rgb: (H, W, 3).
        depth_m: (H, W).
        owner: (H, W) uint8, object + 1, 0 for none.
        focal_px: of this window.
        width_m: of the window at the distance of what is in its middle; 0 where it is only a part of the image.
        points: (H / 8 * W / 8, 3) where each cell is in the frame of the object it shows; NaN elsewhere.
        cells: (H / 8 * W / 8,) object of each cell, -1 for none.
    """

    rgb: Pixels
    depth_m: Floats
    owner: Pixels
    focal_px: float
    width_m: float
    points: Floats
    cells: npt.NDArray[np.int64]


def reference_look(scene: Scene, number: int, view: int, side: int, rng: Rng | None) -> ReferenceLook:
    """A reference at the size the network takes, changed at random where a generator is given."""
    depth = np.asarray(scene["ref_depth"][number, view], np.float32) * np.float32(DEPTH_STEP_M)
    mask = np.asarray(scene["ref_mask"][number, view], bool)
    focal = float(scene["ref_focal"][number, view])
    turned = warped_reference(
        np.asarray(scene["ref_rgb"][number, view], np.uint8), depth, mask, focal, side, rng
    )  # fmt: skip
    under = depth[mask & (depth > 0)]
    rows, columns = np.nonzero(mask)
    size = 0.0
    if len(under) and len(rows):
        size = float((max(np.ptp(rows), np.ptp(columns)) + 1) * np.median(under) / focal)
    pixels = cells_of(turned.to_source, side, side)
    points = _points(
        depth, focal, np.asarray(scene["ref_centre"][number, view]), pixels,
        np.asarray(scene["ref_cam_T_obj"][number, view], np.float64),
    )  # fmt: skip
    inside = turned.mask[4::8, 4::8].reshape(-1) > 0.5
    points[~inside] = np.nan
    return ReferenceLook(turned.rgb, turned.depth_m, turned.mask, turned.focal_px, size, points)


def close_look(
    scene: Scene, image: int, anchor: int, size_m: float, margin: float, shape: tuple[int, int], rng: Rng
) -> QueryLook:
    """A window about an object, as wide as so many objects of some size would be there.

    Args:
        scene: arrays of `make_scene`.
        image: number of the query image.
        anchor: number of an object that it shows.
        size_m: of what is looked for there; 0 where that is not known: the anchor's own size in pixels is taken.
        margin: width of the window in objects.
        shape: (H, W) of the look.
        rng: of its place.
    """
    owner = np.asarray(scene["owner"][image])
    own = owner == anchor + 1
    rows, columns = np.nonzero(own)
    depth = _depth(scene, image)
    focal = float(scene["focal"][image])
    under = depth[own & (depth > 0)]
    pixels = float(max(np.ptp(rows), np.ptp(columns)) + 1)
    metres = 0.0
    if size_m > 0 and len(under) > 4:
        metres = float(np.median(under)) * float(np.exp(rng.normal(0, 0.06))) / focal
        pixels = size_m / metres
    middle = np.array([columns.mean(), rows.mean()])
    if rng.random() < 0.5:
        middle = np.array([columns.min() + columns.max(), rows.min() + rows.max()]) / 2.0
    return _close(scene, image, depth, middle, (pixels, metres), margin, shape, rng)


def stray_look(scene: Scene, image: int, size_m: float, margin: float, shape: tuple[int, int], rng: Rng) -> QueryLook:
    """A window about any place of the image, as wide as so many objects of size_m (above 0) would be there."""
    depth = _depth(scene, image)
    place = rng.uniform(0, 1, 2) * depth.shape
    near = depth[tuple(slice(max(int(v) - 4, 0), int(v) + 5) for v in place)]
    near = near[near > 0]
    distance = float(np.median(near)) if near.size else float(rng.uniform(0.5, 1.5))
    metres = distance / float(scene["focal"][image])
    return _close(scene, image, depth, place[::-1], (size_m / metres, metres), margin, shape, rng)


def camouflaged(
    look: QueryLook, wanted: int, reference: ReferenceLook, size: Floats, rng: Rng
) -> tuple[QueryLook, int]:
    """A look in which one thing has colours of what is wanted: what touches it, or anything where it is not shown.

    Things about as large as what is wanted are left alone: painted, one of the same shape would be the same object.

    Args:
        look: with its own colours.
        wanted: number of the object that is looked for.
        reference: of it; its colours count where the look does not show it.
        size: (N,) of the objects, metres.
        rng: of the choice.

    Returns:
        The look, and the number of the object that is painted; -1 for none.
    """
    own = look.owner == wanted + 1
    other = np.abs(np.log(np.maximum(size, 0.01) / max(float(size[wanted]), 0.01))) > _OTHER_SIZE
    other[wanted] = False
    around = cv2.dilate(own.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0 if own.any() else np.ones_like(own)
    touching = np.bincount(look.owner[around].ravel(), minlength=len(size) + 1)[1:] * other
    colours = look.rgb[own] if own.any() else reference.rgb[reference.mask > 0.5]
    if not touching.any() or not len(colours):
        return look, -1
    chosen = int(rng.choice(len(size), p=touching / touching.sum()))
    rgb = painted(look.rgb, look.owner == chosen + 1, colours, rng)
    return replace(look, rgb=rgb, cells=np.where(look.cells == chosen, -1, look.cells)), chosen


def _depth(scene: Scene, image: int) -> Floats:
    return np.asarray(scene["depth"][image], np.float32) * np.float32(DEPTH_STEP_M)


def _close(
    scene: Scene, image: int, depth: Floats, middle: npt.NDArray[np.float64], scale: tuple[float, float], margin: float,
    shape: tuple[int, int], rng: Rng,
) -> QueryLook:  # fmt: skip
    """A window so many objects wide, about a place; scale is their size in pixels, and that of a pixel in metres."""
    pixels, metres = scale
    width = max(margin * pixels * float(np.exp(rng.normal(0, 0.1))), 16.0)
    middle = middle + rng.normal(0, 0.1, 2) * pixels
    step = width / shape[1]
    to_source = np.array([
        [step, 0.0, middle[0] - step * (shape[1] - 1) / 2], [0.0, step, middle[1] - step * (shape[0] - 1) / 2],
    ])  # fmt: skip
    return _cut(scene, image, depth, np.asarray(scene["owner"][image]), to_source, shape, width * metres)


def plain_look(scene: Scene, image: int, shape: tuple[int, int], rng: Rng) -> QueryLook:
    """A part of a query image at its own resolution, about one of its objects."""
    owner = np.asarray(scene["owner"][image])
    full_h, full_w = owner.shape
    height, width = min(shape[0], full_h), min(shape[1], full_w)
    there = np.unique(owner[owner > 0])
    middle = rng.uniform(0, 1, 2) * [full_h, full_w]
    if len(there):
        rows, columns = np.nonzero(owner == there[rng.integers(len(there))])
        middle = np.array([rows.mean(), columns.mean()]) + rng.normal(0, 0.2, 2) * [height, width]
    top = int(np.clip(middle[0] - height / 2, 0, full_h - height))
    left = int(np.clip(middle[1] - width / 2, 0, full_w - width))
    depth = _depth(scene, image)
    to_source = np.array([[1.0, 0.0, left], [0.0, 1.0, top]])
    return _cut(scene, image, depth, owner, to_source, shape, 0.0)


def cells_of(to_source: npt.NDArray[np.float64], height: int, width: int) -> npt.NDArray[np.int64]:
    """Pixels (H / 8 * W / 8, 2), column and row, of the source that the middles of cells of 8 pixels show."""
    v, u = np.mgrid[4:height:8, 4:width:8].reshape(2, -1).astype(np.float64)
    return np.rint(np.stack([u, v, np.ones_like(u)], 1) @ to_source.T).astype(np.int64)


def _cut(
    scene: Scene, image: int, depth: Floats, owner: Pixels, to_source: npt.NDArray[np.float64],
    shape: tuple[int, int], width_m: float,
) -> QueryLook:  # fmt: skip
    height, width = shape
    rgb = np.asarray(scene["rgb"][image], np.uint8)
    scale = float(to_source[0, 0])
    if scale > 1.2:
        rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), 0.4 * scale), np.uint8)
    flags = cv2.WARP_INVERSE_MAP
    colour = cv2.warpAffine(
        rgb, to_source, (width, height), flags=cv2.INTER_LINEAR | flags, borderMode=cv2.BORDER_REPLICATE
    )
    near = cv2.warpAffine(depth, to_source, (width, height), flags=cv2.INTER_NEAREST | flags)
    whose = cv2.warpAffine(owner, to_source, (width, height), flags=cv2.INTER_NEAREST | flags)
    focal = float(scene["focal"][image])
    pixels = cells_of(to_source, height, width)
    cells = np.asarray(whose[4::8, 4::8], np.int64).reshape(-1) - 1
    points = np.full((len(cells), 3), np.nan, np.float32)
    for number in np.unique(cells[cells >= 0]):
        here = cells == number
        pose = np.asarray(scene["cam_T_obj"][image, number], np.float64)
        points[here] = _points(depth, focal, np.asarray(scene["centre"][image]), pixels[here], pose)
    return QueryLook(
        np.asarray(colour, np.uint8), np.asarray(near, np.float32), np.asarray(whose, np.uint8), focal / scale, width_m,
        points, cells,
    )  # fmt: skip


def _points(
    depth: Floats, focal: float, centre: npt.NDArray[np.generic], pixels: npt.NDArray[np.int64],
    cam_T_obj: npt.NDArray[np.float64],
) -> Floats:  # fmt: skip
    """Points (N, 3) in the object's frame that pixels (N, 2) see; NaN outside the image and without depth."""
    height, width = depth.shape
    u, v = pixels[:, 0], pixels[:, 1]
    inside = (u >= 0) & (v >= 0) & (u < width) & (v < height)
    z = np.where(inside, depth[np.clip(v, 0, height - 1), np.clip(u, 0, width - 1)], 0.0).astype(np.float64)
    cx, cy = float(centre[0]), float(centre[1])
    seen = np.stack([(u - cx) / focal * z, (v - cy) / focal * z, z], axis=1)
    out = se3.apply(se3.inverse(cam_T_obj), seen).astype(np.float32)
    out[z <= 0] = np.nan
    return out
