"""How often which colour is seen: counts over cells of the Lab colour space."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.core.types import mask_window

Floats = npt.NDArray[np.float32]
Counts = npt.NDArray[np.float64]
Bins = tuple[int, int, int]

_BINS: Bins = (6, 18, 18)
_LOW = np.array([0.0, -90.0, -90.0], np.float32)
_HIGH = np.array([100.0, 90.0, 90.0], np.float32)
_FEW = 50  # pixels


def to_lab(rgb: npt.NDArray[np.uint8]) -> Floats:
    """Colours (h, w, 3) uint8 as lightness from 0 to 100 and two differences about 0, (h, w, 3)."""
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32)  # whole numbers: as floats it takes ten times longer
    return lab * np.array([100.0 / 255.0, 1.0, 1.0], np.float32) - np.array([0.0, 128.0, 128.0], np.float32)


def cells(lab: Floats, low: Floats, high: Floats, bins: Bins) -> npt.NDArray[np.int32]:
    """Number (N,) of the cell that each colour (N, 3) falls into."""
    number = np.zeros(len(lab), np.int32)
    for i, count in enumerate(bins):
        place = ((lab[:, i] - low[i]) * np.float32(count / (high[i] - low[i]))).astype(np.int32)
        number = number * count + np.clip(place, 0, count - 1)
    return number


def blurred(counts: Counts, bins: Bins, sigma: float) -> Counts:
    """Counts of all cells (bins[0] * bins[1] * bins[2],), each shared with those beside it."""
    weight, one = cv2.getGaussianKernel(7, sigma), np.ones(1)
    for last in reversed(bins):  # along the last axis, which then becomes the first
        rows = counts.reshape(-1, last)
        counts = cv2.sepFilter2D(rows, -1, weight, one, borderType=cv2.BORDER_CONSTANT).T.ravel()
    return counts


def palette(rgb: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_]) -> Counts:
    """Which share of a mask (h, w) has which colour, (C,), summing to 1; the mask is not empty."""
    box = mask_window(mask)
    number = cells(to_lab(rgb[box])[mask[box]], _LOW, _HIGH, _BINS)
    counts = blurred(np.bincount(number, minlength=int(np.prod(_BINS))).astype(np.float64), _BINS, 0.8)
    return counts / counts.sum()


def inner_colours(rgb: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_], most: int) -> Floats:
    """Colours (N, 3) in Lab of pixels of a mask (h, w) that is not empty, its rim left out where that leaves enough."""
    box = mask_window(mask)
    part = mask[box]
    inner = cv2.erode(part.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    lab = to_lab(np.ascontiguousarray(rgb[box]))[inner if np.count_nonzero(inner) >= _FEW else part]
    return lab[:: max(1, -(-len(lab) // most))]
