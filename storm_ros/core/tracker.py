"""The closed loop: track, verify, notice the loss, find again. Start reading here.

`step` is a pure function of the parts, the state and a frame; `Tracker` keeps the state for those who want it kept.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import replace

from storm_ros.core.config import SearchConfig, StormConfig
from storm_ros.core.errors import ReferenceMissingError
from storm_ros.core.following import follow, is_stale, withdrawn
from storm_ros.core.recovering import search_for
from storm_ros.core.references import checked_mask, make_reference
from storm_ros.core.reporting import silent
from storm_ros.core.rivals import rival_energy
from storm_ros.core.searching import Answer, BackgroundSearch
from storm_ros.core.state import ObjectState, Parts, TrackerState
from storm_ros.core.timing import Clock
from storm_ros.core.types import (
    EventType,
    LossCause,
    Mask,
    Mesh,
    ObjectResult,
    Reference,
    RgbdFrame,
    TrackEvent,
    TrackResult,
    TrackStatus,
)

__all__ = [
    "ObjectState",
    "Parts",
    "Tracker",
    "TrackerState",
    "add_object",
    "checked_mask",
    "make_reference",
    "step",
    "withdraw",
]


def step(
    parts: Parts,
    search: SearchConfig,
    state: TrackerState,
    frame: RgbdFrame,
    answers: Mapping[str, Answer] | None = None,
) -> tuple[TrackerState, TrackResult]:
    """Process one frame.

    Args:
        parts: the implementations.
        search: settings of the search for lost objects.
        state: before this frame.
        frame: the image.
        answers: what a search elsewhere brought since the last frame, by object; None: search here, in this frame.

    Returns:
        The state after it, and what it brought.
    """
    clock = Clock()
    objects: dict[str, ObjectState] = {}
    results: dict[str, ObjectResult] = {}
    events: list[TrackEvent] = []
    with clock.stage("total"):
        for object_id, before in state.objects.items():
            events.extend(before.news)
            after = replace(before, news=())
            if after.motion is not None and is_stale(after.motion, frame.stamp_ns, search):
                after, event = withdrawn(after, LossCause.STALE_INPUT, frame.index, frame.stamp_ns)
                events.append(event)
            if after.motion is not None:
                after, result, new = follow(parts, search, after, frame, clock)
            else:
                answer = None if answers is None else answers.get(object_id)
                after, result, new = search_for(parts, search, after, frame, clock, answer, here=answers is None)
            objects[object_id], results[object_id] = after, result
            events.extend(new)
    for answer in (answers or {}).values():
        clock.add("search", answer.milliseconds)
    return TrackerState(objects), TrackResult(frame.index, frame.stamp_ns, results, tuple(events), clock.milliseconds)


def add_object(parts: Parts, state: TrackerState, reference: Reference, search: SearchConfig) -> TrackerState:
    """The state with one more object, or one object replaced; the first view's pose starts its track."""
    view = reference.views[0]
    event = TrackEvent(EventType.REFERENCE_SET, reference.object_id, view.frame.index, view.frame.stamp_ns)
    model, description = parts.pose.prepare(reference), parts.segmenter.describe(reference)
    memory = parts.verifier.start(reference)
    added = ObjectState(
        reference=reference,
        model=model,
        description=description,
        memory=memory,
        rival=rival_energy(parts, search, reference, model, description, memory) if search.rivals else None,
        status=TrackStatus.SEARCHING,
        gate=parts.gate.start(),
        news=(event,),
    )
    return TrackerState({**state.objects, reference.object_id: added})


def withdraw(
    state: TrackerState, cause: LossCause, stamp_ns: int, object_id: str | None = None, frame: int = -1
) -> tuple[TrackerState, tuple[TrackEvent, ...]]:
    """Take poses back without a frame: the input stopped, or a new search is wanted.

    Args:
        state: before.
        cause: why.
        stamp_ns: when.
        object_id: whose pose; None: of all objects.
        frame: frame number, -1 for a live camera.

    Returns:
        The state, in which those objects are searched for from the next step on, and a `lost` event for each that had
        a pose.
    """
    objects = dict(state.objects)
    events: list[TrackEvent] = []
    for name, before in state.objects.items():
        if object_id in (None, name):
            objects[name] = replace(before, searched=0, tentative=None)
            if before.motion is not None:
                objects[name], event = withdrawn(before, cause, frame, stamp_ns)
                events.append(event)
    return TrackerState(objects), tuple(events)


class Tracker:
    """Tracks objects through RGB-D frames; one `set_reference` each, then `step` per frame.

    With `search.background` it searches for lost objects on a thread of its own; `close` (or a ``with`` statement) ends
    it at once, otherwise it ends with the tracker.
    """

    def __init__(self, parts: Parts, config: StormConfig | None = None) -> None:
        """Take the implementations; `storm_ros.create_tracker` chooses them by the configuration."""
        self.parts = parts
        self.config = config or StormConfig()
        self.state = TrackerState()
        self._searcher = BackgroundSearch()
        self._end = weakref.finalize(self, self._searcher.close)

    def __enter__(self) -> Tracker:
        """The tracker itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """End the search thread, if there is one; twice does no harm."""
        self._end()

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
        self.state = add_object(self.parts, self.state, reference, self.config.search)
        return reference

    def clear_reference(self, object_id: str) -> None:
        """Forget an object.

        Raises:
            ReferenceMissingError: there is none of that name.
        """
        self._check(object_id)
        self.state = TrackerState({k: v for k, v in self.state.objects.items() if k != object_id})

    def step(self, frame: RgbdFrame) -> TrackResult:
        """Process one frame and keep the new state."""
        search = self.config.search
        answers = self._searcher.collect() if search.background else None
        self.state, result = step(self.parts, search, self.state, frame, answers)
        if search.background:
            lost = {name: o for name, o in self.state.objects.items() if o.motion is None and o.tentative is None}
            due = {name: o for name, o in lost.items() if (o.searched - 1) % search.every == 0}
            self._searcher.request(self.parts, search, frame, due, lost.keys())
        return result

    def expire(self, stamp_ns: int) -> TrackResult:
        """Withdraw every pose because no image comes any more; `step` searches when one does.

        Args:
            stamp_ns: the time now, by the images' clock.
        """
        return self._without_poses(LossCause.STALE_INPUT, stamp_ns, None)

    def relocalize(self, object_id: str | None = None, stamp_ns: int = 0) -> TrackResult:
        """Withdraw the pose of an object, or of all, and search for it from the next step on.

        Raises:
            ReferenceMissingError: there is none of that name.
        """
        if object_id is not None:
            self._check(object_id)
        return self._without_poses(LossCause.REQUESTED, stamp_ns, object_id)

    def _without_poses(self, cause: LossCause, stamp_ns: int, object_id: str | None) -> TrackResult:
        self.state, events = withdraw(self.state, cause, stamp_ns, object_id)
        found = {name: silent(self.parts, o) for name, o in self.state.objects.items() if o.motion is None}
        return TrackResult(-1, stamp_ns, found, events)

    def _check(self, object_id: str) -> None:
        if object_id not in self.state.objects:
            known = ", ".join(self.state.objects) or "none"
            raise ReferenceMissingError(f"no object {object_id!r} to clear (known: {known})")
