"""Runs of the tracker over frames that were read beforehand, and their errors against the truth."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import storm_ros
from storm_ros.core.config import StormConfig, from_assignments, with_values
from storm_ros.core.errors import RecordingError
from storm_ros.core.tracker import Tracker
from storm_ros.core.types import EventType, Pose, RgbdFrame, TrackEvent
from storm_ros.evaluation.accuracy import JudgedObject, Judgement, Truth, judge
from storm_ros.evaluation.visibility import Visibility
from storm_ros.io import Recording, open_recording


@dataclass(eq=False)
class Run:
    """A tracker's results over some frames.

    Attributes:
        numbers: of the frames, in order.
        poses: by object, cam_T_obj of each frame or None.
        events: all of them, in order.
        total_ms: time of each step.
    """

    numbers: list[int] = field(default_factory=list)
    poses: dict[str, list[Pose | None]] = field(default_factory=dict)
    events: list[TrackEvent] = field(default_factory=list)
    total_ms: list[float] = field(default_factory=list)

    def losses(self, object_id: str) -> list[int]:
        """Frames at which an object's track was lost."""
        return [e.frame for e in self.events if e.type is EventType.LOST and e.object_id == object_id]


def new_tracker(args: argparse.Namespace) -> Tracker:
    """A tracker on the chosen device, with the default settings but those that `--set` changes where it is taken."""
    config = with_values(StormConfig(), {"device.name": args.device})
    return storm_ros.create_tracker(from_assignments(config, getattr(args, "assignments", [])))


def open_data(folder: Path, name: str) -> Recording:
    """Open one of the real recordings.

    Raises:
        RecordingError: it is not there.
    """
    if not (folder / name).is_dir():
        raise RecordingError(f"recording {name!r} is not in {folder}: put it there, or name its folder with --data")
    return open_recording(folder / name)


def read_all(recording: Recording, numbers: Iterable[int]) -> list[RgbdFrame]:
    """Read frames into memory, so that reading is no part of what is timed."""
    return [recording.read(n) for n in numbers]


def follow(tracker: Tracker, frames: Iterable[RgbdFrame]) -> Run:
    """Step through frames."""
    run = Run(poses={name: [] for name in tracker.references})
    for frame in frames:
        result = tracker.step(frame)
        run.numbers.append(frame.index)
        run.events.extend(result.events)
        run.total_ms.append(result.timing_ms["total"])
        for name, found in result.objects.items():
            run.poses[name].append(found.cam_T_obj)
    return run


def judged(
    run: Run, truth: Truth, gt_id: int, reference_frame: int, *, object_id: str = "object", cam_T_obj_ref: Pose | None
) -> Judgement:
    """Errors of a run.

    Args:
        run: the run.
        truth: of its recording.
        gt_id: which true object it is.
        reference_frame: number of the frame it was pointed at in.
        object_id: name in the tracker.
        cam_T_obj_ref: pose at the reference frame, by which a frame of our own is aligned to the truth's; None where
            the poses are those of the truth's own mesh.
    """
    target = JudgedObject(object_id, gt_id, reference_frame, aligned=cam_T_obj_ref is None, cam_T_obj_ref=cam_T_obj_ref)
    return judge(target, zip(run.numbers, run.poses[object_id], strict=True), truth)


def errors(judgement: Judgement, name: str) -> np.ndarray:
    """One kind of error in mm of each frame in which the object is visible; infinite where there is no pose."""
    values = [getattr(f, name) for f in judgement.scored if f.visibility is Visibility.VISIBLE]
    return np.array([np.inf if v != v else v for v in values], dtype=np.float64)


def median(values: Sequence[float] | np.ndarray) -> float:
    """Median; NaN of nothing."""
    return float(np.median(values)) if len(values) else float("nan")


def summary(judgement: Judgement, **first: Any) -> dict[str, Any]:
    """A row of errors for a table of details."""
    row = dict(first)
    for name, label in (("add_mm", "ADD"), ("adds_mm", "ADD-S"), ("centre_mm", "centre")):
        if name != "centre_mm" and not judgement.has_mesh:
            continue
        values = errors(judgement, name)
        row[f"{label} mm"] = median(values)
        if label == "ADD" and len(values):
            row["ADD p90"] = float(np.percentile(values, 90, method="lower"))
    angles = [f.rot_deg for f in judgement.scored if f.rot_deg == f.rot_deg]
    row["turn deg"] = median(angles)
    return row
