"""The simplest verifier on learned features: the cosine between the mean features of a crop and of remembered ones."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
import torch

from storm_ros.core.types import PoseEstimate, Reference, RgbdFrame
from storm_ros.encoders.nano import NanoEncoder, planes_tensor
from storm_ros.encoders.nano_input import input_planes
from storm_ros.tom.crops import Shape, cut_crop, shape_of

_SIDE_PX = 64
_CELL_PX = 8

Look = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class CosineMemory:
    """What is compared with: the object's shape for the crop, and mean features (C,), the references' first."""

    shape: Shape
    references: tuple[Look, ...]
    kept: tuple[Look, ...] = ()


class CosineVerifier:
    """Energy = minus the largest cosine to the reference and the last K good frames; a baseline of the benchmark."""

    def __init__(self, encoder: NanoEncoder, tau: float = 0.0, capacity: int = 16) -> None:
        """Take a trained encoder, the threshold and the number K of frames that are kept."""
        self.encoder, self.tau, self.capacity = encoder.eval(), tau, capacity
        self._seen: weakref.WeakKeyDictionary[PoseEstimate, Look | None] = weakref.WeakKeyDictionary()

    def start(self, reference: Reference) -> CosineMemory:
        """The memory with the reference's views only."""
        shape = shape_of(reference.mesh)
        looks = [self._look(v.frame, v.mask, v.cam_T_obj, shape) for v in reference.views]
        return CosineMemory(shape, tuple(look for look in looks if look is not None))

    def energy(self, frame: RgbdFrame, estimate: PoseEstimate, memory: CosineMemory) -> float:
        """Minus the cosine, in [-1, 1]; NaN where the estimate shows nothing of the object in the image."""
        look = self._seen_at(frame, estimate, memory.shape)
        known = (*memory.references, *memory.kept)
        if look is None or not known:
            return float("nan")
        return -float(np.max(np.stack(known) @ look))

    def probability(self, energy: float) -> float:
        """1 below the threshold, else 0: a cosine is no log odds, and says no more than that."""
        return float(energy <= self.tau)

    def remember(self, frame: RgbdFrame, estimate: PoseEstimate, memory: CosineMemory) -> CosineMemory:
        """The memory with this frame; the oldest of more than K leaves."""
        look = self._seen_at(frame, estimate, memory.shape)
        if look is None:
            return memory
        return replace(memory, kept=(*memory.kept, look)[-self.capacity :])

    def _seen_at(self, frame: RgbdFrame, estimate: PoseEstimate, shape: Shape) -> Look | None:
        if estimate not in self._seen:  # asked for its energy, and then to be remembered
            self._seen[estimate] = self._look(frame, estimate.mask, estimate.cam_T_obj, shape)
        return self._seen[estimate]

    def _look(
        self, frame: RgbdFrame, mask: npt.NDArray[np.bool_] | None, cam_T_obj: npt.NDArray[np.float64], shape: Shape
    ) -> Look | None:
        crop = cut_crop(frame, mask, cam_T_obj, shape, _SIDE_PX)
        if crop is None or crop.mask.sum() < 1.0:
            return None
        planes = input_planes(crop.rgb, crop.depth_m, crop.camera.fx)
        with torch.inference_mode():
            features = self.encoder(planes_tensor(planes[None])).middle[0].permute(1, 2, 0).numpy()
        cells = _SIDE_PX // _CELL_PX
        share = np.asarray(cv2.resize(crop.mask, (cells, cells), interpolation=cv2.INTER_AREA), np.float32)
        mean = (features * share[..., None]).sum((0, 1))
        return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9), np.float32)


def cosine_verifier(tau: float = 0.0) -> CosineVerifier:
    """The baseline on the features of the segmenting network.

    Raises:
        WeightsError: its weights are missing or damaged.
    """
    from storm_ros.som.loading import load_som

    return CosineVerifier(load_som("som-nano")[0].encoder, tau)
