"""One frame of an object that has no pose: search, hold what was found against further frames, and report it."""

from __future__ import annotations

from dataclasses import replace

from storm_ros.core import motion as motion_model
from storm_ros.core import se3
from storm_ros.core.config import SearchConfig
from storm_ros.core.finding import Found, at_reference, find, follow_found
from storm_ros.core.following import is_stale
from storm_ros.core.reporting import Outcome, probability_of, result_of, silent
from storm_ros.core.searching import Answer
from storm_ros.core.state import ObjectState, Parts, Tentative
from storm_ros.core.timing import Clock
from storm_ros.core.types import EventType, GateState, RgbdFrame, TrackEvent, TrackStatus

_CONFIRM_WITHIN = 2  # times as many frames as must be good


def search_for(
    parts: Parts,
    search: SearchConfig,
    state: ObjectState,
    frame: RgbdFrame,
    clock: Clock,
    answer: Answer | None,
    *,
    here: bool,
) -> Outcome:
    """One frame of an object that has no pose: look for it now and then, and follow what was found until it holds."""
    loss = None if state.loss is None else replace(state.loss, frames=state.loss.frames + 1)
    after = replace(state, searched=state.searched + 1, loss=loss)
    if after.tentative is not None:
        return _confirm(parts, search, after, after.tentative, frame, clock)
    with clock.stage("register"):
        known = at_reference(parts, after, frame)
    if known is not None:
        return _recover(parts, after, known, parts.gate.step(parts.gate.start(), known.energy), frame)
    found = None
    if here:
        found = find(parts, search, after, frame, clock) if state.searched % search.every == 0 else None
    elif answer is not None and answer.found is not None and answer.reference is state.reference:
        guess = answer.found.estimate.cam_T_obj
        found = follow_found(parts, search, after, (guess,), frame, clock)
    if found is None or not found.clear:
        return after, silent(parts, after), []
    gate = parts.gate.step(parts.gate.start(), found.energy)
    if search.confirm == 0 and probability_of(parts, gate.smoothed) >= search.min_probability:
        return _recover(parts, after, found, gate, frame)
    motion = motion_model.at_rest(found.estimate.cam_T_obj, frame.stamp_ns)
    after = replace(after, tentative=Tentative(motion, gate, found.estimate.score))
    return after, silent(parts, after, found.energy), []


def _confirm(
    parts: Parts,
    search: SearchConfig,
    state: ObjectState,
    tentative: Tentative,
    frame: RgbdFrame,
    clock: Clock,
) -> Outcome:
    """One more frame of a found pose that is not reported yet; where it does not hold, the search goes on."""
    guesses = motion_model.predicted(tentative.motion, frame.stamp_ns)
    stale = is_stale(tentative.motion, frame.stamp_ns, search)
    found = None if stale else follow_found(parts, search, state, guesses, frame, clock)
    gate = None if found is None else parts.gate.step(tentative.gate, found.energy)
    age = tentative.age + 1
    if found is None or gate is None or gate.bad_frames > 0 or age > _CONFIRM_WITHIN * max(search.confirm, 1):
        after = replace(state, tentative=None, searched=0)
        return after, silent(parts, after), []
    held = tentative.held + found.clear
    motion = motion_model.moved(tentative.motion, found.estimate.cam_T_obj, frame.stamp_ns)
    after = replace(state, tentative=Tentative(motion, gate, tentative.score, age, held))
    if held < search.confirm or probability_of(parts, gate.smoothed) < search.min_probability:
        return after, silent(parts, after, found.energy), []
    return _recover(parts, after, found, gate, frame)


def _recover(parts: Parts, state: ObjectState, found: Found, gate: GateState, frame: RgbdFrame) -> Outcome:
    """Report a found pose."""
    estimate, loss = found.estimate, state.loss
    event = TrackEvent(
        EventType.FOUND if loss is None else EventType.RELOCALIZED,
        state.reference.object_id,
        frame.index,
        frame.stamp_ns,
        cause=None if loss is None else loss.cause,
        frames_lost=None if loss is None else loss.frames,
        seconds_lost=None if loss is None else abs(frame.stamp_ns - loss.stamp_ns) * 1e-9,
        energy=gate.smoothed,
        threshold=gate.threshold,
        score=estimate.score if state.tentative is None else state.tentative.score,
        jump_m=None if loss is None else se3.distance(loss.last.cam_T_obj, estimate.cam_T_obj),
        jump_rad=None if loss is None else se3.angle_between(loss.last.cam_T_obj, estimate.cam_T_obj),
    )
    motion = motion_model.at_rest(estimate.cam_T_obj, frame.stamp_ns)
    if state.tentative is not None:
        motion = state.tentative.motion
    after = replace(
        state,
        status=TrackStatus.TRACKING,
        gate=gate,
        motion=motion,
        trusted=motion,
        loss=None,
        tentative=None,
        searched=0,
        memory=parts.verifier.start(state.reference),
        model=parts.pose.forget(state.model),
    )
    return after, result_of(parts, after, estimate, found.energy), [event]
