"""TOM's verifier: the crop at the tracked pose against the memory of the object (STORM's Tracking Object Module)."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from storm_ros.core.config import VerifierConfig
from storm_ros.core.errors import StormError
from storm_ros.core.types import PoseEstimate, Reference, RgbdFrame
from storm_ros.encoders.inference import inference
from storm_ros.encoders.nano import planes_tensor
from storm_ros.tom.crops import Crop, Shape, crop_planes, cut_crop, shape_of
from storm_ros.tom.energy import energy_of
from storm_ros.tom.evidence import evidence, joint_energy
from storm_ros.tom.loading import load_tom
from storm_ros.tom.memory import Entry, TomMemory, between, tells_nothing_new, with_view
from storm_ros.tom.network import Asked, Stored, Tokens, TomNetwork
from storm_ros.tom.traced import TracedTom

HOPELESS = 20.0
"""Energy of a pose that is not before the camera, and the largest there is."""

_THREADS = 1
_WHOLE, _OPEN, _MEASURED = 0.9, 0.15, 0.5


@dataclass(eq=False)
class _Seen:
    """What the network made of an estimate's crop, and what it said of it before which memory."""

    shape: Shape
    tokens: Tokens
    memory: TomMemory | None = None
    energy: float = math.nan


class TomVerifier:
    """Energy = minus the logit of the verifying network, and a share of the pose's own; above `tau` a frame is bad.

    It keeps nothing between calls but the tokens and the energy of estimates that still live, so that a view that is
    remembered after its energy was asked for is not looked at again, and of living memories the views last asked.
    """

    def __init__(
        self, config: VerifierConfig | None = None, network: TomNetwork | None = None, tau: float = 0.0
    ) -> None:
        """Load the weights and their calibrated threshold, unless a network is given.

        Args:
            config: which weights, how large a memory.
            network: in place of the weights.
            tau: threshold of that network.

        Raises:
            WeightsError: missing, damaged, altered, or of another size.
        """
        self.config = config or VerifierConfig()
        if network is None:
            network, tau = load_tom(self.config.weights)
        self.network, self.tau = network.eval(), float(tau)
        self._seen: weakref.WeakKeyDictionary[PoseEstimate, _Seen] = weakref.WeakKeyDictionary()
        self._asked: weakref.WeakKeyDictionary[TomMemory, tuple[list[int], Asked]] = weakref.WeakKeyDictionary()
        with inference(_THREADS):
            self._traced = TracedTom(self.network)

    def start(self, reference: Reference) -> TomMemory:
        """The memory at the start: the reference's views and nothing else.

        Raises:
            StormError: none of the views shows the object, or the weights are damaged.
        """
        shape = shape_of(reference.mesh)
        crops = [cut_crop(view.frame, view.mask, view.cam_T_obj, shape) for view in reference.views]
        usable = [crop for crop in crops if crop is not None]
        if not usable:
            raise StormError(
                f"object {reference.object_id!r} has no view with the object before the camera: set its reference again"
            )
        seen = [(self._tokens(crop, shape), crop.cam_T_obj) for crop in usable]
        entries = [self._stored(self._entry(*view), view[0]) for view in seen]
        return TomMemory(shape, tuple(entries))

    def energy(self, frame: RgbdFrame, estimate: PoseEstimate, memory: TomMemory) -> float:
        """Energy of an estimate in [-20, 20]; zero where it is as likely right as wrong.

        Raises:
            StormError: the network's answer is not finite.
        """
        tokens = self._look(frame, estimate, memory.shape)
        if tokens is None:
            return HOPELESS
        seen = self._seen[estimate]
        if seen.memory is not memory:
            seen.memory, seen.energy = memory, self._judged(estimate, tokens, memory)
        return seen.energy

    def _judged(self, estimate: PoseEstimate, tokens: Tokens, memory: TomMemory) -> float:
        entries, flags = (memory.entries, [True] * len(memory.references) + [False] * len(memory.kept))
        lie = between(estimate.cam_T_obj, memory.shape.center, [entry.cam_T_obj for entry in entries], flags)
        chosen = nearest_views(lie, self.network.config.asked)
        figures = evidence(estimate)
        with inference(_THREADS):
            before, asked = self._asked.get(memory, (None, None))
            if asked is None or before != chosen:
                asked = self._views([entries[i].features for i in chosen])
                self._asked[memory] = chosen, asked
            logit = self._traced.logit(tokens, asked, lie[chosen], figures)
        energy = float(joint_energy(np.array(logit), figures.astype(np.float64)))
        if not math.isfinite(energy):
            raise StormError(
                "the verifier's answer is not finite: its weights are damaged (storm weights verify), or the image is"
            )
        return min(max(energy, -HOPELESS), HOPELESS)

    def remember(self, frame: RgbdFrame, estimate: PoseEstimate, memory: TomMemory) -> TomMemory:
        """The memory after a good frame: it takes the view in when it is whole, unhidden, and surely right."""
        clear = estimate.in_view >= _WHOLE and estimate.occluded <= _OPEN and estimate.depth_coverage >= _MEASURED
        if self.config.memory == 0 or not clear:
            return memory
        if not self.energy(frame, estimate, memory) < energy_of(min(self.config.confidence, 1.0 - 1e-9)):
            return memory
        tokens = self._look(frame, estimate, memory.shape)
        assert tokens is not None  # it has an energy
        entry = self._entry(tokens, estimate.cam_T_obj)
        if tells_nothing_new(memory, entry):
            return memory
        return with_view(memory, self._stored(entry, tokens), self.config.memory)

    def _look(self, frame: RgbdFrame, estimate: PoseEstimate, shape: Shape) -> Tokens | None:
        """Tokens (1, L, ...) of an estimate's crop; None when the object is not before the camera."""
        seen = self._seen.get(estimate)
        if seen is None or seen.shape is not shape:
            crop = cut_crop(frame, estimate.mask, estimate.cam_T_obj, shape)
            if crop is None:
                return None
            seen = self._seen[estimate] = _Seen(shape, self._tokens(crop, shape))
        return seen.tokens

    def _views(self, views: Sequence[Stored]) -> Asked:
        return self.network.asked(Stored(*(torch.cat(parts)[None] for parts in zip(*views, strict=True))))

    def _tokens(self, crop: Crop, shape: Shape) -> Tokens:
        planes, places = (planes_tensor(made[None]) for made in crop_planes(crop, shape))
        with inference(_THREADS):
            return self._traced.tokens(planes, places)

    def _entry(self, tokens: Tokens, cam_T_obj: npt.NDArray[np.float64]) -> Entry:
        """A view by what it looks like, still without what the network keeps of it."""
        with inference(_THREADS):
            look = ((tokens.share[0] + 1e-3) @ tokens.features[0]).numpy()
        unit = np.asarray(look / max(float(np.linalg.norm(look)), 1e-6), np.float32)
        return Entry(None, unit, np.array(cam_T_obj, dtype=np.float64))

    def _stored(self, entry: Entry, tokens: Tokens) -> Entry:
        with inference(_THREADS):
            return replace(entry, features=self.network.store(tokens))


def nearest_views(lie: npt.NDArray[np.float32], count: int) -> list[int]:
    """Numbers of the views that are asked: the first, then those seen from the nearest side, in their own order.

    Args:
        lie: (V, 3) how they lie to the current view, see `memory.between`.
        count: at most so many beside the first.
    """
    others = sorted(range(1, len(lie)), key=lambda i: -float(lie[i, :2].sum()))[:count]
    return [0, *sorted(others)]
