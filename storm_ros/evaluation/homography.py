"""A baseline that knows nothing of depth: SIFT features and a homography carry the reference's mask over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.core.types import Candidate, Mask, Reference, RgbdFrame

_RATIO = 0.8
_REPROJECTION_PX = 4.0
_ENOUGH = 30.0  # inliers that count as sure


@dataclass(frozen=True, eq=False)
class Print:
    """Features of one view: places (N, 2), descriptors (N, 128), the mask they lie in."""

    places: npt.NDArray[np.float32]
    descriptors: npt.NDArray[np.float32]
    mask: Mask


class SiftSegmenter:
    """Matches SIFT features of the reference and fits a homography to them."""

    def __init__(self) -> None:
        self._sift: Any = cv2.SIFT_create()

    def describe(self, reference: Reference) -> tuple[Print, ...]:
        """Features under the mask of each view."""
        return tuple(self._print(v.frame.rgb, v.mask) for v in reference.views)

    def _print(self, rgb: npt.NDArray[np.uint8], mask: Mask | None) -> Print:
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        area = None if mask is None else mask.astype(np.uint8) * 255
        points, descriptors = self._sift.detectAndCompute(grey, area)
        places = np.array([p.pt for p in points], np.float32).reshape(-1, 2)
        kept = np.zeros((0, 128), np.float32) if descriptors is None else np.asarray(descriptors, np.float32)
        return Print(places, kept, np.ones(rgb.shape[:2], bool) if mask is None else mask)

    def segment(self, frame: RgbdFrame, description: tuple[Print, ...]) -> tuple[Candidate, ...]:
        """At most one candidate a view, best first."""
        seen = self._print(frame.rgb, None)
        found = [c for view in description if (c := _carried(view, seen, frame.shape)) is not None]
        return tuple(sorted(found, key=lambda c: -c.score))


def _carried(view: Print, seen: Print, shape: tuple[int, int]) -> Candidate | None:
    if len(view.places) < 4 or len(seen.places) < 4:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(view.descriptors, seen.descriptors, k=2)
    good = [p[0] for p in pairs if len(p) == 2 and p[0].distance < _RATIO * p[1].distance]
    if len(good) < 4:
        return None
    source = view.places[[m.queryIdx for m in good]]
    target = seen.places[[m.trainIdx for m in good]]
    homography, inliers = cv2.findHomography(source, target, cv2.RANSAC, _REPROJECTION_PX)
    if homography is None:
        return None
    laid = cv2.warpPerspective(view.mask.astype(np.uint8), homography, (shape[1], shape[0]))
    mask = np.asarray(laid, np.uint8) > 0
    count = int(inliers.sum())
    return Candidate(mask, min(1.0, count / _ENOUGH)) if count >= 4 and mask.any() else None
