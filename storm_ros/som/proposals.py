"""Where the segmenter looks closer: at the strongest answers to the whole image, and where the template agrees."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from storm_ros.core.types import Mask, RgbdFrame, mask_window
from storm_ros.som.crops import Floats, Window, depth_under
from storm_ros.som.sizes import LOOK_MARGIN
from storm_ros.som.template import Place

WHOLE_WIDTH = 384

_SMALLEST_PX = 16.0
_FEW = 5  # pixels with depth, that a distance is told from
_FAINTEST = 0.02  # chance below which a place is not looked at again
_EDGE = 0.35  # of a place's highest chance, that the object reaches to in the image where its size is not known
_SAME_PLACE = 0.25  # of the objects' size: windows nearer to each other are one


@dataclass(frozen=True, eq=False)
class Look:
    """What the network says of one window.

    Attributes:
        window: of the frame.
        logits: (h, w) of the mask.
        presence: in [0, 1].
        iou: predicted, in [0, 1].
    """

    window: Window
    logits: Floats
    presence: float
    iou: float


def whole_window(frame: RgbdFrame) -> Window:
    """The image as one window, widened where its sides do not divide."""
    width, height = whole_size(frame)
    scale = frame.shape[1] / width
    return Window(0.0, 0.0, float(frame.shape[1]), height * scale)


def whole_size(frame: RgbdFrame) -> tuple[int, int]:
    """Columns and rows at which the network sees the whole image."""
    rows = frame.shape[0] * WHOLE_WIDTH / frame.shape[1]
    return WHOLE_WIDTH, max(16, int(np.ceil(rows / 16)) * 16)


def likely_windows(frame: RgbdFrame, whole: Look, size_m: float, count: int) -> list[Window]:
    """Windows about the places where the whole image's answer is strongest, as large as depth says.

    Args:
        frame: the image.
        whole: the answer to it.
        size_m: longer side of the object; 0 where it is not known.
        count: at most so many.
    """
    chance = 1.0 / (1.0 + np.exp(-cv2.GaussianBlur(whole.logits, (3, 3), 0.8)))
    cell = whole.window.width / whole.logits.shape[1]
    rows_used = min(chance.shape[0], int(np.ceil(frame.shape[0] / cell)))
    chance = np.ascontiguousarray(chance[:rows_used], dtype=np.float32)
    ys, xs = np.mgrid[0 : chance.shape[0], 0 : chance.shape[1]]
    out: list[Window] = []
    left = chance.copy()
    for _ in range(count):
        row, column = (int(v) for v in np.unravel_index(int(left.argmax()), left.shape))
        peak = float(left[row, column])
        if peak < _FAINTEST:
            break
        known = _expected_px(frame, (row + 0.5) * cell, (column + 0.5) * cell, size_m)
        if known:
            radius = max(1.5, 0.5 * known / cell)
            away = (ys - row) ** 2 + (xs - column) ** 2
            weight = np.where(away <= radius**2, chance, 0.0) ** 2
            x, y = (float((weight * v).sum() / weight.sum() + 0.5) for v in (xs, ys))
            size = known
            left[away <= (1.1 * radius + 1.0) ** 2] = 0.0
        else:
            piece = _piece(left > _EDGE * peak, row, column)
            rows, columns = mask_window(piece)
            x, y = 0.5 * (columns.start + columns.stop), 0.5 * (rows.start + rows.stop)
            size = cell * max(rows.stop - rows.start, columns.stop - columns.start)
            left[cv2.dilate(piece.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0] = 0.0
        side = max(_SMALLEST_PX, LOOK_MARGIN * size)
        out.append(Window(x * cell - side / 2, y * cell - side / 2, side, side, LOOK_MARGIN if known else 0.0))
    return out


def template_windows(
    frame: RgbdFrame, places: Iterable[Place], known: Sequence[Window], size_m: float, count: int
) -> list[Window]:
    """Windows about the places where the template agrees best, without those that are known already.

    Args:
        frame: the image.
        places: of the template, best first.
        known: windows that are looked at anyway.
        size_m: longer side of the object.
        count: of the places, at most so many.
    """
    out: list[Window] = []
    for place in itertools.islice(places, count):
        x, y = place.column + 0.5, place.row + 0.5
        size_px = _expected_px(frame, y, x, size_m)
        if size_px is None:
            continue
        side = max(_SMALLEST_PX, LOOK_MARGIN * size_px)
        window = Window(x - side / 2, y - side / 2, side, side, LOOK_MARGIN)
        if not any(_same(window, other) for other in (*known, *out)):
            out.append(window)
    return out


def centred_window(frame: RgbdFrame, mask: Mask, size_m: float) -> Window:
    """The window about a mask that is not empty, sized for the object at the mask's distance.

    Args:
        frame: the image.
        mask: (H, W).
        size_m: longer side of the object; 0 where it is not known.
    """
    rows, columns = mask_window(mask)
    distance = depth_under(frame, mask)
    known = size_m > 0 and distance > 0
    seen = max(rows.stop - rows.start, columns.stop - columns.start)
    side = max(_SMALLEST_PX, LOOK_MARGIN * (size_m * frame.camera.fx / distance if known else seen))
    x, y = 0.5 * (columns.start + columns.stop), 0.5 * (rows.start + rows.stop)
    return Window(x - side / 2, y - side / 2, side, side, LOOK_MARGIN if known else 0.0)


def _piece(inside: Mask, row: int, column: int) -> Mask:
    """The connected part of a mask that a pixel of it lies in."""
    labels = np.asarray(cv2.connectedComponents(inside.astype(np.uint8), connectivity=8)[1])
    return np.asarray(labels == labels[row, column], bool)


def _same(a: Window, b: Window) -> bool:
    """Whether two windows show one place at one size."""
    apart = np.hypot(a.x + a.width / 2 - b.x - b.width / 2, a.y + a.height / 2 - b.y - b.height / 2)
    alike = 0.8 < a.width / b.width < 1.25
    return bool(alike and apart < _SAME_PLACE * min(a.width, b.width) / LOOK_MARGIN)


def cut_off(frame: RgbdFrame, look: Look) -> tuple[bool, bool, bool, bool]:
    """Whether the window cuts the mask off on the left, on the right, above and below, and not the image itself."""
    inside, window = look.logits > 0, look.window
    height, width = frame.shape
    return (
        bool(inside[:, 0].any() and window.x > 1), bool(inside[:, -1].any() and window.x + window.width < width - 1),
        bool(inside[0].any() and window.y > 1), bool(inside[-1].any() and window.y + window.height < height - 1),
    )  # fmt: skip


def _expected_px(frame: RgbdFrame, y: float, x: float, size_m: float) -> float | None:
    """How large the object would be at a place of the image, from the depth there; None without."""
    if size_m <= 0:
        return None
    reach = 6
    near = frame.depth_m[max(0, int(y) - reach) : int(y) + reach + 1, max(0, int(x) - reach) : int(x) + reach + 1]
    near = near[near > 0]
    if near.size < _FEW:
        return None
    return float(np.clip(size_m * frame.camera.fx / np.percentile(near, 30), 8.0, max(frame.shape)))
