"""What is reported of an object after a frame."""

from __future__ import annotations

import math

from storm_ros.core.protocols import CountsMemory, StatesProbability
from storm_ros.core.state import ObjectState, Parts
from storm_ros.core.types import ObjectResult, PoseEstimate, TrackEvent

Outcome = tuple[ObjectState, ObjectResult, list[TrackEvent]]
"""State and result of one object after a frame, and what happened to it."""


def silent(parts: Parts, state: ObjectState, energy: float = math.nan) -> ObjectResult:
    """What is reported of an object without a pose."""
    just_lost = state.loss is not None and state.loss.frames == 0
    return ObjectResult(
        state.reference.object_id,
        state.status,
        energy=energy,
        smoothed_energy=state.gate.smoothed if just_lost else math.nan,
        threshold=state.gate.threshold if just_lost else parts.gate.start().threshold,
        memory=_memory_size(parts, state),
        cause=None if state.loss is None else state.loss.cause,
    )


def result_of(parts: Parts, state: ObjectState, estimate: PoseEstimate, energy: float) -> ObjectResult:
    """What is reported of an object with a pose."""
    return ObjectResult(
        state.reference.object_id,
        state.status,
        cam_T_obj=estimate.cam_T_obj,
        mask=estimate.mask,
        score=estimate.score,
        energy=energy,
        smoothed_energy=state.gate.smoothed,
        threshold=state.gate.threshold,
        covariance=estimate.covariance,
        probability=probability_of(parts, state.gate.smoothed),
        memory=_memory_size(parts, state),
    )


def probability_of(parts: Parts, energy: float) -> float:
    """Chance that a pose of this energy is right: the logistic function of -energy, unless the verifier says."""
    if math.isnan(energy):
        return 0.0
    if isinstance(parts.verifier, StatesProbability):
        return parts.verifier.probability(energy)
    return 0.5 * (1.0 - math.tanh(0.5 * energy))


def _memory_size(parts: Parts, state: ObjectState) -> int:
    return parts.verifier.memory_size(state.memory) if isinstance(parts.verifier, CountsMemory) else 0
