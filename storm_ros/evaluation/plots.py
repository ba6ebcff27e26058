"""The report's plots: energy with states and events, errors against the truth, time per frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from storm_ros.core.types import TrackEvent, TrackStatus
from storm_ros.evaluation.accuracy import Judgement
from storm_ros.evaluation.charts import Band, Line, Mark, Values, legend, line_chart
from storm_ros.evaluation.recorder import ObjectRows, RunRecorder
from storm_ros.evaluation.visibility import Visibility


def energy(recorder: RunRecorder, object_id: str) -> str:
    """Energy of an object over the frames, with its threshold, states as background and events as marks."""
    rows = recorder.objects.get(object_id)
    if rows is None or not len(rows):
        return '<p class="empty">This object was never reached.</p>'
    order = np.argsort(rows.column("frame"), kind="stable")  # a reversed run is drawn in the order of the numbers
    frames = rows.column("frame")[order]
    lines = [
        Line("energy of the frame", frames, rows.column("energy")[order], "faint"),
        Line("smoothed energy", frames, rows.column("smoothed")[order], "c1"),
        Line("threshold", frames, rows.column("threshold")[order], "threshold"),
    ]
    statuses = [rows.statuses()[i] for i in order]
    chart = line_chart(
        lines,
        title=f"Energy of {object_id}",
        y_label="energy",
        bands=spans(frames, [s.value.lower() for s in statuses]),
        marks=[event_mark(e) for e in recorder.events if e.object_id == object_id],
    )
    states = [(s.value.lower(), s.value.lower()) for s in TrackStatus if s in set(statuses)]
    keys = [("c1", "smoothed energy"), ("faint", "energy of the frame"), ("threshold", "threshold")]
    return chart + legend([*keys, *states]) + _scores(rows, order, frames, object_id)


def _scores(rows: ObjectRows, order: np.ndarray, frames: Values, object_id: str) -> str:
    """Score over the frames; only where there is one."""
    has_pose = np.array([s in (TrackStatus.TRACKING, TrackStatus.SUSPECT) for s in rows.statuses()])[order]
    score = np.where(has_pose, rows.column("score")[order], np.nan)
    if not np.isfinite(score).any():
        return ""
    line = Line("score", frames, score, "c3")
    return line_chart([line], title=f"Pose score of {object_id}", y_label="score", from_zero=True, height=120.0)


def errors(judgement: Judgement) -> str:
    """Position and rotation error of an object over the frames; grey where it is not visible."""
    name = judgement.target.object_id
    ordered = sorted(judgement.frames, key=lambda f: f.frame)
    frames = np.array([f.frame for f in ordered], dtype=np.float64)
    centre = Line("centre", frames, np.array([f.centre_mm for f in ordered]), "c2")
    millimetres = [centre]
    if judgement.has_mesh:
        adds = Line("ADD-S", frames, np.array([f.adds_mm for f in ordered]), "c3")
        add = Line("ADD", frames, np.array([f.add_mm for f in ordered]), "c1")
        millimetres = [centre, adds, add]
    degrees = Line("rotation", frames, np.array([f.rot_deg for f in ordered]), "c4")
    kinds = ["" if f.visibility is Visibility.VISIBLE else "absent" for f in ordered]
    bands = [b for b in spans(frames, kinds) if b.style]
    keys = [(line.style, f"{line.label} error") for line in reversed(millimetres)] + [("c4", "rotation error")]
    if bands:
        keys.append(("absent", "not visible"))
    return (
        line_chart(millimetres, title=f"Position error of {name}", y_label="mm", bands=bands, from_zero=True)
        + line_chart(
            [degrees], title=f"Rotation error of {name}", y_label="degrees", bands=bands, from_zero=True, height=150
        )
        + legend(keys)
    )


def step_time(recorder: RunRecorder) -> str:
    """Time of every step."""
    frames = np.array(recorder.numbers, dtype=np.float64)
    order = np.argsort(frames, kind="stable")
    line = Line("step", frames[order], np.array(recorder.step_seconds)[order] * 1000.0, "c1")
    return line_chart([line], title="Time of every frame", y_label="ms", from_zero=True, height=150.0)


def spans(frames: Values, kinds: Sequence[str]) -> list[Band]:
    """Runs of the same kind as bands, each ending half way to the next."""
    bands: list[Band] = []
    start = 0
    for i in range(1, len(kinds) + 1):
        if i == len(kinds) or kinds[i] != kinds[start]:
            left = frames[start] if start == 0 else (frames[start - 1] + frames[start]) / 2
            right = frames[i - 1] if i == len(kinds) else (frames[i - 1] + frames[i]) / 2
            bands.append(Band(float(left), float(right), kinds[start]))
            start = i
    return bands


def event_mark(event: TrackEvent) -> Mark:
    """An event as a mark, told in a sentence."""
    text = f"frame {event.frame}: {event.object_id} {event.type.value.replace('_', ' ')}"
    if event.cause is not None:
        text += f" ({event.cause.value.replace('_', ' ')})"
    if event.frames_lost is not None:
        text += f" after {event.frames_lost} frames"
    return Mark(float(event.frame), text, event.type.value)
