"""Listening to the loop: what every frame's estimate was, and what several verifiers say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from storm_ros.core.protocols import Gate, StatesProbability, Verifier
from storm_ros.core.types import GateState, Pose, PoseEstimate, Reference, RgbdFrame
from storm_ros.tom import probability


@dataclass(frozen=True, eq=False)
class Heard:
    """One question that the loop asked its verifier.

    Attributes:
        frame: number of the frame.
        cam_T_obj: (4, 4) pose that was asked about.
        energies: every verifier's answer, by its name.
    """

    frame: int
    cam_T_obj: Pose
    energies: Mapping[str, float]


class Probe:
    """A verifier that answers as the first of several does, and writes down what all of them would answer.

    The others keep memories of their own, which learn from the same frames.
    """

    def __init__(self, verifiers: Mapping[str, Verifier]) -> None:
        """Take the verifiers by name; the loop hears the first."""
        self.verifiers = dict(verifiers)
        self.heard: list[Heard] = []

    def start(self, reference: Reference) -> dict[str, Any]:
        """Every verifier's memory at the start."""
        return {name: v.start(reference) for name, v in self.verifiers.items()}

    def energy(self, frame: RgbdFrame, estimate: PoseEstimate, memory: Mapping[str, Any]) -> float:
        """The first verifier's energy."""
        energies = {name: v.energy(frame, estimate, memory[name]) for name, v in self.verifiers.items()}
        self.heard.append(Heard(frame.index, estimate.cam_T_obj, energies))
        return next(iter(energies.values()))

    def probability(self, energy: float) -> float:
        """Chance in [0, 1] that a pose of this energy is right, as the first verifier has it."""
        first = next(iter(self.verifiers.values()))
        return first.probability(energy) if isinstance(first, StatesProbability) else probability(energy)

    def remember(self, frame: RgbdFrame, estimate: PoseEstimate, memory: Mapping[str, Any]) -> dict[str, Any]:
        """Every verifier's memory after a good frame."""
        return {name: v.remember(frame, estimate, memory[name]) for name, v in self.verifiers.items()}


class HeldGate:
    """A gate that never gives a track up: bad frames stay suspect, and teach nothing, as in the loop."""

    def __init__(self, gate: Gate) -> None:
        """Take the gate whose judgement of single frames is kept."""
        self.gate = gate

    def start(self) -> GateState:
        """The state of a fresh track."""
        return self.gate.start()

    def step(self, state: GateState, energy: float, *, unusable: bool = False) -> GateState:
        """The state after one more frame, never lost."""
        after = self.gate.step(state, energy, unusable=unusable)
        return replace(after, lost=False, bad_frames=max(after.bad_frames, 1) if after.lost else after.bad_frames)
