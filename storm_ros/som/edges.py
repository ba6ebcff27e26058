"""Moves a mask's edge onto the edges of the colours, at the resolution of the look."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.som.colour_counts import Bins, blurred, cells, to_lab
from storm_ros.som.crops import Floats

Bytes = npt.NDArray[np.uint8]

_SURE = 4.0  # logits are taken as no surer than this
_AROUND = -2.5  # logits below which a place is left out, but for a rim
_RIM_PX = 8
_BINS: Bins = (12, 20, 20)  # of lightness and the two differences of colour
_LEAST_RANGE = 20.0  # of each, that the bins share at least
_RARE = 0.005  # pixels of each kind that a bin is given: what was seldom seen says little
_SHARE = 0.5  # of what a colour tells, that is added to a logit
_MOST = 2.0  # that a colour may tell
_TAPS = 2  # to each side
_REACH = 0.035  # of the look's width, over which neighbours of the same colour are averaged
_ALIKE = 6.0  # distance in Lab over which colours count as different


def to_edges(logits: Floats, rgb: Bytes, seen: tuple[slice, slice]) -> Floats:
    """Logits of a mask, corrected by the colours of the same window.

    What tells the colours inside the mask from those outside is added to the logits; then each becomes the mean of its
    neighbours, weighted by how alike they look (a joint bilateral filter; Petschnigg et al., 2004).

    Args:
        logits: (h, w).
        rgb: (H, W, 3) uint8, of any multiple of that size.
        seen: rows and columns of it that lie in the image; logits elsewhere stay what they are.

    Returns:
        (H, W) logits.
    """
    height, width = rgb.shape[:2]
    out = np.asarray(cv2.resize(logits, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    likely = out[seen] > _AROUND
    if not likely.any():
        return out
    rows, columns = np.flatnonzero(likely.any(1)), np.flatnonzero(likely.any(0))
    part = _around(rows, seen[0].start, likely.shape[0]), _around(columns, seen[1].start, likely.shape[1])
    lab = to_lab(rgb[part])
    sure = np.clip(out[part], -_SURE, _SURE)
    told = sure + np.float32(_SHARE) * _told(sure, lab)
    out[part] = _smoothed(np.asarray(told, np.float32), lab, _REACH * width)
    return out


def _around(some: npt.NDArray[np.intp], start: int, limit: int) -> slice:
    """From the first to the last of some places and a rim, counted from a start, at most so many."""
    first, last = int(some[0]) - _RIM_PX, int(some[-1]) + _RIM_PX + 1
    return slice(start + max(0, first), start + min(limit, last))


def _told(logits: Floats, lab: Floats) -> Floats:
    """What each pixel's colour tells of it (h, w): log of how much more often it is seen inside than outside."""
    inside = 1.0 / (1.0 + np.exp(-logits.ravel()))
    flat = lab.reshape(-1, 3)
    low, high = (np.array([extreme(flat[:, i]) for i in range(3)], np.float32) for extreme in (np.min, np.max))
    number = cells(flat, low, low + np.maximum(high + 1e-3 - low, _LEAST_RANGE), _BINS)
    count = int(np.prod(_BINS))
    ours, theirs = (
        blurred(np.asarray(np.bincount(number, share, count), np.float64), _BINS, 1.0)
        for share in (inside, 1.0 - inside)
    )
    half = 0.5 * len(flat)
    ratio = (ours * half / ours.sum() + _RARE) / (theirs * half / theirs.sum() + _RARE)
    return np.clip(np.log(ratio), -_MOST, _MOST).astype(np.float32)[number].reshape(logits.shape)


def _smoothed(values: Floats, lab: Floats, reach_px: float) -> Floats:
    """Mean (h, w) of each value's neighbours that look like it."""
    step = max(1, round(reach_px / _TAPS))
    pad = _TAPS * step
    height, width = values.shape
    wide = cv2.copyMakeBorder(values, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    colours = cv2.copyMakeBorder(lab, pad, pad, pad, pad, cv2.BORDER_REPLICATE) / np.float32(np.sqrt(2.0) * _ALIKE)
    planes = [np.ascontiguousarray(plane) for plane in np.moveaxis(colours, 2, 0)]
    total, weights = np.zeros_like(values), np.zeros_like(values)
    for down in range(0, 2 * pad + 1, step):
        for right in range(0, 2 * pad + 1, step):
            there = (slice(down, down + height), slice(right, right + width))
            far = ((down - pad) ** 2 + (right - pad) ** 2) / (2.0 * (_TAPS * step) ** 2)
            square = np.full_like(values, far)
            for plane in planes:
                difference = plane[there] - plane[pad : pad + height, pad : pad + width]
                square += difference * difference
            weight = np.exp(-square)
            total += weight * wide[there]
            weights += weight
    return total / weights
