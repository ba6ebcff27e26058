"""The learned segmenter: the whole image first, then a closer look at every place that may be the object."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch

from storm_ros.core.config import SegmenterConfig
from storm_ros.core.errors import InputError, StormError
from storm_ros.core.types import Candidate, Mask, Reference, RgbdFrame
from storm_ros.encoders.inference import inference
from storm_ros.encoders.nano import planes_tensor
from storm_ros.som.crops import Floats, Window, apparent_size, cut, reference_crop
from storm_ros.som.loading import load_som
from storm_ros.som.network import Described, SomNetwork
from storm_ros.som.proposals import Look, cut_off, likely_windows, recentred, template_windows, whole_size, whole_window
from storm_ros.som.sizes import LOOK_PX, MAX_VIEWS
from storm_ros.som.template import Template, TemplateSegmenter

_HINT_SPACING_PX = 12  # the look that follows moves onto the object by itself
_CUT = 0.7
_PIECE = 0.1  # of the largest piece of a mask: smaller ones are left out
_STRETCH = 1.1  # of the object's diameter, that the pieces of a mask may span
_SAME = 0.5  # overlap from which two masks are one candidate


@dataclass(frozen=True, eq=False)
class Description:
    """A reference, looked at once.

    Attributes:
        tokens: of all its views.
        diameter_m: of the object; 0 where it is not known.
        size_m: longer side as its views show it; 0 where it is not known.
        views: how many there are.
        templates: of the template segmenter; none where it does not help.
    """

    tokens: Described
    diameter_m: float
    size_m: float
    views: int
    templates: tuple[Template, ...] = ()


class SomSegmenter:
    """Segments the reference object; the views are looked at once, in `describe`."""

    def __init__(
        self,
        config: SegmenterConfig | None = None,
        network: SomNetwork | None = None,
        template: TemplateSegmenter | None = None,
    ) -> None:
        """Load the weights, unless a network is given; a template segmenter names more places to look at.

        Raises:
            WeightsError: missing, damaged, altered, or of another size.
        """
        self.config = config or SegmenterConfig()
        self.network = load_som(self.config.weights) if network is None else network.eval()
        self.template = template
        self.threads = torch.get_num_threads()  # of the thread that builds it: a search's own might know another number

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
        with inference(self.threads):
            tokens = self.network.describe(planes, masks)
        sizes = [size for size in map(apparent_size, reference.views) if size > 0]
        size_m = float(np.median(sizes)) if sizes else 0.0
        templates = self.template.describe(reference) if self.template is not None and size_m > 0 else ()
        return Description(tokens, float(reference.mesh.diameter), size_m, count, templates)

    def segment(self, frame: RgbdFrame, description: Description) -> tuple[Candidate, ...]:
        """Places where the object may be, best first; none where it is not there.

        Args:
            frame: the image.
            description: from `describe`.

        Raises:
            StormError: the network's answer is not finite.
        """
        closer = self.config.crops > 0
        whole = self.look(frame, [whole_window(frame)], description, whole_size(frame), sharp=not closer)[0]
        looks = [whole]
        if closer:
            places = likely_windows(frame, whole, description.size_m, self.config.crops)
            if self.template is not None and description.templates:
                agreeing = self.template.places(frame, description.templates, _HINT_SPACING_PX, finest=1)
                places += template_windows(frame, agreeing, places, description.size_m, self.config.crops)
            looks = self.look(frame, places, description, (LOOK_PX, LOOK_PX)) if places else []
            again = [w for w in (recentred(frame, look) for look in self._promising(frame, looks)) if w is not None]
            if again:
                looks = looks + self.look(frame, again, description, (LOOK_PX, LOOK_PX))
        return self._ranked(frame, looks, description.diameter_m)

    def _promising(self, frame: RgbdFrame, looks: Sequence[Look]) -> list[Look]:
        best = sorted(looks, key=lambda look: -_worth(frame, look))[:2]
        return [look for look in best if look.presence >= 0.5 * self.config.presence]

    def look(
        self, frame: RgbdFrame, windows: Sequence[Window], description: Description, size: tuple[int, int],
        *, sharp: bool = True,
    ) -> list[Look]:  # fmt: skip
        """Look at windows of a frame, each brought to a size (width, height) in pixels.

        Args:
            frame: the image.
            windows: of it.
            description: from `describe`.
            size: of the looks.
            sharp: sharpen the masks that may become candidates.
        """
        planes = planes_tensor(np.stack([cut(frame, window, *size) for window in windows]))
        many = torch.zeros(len(windows), dtype=torch.long)
        extent = torch.tensor([window.extent for window in windows])
        with inference(self.threads):
            described = description.tokens.chosen(many)
            least = self.config.presence if sharp else None
            output = self.network.decide(self.network.encode(planes), described, extent, sharp=least)
            logits = output.mask.numpy()
            presence, iou = torch.sigmoid(output.presence).numpy(), torch.sigmoid(output.iou).numpy()
        if not (np.isfinite(logits).all() and np.isfinite(presence).all() and np.isfinite(iou).all()):
            raise StormError(
                "the segmenter's answer is not finite: the weights are damaged (storm weights verify), or the image is"
            )
        return [Look(w, logits[i], float(presence[i]), float(iou[i])) for i, w in enumerate(windows)]

    def _ranked(self, frame: RgbdFrame, looks: Sequence[Look], diameter_m: float) -> tuple[Candidate, ...]:
        chosen: list[Candidate] = []
        for look in sorted(looks, key=lambda look: -_worth(frame, look)):
            if look.presence < self.config.presence or len(chosen) == self.config.candidates:
                continue
            mask = full_mask(frame, look, diameter_m)
            if mask.sum() < 16 or any(_overlap(mask, other.mask) > _SAME for other in chosen):
                continue
            chosen.append(Candidate(mask, look.presence))
        return tuple(chosen)


def _worth(frame: RgbdFrame, look: Look) -> float:
    """The presence, less where the window cuts the mask off: there is a better look at the same thing then."""
    return look.presence * (_CUT if any(cut_off(frame, look)) else 1.0)


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
    out[y0:y1, x0:x1] = _one_piece(
        np.asarray(laid > 0), frame.depth_m[y0:y1, x0:x1], diameter_m, diameter_m * frame.camera.fx
    )
    return out


def _one_piece(
    mask: npt.NDArray[np.bool_], depth_m: Floats, diameter_m: float, diameter_px_m: float
) -> npt.NDArray[np.bool_]:
    """The largest part of a mask and what may belong to it, in depth and in the image, by the object's diameter.

    Args:
        mask: (h, w).
        depth_m: (h, w).
        diameter_m: of the object; 0 where it is not known.
        diameter_px_m: the same in pixels at a distance of one metre.
    """
    known = depth_m[mask & (depth_m > 0)]
    widest = float("inf")
    if diameter_m > 0 and known.size > 10:
        widest = _STRETCH * diameter_px_m / float(np.median(known))
        mask = mask & ((depth_m <= 0) | (np.abs(depth_m - np.median(known)) < 0.75 * diameter_m + 0.01))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 1:
        return mask
    stats = stats[1:]
    order = np.argsort(-stats[:, cv2.CC_STAT_AREA], kind="stable")
    first = np.concatenate([stats[:, :2], stats[:, :2] + stats[:, 2:4]], axis=1)  # left, top, right, bottom
    around, keep = first[order[0]], [int(order[0])]
    for i in order[1:]:
        both = np.concatenate([np.minimum(around[:2], first[i, :2]), np.maximum(around[2:], first[i, 2:])])
        large = stats[i, cv2.CC_STAT_AREA] >= _PIECE * stats[order[0], cv2.CC_STAT_AREA]
        if large and np.hypot(*(both[2:] - both[:2])) <= widest:
            around, keep = both, [*keep, int(i)]
    return np.isin(labels, np.array(keep) + 1)


def _overlap(first: Mask, second: Mask) -> float:
    return float((first & second).sum() / max(int((first | second).sum()), 1))
