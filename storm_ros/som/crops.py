"""Cuts of images as the segmenting network takes them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.core.errors import InputError
from storm_ros.core.types import Mask, RgbdFrame, View
from storm_ros.encoders.nano_input import input_planes
from storm_ros.som.sizes import REFERENCE_MARGIN

Floats = npt.NDArray[np.float32]

MIN_REFERENCE_PX = 100

_PLAIN = 4.0  # standard deviation of the colours, of 255, below which a surface shows nothing


@dataclass(frozen=True)
class Window:
    """A part of an image, which may reach beyond it.

    Attributes:
        x: left, in pixels of the image.
        y: top.
        width: in pixels.
        height: in pixels.
        extent: width over the size the object would have here; 0 where that is not known.
    """

    x: float
    y: float
    width: float
    height: float
    extent: float = 0.0


def cut(frame: RgbdFrame, window: Window, width: int, height: int) -> Floats:
    """Input planes (height, width, 7) of a window of a frame; what lies beyond the image is repeated, without depth."""
    to_frame = _to_frame(window, width, height)
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    depth = cv2.warpAffine(frame.depth_m, to_frame, (width, height), flags=flags)
    focal = frame.camera.fx * width / window.width
    return input_planes(colours(frame, window, width, height), np.asarray(depth, np.float32), focal)


def colours(frame: RgbdFrame, window: Window, width: int, height: int) -> npt.NDArray[np.uint8]:
    """A window of a frame in colour (height, width, 3); what lies beyond the image is repeated."""
    to_frame, rgb = _to_frame(window, width, height), frame.rgb
    coarser = max(window.width / width, window.height / height)
    if coarser > 1.2:  # average what falls into one pixel
        size = round(coarser)
        x0, x1 = _around(window.x, window.width, frame.shape[1], size + 2)
        y0, y1 = _around(window.y, window.height, frame.shape[0], size + 2)
        rgb = np.asarray(cv2.blur(rgb[y0:y1, x0:x1], (size, size)), dtype=np.uint8)
        even = 0.0 if size % 2 else 0.5  # an even window lies half a pixel off
        to_frame[:, 2] += [even - x0, even - y0]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    colour = cv2.warpAffine(rgb, to_frame, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(colour, np.uint8)


def _to_frame(window: Window, width: int, height: int) -> npt.NDArray[np.float64]:
    """From pixels of a window brought to a size to those of its frame, (2, 3)."""
    scale = window.width / width, window.height / height
    return np.array([
        [scale[0], 0.0, window.x + 0.5 * scale[0] - 0.5], [0.0, scale[1], window.y + 0.5 * scale[1] - 0.5],
    ])  # fmt: skip


def _around(start: float, length: float, limit: int, margin: int) -> tuple[int, int]:
    """First pixel and the one after the last, of those from 0 to a limit that a stretch and its margin cover."""
    first = int(np.clip(np.floor(start) - margin, 0, limit - 1))
    return first, int(np.clip(np.ceil(start + length) + margin, first + 1, limit))


def reference_crop(view: View, side: int) -> tuple[Floats, Floats]:
    """Input planes (side, side, 7) and mask (side, side) of a reference view.

    Raises:
        InputError: a mask that does not fit or is too small, or an object that shows neither texture nor depth.
    """
    frame, mask = view.frame, checked_reference(view)
    rows, columns = np.nonzero(mask)
    size = max(int(np.ptp(rows)), int(np.ptp(columns))) + 1
    middle = (columns.min() + columns.max()) / 2.0, (rows.min() + rows.max()) / 2.0
    length = REFERENCE_MARGIN * size
    window = Window(middle[0] + 0.5 - length / 2, middle[1] + 0.5 - length / 2, length, length)
    scale = length / side
    to_frame = np.array([
        [scale, 0.0, window.x + 0.5 * scale - 0.5], [0.0, scale, window.y + 0.5 * scale - 0.5],
    ])  # fmt: skip
    cover = mask.astype(np.float32)
    if scale > 1.2:
        cover = cv2.GaussianBlur(cover, (0, 0), 0.4 * scale)
    cover = cv2.warpAffine(cover, to_frame, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return cut(frame, window, side, side), np.asarray(cover, np.float32)


def depth_under(frame: RgbdFrame, mask: Mask) -> float:
    """Median depth in metres of what a mask (H, W) shows; 0 without depth."""
    depth = frame.depth_m[mask]
    depth = depth[depth > 0]
    return float(np.median(depth)) if depth.size else 0.0


def checked_reference(view: View) -> Mask:
    """The view's mask, (H, W) bool.

    Raises:
        InputError: a mask that does not fit or is too small, or an object that shows neither texture nor depth.
    """
    frame, mask = view.frame, np.asarray(view.mask)
    if mask.dtype != np.bool_ or mask.shape != frame.shape:
        raise InputError(
            f"reference mask is {mask.dtype} {mask.shape} but the image is {frame.shape}: a bool mask of the image's "
            "size is needed"
        )
    pixels = int(mask.sum())
    if pixels < MIN_REFERENCE_PX:
        raise InputError(
            f"reference mask has {pixels} pixels: at least {MIN_REFERENCE_PX} are needed; take a nearer view"
        )
    textured = float(frame.rgb[mask].astype(np.float32).std(0).max()) >= _PLAIN
    if not textured and not (frame.depth_m[mask] > 0).any():
        raise InputError(
            "reference shows neither texture nor depth under its mask: there is nothing to find it by; take a view "
            "with depth, or with some of its print"
        )
    return mask
