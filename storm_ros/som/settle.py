"""Settling by colour what depth leaves open."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.som.grouping import BAND_PX

Bools = npt.NDArray[np.bool_]


def settle_by_colour(rgb: npt.NDArray[np.uint8], likely: Bools, sure_background: Bools, allowed: Bools) -> Bools:
    """Settle by colour (GrabCut) what depth leaves open.

    Args:
        rgb: (h, w, 3) uint8.
        likely: (h, w) bool, the object by its depth; well inside it is not doubted.
        sure_background: (h, w) bool.
        allowed: (h, w) bool, where the object may be.

    Returns:
        (h, w) bool.
    """
    core = cv2.erode(likely.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=2 * BAND_PX).astype(bool)
    closed = cv2.morphologyEx(likely.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8)).astype(bool)
    trimap = np.full(likely.shape, cv2.GC_PR_BGD, np.uint8)
    trimap[closed] = cv2.GC_PR_FGD
    trimap[sure_background] = cv2.GC_BGD
    trimap[core] = cv2.GC_FGD
    foreground, background = trimap == cv2.GC_PR_FGD, trimap == cv2.GC_PR_BGD
    if (core.any() or foreground.any()) and (sure_background.any() or background.any()):
        cv2.setRNGSeed(0)
        smooth = cv2.medianBlur(np.ascontiguousarray(rgb[..., ::-1]), 3)
        cv2.grabCut(smooth, trimap, None, np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_MASK)
    mask = ((trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)) & allowed
    return _solid(mask, likely)


def _solid(mask: Bools, likely: Bools) -> Bools:
    """Without specks: the components that hold a good share of what is likely, small holes filled."""
    mask = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).astype(bool)
    count, components = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    labels = np.asarray(components, dtype=np.int32)
    held = np.bincount(labels[likely & mask], minlength=count)
    keep = held >= max(1, 0.05 * held.sum())
    keep[0] = False
    mask = keep[labels]
    _, holes, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] < 0.01 * mask.sum()
    small[0] = False
    return mask | small[np.asarray(holes, dtype=np.int32)]
