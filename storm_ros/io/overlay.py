"""Masks drawn onto images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.core.types import Mask

PALETTE = ((57, 255, 20), (255, 64, 129), (0, 200, 255), (255, 193, 7), (170, 110, 255), (255, 255, 255))
"""RGB by the object's place in the order, repeated when there are more."""


def draw_overlay(
    rgb: npt.NDArray[np.uint8], masks: Mapping[str, Mask], order: Sequence[str], *, thickness_px: int = 2
) -> npt.NDArray[np.uint8]:
    """A copy of an image with the contour of each object's mask.

    Args:
        rgb: (H, W, 3) uint8.
        masks: (H, W) bool by object id.
        order: object ids, by whose place the colours are chosen.
        thickness_px: of the line.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    out = rgb.copy()
    for object_id, mask in masks.items():
        contours = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[-2]
        cv2.drawContours(out, contours, -1, PALETTE[order.index(object_id) % len(PALETTE)], thickness_px)
    return out


def index_mask(
    shape: tuple[int, int], masks: Mapping[str, Mask], order: Sequence[str], *, several: bool
) -> npt.NDArray[np.uint8]:
    """All masks in one image.

    Args:
        shape: (height, width).
        masks: (H, W) bool by object id; later ones lie above earlier ones.
        order: object ids, by whose place the values are chosen.
        several: False marks the only object with 255, True each with its place, counted from 1.

    Returns:
        (H, W) uint8, 0 where there is no object.
    """
    out = np.zeros(shape, np.uint8)
    for object_id, mask in masks.items():
        out[mask] = min(order.index(object_id) + 1, 255) if several else 255
    return out
