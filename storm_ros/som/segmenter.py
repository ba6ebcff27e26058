"""The learned segmenter: the whole image first, then a closer look at every place that may be the object."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
import torch

from storm_ros.core.config import SegmenterConfig
from storm_ros.core.errors import InputError, StormError
from storm_ros.core.types import Candidate, Mask, Reference, RgbdFrame
from storm_ros.encoders.nano import planes_tensor
from storm_ros.som.crops import Floats, Window, apparent_size, cut, reference_crop
from storm_ros.som.loading import load_som
from storm_ros.som.network import Described, SomNetwork
from storm_ros.som.sizes import LOOK_MARGIN, LOOK_PX, MAX_VIEWS

WHOLE_WIDTH = 256

_SMALLEST_PX = 16.0
_FAINTEST = 0.02  # chance below which a place is not looked at again
_SAME = 0.5  # overlap from which two masks are one candidate


@dataclass(frozen=True, eq=False)
class Description:
    """A reference, looked at once.

    Attributes:
        tokens: of all its views.
        diameter_m: of the object; 0 where it is not known.
        size_m: longer side as its views show it; 0 where it is not known.
        views: how many there are.
    """

    tokens: Described
    diameter_m: float
    size_m: float
    views: int


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


class SomSegmenter:
    """Segments the reference object; the views are looked at once, in `describe`."""

    def __init__(self, config: SegmenterConfig | None = None, network: SomNetwork | None = None) -> None:
        """Load the weights, unless a network is given.

        Raises:
            WeightsError: missing, damaged, altered, or of another size.
        """
        self.config = config or SegmenterConfig()
        self.network = load_som(self.config.weights) if network is None else network.eval()

    def describe(self, reference: Reference) -> Description:
        """Gather the tokens of all views.

        Raises:
            InputError: no view or more than 16, a mask that does not fit or is too small, or nothing to see under it.
        """
        count = len(reference.views)
        if not 1 <= count <= MAX_VIEWS:
            raise InputError(f"reference has {count} views: 1 to {MAX_VIEWS} are needed; leave some out")
        crops = [reference_crop(view, self.network.config.reference_px) for view in reference.views]
        planes = planes_tensor(np.stack([planes for planes, _ in crops]))[None]
        masks = torch.from_numpy(np.stack([mask for _, mask in crops]))[None]
        with torch.inference_mode():
            tokens = self.network.describe(planes, masks)
        sizes = [size for size in map(apparent_size, reference.views) if size > 0]
        size_m = float(np.median(sizes)) if sizes else 0.0
        return Description(tokens, float(reference.mesh.diameter), size_m, count)

    def segment(self, frame: RgbdFrame, description: Description) -> tuple[Candidate, ...]:
        """Places where the object may be, best first; none where it is not there.

        Args:
            frame: the image.
            description: from `describe`.

        Raises:
            StormError: the network's answer is not finite.
        """
        whole = self.look(frame, [whole_window(frame)], description, _whole_size(frame))[0]
        looks = [whole]
        if self.config.crops > 0:
            places = likely_windows(frame, whole, description.size_m, self.config.crops)
            looks = self.look(frame, places, description, (LOOK_PX, LOOK_PX)) if places else []
            again = [w for w in (recentred(look) for look in self._promising(looks)) if w is not None]
            if again:
                looks = looks + self.look(frame, again, description, (LOOK_PX, LOOK_PX))
        return self._ranked(frame, looks, description.diameter_m)

    def _promising(self, looks: Sequence[Look]) -> list[Look]:
        best = sorted(looks, key=lambda look: -look.presence)[:2]
        return [look for look in best if look.presence >= 0.5 * self.config.presence]

    def look(
        self, frame: RgbdFrame, windows: Sequence[Window], description: Description, size: tuple[int, int]
    ) -> list[Look]:
        """Look at windows of a frame, each brought to a size (width, height) in pixels."""
        planes = planes_tensor(np.stack([cut(frame, window, *size) for window in windows]))
        many = torch.zeros(len(windows), dtype=torch.long)
        extent = torch.tensor([window.extent for window in windows])
        with torch.inference_mode():
            output = self.network.decide(self.network.encode(planes), description.tokens.chosen(many), extent)
            logits = output.mask.numpy()
            presence, iou = torch.sigmoid(output.presence).numpy(), torch.sigmoid(output.iou).numpy()
        if not (np.isfinite(logits).all() and np.isfinite(presence).all() and np.isfinite(iou).all()):
            raise StormError(
                "the segmenter's answer is not finite: the weights are damaged (storm weights verify), or the image is"
            )
        return [Look(w, logits[i], float(presence[i]), float(iou[i])) for i, w in enumerate(windows)]

    def _ranked(self, frame: RgbdFrame, looks: Sequence[Look], diameter_m: float) -> tuple[Candidate, ...]:
        chosen: list[Candidate] = []
        for look in sorted(looks, key=lambda look: -look.presence):
            if look.presence < self.config.presence or len(chosen) == self.config.candidates:
                continue
            mask = full_mask(frame, look, diameter_m)
            if mask.sum() < 16 or any(_overlap(mask, other.mask) > _SAME for other in chosen):
                continue
            chosen.append(Candidate(mask, look.presence))
        return tuple(chosen)


def whole_window(frame: RgbdFrame) -> Window:
    """The image as one window, widened where its sides do not divide."""
    width, height = _whole_size(frame)
    scale = frame.shape[1] / width
    return Window(0.0, 0.0, float(frame.shape[1]), height * scale)


def _whole_size(frame: RgbdFrame) -> tuple[int, int]:
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
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        peak = float(left[row, column])
        if peak < _FAINTEST:
            break
        known = _expected_px(frame, (row + 0.5) * cell, (column + 0.5) * cell, size_m)
        radius = max(1.5, 0.5 * (known or 6.0 * cell) / cell)
        near = (ys - row) ** 2 + (xs - column) ** 2 <= radius**2
        weight = np.where(near, chance, 0.0) ** 2
        x = float((weight * xs).sum() / weight.sum() + 0.5) * cell
        y = float((weight * ys).sum() / weight.sum() + 0.5) * cell
        inside = near & (chance > 0.5 * peak)
        seen = cell * float(max(np.ptp(ys[inside]), np.ptp(xs[inside])) + 1)
        side = max(_SMALLEST_PX, LOOK_MARGIN * (known or seen))
        out.append(Window(x - side / 2, y - side / 2, side, side, LOOK_MARGIN if known else 0.0))
        left[(ys - row) ** 2 + (xs - column) ** 2 <= (1.1 * radius + 1.0) ** 2] = 0.0
    return out


def recentred(look: Look) -> Window | None:
    """The window moved onto the mask that was seen in it; None where it is in the middle already, or there is none."""
    rows, columns = np.nonzero(look.logits > 0)
    if not len(rows):
        return None
    cell = look.window.width / look.logits.shape[1]
    x = look.window.x + cell * (columns.min() + columns.max() + 1) / 2.0
    y = look.window.y + cell * (rows.min() + rows.max() + 1) / 2.0
    middle = look.window.x + look.window.width / 2, look.window.y + look.window.height / 2
    if np.hypot(x - middle[0], y - middle[1]) < 0.06 * look.window.width:
        return None
    return replace(look.window, x=x - look.window.width / 2, y=y - look.window.height / 2)


def _expected_px(frame: RgbdFrame, y: float, x: float, size_m: float) -> float | None:
    """How large the object would be at a place of the image, from the depth there; None without."""
    if size_m <= 0:
        return None
    reach = 6
    near = frame.depth_m[max(0, int(y) - reach) : int(y) + reach + 1, max(0, int(x) - reach) : int(x) + reach + 1]
    near = near[near > 0]
    if near.size < 5:
        return None
    return float(np.clip(size_m * frame.camera.fx / np.percentile(near, 30), 8.0, max(frame.shape)))


def full_mask(frame: RgbdFrame, look: Look, diameter_m: float) -> Mask:
    """The mask of a look at the frame's resolution, in one piece at the object's distance."""
    window = look.window
    scale = np.array([window.width / look.logits.shape[1], window.height / look.logits.shape[0]])
    to_look = np.array([
        [1 / scale[0], 0.0, (0.5 - window.x) / scale[0] - 0.5], [0.0, 1 / scale[1], (0.5 - window.y) / scale[1] - 0.5],
    ])  # fmt: skip
    height, width = frame.shape
    x0, y0 = max(0, int(window.x)), max(0, int(window.y))
    x1, y1 = min(width, int(np.ceil(window.x + window.width))), min(height, int(np.ceil(window.y + window.height)))
    out = np.zeros(frame.shape, bool)
    if x1 <= x0 or y1 <= y0:
        return out
    to_look[:, 2] += to_look[:, :2] @ [x0, y0]
    laid = cv2.warpAffine(
        look.logits, to_look, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT, borderValue=(-10.0,),
    )  # fmt: skip
    out[y0:y1, x0:x1] = _one_piece(np.asarray(laid > 0), frame.depth_m[y0:y1, x0:x1], diameter_m)
    return out


def _one_piece(mask: npt.NDArray[np.bool_], depth_m: Floats, diameter_m: float) -> npt.NDArray[np.bool_]:
    """The largest part of a mask, without what lies farther from its median depth than the object is wide."""
    known = depth_m[mask & (depth_m > 0)]
    if diameter_m > 0 and known.size > 10:
        mask = mask & ((depth_m <= 0) | (np.abs(depth_m - np.median(known)) < 0.75 * diameter_m + 0.01))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 1:
        return mask
    areas = stats[1:, cv2.CC_STAT_AREA]
    keep = np.flatnonzero(areas >= 0.25 * areas.max()) + 1
    return np.isin(labels, keep)


def _overlap(first: Mask, second: Mask) -> float:
    return float((first & second).sum() / max(int((first | second).sum()), 1))
