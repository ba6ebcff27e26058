"""Things held in front of an object, cut from the reference pictures of others."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.core.types import Mask, RgbdFrame

Rng = np.random.Generator

_DEPTH_STEP_M = 0.0005
_TRIES = 6
_NEAREST_M = 0.2
_WHOLE_SHARE, _PART_SHARES = 0.93, (0.12, 0.55)


@dataclass(frozen=True, eq=False)
class Covered:
    """An image with something in front of the object, its pixels, and the share of the object's that it hides."""

    frame: RgbdFrame
    front: Mask
    share: float


def covered(
    scene: dict[str, npt.NDArray[np.generic]], frame: RgbdFrame, own: Mask, number: int, rng: Rng, *, whole: bool
) -> Covered | None:
    """Hold another object of the scene in front of one.

    Args:
        scene: its arrays.
        frame: the image.
        own: (H, W) visible pixels of the object that is to be hidden.
        number: of that object.
        rng: of what, where and how large.
        whole: hide all of it, or a part.

    Returns:
        None where none of a few tries hides as much as wanted.
    """
    rows, cols = np.nonzero(own)
    under = frame.depth_m[own]
    under = under[under > 0]
    if not len(rows) or not len(under):
        return None
    size = max(float(np.ptp(rows)), float(np.ptp(cols)), 4.0)
    middle = np.array([cols.min() + cols.max(), rows.min() + rows.max()]) / 2.0
    for _ in range(_TRIES):
        other, view = int(rng.integers(scene["ref_mask"].shape[0])), int(rng.integers(scene["ref_mask"].shape[1]))
        mask = np.asarray(scene["ref_mask"][other, view], bool)
        if other == number or mask.sum() < 100:
            continue
        reach = rng.uniform(1.5, 2.2) * size if whole else rng.uniform(0.4, 1.2) * size
        off = np.zeros(2) if whole else rng.uniform(-0.6, 0.6, 2) * size
        nearest = max(_NEAREST_M, float(np.percentile(under, 5)) - rng.uniform(0.03, 0.25))
        made, front = _pasted(
            frame, np.asarray(scene["ref_rgb"][other, view], np.uint8),
            np.asarray(scene["ref_depth"][other, view], np.float32) * np.float32(_DEPTH_STEP_M), mask, middle + off,
            reach, nearest,
        )  # fmt: skip
        share = float((front & own).sum() / own.sum())
        if share >= _WHOLE_SHARE if whole else _PART_SHARES[0] <= share <= _PART_SHARES[1]:
            return Covered(made, front, share)
    return None


def _pasted(
    frame: RgbdFrame,
    rgb: npt.NDArray[np.uint8],
    depth: npt.NDArray[np.float32],
    mask: Mask,
    middle: npt.NDArray[np.float64],
    reach: float,
    nearest: float,
) -> tuple[RgbdFrame, Mask]:
    """The image with a cut-out pasted about a pixel, and where it lies."""
    rows, cols = np.nonzero(mask)
    scale = max(float(np.ptp(rows)), float(np.ptp(cols)), 1.0) / reach
    source = np.array([cols.min() + cols.max(), rows.min() + rows.max()]) / 2.0
    to_source = np.array([[scale, 0, source[0] - scale * middle[0]], [0, scale, source[1] - scale * middle[1]]])
    height, width = frame.shape
    flags = cv2.WARP_INVERSE_MAP
    cover = cv2.warpAffine(mask.astype(np.float32), to_source, (width, height), flags=cv2.INTER_LINEAR | flags) > 0.5
    colours = cv2.warpAffine(rgb, to_source, (width, height), flags=cv2.INTER_LINEAR | flags)
    known = mask & (depth > 0)
    relief = np.where(known, depth - (np.median(depth[known]) if known.any() else 0.0), 0.0).astype(np.float32)
    heights = cv2.warpAffine(relief, to_source, (width, height), flags=cv2.INTER_NEAREST | flags)
    some = cv2.warpAffine(known.astype(np.uint8), to_source, (width, height), flags=cv2.INTER_NEAREST | flags) > 0
    out_rgb, out_depth = frame.rgb.copy(), frame.depth_m.copy()
    out_rgb[cover] = np.asarray(colours)[cover]
    out_depth[cover] = np.where(some, np.maximum(nearest + np.asarray(heights), 0.15), 0.0)[cover]
    return RgbdFrame(out_rgb, out_depth.astype(np.float32), frame.camera, frame.stamp_ns, frame.index), cover
