"""The learned segmenter: the whole image first, then a closer look at every place that may be the object."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from storm_ros.core.config import SegmenterConfig
from storm_ros.core.errors import InputError, StormError
from storm_ros.core.types import Candidate, Mask, Reference, RgbdFrame
from storm_ros.encoders.inference import inference
from storm_ros.encoders.nano import planes_tensor
from storm_ros.som.crops import Window, cut, reference_crop
from storm_ros.som.judging import NETWORK_ALONE, Looks, Weighing, chance, looks_of, signals
from storm_ros.som.loading import load_som
from storm_ros.som.masks import full_mask, mask_iou, rough_mask
from storm_ros.som.network import Described, SomNetwork
from storm_ros.som.proposals import (
    Look,
    centred_window,
    cut_off,
    likely_windows,
    template_windows,
    whole_size,
    whole_window,
)
from storm_ros.som.sizes import LOOK_PX, MAX_VIEWS
from storm_ros.som.template import Template, TemplateSegmenter

_HINTS = 1  # places of the template that are looked at: more find no more
_HINT_SPACING_PX = 12
_SURE = 0.9  # presence from which no other place is looked at, and a candidate not again
_FIRST_WORD = 1.6  # of the chance that is wanted, that the network's presence must be: candidates below hardly reach it
_CUT = 0.7
_SAME = 0.5  # overlap from which two masks are one candidate


@dataclass(frozen=True, eq=False)
class Description:
    """A reference, looked at once.

    Attributes:
        tokens: of all its views, and of the same in a mirror.
        diameter_m: of the object; 0 where it is not known.
        views: how many there are.
        looks: its colours and size, that candidates are held against.
        templates: of the template segmenter; none where it does not help.
    """

    tokens: Described
    diameter_m: float
    views: int
    looks: Looks
    templates: tuple[Template, ...] = ()


class SomSegmenter:
    """Segments the reference object; the views are looked at once, in `describe`."""

    def __init__(
        self,
        config: SegmenterConfig | None = None,
        network: SomNetwork | None = None,
        template: TemplateSegmenter | None = None,
        weighing: Weighing = NETWORK_ALONE,
    ) -> None:
        """Load the weights and their calibrated weighing of candidates, unless a network is given.

        Args:
            config: which weights, how many places.
            network: in place of the weights.
            template: names one more place to look at.
            weighing: of that network's candidates.

        Raises:
            WeightsError: missing, damaged, altered, or of another size.
        """
        self.config = config or SegmenterConfig()
        if network is None:
            network, weighing = load_som(self.config.weights)
        self.network, self.weighing = network.eval(), weighing
        self.template = template
        self._least = _FIRST_WORD * self.config.presence
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
            both = [(planes, masks), (planes.flip(-1), masks.flip(-1))]
            tokens = self.network.describe(*(torch.cat(parts) for parts in zip(*both, strict=True)))
        looks = looks_of(reference.views)
        templates = self.template.describe(reference) if self.template is not None and looks.length_m > 0 else ()
        return Description(tokens, float(reference.mesh.diameter), count, looks, templates)

    def segment(self, frame: RgbdFrame, description: Description) -> tuple[Candidate, ...]:
        """Places where the object may be, best first; none where it is not there.

        Args:
            frame: the image.
            description: from `describe`.

        Raises:
            StormError: the network's answer is not finite.
        """
        weighed = ((chance(measured, self.weighing), mask) for mask, measured in self.measured(frame, description))
        likely = [Candidate(mask, score) for score, mask in weighed if score >= self.config.presence]
        return tuple(sorted(likely, key=lambda candidate: -candidate.score))

    def measured(self, frame: RgbdFrame, description: Description) -> list[tuple[Mask, npt.NDArray[np.float64]]]:
        """Masks that may be the object's, with the signals (12,) that their chance is told from.

        Args:
            frame: the image.
            description: from `describe`.

        Raises:
            StormError: the network's answer is not finite.
        """
        closer = self.config.crops > 0
        whole = self.look(frame, [whole_window(frame)], description, whole_size(frame), sharp=not closer)[0]
        looks = self._closer(frame, whole, description) if closer else [whole]
        chosen: list[tuple[Mask, Look]] = []
        places: list[Mask] = []
        for look in sorted(looks, key=lambda look: -_worth(frame, look)):
            if look.presence < self._least or len(chosen) == self.config.candidates:
                continue
            place = rough_mask(frame, look)
            if any(mask_iou(place, other) > _SAME for other in places):
                continue
            mask = full_mask(frame, look, description.diameter_m, description.looks.colours)
            if np.count_nonzero(mask) < 16 or any(mask_iou(mask, other) > _SAME for other, _ in chosen):
                continue
            places.append(place)
            chosen.append((mask, look))
        seconds = self._again(frame, chosen, description) if closer else [look for _, look in chosen]
        return [
            (mask, signals(frame, look, second, mask, description.looks))
            for (mask, look), second in zip(chosen, seconds, strict=True)
        ]

    def _again(
        self, frame: RgbdFrame, chosen: Sequence[tuple[Mask, Look]], description: Description
    ) -> list[Look]:  # fmt: skip
        """A second look, the mask in its middle, reference and image in a mirror; the first where that is sure."""
        unsure = [mask for mask, look in chosen if look.presence < _SURE]
        windows = [centred_window(frame, mask, description.looks.length_m) for mask in unsure]
        size = (LOOK_PX, LOOK_PX)
        more = iter(self.look(frame, windows, description, size, sharp=False, mirrored=True) if windows else ())
        return [next(more) if look.presence < _SURE else look for _, look in chosen]

    def _closer(self, frame: RgbdFrame, whole: Look, description: Description) -> list[Look]:
        """Close looks: at the likeliest places, and unless one of them is sure, where the template agrees best."""
        size = (LOOK_PX, LOOK_PX)
        places = likely_windows(frame, whole, description.looks.length_m, self.config.crops)
        looks = self.look(frame, places, description, size) if places else []
        if self.template is None or not description.templates or any(_worth(frame, look) >= _SURE for look in looks):
            return looks
        agreeing = self.template.places(frame, description.templates, _HINT_SPACING_PX, finest=1)
        more = template_windows(frame, agreeing, places, description.looks.length_m, _HINTS)
        return looks + self.look(frame, more, description, size) if more else looks

    def look(
        self, frame: RgbdFrame, windows: Sequence[Window], description: Description, size: tuple[int, int],
        *, sharp: bool = True, mirrored: bool = False,
    ) -> list[Look]:  # fmt: skip
        """Look at windows of a frame, each brought to a size (width, height) in pixels.

        Args:
            frame: the image.
            windows: of it.
            description: from `describe`.
            size: of the looks.
            sharp: sharpen the masks that may become candidates.
            mirrored: right and left exchanged in the windows and in the reference; their masks stay as they are seen.
        """
        planes = planes_tensor(np.stack([cut(frame, window, *size) for window in windows]))
        planes = planes.flip(-1) if mirrored else planes
        many = torch.full((len(windows),), int(mirrored), dtype=torch.long)
        extent = torch.tensor([window.extent for window in windows])
        with inference(self.threads):
            described = description.tokens.chosen(many)
            least = self._least if sharp else None
            output = self.network.decide(self.network.encode(planes), described, extent, sharp=least, aligned=False)
            logits = (output.mask.flip(-1) if mirrored else output.mask).numpy()
            presence, iou = torch.sigmoid(output.presence).numpy(), torch.sigmoid(output.iou).numpy()
        if not (np.isfinite(logits).all() and np.isfinite(presence).all() and np.isfinite(iou).all()):
            raise StormError(
                "the segmenter's answer is not finite: the weights are damaged (storm weights verify), or the image is"
            )
        return [Look(w, logits[i], float(presence[i]), float(iou[i])) for i, w in enumerate(windows)]


def _worth(frame: RgbdFrame, look: Look) -> float:
    """The presence, less where the window cuts the mask off: there is a better look at the same thing then."""
    return look.presence * (_CUT if any(cut_off(frame, look)) else 1.0)
