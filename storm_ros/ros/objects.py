"""Changes to a tracker between two frames: an object put in, settings replaced."""

from __future__ import annotations

from dataclasses import replace

from storm_ros.core import motion as motion_model
from storm_ros.core.config import StormConfig
from storm_ros.core.tracker import ObjectState, Tracker, TrackerState
from storm_ros.factory import build_gate

_PREPARING_S = 10.0
"""An object shown in an image this old is still followed from where it was; otherwise it is searched for."""


def put_object(tracker: Tracker, state: ObjectState, now_ns: int | None = None) -> None:
    """Put a prepared object into a tracker; one of the same name is replaced in its place.

    Args:
        tracker: not stepping now.
        state: of the object.
        now_ns: stamp of the latest image, which may be later than the one the object was shown in: preparing it took
            time, during which it counts as resting.
    """
    motion = state.motion
    if motion is not None and now_ns is not None and 0 <= now_ns - motion.stamp_ns <= _PREPARING_S * 1e9:
        rest = motion_model.at_rest(motion.cam_T_obj, now_ns)
        state = replace(state, motion=rest, trusted=rest)
    tracker.state = TrackerState({**tracker.state.objects, state.reference.object_id: state})


def set_live(tracker: Tracker, config: StormConfig) -> None:
    """Take over the settings that need no new parts: the gate's and the search's."""
    if config.gate != tracker.config.gate:
        tracker.parts = replace(tracker.parts, gate=build_gate(config.gate, tracker.parts.verifier))
    tracker.config = replace(tracker.config, gate=config.gate, search=config.search)
