"""From a box or a point in one RGB-D image to the object's mask, by depth first and by colour where that ends."""

from __future__ import annotations

import numpy as np

from storm_ros.core.errors import InputError
from storm_ros.core.types import MIN_MASK_PIXELS, Mask, RgbdFrame
from storm_ros.mesh.plane import fit_plane
from storm_ros.som.grouping import (
    BAND_PX,
    Bools,
    SceneParts,
    grown,
    lobe,
    part_at,
    parts_inside,
    scene_parts,
    window_points,
    with_floating,
)
from storm_ros.som.settle import settle_by_colour

_NEAR_M = 0.28  # how far around a point its object and what it stands on are looked for
_CLOSE_M = 0.08  # the surface it stands on is looked for beyond this distance


def mask_from_box(frame: RgbdFrame, box: tuple[float, float, float, float]) -> Mask:
    """Mask of the object inside a box.

    Args:
        frame: the image.
        box: (x, y, width, height) in pixels; it should hold the whole object and little else.

    Returns:
        (H, W) bool, inside the box.

    Raises:
        InputError: a box without size or outside the image, or one without an object in it.
    """
    rows, columns = _box_window(frame, box)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    margin = 20 + max(height, width) // 3
    window = _clipped(frame, rows.start - margin, rows.stop + margin, columns.start - margin, columns.stop + margin)
    inside = np.zeros(frame.shape, bool)
    inside[rows, columns] = True
    inside = inside[window]
    points, valid = window_points(frame, window)
    scene = scene_parts(frame, window, points, fit_plane(points[valid & ~inside], min_share=0.25))
    likely = parts_inside(scene, inside)
    if likely.sum() < MIN_MASK_PIXELS:  # flat on the table, or without depth: colour alone has to do
        v, u = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        likely = np.zeros(inside.shape, bool)
        likely[inside] = ((u**2 + v**2) < 0.7).ravel()
        sure_background = ~inside
    else:
        sure_background = ~inside | _far_from(likely, scene.background | (scene.labels >= 0) & ~likely)
    mask = settle_by_colour(scene.rgb, likely, sure_background, inside)
    if (mask & likely).sum() < 0.5 * likely.sum():  # colours too much alike: depth is the better witness
        mask = likely
    return _full(frame, scene, mask, f"box {_text(box)}")


def mask_from_point(frame: RgbdFrame, point: tuple[float, float]) -> Mask:
    """Mask of the object under a point.

    Args:
        frame: the image.
        point: (u, v) pixel on the object, where there is depth.

    Returns:
        (H, W) bool.

    Raises:
        InputError: a point outside the image, without depth near it, or on the background.
    """
    row, column, depth_m = _seed(frame, point)
    reach = int(_NEAR_M * frame.camera.fx / depth_m)
    window = _clipped(frame, row - reach, row + reach + 1, column - reach, column + reach + 1)
    points, valid = window_points(frame, window)
    seed = row - window[0].start, column - window[1].start
    distance = np.linalg.norm(points - points[seed], axis=-1)
    around = valid & (distance > _CLOSE_M) & (distance < _NEAR_M)
    scene = scene_parts(frame, window, points, fit_plane(points[around], min_share=0.2))
    part = part_at(scene, seed)
    if part < 0:
        raise InputError(
            f"point {_text(point)} lies on the background (the surface the object stands on): take a pixel in the "
            "middle of the object, or give a box"
        )
    likely = with_floating(scene, lobe(scene.labels == part, seed))
    others = scene.background | (scene.labels >= 0) & ~likely
    allowed = grown(likely, 2 * BAND_PX + int(0.15 * np.sqrt(likely.sum())))
    mask = settle_by_colour(scene.rgb, likely, ~allowed | _far_from(likely, others), allowed)
    return _full(frame, scene, mask, f"point {_text(point)}")


def _box_window(frame: RgbdFrame, box: tuple[float, float, float, float]) -> tuple[slice, slice]:
    height, width = frame.shape
    x, y, w, h = (float(v) for v in box)
    if not np.isfinite([x, y, w, h]).all() or w <= 0 or h <= 0:
        raise InputError(f"box {_text(box)} has no size: x,y,width,height in pixels are needed, with width, height > 0")
    left, right = max(0, round(x)), min(width, round(x + w))
    top, bottom = max(0, round(y)), min(height, round(y + h))
    if left >= right or top >= bottom:
        raise InputError(f"box {_text(box)} lies outside the image of {width}x{height}: x,y,width,height in its pixels")
    if (right - left) * (bottom - top) < MIN_MASK_PIXELS:
        raise InputError(
            f"box {_text(box)} has {(right - left) * (bottom - top)} pixels in the image: at least {MIN_MASK_PIXELS} "
            "are needed"
        )
    return slice(top, bottom), slice(left, right)


def _seed(frame: RgbdFrame, point: tuple[float, float]) -> tuple[int, int, float]:
    """Row, column and depth of the pixel with depth nearest to a point, at most 3 pixels off."""
    height, width = frame.shape
    if not np.isfinite(point).all() or not (0 <= round(point[0]) < width and 0 <= round(point[1]) < height):
        raise InputError(
            f"point {_text(point)} lies outside the image of {width}x{height}: u,v in its pixels is needed"
        )
    u, v = round(point[0]), round(point[1])
    rows, columns = _clipped(frame, v - 3, v + 4, u - 3, u + 4)
    found = np.argwhere(frame.depth_m[rows, columns] > 0) + np.array([rows.start, columns.start])
    if not len(found):
        raise InputError(
            f"point {_text(point)} has no depth within 3 pixels: take another pixel of the object or a box"
        )
    row, column = found[((found - (v, u)) ** 2).sum(1).argmin()]
    return int(row), int(column), float(frame.depth_m[row, column])


def _clipped(frame: RgbdFrame, top: int, bottom: int, left: int, right: int) -> tuple[slice, slice]:
    height, width = frame.shape
    return slice(max(0, top), min(height, bottom)), slice(max(0, left), min(width, right))


def _far_from(likely: Bools, others: Bools) -> Bools:
    return others & ~grown(likely, BAND_PX)


def _full(frame: RgbdFrame, scene: SceneParts, mask: Bools, what: str) -> Mask:
    if mask.sum() < MIN_MASK_PIXELS:
        raise InputError(f"no object is found at {what}: give a box around the whole object, or a mask")
    out = np.zeros(frame.shape, bool)
    top, left = scene.corner
    out[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    return out


def _text(numbers: tuple[float, ...]) -> str:
    return ",".join(f"{v:g}" for v in numbers)
