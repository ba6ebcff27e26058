"""What the node says about itself: TrackerStatus, and the same for people as diagnostics."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportPrivateImportUsage=false
from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from storm_ros.core.types import ObjectResult, TrackStatus
from storm_ros.ros.complaints import Problem
from storm_ros.ros.snapshot import Snapshot
from storm_ros.ros.statistics import Statistics

INACTIVE, WAITING, RUNNING, BAD_INPUT, STALE = "INACTIVE", "WAITING", "RUNNING", "BAD_INPUT", "STALE"

OK, WARN, ERROR, OLD = 0, 1, 2, 3
_LEVELS = {TrackStatus.TRACKING: OK, TrackStatus.LOST: ERROR}


def node_state(*, active: bool, stale: bool, problems: Sequence[Problem], objects: int) -> str:
    """The node's state in a word."""
    if not active:
        return INACTIVE
    if stale:
        return STALE
    if any(problem.blocks for problem in problems):
        return BAD_INPUT
    return RUNNING if objects else WAITING


def status_message(
    state: str,
    snapshot: Snapshot | None,
    statistics: Statistics,
    dropped: int,
    problems: Sequence[Problem],
    frames: Mapping[str, str],
    now_s: float,
) -> Any:
    """A storm_ros/TrackerStatus.

    Args:
        state: from `node_state`.
        snapshot: the last frame; None before the first.
        statistics: of this activation.
        dropped: images that were never processed.
        problems: of the input.
        frames: TF frame of every object, by its name, in the order of the mask's values.
        now_s: time by a steady clock.
    """
    from storm_ros.msg import TrackerStatus

    message = TrackerStatus(state=state)
    if snapshot is not None:
        message.header = snapshot.header
    message.objects = [_object_message(name, frame, state, snapshot) for name, frame in frames.items()]
    message.frames, message.dropped_frames = statistics.frames, dropped
    message.rate_hz = statistics.rate_hz(now_s)
    message.latency_ms = statistics.latency_ms(now_s)
    message.stage_names = list(statistics.stages_ms)
    message.stage_ms = [float(v) for v in statistics.stages_ms.values()]
    message.problems = [problem.text for problem in problems]
    return message


def _object_message(name: str, frame: str, state: str, snapshot: Snapshot | None) -> Any:
    from storm_ros.msg import ObjectStatus

    message = ObjectStatus(object_id=name, object_frame=frame, state=ObjectStatus.SEARCHING)
    nan = float("nan")
    message.energy = message.smoothed_energy = message.threshold = nan
    found = None if snapshot is None else snapshot.result.objects.get(name)
    if snapshot is None or found is None:
        return message
    message.state = found.status.value
    message.mask_value = snapshot.mask_value(name)
    message.has_pose = found.cam_T_obj is not None and state == RUNNING
    message.score = float(found.score)
    message.energy = float(found.energy)
    message.smoothed_energy = float(found.smoothed_energy)
    message.threshold = float(found.threshold)
    message.probability = float(found.probability)
    message.memory_size = int(found.memory)
    message.seconds_lost = snapshot.seconds_lost(name)
    return message


def diagnostics_message(
    stamp: Any, name: str, state: str, status: Any, snapshot: Snapshot | None, problems: Sequence[Problem]
) -> Any:
    """A diagnostic_msgs/DiagnosticArray: one entry for the input, one for the tracker, one for every object.

    Args:
        stamp: builtin_interfaces/Time of now.
        name: full name of the node.
        state: from `node_state`.
        status: the TrackerStatus.
        snapshot: the last frame; None before the first.
        problems: of the input.
    """
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

    def entry(title: str, level: int, text: str, values: Mapping[str, str]) -> Any:
        pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
        label = f"{name.strip('/')}: {title}"
        return DiagnosticStatus(level=bytes([level]), name=label, message=text, hardware_id=name, values=pairs)

    array = DiagnosticArray()
    array.header.stamp = stamp
    array.status = [_input_entry(entry, state, problems), _tracker_entry(entry, state, status)]
    for item in status.objects:
        found = None if snapshot is None else snapshot.result.objects.get(item.object_id)
        array.status.append(_object_entry(entry, item, found))
    return array


Entry = Callable[[str, int, str, Mapping[str, str]], Any]


def _input_entry(entry: Entry, state: str, problems: Sequence[Problem]) -> Any:
    if state == INACTIVE:
        return entry("input", OK, "not active", {})
    if not problems:
        return entry("input", OK, "good", {})
    level = OLD if state == STALE else ERROR if any(p.blocks for p in problems) else WARN
    return entry("input", level, problems[0].text, {problem.key: problem.text for problem in problems})


def _tracker_entry(entry: Entry, state: str, status: Any) -> Any:
    values = {
        "state": state,
        "frames": str(status.frames),
        "dropped frames": str(status.dropped_frames),
        "rate (Hz)": f"{status.rate_hz:.1f}",
        "latency (ms)": "unknown" if math.isnan(status.latency_ms) else f"{status.latency_ms:.1f}",
    }
    stages = zip(status.stage_names, status.stage_ms, strict=True)
    values |= {f"{name} (ms)": f"{ms:.2f}" for name, ms in stages}
    return entry("tracker", OK if state in (RUNNING, WAITING, INACTIVE) else WARN, state, values)


def _object_entry(entry: Entry, item: Any, found: ObjectResult | None) -> Any:
    level = WARN if found is None else _LEVELS.get(found.status, WARN)
    values = {
        "frame": item.object_frame,
        "score": f"{item.score:.3f}",
        "energy": f"{item.energy:.3f}",
        "smoothed energy": f"{item.smoothed_energy:.3f}",
        "threshold": f"{item.threshold:.3f}",
        "probability": f"{item.probability:.3f}",
        "memory": str(item.memory_size),
        "seconds lost": f"{item.seconds_lost:.1f}",
    }
    if found is not None and found.cause is not None:
        values["cause"] = found.cause.value
    return entry(f"object {item.object_id}", level, item.state, values)
