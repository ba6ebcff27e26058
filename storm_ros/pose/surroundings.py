"""Does the surface end where the object should end? A piece of a wall or a table fits many models, but goes on."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.core.types import Mask, PoseEstimate, RgbdFrame
from storm_ros.pose.samples import PoseModel

_RING_RADII = 0.12
_RIM_PX = 2  # a predicted mask ends so much inside the object: lifting takes its rim off
_STEP_RADII = 0.18
_MIN_PIXELS = 20
_EXCESS_LIMIT, _EXCESS_RAMP = 0.45, 0.25


def surface_goes_on(frame: RgbdFrame, mask: Mask, radius_m: float) -> float:
    """Share of a mask's surroundings in which the depth continues that of the nearby mask.

    An object that stands on a table continues at its foot only; a patch of a flat surface continues all around.

    Args:
        frame: the image.
        mask: (H, W) bool, the object's visible pixels.
        radius_m: half the object's size; ring and depth step are parts of it.

    Returns:
        In [0, 1]; NaN where too little depth is known around the mask.
    """
    rows, cols = np.nonzero(mask)
    if not len(rows):
        return float("nan")
    under = frame.depth_m[rows, cols]
    if not (under > 0).any():
        return float("nan")
    distance = float(np.median(under[under > 0]))
    width = max(2, round(_RING_RADII * radius_m * frame.camera.fx / distance))
    pad = 2 * width + 2 + _RIM_PX
    top, left = max(0, int(rows.min()) - pad), max(0, int(cols.min()) - pad)
    crop = np.s_[top : int(rows.max()) + pad, left : int(cols.max()) + pad]
    inside, depth = mask[crop].astype(np.uint8), frame.depth_m[crop]
    ring = (cv2.dilate(inside, _disc(width + _RIM_PX)) > 0) & (cv2.dilate(inside, _disc(_RIM_PX)) == 0)
    known = (inside > 0) & (depth > 0)
    side = 4 * (width + _RIM_PX) - 3
    box = (side, side)
    total = cv2.boxFilter(np.where(known, depth, 0).astype(np.float32), -1, box, normalize=False)
    count = cv2.boxFilter(known.astype(np.float32), -1, box, normalize=False)
    use = ring & (depth > 0) & (count > 0.5)
    if int(use.sum()) < _MIN_PIXELS:
        return float("nan")
    step = np.abs(depth[use] - total[use] / count[use])
    return float((step < _STEP_RADII * radius_m).mean())


def _disc(radius_px: int) -> npt.NDArray[np.uint8]:
    size = 2 * radius_px + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), dtype=np.uint8)


def set_off(frame: RgbdFrame, model: PoseModel, estimate: PoseEstimate) -> PoseEstimate:
    """The estimate with a lower score where the surface goes on around it far more than in the reference.

    For poses that were searched for; one that was followed from frame to frame needs no such doubt.
    """
    if estimate.mask is None or np.isnan(model.reference_goes_on):
        return estimate
    excess = surface_goes_on(frame, estimate.mask, model.radius_m) - model.reference_goes_on
    if np.isnan(excess):
        return estimate
    return replace(estimate, score=estimate.score * float(np.clip((_EXCESS_LIMIT - excess) / _EXCESS_RAMP, 0.0, 1.0)))
