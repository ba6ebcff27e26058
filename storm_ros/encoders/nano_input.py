"""What the nano encoder sees: colour, and of the depth what does not depend on how near the object is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.core.config import knob
from storm_ros.core.errors import InputError

CHANNELS = 7
"""Red, green, blue, fine relief, coarse relief, size of a pixel, whether there is depth."""

_FINE_PX = 9
_COARSE_PX = 33
_USUAL_PIXEL_M = 0.002
_COLOURS = (np.arange(256, dtype=np.float32) - 127.5) / 127.5

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class NanoConfig:
    """Size of the nano encoder."""

    stem: int = knob(16, "Channels at stride 2.", low=4, high=256)
    fine: int = knob(32, "Channels at stride 4.", low=4, high=512)
    middle: int = knob(96, "Channels at stride 8.", low=4, high=1024)
    colour: int = knob(32, "Channels that tell the mean colour at stride 8.", low=1, high=512)
    colour_waves: float = knob(1.5, "How finely these tell colours apart at the start.", low=0.1, high=50.0)
    coarse: int = knob(144, "Channels at stride 16.", low=4, high=2048)
    fine_blocks: int = knob(1, "Residual blocks at stride 4.", low=0, high=16)
    middle_blocks: int = knob(1, "Residual blocks at stride 8, and again after the coarse ones.", low=0, high=16)
    coarse_blocks: int = knob(2, "Residual blocks at stride 16.", low=0, high=16)


def input_planes(
    rgb: npt.NDArray[np.uint8], depth_m: npt.NDArray[np.floating] | None, focal_px: float
) -> npt.NDArray[np.float32]:
    """Stack the encoder's input.

    Args:
        rgb: (H, W, 3) uint8.
        depth_m: (H, W) metres, 0 where unknown; None where there is none at all.
        focal_px: focal length in pixels of this very image.

    Returns:
        (H, W, 7) float32: colours in -1 to 1; surface height over its surroundings in two sizes, relative to the
        distance between pixels; logarithm of that distance on the surface; 1 where there is depth. Zero without depth.

    Raises:
        InputError: arrays of another type or shape.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise InputError(f"colour image is {rgb.dtype} {rgb.shape}: (H, W, 3) uint8 in RGB order is needed")
    colours = cv2.LUT(rgb, _COLOURS)
    if depth_m is None:
        return np.concatenate([colours, np.zeros((*rgb.shape[:2], CHANNELS - 3), np.float32)], axis=2)
    if depth_m.shape != rgb.shape[:2]:
        raise InputError(f"depth has shape {depth_m.shape} but the image {rgb.shape[:2]}: make them equal")
    if not focal_px > 0:
        raise InputError(f"focal length is {focal_px} pixels: it must be positive")
    depth = np.ascontiguousarray(depth_m, dtype=np.float32)
    known = depth > 0
    valid = known.astype(np.float32)
    pixel_m = np.where(known, depth / np.float32(focal_px), np.float32(_USUAL_PIXEL_M))
    distance = valid * np.log(pixel_m / np.float32(_USUAL_PIXEL_M))
    relief = [_relief(depth, valid, pixel_m, size) for size in (_FINE_PX, _COARSE_PX)]
    return np.asarray(cv2.merge([*cv2.split(colours), *relief, distance, valid]), np.float32)


def _relief(depth: Floats, valid: Floats, pixel_m: Floats, size: int) -> Floats:
    """Height over the mean of a square (H, W), in units of its side, limited to 1; 0 without depth."""
    weight = cv2.blur(valid, (size, size), borderType=cv2.BORDER_REFLECT)
    mean = cv2.blur(depth, (size, size), borderType=cv2.BORDER_REFLECT) / np.maximum(weight, np.float32(1e-3))
    return valid * np.tanh((depth - mean) / (np.float32(size) * pixel_m))
