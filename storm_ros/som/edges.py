"""Moves a mask's edge onto the edges of the colours, at the resolution of the look."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.som.colour_counts import Bins, Counts, blurred, cells, to_lab
from storm_ros.som.crops import Floats

Bytes = npt.NDArray[np.uint8]

_SURE = 4.0  # logits are taken as no surer than this
_AROUND = -2.5  # logits below which a place is left out, but for a rim
_RIM_PX = 8
_BINS: Bins = (12, 20, 20)  # of lightness and the two differences of colour
_LEAST_RANGE = 20.0  # of each, that the bins share at least
_RARE = 0.005  # pixels of each kind that a bin is given: what was seldom seen says little
_BLUR, _KNOWN_BLUR = 1.0, 1.5  # bins: colours of the reference are less exact here
_MOST = 4.0  # that a colour may tell
_CORE, _SLACK = 0.5, 1.2  # of the logits where the mask is surest, less so much: from there on it is the mask's core
_FADE = 0.08  # of the look's width, over which what lies beyond the core loses what colours tell for it
_BEYOND_CORE = 1.5  # taken off the logits far from the core
_TRUST = 0.7  # in the colours of the reference, against those that the mask has here
_UNLIKE, _ALIKE_ENOUGH = 0.4, 0.6  # share of the colours in common from which they are trusted, and trusted fully
_NEVER = 1e-6  # share that a colour which was never seen is given
_BEYOND = 5.0  # distance in Lab to the colours of the window, from which a colour of the reference is left out
_TAPS = 2  # to each side
_REACH = 0.035  # of the look's width, over which neighbours of the same colour are averaged
_ALIKE = 6.0  # distance in Lab over which colours count as different


def to_edges(logits: Floats, rgb: Bytes, seen: tuple[slice, slice], known: Floats | None = None) -> Floats:
    """Logits of a mask, corrected by the colours of the same window.

    What tells the colours inside the mask from those outside is added to the logits; then each becomes the mean of its
    neighbours, weighted by how alike they look (a joint bilateral filter; Petschnigg et al., 2004). Where the mask has
    most of the colours that the object is known to have, what it has besides is taken for something else. Colours move
    the mask's edge but find nothing anew: what they tell for a place fades with its distance from the mask's core, so
    that another thing of the same colour stays outside.

    Args:
        logits: (h, w).
        rgb: (H, W, 3) uint8, of any multiple of that size.
        seen: rows and columns of it that lie in the image; logits elsewhere stay what they are.
        known: (N, 3) colours of the object in Lab; none where they are not known.

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
    told, near = _told(sure, lab, known), _nearness(out, _FADE * width)[part]
    surer = np.asarray(sure + np.minimum(told, told * near) - _BEYOND_CORE * (1.0 - near), np.float32)
    out[part] = _smoothed(surer, lab, _REACH * width)
    return out


def _nearness(logits: Floats, fade_px: float) -> Floats:
    """1 in the core of a mask (h, w), falling to 0 with the distance from it; 1 everywhere where there is none."""
    inside = logits[logits > 0]
    surest = min(float(np.quantile(inside, 0.9)), _SURE) if inside.size else 0.0
    core = logits > _CORE * surest - _SLACK
    if not core.any():
        return np.ones_like(logits)
    away = cv2.distanceTransform((~core).astype(np.uint8), cv2.DIST_L2, 3)
    return np.asarray(np.exp(-np.square(away / fade_px)), np.float32)


def _around(some: npt.NDArray[np.intp], start: int, limit: int) -> slice:
    """From the first to the last of some places and a rim, counted from a start, at most so many."""
    first, last = int(some[0]) - _RIM_PX, int(some[-1]) + _RIM_PX + 1
    return slice(start + max(0, first), start + min(limit, last))


def _told(logits: Floats, lab: Floats, known: Floats | None) -> Floats:
    """What each pixel's colour tells of it (h, w): log of how much more often it is seen inside than outside."""
    inside = 1.0 / (1.0 + np.exp(-logits.ravel()))
    flat = lab.reshape(-1, 3)
    low, high = (np.array([extreme(flat[:, i]) for i in range(3)], np.float32) for extreme in (np.min, np.max))
    high = low + np.maximum(high + 1e-3 - low, _LEAST_RANGE)
    number = cells(flat, low, high, _BINS)
    ours, theirs = _shares(number, inside, _BLUR), _shares(number, 1.0 - inside, _BLUR)
    if known is not None and len(known):
        near = np.asarray(((known >= low - _BEYOND) & (known <= high + _BEYOND)).all(1), np.float64)
        ours = _trusting(ours, _shares(cells(known, low, high, _BINS), near, _KNOWN_BLUR) * near.mean())
    half = 0.5 * len(flat)
    ratio = (ours * half + _RARE) / (theirs * half + _RARE)
    return np.clip(np.log(ratio), -_MOST, _MOST).astype(np.float32)[number].reshape(logits.shape)


def _shares(number: npt.NDArray[np.int32], weight: npt.NDArray[np.floating[Any]], sigma: float) -> Counts:
    """Share of each cell (C,) in the weights (N,) of what falls into them."""
    counts = blurred(np.asarray(np.bincount(number, weight, int(np.prod(_BINS))), np.float64), _BINS, sigma)
    return counts / max(float(counts.sum()), 1e-9)


def _trusting(ours: Counts, known: Counts) -> Counts:
    """Colours (C,) of a mask, brought nearer to those known (C,) the more of them it has."""
    alike = float(np.minimum(ours, known).sum())
    trust = _TRUST * min(max((alike - _UNLIKE) / (_ALIKE_ENOUGH - _UNLIKE), 0.0), 1.0)
    if trust == 0.0:
        return ours
    return (ours + _NEVER) ** (1.0 - trust) * (known + _NEVER) ** trust


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
