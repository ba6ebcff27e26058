"""The closed loop: track, verify, notice the loss, find again. Start reading here.

`step` is a pure function of the parts, the state and a frame; `Tracker` keeps the state for those who want it kept.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from storm_ros.core import motion as motion_model
from storm_ros.core import se3
from storm_ros.core.config import SearchConfig, StormConfig
from storm_ros.core.errors import InputError, NoDepthError, ReferenceMissingError
from storm_ros.core.motion import Motion
from storm_ros.core.protocols import Gate, MeshBuilder, PoseEstimator, Segmenter, Verifier
from storm_ros.core.types import (
    MIN_MASK_PIXELS,
    EventType,
    GateState,
    LossCause,
    Mask,
    Mesh,
    ObjectResult,
    PoseEstimate,
    Reference,
    RgbdFrame,
    TrackEvent,
    TrackResult,
    TrackStatus,
    View,
)


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
    """When and why a track was given up."""

    cause: LossCause
    frames: int
    stamp_ns: int
    last: Motion


@dataclass(frozen=True, eq=False)
class ObjectState:
    """All that is known of one object between frames."""

    reference: Reference
    model: Any
    description: Any
    memory: Any
    status: TrackStatus
    gate: GateState
    motion: Motion | None = None
    trusted: Motion | None = None
    loss: Loss | None = None
    searched: int = 0
    news: tuple[TrackEvent, ...] = ()


@dataclass(frozen=True, eq=False)
class TrackerState:
    """The state `step` takes and returns: one entry per object, in the order they were added."""

    objects: Mapping[str, ObjectState] = field(default_factory=dict)


def step(parts: Parts, search: SearchConfig, state: TrackerState, frame: RgbdFrame) -> tuple[TrackerState, TrackResult]:
    """Process one frame.

    Args:
        parts: the implementations.
        search: settings of the search for lost objects.
        state: before this frame.
        frame: the image.

    Returns:
        The state after it, and what it brought.
    """
    clock = _Clock()
    objects: dict[str, ObjectState] = {}
    results: dict[str, ObjectResult] = {}
    events: list[TrackEvent] = []
    with clock.stage("total"):
        for object_id, before in state.objects.items():
            events.extend(before.news)
            after = replace(before, news=())
            if after.motion is not None:
                after, result, new = _follow(parts, search, after, frame, clock)
            else:
                after, result, new = _search(parts, search, after, frame, clock)
            objects[object_id], results[object_id] = after, result
            events.extend(new)
    return TrackerState(objects), TrackResult(frame.index, frame.stamp_ns, results, tuple(events), clock.milliseconds)


def add_object(parts: Parts, state: TrackerState, reference: Reference) -> TrackerState:
    """The state with one more object, or one object replaced; the first view's pose starts its track."""
    view = reference.views[0]
    event = TrackEvent(EventType.REFERENCE_SET, reference.object_id, view.frame.index, view.frame.stamp_ns)
    added = ObjectState(
        reference=reference,
        model=parts.pose.prepare(reference),
        description=parts.segmenter.describe(reference),
        memory=parts.verifier.start(reference),
        status=TrackStatus.SEARCHING,
        gate=parts.gate.start(),
        news=(event,),
    )
    return TrackerState({**state.objects, reference.object_id: added})


def make_reference(
    parts: Parts, frame: RgbdFrame, mask: Mask, object_id: str = "object", mesh: Mesh | None = None
) -> Reference:
    """A reference from one view.

    Args:
        parts: whose mesh builder, or pose estimator when a mesh is given, is used.
        frame: the image.
        mask: (H, W) bool, the object's visible pixels.
        object_id: its name.
        mesh: a model in metres; without one the surface is lifted from the depth under the mask.

    Raises:
        InputError: the mask has another type or size than the image, or too few pixels.
        NoDepthError: too little depth under the mask.
    """
    mask = checked_mask(frame, mask)
    if mesh is None:
        mesh, pose = parts.mesh_builder.build(frame, mask)
    else:
        model = parts.pose.prepare(Reference(object_id, (), mesh))
        pose = parts.pose.register(frame, mask, model).best.cam_T_obj
    return Reference(object_id, (View(frame, mask, pose),), mesh)


def checked_mask(frame: RgbdFrame, mask: Mask) -> Mask:
    """The mask as (H, W) bool.

    Raises:
        InputError: another type or size than the image, or too few pixels.
    """
    mask = np.asarray(mask)
    if mask.shape != frame.shape:
        raise InputError(
            f"mask has shape {mask.shape} but the image is {frame.shape[1]}x{frame.shape[0]}: make them equal"
        )
    if mask.dtype != np.bool_ and not (np.issubdtype(mask.dtype, np.integer) and mask.min() >= 0):
        raise InputError(f"mask is of type {mask.dtype}: bool is needed (or integers, non-zero on the object)")
    mask = mask.astype(bool)
    if int(mask.sum()) < MIN_MASK_PIXELS:
        raise InputError(
            f"mask has {int(mask.sum())} pixels: at least {MIN_MASK_PIXELS} are needed; point at the object again"
        )
    return mask


class Tracker:
    """Tracks objects through RGB-D frames; one `set_reference` each, then `step` per frame."""

    def __init__(self, parts: Parts, config: StormConfig | None = None) -> None:
        """Take the implementations; `storm_ros.create_tracker` chooses them by the configuration."""
        self.parts = parts
        self.config = config or StormConfig()
        self.state = TrackerState()

    @property
    def references(self) -> dict[str, Reference]:
        """The reference of every object, by its name."""
        return {name: o.reference for name, o in self.state.objects.items()}

    def set_reference(
        self, frame: RgbdFrame, mask: Mask, *, object_id: str = "object", mesh: Mesh | None = None
    ) -> Reference:
        """Point at an object: it is tracked from the next `step` on (which may get this same frame).

        Args:
            frame: the image.
            mask: (H, W) bool, the object's visible pixels.
            object_id: its name; the object that had it is replaced.
            mesh: a model in metres; without one the visible surface is lifted from the depth.

        Raises:
            InputError: the mask has another type or size than the image, or too few pixels.
            NoDepthError: too little depth under the mask.
        """
        return self.add_reference(make_reference(self.parts, frame, mask, object_id, mesh))

    def add_reference(self, reference: Reference) -> Reference:
        """Track an object whose reference is already known (made earlier, or loaded)."""
        self.state = add_object(self.parts, self.state, reference)
        return reference

    def clear_reference(self, object_id: str) -> None:
        """Forget an object.

        Raises:
            ReferenceMissingError: there is none of that name.
        """
        if object_id not in self.state.objects:
            known = ", ".join(self.state.objects) or "none"
            raise ReferenceMissingError(f"no object {object_id!r} to clear (known: {known})")
        self.state = TrackerState({k: v for k, v in self.state.objects.items() if k != object_id})

    def step(self, frame: RgbdFrame) -> TrackResult:
        """Process one frame and keep the new state."""
        self.state, result = step(self.parts, self.config.search, self.state, frame)
        return result


class _Clock:
    """Adds up milliseconds by stage."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = (time.perf_counter() - start) * 1e3
            self.milliseconds[name] = self.milliseconds.get(name, 0.0) + spent


_Outcome = tuple[ObjectState, ObjectResult, list[TrackEvent]]


def _follow(parts: Parts, search: SearchConfig, state: ObjectState, frame: RgbdFrame, clock: _Clock) -> _Outcome:
    """One frame of an object that has a pose."""
    assert state.motion is not None
    guesses = motion_model.predicted(state.motion, frame.stamp_ns)
    if state.status is TrackStatus.SUSPECT and state.trusted is not None:
        guesses = (*guesses, state.trusted.cam_T_obj)
    with clock.stage("track"):
        estimate = parts.pose.track(frame, state.model, guesses)
    with clock.stage("verify"):
        energy = parts.verifier.energy(frame, estimate, state.memory)
    cause = _evident_cause(estimate, search)
    gate = parts.gate.step(state.gate, energy, unusable=cause is not None)
    if gate.lost:
        return _give_up(state, gate, energy, cause or LossCause.ENERGY, frame)
    doubtful = gate.bad_frames > 0
    if doubtful:  # a pose that may be wrong tells no velocity
        motion = motion_model.at_rest(estimate.cam_T_obj, frame.stamp_ns)
    else:
        motion = motion_model.moved(state.motion, estimate.cam_T_obj, frame.stamp_ns)
    after = replace(
        state,
        gate=gate,
        motion=motion,
        trusted=state.trusted if doubtful else motion,
        status=TrackStatus.SUSPECT if doubtful else TrackStatus.TRACKING,
    )
    if not doubtful:
        with clock.stage("verify"):
            after = replace(
                after,
                model=parts.pose.remember(frame, state.model, estimate),
                memory=parts.verifier.remember(frame, estimate, state.memory),
            )
    return after, _result(after, estimate, energy), []


def _evident_cause(estimate: PoseEstimate, search: SearchConfig) -> LossCause | None:
    """A cause that needs no energy to be seen."""
    if estimate.in_view < search.min_in_view:
        return LossCause.OUT_OF_VIEW
    if estimate.depth_coverage < search.min_depth:
        return LossCause.NO_DEPTH
    return None


def _give_up(state: ObjectState, gate: GateState, energy: float, cause: LossCause, frame: RgbdFrame) -> _Outcome:
    """Withdraw the pose."""
    assert state.motion is not None
    event = TrackEvent(
        EventType.LOST,
        state.reference.object_id,
        frame.index,
        frame.stamp_ns,
        cause=cause,
        energy=gate.smoothed,
        threshold=gate.threshold,
    )
    loss = Loss(cause, 0, frame.stamp_ns, state.trusted or state.motion)
    after = replace(state, status=TrackStatus.LOST, motion=None, loss=loss, gate=gate, searched=0)
    result = ObjectResult(
        state.reference.object_id,
        TrackStatus.LOST,
        energy=energy,
        smoothed_energy=gate.smoothed,
        threshold=gate.threshold,
    )
    return after, result, [event]


def _search(parts: Parts, search: SearchConfig, state: ObjectState, frame: RgbdFrame, clock: _Clock) -> _Outcome:
    """One frame of an object that has no pose: look for it now and then."""
    due = state.searched % search.every == 0
    loss = None if state.loss is None else replace(state.loss, frames=state.loss.frames + 1)
    after = replace(state, searched=state.searched + 1, loss=loss)
    found = _find(parts, search, state, frame, clock) if due else None
    if found is None:
        threshold = parts.gate.start().threshold
        return after, ObjectResult(state.reference.object_id, state.status, threshold=threshold), []
    estimate, energy = found
    gate = parts.gate.step(parts.gate.start(), energy)
    motion = motion_model.at_rest(estimate.cam_T_obj, frame.stamp_ns)
    event = TrackEvent(
        EventType.FOUND if loss is None else EventType.RELOCALIZED,
        state.reference.object_id,
        frame.index,
        frame.stamp_ns,
        cause=None if loss is None else loss.cause,
        frames_lost=None if loss is None else loss.frames,
        seconds_lost=None if loss is None else abs(frame.stamp_ns - loss.stamp_ns) * 1e-9,
        energy=energy,
        threshold=gate.threshold,
        score=estimate.score,
        jump_m=None if loss is None else se3.distance(loss.last.cam_T_obj, estimate.cam_T_obj),
        jump_rad=None if loss is None else se3.angle_between(loss.last.cam_T_obj, estimate.cam_T_obj),
    )
    after = replace(
        after,
        status=TrackStatus.TRACKING,
        gate=gate,
        motion=motion,
        trusted=motion,
        loss=None,
        searched=0,
        memory=parts.verifier.start(state.reference),
        model=parts.pose.forget(state.model),
    )
    return after, _result(after, estimate, energy), [event]


def _find(
    parts: Parts, search: SearchConfig, state: ObjectState, frame: RgbdFrame, clock: _Clock
) -> tuple[PoseEstimate, float] | None:
    """The best accepted pose with its energy, or None."""
    view = state.reference.views[0]
    if state.status is TrackStatus.SEARCHING and _same_image(view.frame, frame):
        with clock.stage("register"):  # the reference frame itself: the pose is known
            estimate = parts.pose.judge(frame, state.model, view.cam_T_obj)
        return estimate, parts.verifier.energy(frame, estimate, state.memory)
    with clock.stage("segment"):
        candidates = parts.segmenter.segment(frame, state.description)
    best: tuple[PoseEstimate, float] | None = None
    for candidate in candidates:
        with clock.stage("register"):
            try:
                estimate = parts.pose.register(frame, candidate.mask, state.model).best
            except NoDepthError:
                continue
        with clock.stage("verify"):
            energy = parts.verifier.energy(frame, estimate, state.memory)
        accepted = estimate.score >= search.min_score and energy <= parts.gate.start().threshold
        if accepted and _evident_cause(estimate, search) is None and (best is None or energy < best[1]):
            best = estimate, energy
    return best


def _same_image(a: RgbdFrame, b: RgbdFrame) -> bool:
    """Whether two frames are one image, perhaps read twice."""
    if a is b:
        return True
    alike = a.stamp_ns == b.stamp_ns and a.index == b.index and a.shape == b.shape
    return alike and np.array_equal(a.rgb, b.rgb) and np.array_equal(a.depth_m, b.depth_m)


def _result(state: ObjectState, estimate: PoseEstimate, energy: float) -> ObjectResult:
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
    )
