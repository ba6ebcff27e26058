"""A fixed encoder: soft colour histograms and gradient orientations on a grid; nothing in it is learned."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

_ORIENTATIONS = 8
_LIGHTNESS_BINS, _CHROMA_BINS = 5, 8
_GRADIENT_SHARE = 0.35


class ColourGradientEncoder:
    """Per cell: lightness and chroma in soft bins, and gradient directions weighted by their strength.

    The chroma bins are dense around grey, where most things lie, and the gradients are those of dense HOG without its
    blocks.
    """

    def __init__(self, stride: int = 4) -> None:
        """Choose the pixels per cell."""
        self._stride = stride

    @property
    def stride(self) -> int:
        """Pixels per feature cell."""
        return self._stride

    def encode(self, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Features of an image.

        Args:
            rgb: (H, W, 3) uint8.

        Returns:
            (H // stride, W // stride, 29) float32, each of unit length.
        """
        rows, cols = rgb.shape[0] // self._stride, rgb.shape[1] // self._stride
        rgb = rgb[: rows * self._stride, : cols * self._stride]
        small = cv2.resize(rgb, (cols, rows), interpolation=cv2.INTER_AREA)
        lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
        lightness = _soft_bins(lab[..., 0] / 255.0, _LIGHTNESS_BINS)
        chroma = [_soft_bins(_compressed(lab[..., i] - 128.0), _CHROMA_BINS) for i in (1, 2)]
        colour = np.concatenate([0.7 * lightness, *chroma], 2)
        colour /= np.maximum(np.linalg.norm(colour, axis=2, keepdims=True), 1e-6)
        out = np.concatenate([colour * (1.0 - _GRADIENT_SHARE) ** 0.5, _gradients(rgb, rows, cols)], 2)
        return out / np.maximum(np.linalg.norm(out, axis=2, keepdims=True), 1e-6)


def _compressed(chroma: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Chroma in -128..127 mapped to 0..1 with more room around grey."""
    bent = 0.5 + 0.5 * np.sign(chroma) * np.sqrt(np.abs(chroma) / 100.0).clip(0.0, 1.0)
    return bent.astype(np.float32)


def _soft_bins(values: npt.NDArray[np.float32], bins: int) -> npt.NDArray[np.float32]:
    """Values (H, W) in 0..1 spread over the two nearest of some bins: (H, W, bins)."""
    centres = np.linspace(0.0, 1.0, bins, dtype=np.float32)
    return np.maximum(0.0, 1.0 - np.abs(values[..., None] - centres) * (bins - 1)).astype(np.float32)


def _gradients(rgb: npt.NDArray[np.uint8], rows: int, cols: int) -> npt.NDArray[np.float32]:
    """Gradient orientation histograms (rows, cols, 8), scaled to at most the gradients' share."""
    grey = cv2.GaussianBlur(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (3, 3), 0)
    gx = cv2.Sobel(grey, cv2.CV_32F, 1, 0)
    gy = cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    strength, angle = cv2.cartToPolar(gx, gy)
    place = angle * (_ORIENTATIONS / (2.0 * np.pi))
    out = np.empty((rows, cols, _ORIENTATIONS), dtype=np.float32)
    for i in range(_ORIENTATIONS):
        away = np.abs(place - i)
        share = np.maximum(0.0, 1.0 - np.minimum(away, _ORIENTATIONS - away))
        out[..., i] = cv2.resize(share * strength, (cols, rows), interpolation=cv2.INTER_AREA)
    size = np.linalg.norm(out, axis=2, keepdims=True)
    return out / (size + 60.0) * _GRADIENT_SHARE**0.5
