"""The crop around the object as a pose places it, and what of it the verifying network is given."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.core.errors import InputError
from storm_ros.core.types import Camera, Mask, Mesh, Pose, RgbdFrame
from storm_ros.encoders.nano_input import input_planes
from storm_ros.tom.sizes import CROP_PX

Floats = npt.NDArray[np.float32]

PLACES, COLOURS = 5, 3
"""Predicted mask, place of the measured surface in the object's frame (3), whether it is known; then its colour (3)."""

_MARGIN = 1.4  # side of the crop relative to the projected object
_LEAST_SHARE = 0.6  # of the diameter: an object seen end-on gets no closer look than this
_MIN_DISTANCE_M = 0.05
_LOG = np.log((np.arange(256, dtype=np.float32) + 12.0) / 139.0)  # dark pixels' noise does not count for much
_TINTS = np.array([[1 / 3, 1 / 3, 1 / 3], [1, -1, 0], [0, -1, 1]], np.float32)
_BLUR = 0.45  # standard deviation of the blur before pixels are left out, in pixels of the crop
_SHARP = 1.2  # pixels of the image per pixel of the crop up to which none is left out
_HALVED_BLUR = 1.0  # standard deviation of the blur of cv2.pyrDown
_NO_BLUR = 0.3
_FARTHEST = 2.5  # of the radius: what lies farther off is just elsewhere


@dataclass(frozen=True, eq=False)
class Shape:
    """What a crop needs to know of an object.

    Attributes:
        points: (N, 3) outermost points of its mesh, in its frame, metres.
        center: (3,) of its bounding box.
        radius_m: half its diameter.
    """

    points: npt.NDArray[np.float64]
    center: npt.NDArray[np.float64]
    radius_m: float


@dataclass(frozen=True, eq=False)
class Crop:
    """A square cut around an object.

    Attributes:
        rgb: (S, S, 3) uint8.
        depth_m: (S, S) float32, 0 where unknown.
        mask: (S, S) in [0, 1], the predicted visible pixels.
        camera: of the crop.
        cam_T_obj: (4, 4) pose of the object.
    """

    rgb: npt.NDArray[np.uint8]
    depth_m: Floats
    mask: Floats
    camera: Camera
    cam_T_obj: Pose


def shape_of(mesh: Mesh) -> Shape:
    """The outermost points of a mesh (at most 128), its centre and its radius."""
    directions = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    reach = mesh.vertices @ directions.T
    outermost = np.unique(np.concatenate([reach.argmin(0), reach.argmax(0)]))
    return Shape(mesh.vertices[outermost].astype(np.float64), mesh.center, max(0.5 * mesh.diameter, 1e-4))


def crop_square(shape: Shape, cam_T_obj: Pose, camera: Camera) -> tuple[float, float, float] | None:
    """Left, top and side in pixels of the square around a projected object; None when it is not before the camera."""
    points = shape.points @ cam_T_obj[:3, :3].T + cam_T_obj[:3, 3]
    if not np.isfinite(points).all() or points[:, 2].min() < _MIN_DISTANCE_M:
        return None
    pixels = camera.project(points)
    low, high = pixels.min(0), pixels.max(0)
    least = _LEAST_SHARE * 2.0 * shape.radius_m * camera.fx / float(points[:, 2].mean())
    side = max(_MARGIN * max(float((high - low).max()), least), 4.0)
    middle = 0.5 * (low + high) + 0.5
    return float(middle[0]) - 0.5 * side, float(middle[1]) - 0.5 * side, side


def cut_crop(frame: RgbdFrame, mask: Mask | None, cam_T_obj: Pose, shape: Shape, side: int = CROP_PX) -> Crop | None:
    """Cut the square around an object out of a frame; what lies beyond the image is grey, without depth.

    Args:
        frame: the image.
        mask: (H, W) bool, predicted visible pixels; None where they are not known, which counts as nothing.
        cam_T_obj: (4, 4) pose.
        shape: of the object.
        side: of the result in pixels.

    Returns:
        None when the object is not before the camera.

    Raises:
        InputError: a mask of another size than the frame.
    """
    if mask is not None and mask.shape != frame.shape:
        raise InputError(f"mask has shape {mask.shape} but the image {frame.shape}: make them equal")
    square = crop_square(shape, cam_T_obj, frame.camera)
    if square is None:
        return None
    left, top, length = square
    scale = length / side
    pad = math.ceil(scale) + 1
    height, width = frame.shape
    x0, x1 = _part(left, length, pad, width)
    y0, y1 = _part(top, length, pad, height)
    small = frame.camera.window(left, top, length, length, side, side)
    cover = np.zeros((side, side), np.float32)
    if x1 - x0 < 2 or y1 - y0 < 2:
        rgb, depth = np.full((side, side, 3), 127, np.uint8), np.zeros((side, side), np.float32)
        return Crop(rgb, depth, cover, small, np.array(cam_T_obj, dtype=np.float64))
    there = np.s_[y0:y1, x0:x1]
    to_part = np.array(
        [[scale, 0.0, left - x0 + 0.5 * scale - 0.5], [0.0, scale, top - y0 + 0.5 * scale - 0.5]]
    )  # fmt: skip
    linear, nearest = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    grey = (127.0, 127.0, 127.0)
    colours, fewer = _averaged(np.ascontiguousarray(frame.rgb[there]), scale)
    rgb = cv2.warpAffine(colours, to_part / fewer, (side, side), flags=linear, borderValue=grey)
    depth = cv2.warpAffine(np.ascontiguousarray(frame.depth_m[there]), to_part, (side, side), flags=nearest)
    if mask is not None:
        part, fewer = _averaged(mask[there].astype(np.float32), scale)
        cover = cv2.warpAffine(part, to_part / fewer, (side, side), flags=linear)
    return Crop(
        np.asarray(rgb, np.uint8), np.asarray(depth, np.float32), np.asarray(cover, np.float32), small,
        np.array(cam_T_obj, dtype=np.float64),
    )  # fmt: skip


def _part(first: float, length: float, pad: int, limit: int) -> tuple[int, int]:
    """First pixel, and the one after the last, of a stretch and some more on both sides that lie inside the image."""
    begin, end = math.floor(first) - pad, math.ceil(first + length) + pad
    return min(max(begin, 0), limit), min(max(end, 0), limit)


def _averaged(image: npt.NDArray[Any], scale: float) -> tuple[npt.NDArray[Any], int]:
    """An image from which every scale-th pixel may be taken: blurred, and with every second pixel only if that is few.

    Args:
        image: (H, W) or (H, W, C).
        scale: its pixels per pixel of the crop.

    Returns:
        The image, and by what its coordinates are to be divided.
    """
    wide = _BLUR * scale
    if scale <= _SHARP:
        return image, 1
    if wide <= _HALVED_BLUR:
        return cv2.GaussianBlur(image, (0, 0), wide), 1
    rest = 0.5 * math.sqrt(wide**2 - _HALVED_BLUR**2)
    small = cv2.pyrDown(image)
    return (cv2.GaussianBlur(small, (0, 0), rest) if rest > _NO_BLUR else small), 2


def crop_planes(crop: Crop, shape: Shape) -> tuple[Floats, Floats]:
    """What the network is given.

    Returns:
        Input planes (S, S, 7) of the encoder, and places (S, S, 8), see `object_places`.
    """
    planes = input_planes(crop.rgb, crop.depth_m, crop.camera.fx)
    return planes, object_places(crop, shape)


def object_places(crop: Crop, shape: Shape) -> Floats:
    """Where on the object, and of what colour, each pixel is.

    Returns:
        (S, S, 8): predicted mask; where the measured surface lies in the object's frame, relative to its radius, as the
        pose has it, 0 where that is not known; whether it is; logarithms of lightness, of red to green and of blue to
        green.
    """
    rotation, shift, camera = crop.cam_T_obj[:3, :3], crop.cam_T_obj[:3, 3], crop.camera
    offset = ((rotation.T @ shift + shape.center) / shape.radius_m).astype(np.float32)
    x_ray, y_ray, z_ray = (rotation / shape.radius_m).astype(np.float32)[..., None]
    x = (np.arange(camera.width, dtype=np.float32) - np.float32(camera.cx)) / np.float32(camera.fx)
    y = (np.arange(camera.height, dtype=np.float32) - np.float32(camera.cy)) / np.float32(camera.fy)
    known = (crop.depth_m > 0).astype(np.float32)
    placed = (y_ray * y + z_ray)[:, :, None] + (x_ray * x)[:, None]
    placed = known * np.clip(crop.depth_m * placed - offset[:, None, None], -_FARTHEST, _FARTHEST)
    tints = cv2.split(cv2.transform(cv2.LUT(crop.rgb, _LOG), _TINTS))
    return np.asarray(cv2.merge([crop.mask, *placed, known, *tints]), np.float32)
