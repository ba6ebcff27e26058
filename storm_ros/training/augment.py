"""Random changes of images: colours, sharpness, depth, and the crop of a reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Rng = np.random.Generator


class Warped(NamedTuple):
    """A reference crop (S, S) at another size, and the map (2, 3) of its pixels to those it was made of."""

    rgb: Pixels
    depth_m: Floats
    mask: Floats
    focal_px: float
    to_source: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ColourChange:
    """A linear map of colours (3, 4) and an exponent, on values in 0 to 1."""

    matrix: Floats
    gamma: float


def random_change(rng: Rng, *, strong: bool) -> ColourChange:
    """A strong change (other hues: an image and its references share it), or the difference between two cameras."""
    if strong:
        turn = rng.uniform(0, 2 * np.pi) if rng.random() < 0.6 else 0.0
        saturation = rng.uniform(0.6, 1.3)
        return ColourChange(_hue_matrix(turn, saturation), float(np.exp(rng.normal(0, 0.12))))
    gain = np.exp(rng.normal(0, 0.07, 3) + rng.normal(0, 0.12))
    matrix = _hue_matrix(rng.normal(0, 0.04), float(np.exp(rng.normal(0, 0.12))))
    matrix[:, :3] *= gain[:, None].astype(np.float32)
    matrix[:, 3] = rng.normal(0, 0.02)
    return ColourChange(matrix, float(np.exp(rng.normal(0, 0.1))))


def changed_pixels(rgb: Pixels, change: ColourChange) -> Pixels:
    """An image (H, W, 3) with its colours changed."""
    curve = np.clip(255.0 * (np.arange(256) / 255.0) ** change.gamma, 0, 255).astype(np.uint8)
    matrix = change.matrix.copy()
    matrix[:, 3] *= 255.0
    return np.asarray(cv2.transform(cv2.LUT(rgb, curve), matrix), dtype=np.uint8)


def painted(rgb: Pixels, where: npt.NDArray[np.bool_], colours: Pixels, rng: Rng) -> Pixels:
    """An image (H, W, 3) in which a region takes on one of the colours of something else, lighter or darker.

    Args:
        rgb: the image.
        where: (H, W) the region; what is drawn on it stays to be seen.
        colours: (N, 3) pixels of the other thing.
        rng: which of its colours, and in which light.
    """
    palette = colours.astype(np.float32)
    far = np.abs(palette - palette[rng.integers(len(palette))]).sum(1)
    alike = palette[far <= np.quantile(far, 0.3)]
    old = rgb[where].astype(np.float32)
    contrast = np.clip(alike.std(0) / np.maximum(old.std(0), 4.0), 0.3, 1.5)
    new = (old - old.mean(0)) * contrast + alike.mean(0) * np.exp(rng.normal(-0.1, 0.2))
    out = rgb.copy()
    out[where] = np.clip(np.rint(new), 0, 255).astype(np.uint8)
    return out


def changed_depth(depth: Floats, rng: Rng) -> Floats:
    """A depth image (H, W) with parts of it missing at times."""
    if rng.random() < 0.3:
        depth = depth.copy()
        for _ in range(int(rng.integers(1, 4))):
            height, width = (int(s * rng.uniform(0.05, 0.3)) for s in depth.shape)
            top, left = int(rng.integers(depth.shape[0])), int(rng.integers(depth.shape[1]))
            depth[top : top + height, left : left + width] = 0
    return depth


def warped_reference(
    rgb: Pixels, depth: Floats, mask: npt.NDArray[np.bool_], focal: float, side: int, rng: Rng | None
) -> Warped:
    """A reference crop at the size the network takes, framed as `reference_crop` does it, or changed at random.

    Args:
        rgb: (S, S, 3).
        depth: (S, S) metres.
        mask: (S, S).
        focal: pixels.
        side: of the result.
        rng: of the changes; none without it.
    """
    rows, columns = np.nonzero(mask)
    if not len(rows):
        rows, columns = np.array([0, mask.shape[0] - 1]), np.array([0, mask.shape[1] - 1])
    size = max(int(np.ptp(rows)), int(np.ptp(columns))) + 1
    middle = np.array([columns.min() + columns.max(), rows.min() + rows.max()]) / 2.0
    window, turn = 1.3 * size, 0.0
    if rng is not None:
        window = size * rng.uniform(1.12, 1.55)
        middle = middle + rng.normal(0, 0.04, 2) * size
        turn = float(np.radians(rng.normal(0, 8)))
    scale = window / side
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    half = (side - 1) / 2.0
    to_source = np.array([
        [cos, -sin, middle[0] - cos * half + sin * half], [sin, cos, middle[1] - sin * half - cos * half],
    ])  # fmt: skip
    flags = cv2.WARP_INVERSE_MAP
    out = cv2.warpAffine(rgb, to_source, (side, side), flags=cv2.INTER_LINEAR | flags, borderMode=cv2.BORDER_REPLICATE)
    near = cv2.warpAffine(depth, to_source, (side, side), flags=cv2.INTER_NEAREST | flags)
    cover = cv2.warpAffine(mask.astype(np.float32), to_source, (side, side), flags=cv2.INTER_LINEAR | flags)
    if rng is not None and rng.random() < 0.4:  # masks are drawn by hand or by another part: never exact
        shape = np.ones((3, 3), np.uint8)
        cover = cv2.erode(cover, shape) if rng.random() < 0.5 else cv2.dilate(cover, shape)
    return Warped(
        np.asarray(out, np.uint8), np.asarray(near, np.float32), np.asarray(cover, np.float32), focal / scale, to_source
    )


def _hue_matrix(turn: float, saturation: float) -> Floats:
    """(3, 4) map that turns colours about grey by an angle in radians and scales their distance from grey."""
    weights = np.array([0.299, 0.587, 0.114])
    cos, sin = saturation * np.cos(turn), saturation * np.sin(turn)
    to_chroma = np.eye(3) - np.tile(weights, (3, 1))
    axis = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3.0)
    turned = np.tile(weights, (3, 1)) + cos * to_chroma + sin * axis @ to_chroma
    return np.concatenate([turned, np.zeros((3, 1))], axis=1).astype(np.float32)
