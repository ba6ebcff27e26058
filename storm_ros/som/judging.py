"""How likely a candidate is the object: the network's word, weighed with the candidate's size and colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from storm_ros.core.types import Mask, RgbdFrame, View, mask_window
from storm_ros.som.colour_counts import Counts, Floats, inner_colours, palette
from storm_ros.som.crops import depth_under
from storm_ros.som.proposals import Look, cut_off

SIGNALS = (
    "presence", "overlap", "sureness", "cut", "length", "larger", "area", "colours",
    "lightness", "contrast", "chroma", "extent",
)  # fmt: skip
"""What `signals` measures: logits of the presence and of the mask's IoU that the network expects, means of two looks at
it; mean logit inside the mask, whether the window cuts it off, differences in length and size to the reference
(logarithms; of the size with its sign, too), and the share of colours in common. The last four are traits of the
reference alone, as dark, plain and small things are mistaken more easily: its lightness, how much that varies, its
chroma, its length (a logarithm)."""

_SMALL_M = 0.001
_COLOURS = 3000  # pixels at most that a reference's colours are taken from
_UNKNOWN = 0.3  # logarithm by which sizes are taken to differ where there is no depth
_USUAL_M = 0.12  # length of a reference without depth


class Weighing(NamedTuple):
    """A logistic regression on simulated scenes: 1 / (1 + exp(-(weight @ (signals - mean) + bias))).

    Attributes:
        mean: (S,) of each of `SIGNALS`.
        weight: (S,).
        bias: a number.
    """

    mean: npt.NDArray[np.float64]
    weight: npt.NDArray[np.float64]
    bias: float


NETWORK_ALONE = Weighing(np.zeros(len(SIGNALS)), np.eye(len(SIGNALS))[0], 0.0)
"""The network's own presence: for weights that were never calibrated."""


@dataclass(frozen=True, eq=False)
class Looks:
    """What a reference looks like.

    Attributes:
        palettes: of each view.
        length_m: longer side as its views show it; 0 where it is not known.
        side_m: square root of the area that its views show; 0 where it is not known.
        colours: (N, 3) in Lab, of pixels of all views.
        traits: (4,) the last of `SIGNALS`.
    """

    palettes: tuple[Counts, ...]
    length_m: float
    side_m: float
    colours: Floats
    traits: npt.NDArray[np.float64]


def looks_of(views: tuple[View, ...]) -> Looks:
    """Measure a reference's views, whose masks are not empty."""
    sizes = [extent_m(view.frame, view.mask) for view in views]
    known = np.array([size for size in sizes if size[0] > 0]).reshape(-1, 2)
    length_m, side_m = np.median(known, axis=0) if len(known) else (0.0, 0.0)
    palettes = tuple(palette(view.frame.rgb, view.mask) for view in views)
    colours = np.concatenate([inner_colours(view.frame.rgb, view.mask, _COLOURS // len(views)) for view in views])
    chroma = np.hypot(colours[:, 1], colours[:, 2])
    extent = np.log(length_m if length_m > 0 else _USUAL_M)
    traits = np.array([colours[:, 0].mean(), colours[:, 0].std(), chroma.mean(), extent], np.float64)
    return Looks(palettes, float(length_m), float(side_m), colours, traits)


def extent_m(frame: RgbdFrame, mask: Mask) -> tuple[float, float]:
    """Longer side, and square root of the area, of what a mask shows at its median depth, metres; 0 without depth."""
    pixel_m = depth_under(frame, mask) / frame.camera.fx
    longer = max(side.stop - side.start for side in mask_window(mask))
    return longer * pixel_m, float(np.sqrt(np.count_nonzero(mask))) * pixel_m


def signals(frame: RgbdFrame, look: Look, again: Look, mask: Mask, reference: Looks) -> npt.NDArray[np.float64]:
    """What tells whether a candidate is the object, (12,) in the order of `SIGNALS`.

    Args:
        frame: the image.
        look: whose mask it is.
        again: a second look at it; the first where that is enough.
        mask: of the candidate, not empty.
        reference: what is looked for.
    """
    inside = look.logits[look.logits > 0]
    length_m, side_m = extent_m(frame, mask)
    length, larger, area = _UNKNOWN, 0.0, _UNKNOWN
    if length_m > 0 and reference.length_m > 0:
        length = abs(float(np.log((length_m + _SMALL_M) / (reference.length_m + _SMALL_M))))
        larger = float(np.log((side_m + _SMALL_M) / (reference.side_m + _SMALL_M)))
        area = abs(larger)
    seen = palette(frame.rgb, mask)
    alike = max(float(np.minimum(seen, own).sum()) for own in reference.palettes)
    sure, cut = float(inside.mean()) if inside.size else 0.0, float(any(cut_off(frame, look)))
    presence = 0.5 * (_logit(look.presence) + _logit(again.presence))
    overlap = 0.5 * (_logit(look.iou) + _logit(again.iou))
    return np.array([presence, overlap, sure, cut, length, larger, area, alike, *reference.traits])


def chance(measured: npt.NDArray[np.float64], weighing: Weighing) -> float:
    """How likely a candidate with such signals (12,) is the object."""
    return float(1.0 / (1.0 + np.exp(-(float(weighing.weight @ (measured - weighing.mean)) + weighing.bias))))


def _logit(probability: float) -> float:
    kept = min(max(probability, 1e-4), 1.0 - 1e-4)
    return float(np.log(kept / (1.0 - kept)))
