"""The contract of every part. Parts keep no track of their own: state is an argument and a result."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from storm_ros.core.types import (
    Candidate,
    GateState,
    Mask,
    Mesh,
    Pose,
    PoseEstimate,
    Reference,
    Registration,
    RgbdFrame,
)


@runtime_checkable
class Encoder(Protocol):
    """Turns an image into a map of unit-length features."""

    @property
    def stride(self) -> int:
        """Pixels per feature cell."""
        ...

    def encode(self, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Features of an image.

        Args:
            rgb: (H, W, 3) uint8.

        Returns:
            (H // stride, W // stride, C) float32, each of unit length (or zero).
        """
        ...


@runtime_checkable
class MeshBuilder(Protocol):
    """Makes a metric mesh from one view."""

    def build(self, frame: RgbdFrame, mask: Mask) -> tuple[Mesh, Pose]:
        """Build the mesh of the masked object.

        Args:
            frame: the reference image.
            mask: (H, W) bool.

        Returns:
            The mesh in the object's frame (origin at the centre of its bounding box), and cam_T_obj (4, 4) here.

        Raises:
            InputError: empty mask or one of another size.
            NoDepthError: too little depth under the mask.
        """
        ...


@runtime_checkable
class Segmenter(Protocol):
    """Finds the reference object in an image."""

    def describe(self, reference: Reference) -> Any:
        """What `segment` needs to know of the reference, computed once."""
        ...

    def segment(self, frame: RgbdFrame, description: Any) -> tuple[Candidate, ...]:
        """Places where the object may be, best first; empty when it is not there."""
        ...


@runtime_checkable
class PoseEstimator(Protocol):
    """Estimates where the object is."""

    def prepare(self, reference: Reference) -> Any:
        """The model `register` and `track` compare with: the mesh on the device and the reference's colours."""
        ...

    def register(self, frame: RgbdFrame, mask: Mask, model: Any) -> Registration:
        """Find cam_T_obj from nothing but the frame and the mask.

        Raises:
            NoDepthError: fewer than 64 valid depth pixels under the mask.
        """
        ...

    def track(self, frame: RgbdFrame, model: Any, guesses: tuple[Pose, ...]) -> PoseEstimate:
        """Correct the best of some guesses (each (4, 4), the first the most likely) to fit the frame."""
        ...

    def judge(self, frame: RgbdFrame, model: Any, cam_T_obj: Pose) -> PoseEstimate:
        """The evidence for a pose (4, 4) as it is."""
        ...

    def forget(self, model: Any) -> Any:
        """The model of a track that starts anew: the reference, and of what was learnt only what is beyond doubt."""
        ...

    def remember(self, frame: RgbdFrame, model: Any, estimate: PoseEstimate) -> Any:
        """The model after a frame that is known to be good (it may learn how the object looks from there)."""
        ...


@runtime_checkable
class Verifier(Protocol):
    """Says how well what is tracked agrees with the reference, as an energy: low is good."""

    def start(self, reference: Reference) -> Any:
        """The memory at the start, which holds the reference only."""
        ...

    def energy(self, frame: RgbdFrame, estimate: PoseEstimate, memory: Any) -> float:
        """Energy of the estimate in this frame; above zero means more likely wrong than right."""
        ...

    def remember(self, frame: RgbdFrame, estimate: PoseEstimate, memory: Any) -> Any:
        """The memory after a frame tracked with high confidence."""
        ...


@runtime_checkable
class StatesThreshold(Protocol):
    """A verifier that brings its own threshold."""

    @property
    def tau(self) -> float:
        """Energy above which a frame is bad: the 95th percentile of good ones held out, where it was calibrated."""
        ...


@runtime_checkable
class StatesProbability(Protocol):
    """A verifier whose energies are calibrated otherwise than as log odds."""

    def probability(self, energy: float) -> float:
        """Chance in [0, 1] that a pose of this energy is right."""
        ...


@runtime_checkable
class CountsMemory(Protocol):
    """A verifier that can say how much it keeps."""

    def memory_size(self, memory: Any) -> int:
        """Views kept beside the reference."""
        ...


@runtime_checkable
class Gate(Protocol):
    """Decides from the energies of successive frames whether a track is lost."""

    def start(self) -> GateState:
        """The state of a fresh track."""
        ...

    def step(self, state: GateState, energy: float, *, unusable: bool = False) -> GateState:
        """The state after one more frame; an unusable frame is bad whatever its energy."""
        ...
