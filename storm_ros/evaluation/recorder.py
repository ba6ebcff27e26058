"""Collects what a run brings, frame by frame, so that a report can be written at any moment of it."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from storm_ros.core.types import (
    EventType,
    ObjectResult,
    Pose,
    Reference,
    RgbdFrame,
    TrackEvent,
    TrackResult,
    TrackStatus,
)
from storm_ros.evaluation.metrics import evenly
from storm_ros.io import overlay

STATUSES = tuple(TrackStatus)

_COLUMNS = ("position", "frame", "status", "energy", "smoothed", "threshold", "score", "probability", "memory")


@dataclass(frozen=True)
class Picture:
    """One overlay picture, encoded.

    Attributes:
        frame: frame number.
        caption: why it is shown.
        jpeg: encoded bytes.
    """

    frame: int
    caption: str
    jpeg: bytes


class ObjectRows:
    """Rows of one object as columns of numbers: a long run stays small in memory."""

    def __init__(self) -> None:
        self._columns = {name: array("d") for name in _COLUMNS}
        self._poses = array("d")

    def append(self, position: int, frame: int, result: ObjectResult) -> None:
        """Add a frame's result."""
        status = STATUSES.index(result.status)
        energies = (result.energy, result.smoothed_energy, result.threshold)
        row = (position, frame, status, *energies, result.score, result.probability, result.memory)
        for name, value in zip(_COLUMNS, row, strict=True):
            self._columns[name].append(value)
        pose = np.full(16, np.nan) if result.cam_T_obj is None else np.asarray(result.cam_T_obj, np.float64).ravel()
        self._poses.extend(pose)

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._columns["frame"])

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """(N,) values: position (in the run), frame, energy, smoothed, threshold, score, probability or memory."""
        return np.array(self._columns[name], dtype=np.float64)

    def statuses(self) -> list[TrackStatus]:
        """Status of every frame."""
        return [STATUSES[int(i)] for i in self._columns["status"]]

    def poses(self) -> Iterator[tuple[int, Pose | None]]:
        """Frame number and cam_T_obj (4, 4), None without a pose, of every frame."""
        poses = np.array(self._poses, dtype=np.float64).reshape(-1, 4, 4)
        for number, pose in zip(self._columns["frame"], poses, strict=True):
            yield int(number), (None if np.isnan(pose).any() else pose)


class RunRecorder:
    """Rows, events, times and a bounded number of overlay pictures of a run.

    Args:
        pictures: overlay pictures in a report at most; about three times as many are held, encoded, while running.
            0 draws none.
    """

    def __init__(self, pictures: int = 16) -> None:
        self.objects: dict[str, ObjectRows] = {}
        self.references: dict[str, int] = {}
        self.events: list[TrackEvent] = []
        self.numbers = array("q")
        self.unreadable: list[int] = []
        self.step_seconds = array("d")
        self._timing: dict[str, array[float]] = {}
        self._limit = pictures
        self._axis_m: dict[str, float] = {}
        self._reference_pictures: list[Picture] = []
        self._event_pictures: list[Picture] = []
        self._even_pictures: list[Picture] = []
        self._every = 1

    @property
    def frames(self) -> int:
        """Frames that were run; unreadable ones not counted."""
        return len(self.numbers)

    def add_reference(self, reference: Reference, number: int) -> None:
        """Note an object's reference, and draw it.

        Args:
            reference: of the object.
            number: frame number it was taken from; -1 when it came from a file.
        """
        object_id, view = reference.object_id, reference.views[0]
        self.references[object_id] = number
        self._axis_m[object_id] = reference.mesh.diameter / 2.0
        if self._limit:
            image = overlay.draw_reference(view, object_id, self._axis_m[object_id])
            where = f"frame {number}" if number >= 0 else "saved view"
            self._reference_pictures.append(Picture(number, f"reference of {object_id}: {where}", overlay.jpeg(image)))
            del self._reference_pictures[self._limit :]

    def add_unreadable(self, number: int) -> None:
        """Note a frame that could not be read."""
        self.unreadable.append(number)

    def add(self, frame: RgbdFrame, number: int, result: TrackResult, seconds: float) -> None:
        """Note a frame's result.

        Args:
            frame: the image.
            number: its number in the recording.
            result: of the tracker.
            seconds: time of the step.
        """
        position = self.frames
        self.numbers.append(number)
        self.step_seconds.append(seconds)
        for stage, ms in result.timing_ms.items():
            self._timing.setdefault(stage, array("d")).append(ms)
        for object_id, object_result in result.objects.items():
            self.objects.setdefault(object_id, ObjectRows()).append(position, number, object_result)
        self.events.extend(result.events)
        if self._limit:
            self._picture(frame, number, position, result)

    def _picture(self, frame: RgbdFrame, number: int, position: int, result: TrackResult) -> None:
        events = [e for e in result.events if e.type is not EventType.REFERENCE_SET]
        due = position % self._every == 0
        if not due and not events:
            return
        picture = overlay.jpeg(overlay.draw_result(frame, result, self._axis_m))
        if events:
            caption = ", ".join(f"{e.object_id} {e.type.value}" for e in events)
            self._event_pictures.append(Picture(number, f"frame {number}: {caption}", picture))
            if len(self._event_pictures) > 2 * self._limit:  # keep every second: they stay spread over the run
                del self._event_pictures[1::2]
        elif due:
            self._even_pictures.append(Picture(number, f"frame {number}", picture))
            if len(self._even_pictures) > 2 * self._limit:
                del self._even_pictures[1::2]
                self._every *= 2

    def pictures(self) -> list[Picture]:
        """The pictures for a report: references, then events and evenly spaced frames in the order of the run."""
        chosen = self._reference_pictures[: max(1, self._limit // 4)]
        events = _spread(self._event_pictures, (self._limit - len(chosen)) * 2 // 3)
        even = _spread(self._even_pictures, self._limit - len(chosen) - len(events))
        order = {number: i for i, number in enumerate(self.numbers)}
        return chosen + sorted(events + even, key=lambda p: order[p.frame])

    def timing(self) -> Mapping[str, npt.NDArray[np.float64]]:
        """Milliseconds of every frame in which a stage ran, by stage."""
        return {stage: np.array(values) for stage, values in self._timing.items()}

    def status_counts(self, object_id: str | None = None) -> dict[str, int]:
        """Frames by status of one object, or summed over all."""
        counts: Counter[TrackStatus] = Counter()
        for name, rows in self.objects.items():
            if object_id in (None, name):
                counts.update(rows.statuses())
        return {status.value: counts[status] for status in STATUSES}


def _spread(pictures: list[Picture], limit: int) -> list[Picture]:
    return [pictures[i] for i in evenly(len(pictures), limit)] if limit > 0 else []
