"""From the answer to a window to a mask of the frame: sharp, and in one piece at the object's distance."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.core.types import Mask, RgbdFrame
from storm_ros.som.crops import Floats, colours
from storm_ros.som.edges import to_edges
from storm_ros.som.proposals import Look

_LEAST = -0.7  # logit from which a pixel is in the mask: what raises the expected IoU, not the count of right pixels
_PIECE = 0.1  # of the largest piece of a mask: smaller ones are left out
_STRETCH = 1.1  # of the object's diameter, that the pieces of a mask may span


def rough_mask(frame: RgbdFrame, look: Look) -> Mask:
    """The mask of a look at half of the frame's resolution, as it is."""
    window, (rows, columns) = look.window, look.logits.shape
    across, down = 0.5 * window.width / columns, 0.5 * window.height / rows
    to_half = np.array([[across, 0.0, 0.5 * window.x], [0.0, down, 0.5 * window.y]])
    height, width = frame.shape
    inside = (look.logits > 0).astype(np.uint8)
    return np.asarray(cv2.warpAffine(inside, to_half, (width // 2, height // 2), flags=cv2.INTER_NEAREST)) > 0


def full_mask(frame: RgbdFrame, look: Look, diameter_m: float, known: Floats | None = None) -> Mask:
    """The mask of a look at the frame's resolution, in one piece at the object's distance.

    Args:
        frame: the image.
        look: at a window of it.
        diameter_m: of the object; 0 where it is not known.
        known: (N, 3) its colours in Lab; none where they are not known.
    """
    window = look.window
    height, width = frame.shape
    x0, y0 = max(0, int(window.x)), max(0, int(window.y))
    x1, y1 = min(width, int(np.ceil(window.x + window.width))), min(height, int(np.ceil(window.y + window.height)))
    out = np.zeros(frame.shape, bool)
    if x1 <= x0 or y1 <= y0:
        return out
    rows, columns = 2 * look.logits.shape[0], 2 * look.logits.shape[1]
    across, down = window.width / columns, window.height / rows
    seen = (
        slice(max(0, int((y0 - window.y) / down)), int(np.ceil((y1 - window.y) / down))),
        slice(max(0, int((x0 - window.x) / across)), int(np.ceil((x1 - window.x) / across))),
    )
    logits = to_edges(look.logits, colours(frame, window, columns, rows), seen, known)
    to_look = np.array([
        [1 / across, 0.0, (0.5 + x0 - window.x) / across - 0.5], [0.0, 1 / down, (0.5 + y0 - window.y) / down - 0.5],
    ])  # fmt: skip
    laid = cv2.warpAffine(
        logits, to_look, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT, borderValue=(-10.0,),
    )  # fmt: skip
    out[y0:y1, x0:x1] = _one_piece(
        np.asarray(laid, np.float32), frame.depth_m[y0:y1, x0:x1], diameter_m, diameter_m * frame.camera.fx
    )
    return out


def _one_piece(logits: Floats, depth_m: Floats, diameter_m: float, diameter_px_m: float) -> npt.NDArray[np.bool_]:
    """The likeliest part of a mask and what may belong to it, in depth and in the image, by the object's diameter.

    Args:
        logits: (h, w) of the mask.
        depth_m: (h, w).
        diameter_m: of the object; 0 where it is not known.
        diameter_px_m: the same in pixels at a distance of one metre.
    """
    mask = logits > _LEAST
    known = depth_m[mask & (depth_m > 0)]
    widest = float("inf")
    if diameter_m > 0 and known.size > 10:
        middle = np.median(known)
        widest = _STRETCH * diameter_px_m / float(middle)
        mask = mask & ((depth_m <= 0) | (np.abs(depth_m - middle) < 0.75 * diameter_m + 0.01))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 1:
        return mask
    stats = stats[1:]
    weight = np.bincount(labels[mask], logits[mask] - _LEAST, count)[1:]
    order = np.argsort(-weight, kind="stable")
    first = np.concatenate([stats[:, :2], stats[:, :2] + stats[:, 2:4]], axis=1)  # left, top, right, bottom
    around, keep = first[order[0]], [int(order[0])]
    for i in order[1:]:
        both = np.concatenate([np.minimum(around[:2], first[i, :2]), np.maximum(around[2:], first[i, 2:])])
        large = stats[i, cv2.CC_STAT_AREA] >= _PIECE * stats[order[0], cv2.CC_STAT_AREA]
        if large and np.hypot(*(both[2:] - both[:2])) <= widest:
            around, keep = both, [*keep, int(i)]
    kept = np.zeros(count, bool)
    kept[np.array(keep) + 1] = True
    return kept[labels]


def mask_iou(first: Mask, second: Mask) -> float:
    """Intersection over union of two masks (H, W); 0 for two empty ones."""
    both = np.count_nonzero(first & second)
    return both / max(np.count_nonzero(first) + np.count_nonzero(second) - both, 1)
