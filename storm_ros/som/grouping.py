"""A window of an RGB-D image cut into parts where the depth jumps, the surface around the object left out."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.core.config import MeshConfig
from storm_ros.core.types import MIN_MASK_PIXELS, RgbdFrame
from storm_ros.mesh.plane import Plane, tolerance_m
from storm_ros.mesh.support import depth_parts

Bools = npt.NDArray[np.bool_]

BAND_PX = 4  # depth and colour agree to this many pixels

_FLOATS_M = 0.015  # a part that ends higher than this above the table stands on something else
_NORMAL_M = 0.005  # length over which a surface's slope is measured
_NECK = 0.05  # radius of a neck, of the part's size
_LOBE = 0.1  # share of an object's pixels above which what hangs on it by a neck is another object


@dataclass(frozen=True, eq=False)
class SceneParts:
    """A window of the image, cut into parts where the depth jumps.

    Attributes:
        rgb: (h, w, 3) uint8.
        depth: (h, w) metres, 0 where unknown.
        height: (h, w) metres above the plane around the object; infinite without a plane, NaN without depth.
        labels: (h, w) number of the part above the plane, -1 for none.
        count: how many parts there are.
        corner: (row, column) of the window in the image.
        focal_px: focal length.
    """

    rgb: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    height: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int32]
    count: int
    corner: tuple[int, int]
    focal_px: float

    @property
    def background(self) -> Bools:
        """Pixels (h, w) on or behind the plane."""
        return (self.depth > 0) & (self.labels < 0)


def window_points(frame: RgbdFrame, window: tuple[slice, slice]) -> tuple[npt.NDArray[np.float32], Bools]:
    """Camera-frame points (h, w, 3) of a window (rows, columns), metres, and where there is depth (h, w)."""
    points = frame.camera.backproject(frame.depth_m)[window]
    return points, points[..., 2] > 0


def scene_parts(
    frame: RgbdFrame, window: tuple[slice, slice], points: npt.NDArray[np.float32], plane: Plane | None
) -> SceneParts:
    """Cut a window into parts.

    Args:
        frame: the image.
        window: (rows, columns).
        points: (h, w, 3) camera-frame points of the window, metres.
        plane: the surface around the object, which is left out; None where there is none.
    """
    depth = np.ascontiguousarray(frame.depth_m[window])
    valid = depth > 0
    height = np.full(depth.shape, np.inf) if plane is None else plane.height(points)
    above = valid & (height > tolerance_m(depth))
    if plane is not None:
        # Depth of a shiny table can be off by centimetres: what only lies below its plane must be as flat as it, too.
        normals = _normals(points, depth, frame.camera.fx)
        steep = normals.any(-1) & (np.abs(normals @ plane.normal.astype(np.float32)) < 0.5)
        above |= cv2.morphologyEx(steep.astype(np.uint8), cv2.MORPH_OPEN, np.ones((9, 9), np.uint8)).astype(bool)
    labels, count = depth_parts(depth, above, frame.camera, MeshConfig())
    height = np.where(valid, height, np.nan)
    return SceneParts(
        np.ascontiguousarray(frame.rgb[window]), depth, height, labels, count,
        (window[0].start, window[1].start), frame.camera.fx,
    )  # fmt: skip


def parts_inside(scene: SceneParts, inside: Bools) -> Bools:
    """The parts that lie mostly inside a box, as near to the largest of them as it is wide."""
    if not scene.count:
        return np.zeros_like(inside)
    sizes = np.bincount(scene.labels[scene.labels >= 0], minlength=scene.count)
    within = np.bincount(scene.labels[(scene.labels >= 0) & inside], minlength=scene.count)
    mostly = within >= 0.7 * sizes
    main = int(np.where(mostly, within, 0).argmax())
    if within[main] < MIN_MASK_PIXELS or within[main] < 0.3 * within.max():
        main = int(within.argmax())  # the object runs into something outside: the box cuts it off
    if not within[main]:
        return np.zeros_like(inside)
    members = [main] + [int(part) for part in np.flatnonzero(mostly & (sizes >= 16)) if part != main]
    likely = inside & (scene.labels == main)
    low, high = _reach(scene, likely)
    for part in members[1:]:
        pixels = scene.labels == part
        if low <= np.median(scene.depth[pixels]) <= high:
            likely |= pixels & inside
    return likely


def part_at(scene: SceneParts, seed: tuple[int, int]) -> int:
    """The part at a pixel, or the largest close by where that is but a speck; -1 on the background."""
    part = int(scene.labels[seed])
    if part < 0:
        return part
    sizes = np.bincount(scene.labels[scene.labels >= 0])
    near = scene.labels[max(0, seed[0] - 8) : seed[0] + 9, max(0, seed[1] - 8) : seed[1] + 9]
    largest = max(np.unique(near[near >= 0]), key=lambda other: sizes[other])
    return part if sizes[part] >= 0.1 * sizes[largest] else int(largest)


def lobe(part: Bools, seed: tuple[int, int]) -> Bools:
    """The part without others as large that hang on it by a thin neck only: bridges of bled depth."""
    radius = max(2, round(_NECK * float(np.sqrt(part.sum()))))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    count, lobes = cv2.connectedComponents(cv2.erode(part.astype(np.uint8), kernel), connectivity=4)
    cores = np.argwhere(lobes > 0)
    if count <= 2 or not len(cores):
        return part
    row, column = cores[((cores - seed) ** 2).sum(1).argmin()]
    own = grown(lobes == lobes[row, column], radius)
    out = part.copy()
    for number in set(range(1, count)) - {int(lobes[row, column])}:
        other = grown(lobes == number, 2 * radius) & part & ~own
        if other.sum() > _LOBE * own.sum():
            out &= ~other
    _, pieces = cv2.connectedComponents(out.astype(np.uint8), connectivity=4)
    return out & (pieces == pieces[row, column])


def with_floating(scene: SceneParts, likely: Bools) -> Bools:
    """A part joined by those beside it that stand on nothing else, such as the inside of a mug."""
    low, high = _reach(scene, likely)
    touched = np.unique(scene.labels[grown(likely, 2 * BAND_PX) & (scene.labels >= 0) & ~likely])
    seed_floats = _lowest(scene, likely) > _FLOATS_M
    for part in touched:
        pixels = scene.labels == part
        if pixels.sum() < 16 or not low <= np.median(scene.depth[pixels]) <= high:
            continue
        if pixels.sum() < 0.02 * likely.sum() or seed_floats or _lowest(scene, pixels) > _FLOATS_M:
            likely = likely | pixels
    return likely


def grown(mask: Bools, radius_px: int) -> Bools:
    """A mask with all pixels at most a radius away from it."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
    return cv2.dilate(mask.astype(np.uint8), kernel).astype(bool)


def _normals(
    points: npt.NDArray[np.float32], depth: npt.NDArray[np.float32], focal_px: float
) -> npt.NDArray[np.float32]:
    """Unit normals (h, w, 3) towards the camera, over a few millimetres; (0, 0, 0) near unknown depth and the rim."""
    valid = (depth > 0).astype(np.float32)
    half = max(1, round(_NORMAL_M * focal_px / max(float(np.median(depth[depth > 0])), 0.05)))
    size = (half | 1, half | 1)
    weight = cv2.blur(valid, size)[..., None]
    mean = cv2.blur(points * valid[..., None], size) / np.maximum(weight, 1e-6)
    across, down = np.zeros_like(mean), np.zeros_like(mean)
    across[:, half:-half] = mean[:, 2 * half :] - mean[:, : -2 * half]
    down[half:-half] = mean[2 * half :] - mean[: -2 * half]
    normal = np.cross(down, across)
    window = np.ones((3 * half, 3 * half), np.uint8)
    normal[cv2.erode(valid, window, borderType=cv2.BORDER_CONSTANT, borderValue=(0,)) == 0] = 0
    return normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)


def _lowest(scene: SceneParts, pixels: Bools) -> float:
    return float(np.percentile(scene.height[pixels], 2))


def _reach(scene: SceneParts, pixels: Bools) -> tuple[float, float]:
    """Nearest and farthest depth in metres at which other parts of the same object can be."""
    depth = scene.depth[pixels]
    rows, columns = np.nonzero(pixels)
    size = float(np.hypot(np.ptp(rows) + 1, np.ptp(columns) + 1) * np.median(depth) / scene.focal_px)
    near, far = np.percentile(depth, [2, 98])
    return float(near) - size, float(far) + size
