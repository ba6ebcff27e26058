"""One frame of an object that has a pose: track, verify, and notice the loss with its cause."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from storm_ros.core import motion as motion_model
from storm_ros.core.config import SearchConfig
from storm_ros.core.evident import evident_cause, likely_cause
from storm_ros.core.motion import Motion
from storm_ros.core.reporting import Outcome, result_of, silent
from storm_ros.core.state import Loss, ObjectState, Parts
from storm_ros.core.timing import Clock
from storm_ros.core.types import EventType, LossCause, PoseEstimate, RgbdFrame, TrackEvent, TrackStatus

_USUAL_SHARE = 0.1  # of a good frame in the average of what is usual
_OUTLIER = 1.0  # a frame counts as no worse than this above it: the last ones before a loss are on their way out


def is_stale(motion: Motion, stamp_ns: int, search: SearchConfig) -> bool:
    """Whether the last pose is too old to be followed; a clock that was set back makes it so too."""
    return search.max_gap_s > 0 and abs(stamp_ns - motion.stamp_ns) > search.max_gap_s * 1e9


def follow(parts: Parts, search: SearchConfig, state: ObjectState, frame: RgbdFrame, clock: Clock) -> Outcome:
    """One frame of an object that has a pose."""
    assert state.motion is not None
    before = state.motion
    guesses = motion_model.predicted(before, frame.stamp_ns)
    if state.status is TrackStatus.SUSPECT and state.trusted is not None:
        guesses = (*guesses, state.trusted.cam_T_obj)
    with clock.stage("track"):
        estimate = parts.pose.track(frame, state.model, guesses)
    with clock.stage("verify"):
        energy = parts.verifier.energy(frame, estimate, state.memory)
    gate = parts.gate.step(state.gate, energy, unusable=evident_cause(estimate, search) is not None)
    doubtful = gate.bad_frames > 0 or gate.lost
    if doubtful:
        with clock.stage("verify"):
            doubt = _doubt(parts, search, state, estimate, frame)
        state = replace(state, doubts=(*state.doubts, doubt))
    if gate.lost:
        after, event = withdrawn(
            replace(state, gate=gate), _cause(state.doubts), frame.index, frame.stamp_ns, energy=gate.smoothed
        )
        return after, silent(parts, after, energy), [event]
    if doubtful:  # a pose that may be wrong tells no velocity
        motion = motion_model.at_rest(estimate.cam_T_obj, frame.stamp_ns)
        after = replace(state, gate=gate, motion=motion, status=TrackStatus.SUSPECT)
        return after, result_of(parts, after, estimate, energy), []
    motion = motion_model.moved(before, estimate.cam_T_obj, frame.stamp_ns)
    with clock.stage("verify"):
        after = replace(
            state,
            gate=gate,
            motion=motion,
            trusted=motion,
            usual=_usual(state.usual, energy),
            doubts=(),
            status=TrackStatus.TRACKING,
            model=parts.pose.remember(frame, state.model, estimate),
            memory=parts.verifier.remember(frame, estimate, state.memory),
        )
    return after, result_of(parts, after, estimate, energy), []


def _usual(before: float | None, energy: float) -> float:
    return energy if before is None else before + _USUAL_SHARE * min(energy - before, _OUTLIER)


def _doubt(
    parts: Parts, search: SearchConfig, state: ObjectState, estimate: PoseEstimate, frame: RgbdFrame
) -> LossCause:
    """What may be happening in a bad frame, by the pose that the trusted motion foretells, else by the one found.

    The one found may have been drawn away already, as to the occluder's rim.
    """
    if state.trusted is not None:
        expected = motion_model.predicted(state.trusted, frame.stamp_ns)[0]
        foretold = likely_cause(parts.pose.judge(frame, state.model, expected), search)
        if foretold is not LossCause.ENERGY:
            return foretold
    return likely_cause(estimate, search)


def _cause(doubts: tuple[LossCause, ...]) -> LossCause:
    """The cause that explains at least half of the bad frames, the latest of equals; else the energy."""
    counts = Counter(reversed([doubt for doubt in doubts if doubt is not LossCause.ENERGY]))
    cause, count = counts.most_common(1)[0] if counts else (LossCause.ENERGY, len(doubts))
    return cause if 2 * count >= len(doubts) else LossCause.ENERGY


def withdrawn(
    state: ObjectState, cause: LossCause, frame: int, stamp_ns: int, energy: float | None = None
) -> tuple[ObjectState, TrackEvent]:
    """Without its pose."""
    assert state.motion is not None
    smoothed = state.gate.smoothed if energy is None else energy
    event = TrackEvent(
        EventType.LOST,
        state.reference.object_id,
        frame,
        stamp_ns,
        cause=cause,
        energy=smoothed,
        threshold=state.gate.threshold,
    )
    loss = Loss(cause, 0, stamp_ns, state.trusted or state.motion)
    after = replace(state, status=TrackStatus.LOST, motion=None, loss=loss, doubts=(), tentative=None, searched=0)
    return after, event
