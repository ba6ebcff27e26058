"""What the loop is made of, and all it knows between two frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from storm_ros.core.motion import Motion
from storm_ros.core.protocols import Gate, MeshBuilder, PoseEstimator, Segmenter, Verifier
from storm_ros.core.types import GateState, LossCause, Reference, TrackEvent, TrackStatus


@dataclass(frozen=True, eq=False)
class Parts:
    """The implementations the loop is made of."""

    mesh_builder: MeshBuilder
    segmenter: Segmenter
    pose: PoseEstimator
    verifier: Verifier
    gate: Gate


@dataclass(frozen=True, eq=False)
class Loss:
    """When and why a track was given up.

    Attributes:
        cause: why.
        frames: frames since then without a pose.
        stamp_ns: when.
        last: the last motion that was trusted.
    """

    cause: LossCause
    frames: int
    stamp_ns: int
    last: Motion


@dataclass(frozen=True, eq=False)
class Tentative:
    """A found pose that must hold for some frames before it is reported.

    Attributes:
        motion: followed since it was found.
        gate: of its energies.
        score: registration score.
        age: frames since the one it was found in.
        held: in how many of them it was as good as a found pose must be.
    """

    motion: Motion
    gate: GateState
    score: float
    age: int = 0
    held: int = 0


@dataclass(frozen=True, eq=False)
class ObjectState:
    """All that is known of one object between frames.

    Attributes:
        reference: what it is.
        model: of the pose estimator.
        description: of the segmenter.
        memory: of the verifier.
        status: of the track.
        gate: of the track's energies.
        motion: the last pose, with its velocity; None without one.
        trusted: the last one of a good frame.
        usual: energy of good frames, a slow average; None before the first.
        rival: of the most alike other thing in the reference's image, see `rivals.rival_energy`.
        doubts: what may have happened, by each of the bad frames in a row.
        loss: how the track was lost; None while there is one, and before the first.
        tentative: a found pose that is not reported yet.
        searched: frames since the search began.
        news: events of the next step.
    """

    reference: Reference
    model: Any
    description: Any
    memory: Any
    status: TrackStatus
    gate: GateState
    motion: Motion | None = None
    trusted: Motion | None = None
    usual: float | None = None
    rival: float | None = None
    doubts: tuple[LossCause, ...] = ()
    loss: Loss | None = None
    tentative: Tentative | None = None
    searched: int = 0
    news: tuple[TrackEvent, ...] = ()


@dataclass(frozen=True, eq=False)
class TrackerState:
    """The state `step` takes and returns: one entry per object, in the order they were added."""

    objects: Mapping[str, ObjectState] = field(default_factory=dict)
