"""Which depth under a mask is the object's: the rim, the table and what lies behind are left out."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse import csgraph

from storm_ros.core.config import MeshConfig
from storm_ros.core.errors import InputError, NoDepthError
from storm_ros.core.types import MIN_MASK_PIXELS, Camera, Mask, RgbdFrame, mask_window
from storm_ros.mesh.plane import Plane, fit_plane, tolerance_m

Bools = npt.NDArray[np.bool_]
Depth = npt.NDArray[np.float32]
Window = tuple[slice, slice]

_MIN_PART = 0.02  # share of the largest part's pixels that another part must have
_RIM_PX = 6.0  # background let in by a mask a few pixels too large is nowhere deeper inside it
_RING_PX = (3, 16)  # distance from the mask at which the background is looked at


def check_mask(frame: RgbdFrame, mask: Mask) -> Mask:
    """The mask as (H, W) bool, fit to lift.

    Raises:
        InputError: mask of another size, or with fewer than 64 pixels.
        NoDepthError: fewer than 64 valid depth pixels under it.
    """
    mask = np.asarray(mask)
    height, width = frame.shape
    if mask.shape != (height, width):
        size = f"{mask.shape[1]}x{mask.shape[0]}" if mask.ndim == 2 else f"of shape {mask.shape}"
        raise InputError(f"mask is {size} but the image is {width}x{height}: make the mask on this very image")
    mask = mask.astype(bool)
    count = int(mask.sum())
    if count < MIN_MASK_PIXELS:
        raise InputError(f"mask has {count} pixels: at least {MIN_MASK_PIXELS} on the object are needed")
    valid = int((mask & (frame.depth_m > 0)).sum())
    if valid < MIN_MASK_PIXELS:
        raise NoDepthError(
            f"only {valid} of the mask's {count} pixels have depth: at least {MIN_MASK_PIXELS} are needed; move the "
            "object into the sensor's range or take another frame"
        )
    return mask


def object_depth(frame: RgbdFrame, mask: Mask, config: MeshConfig) -> tuple[Depth, Window]:
    """Smoothed depth of the object under a mask.

    The rim is taken off and what lies on the plane around the object; the rest is split where the depth jumps. The
    largest part stays, and with it those that lie as near to it as the object is wide and are not let in from behind.

    Args:
        frame: the image.
        mask: (H, W) bool, as `check_mask` returns it.
        config: knobs `erode_px`, `smooth_px`, `max_jump` and `max_grazing_deg`.

    Returns:
        (h, w) metres, 0 off the object, and its window of the image (rows, columns).
    """
    rows, columns = window = mask_window(mask, _RING_PX[1] + config.erode_px)
    mask = mask[rows, columns]
    depth = _smooth(frame.depth_m[rows, columns], mask, config)
    solid = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)).astype(bool)
    inside_px = _distance_px(np.pad(solid, 1, mode="edge"))[1:-1, 1:-1]
    valid = _eroded(solid, depth, config.erode_px) & (depth > 0)
    on_plane = _on_background(depth, solid, frame.camera, window)
    off_plane = valid & ~(on_plane & (inside_px <= _RIM_PX))
    if int(off_plane.sum()) >= MIN_MASK_PIXELS:
        valid = off_plane
    keep = _main_parts(depth, valid, on_plane, inside_px, frame.camera, config)
    return np.where(keep, depth, np.float32(0.0)), window


def _smooth(depth: Depth, mask: Mask, config: MeshConfig) -> Depth:
    """Bilateral filter over the valid depth; what is unknown stays so and has no say.

    Where the window reaches over an edge its mean would tilt the surface: there the measured depth stays.
    """
    depth = np.ascontiguousarray(depth)
    if config.smooth_px <= 0:
        return depth
    valid = depth > 0
    middle = float(np.median(depth[valid & mask]))
    sigma_m = 0.5 * config.max_jump * middle
    near = valid & (depth < 2.0 * middle)
    apart = np.where(near, depth, np.float32(2.0 * middle + 20.0 * sigma_m))
    width = 2 * math.ceil(config.smooth_px) + 1
    smooth = cv2.bilateralFilter(apart, width, sigma_m, config.smooth_px, borderType=cv2.BORDER_REPLICATE)
    window = np.ones((width, width), np.uint8)
    inside = cv2.dilate(apart, window) - cv2.erode(apart, window) <= config.max_jump * depth
    return np.where(near & inside, smooth, depth)


def _eroded(mask: Mask, depth: Depth, radius_px: int) -> Bools:
    """The mask without its rim, or with more of it where the object is too thin for that."""
    valid = depth > 0
    for radius in range(radius_px, 0, -1):
        inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=radius).astype(bool)
        if int((inner & valid).sum()) >= max(MIN_MASK_PIXELS, int((mask & valid).sum()) // 2):
            return inner
    return mask


def _on_background(depth: Depth, mask: Mask, camera: Camera, window: Window) -> Bools:
    """Pixels (h, w) on the plane that surrounds the mask, where there is one."""
    distance = _distance_px(~mask)
    ring = (distance >= _RING_PX[0]) & (distance <= _RING_PX[1]) & (depth > 0)
    plane: Plane | None = fit_plane(_points(depth, ring, camera, window))
    if plane is None:
        return np.zeros_like(mask)
    on_plane = mask & (depth > 0)
    on_plane[on_plane] = plane.height(_points(depth, on_plane, camera, window)) < tolerance_m(depth[on_plane])
    return on_plane


def _distance_px(mask: Bools) -> Depth:
    """Distance of each pixel (h, w) inside a mask to its rim."""
    return np.asarray(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3), dtype=np.float32)


def _points(depth: Depth, chosen: Bools, camera: Camera, window: Window) -> npt.NDArray[np.float32]:
    """Camera-frame points (N, 3) of the chosen pixels."""
    v, u = np.nonzero(chosen)
    z = depth[v, u]
    x = (u + window[1].start - camera.cx) / camera.fx * z
    return np.stack([x, (v + window[0].start - camera.cy) / camera.fy * z, z], -1).astype(np.float32)


def _main_parts(
    depth: Depth, valid: Bools, on_plane: Bools, inside_px: Depth, camera: Camera, config: MeshConfig
) -> Bools:
    labels, count = depth_parts(depth, valid, camera, config)
    if count <= 1:
        return valid
    sizes = np.bincount(labels[valid], minlength=count)
    main = int(sizes.argmax())
    main_depth = depth[labels == main]
    near, far = np.percentile(main_depth, [2, 98])
    height, width = (np.ptp(v) + 1 for v in np.nonzero(labels == main))
    reach = float(np.hypot(height, width) * np.median(main_depth) / camera.fx)
    keep = np.zeros(count, dtype=bool)
    keep[main] = True
    for part in np.flatnonzero(sizes >= max(16, _MIN_PART * sizes[main])):
        pixels = labels == part
        middle = float(np.median(depth[pixels]))
        behind_rim = middle > far and np.percentile(inside_px[pixels], 90) <= _RIM_PX
        background = behind_rim or on_plane[pixels].mean() > 0.5
        keep[part] |= near - reach <= middle <= far + reach and not background
    return valid & keep[np.maximum(labels, 0)]


def depth_parts(depth: Depth, valid: Bools, camera: Camera, config: MeshConfig) -> tuple[npt.NDArray[np.int32], int]:
    """Labels (h, w) of the 4-connected parts without a depth jump, -1 outside, and their number."""
    slope = math.tan(math.radians(min(config.max_grazing_deg, 89.0))) / camera.fx
    limit = depth * np.float32(min(config.max_jump, slope))
    count = int(valid.sum())
    labels = np.full(valid.shape, -1, dtype=np.int32)
    labels[valid] = np.arange(count, dtype=np.int32)
    starts, ends = [], []
    for here, there in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:, :], np.s_[:-1, :])):
        linked = valid[here] & valid[there] & (np.abs(depth[here] - depth[there]) <= limit[there])
        starts.append(labels[here][linked])
        ends.append(labels[there][linked])
    start, end = np.concatenate(starts), np.concatenate(ends)
    graph = sparse.coo_matrix((np.ones(len(start), np.bool_), (start, end)), shape=(count, count))
    parts, numbers = csgraph.connected_components(graph, directed=False)
    labels[valid] = numbers
    return labels, int(parts)
