"""report.json: what was run, what came out of it, how long it took, and how right it was."""

from __future__ import annotations

import json
import math
import os
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from storm_ros.core.errors import OutputError, RecordingError
from storm_ros.core.types import TrackEvent
from storm_ros.evaluation.accuracy import Judgement, accuracy_block
from storm_ros.evaluation.recorder import ObjectRows, RunRecorder

SCHEMA = 1
STAGES = ("track", "verify", "segment", "register")
MAX_WARNINGS = 50


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """What is known of a run beside its frames.

    Attributes:
        input: the recording, as the user named it.
        name: the recording's own name.
        command: command line, for the report's reader.
        seconds: wall time of the run, reading and writing included.
        setup_ms: time to set each object's reference, by object.
        settings: every setting by its dotted key.
        meshes: where each object's mesh came from, by object.
        gt_ids: id of each object in the ground truth; None where it has none.
        obj_ids: number of each object in poses.csv.
        reverse: whether the frames ran backwards.
        interrupted: whether the run was cut short.
        warnings: what the reader of the recording and the run complained about.
    """

    input: str
    name: str = ""
    command: str = ""
    seconds: float = 0.0
    setup_ms: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    meshes: Mapping[str, str] = field(default_factory=dict)
    gt_ids: Mapping[str, int | None] = field(default_factory=dict)
    obj_ids: Mapping[str, int] = field(default_factory=dict)
    reverse: bool = False
    interrupted: bool = False
    warnings: Sequence[str] = ()


def build_report(recorder: RunRecorder, info: RunInfo, judgements: Sequence[Judgement] = ()) -> dict[str, Any]:
    """The content of report.json; every value is plain, NaN is None.

    Args:
        recorder: of the run, finished or not.
        info: the rest.
        judgements: errors of the objects that have a ground truth.
    """
    step_s = float(np.sum(recorder.step_seconds)) if recorder.frames else math.nan
    timing = recorder.timing()
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "input": info.input,
        "name": info.name,
        "command": info.command,
        "frames": recorder.frames,
        "first_frame": recorder.numbers[0] if recorder.frames else None,
        "last_frame": recorder.numbers[-1] if recorder.frames else None,
        "reverse": info.reverse,
        "interrupted": info.interrupted,
        "unreadable": len(recorder.unreadable),
        "unreadable_frames": list(recorder.unreadable[:MAX_WARNINGS]),
        "warnings": _first(info.warnings),
        "status_counts": recorder.status_counts(),
        "objects": {name: _object(recorder, info, name) for name in _names(recorder)},
        "events": [event_row(e) for e in recorder.events],
        "timing_ms": {stage: percentiles(timing[stage]) for stage in sorted(timing, key=_stage_rank)},
        "fps": recorder.frames / step_s if step_s > 0 else None,
        "fps_with_io": recorder.frames / info.seconds if info.seconds > 0 else None,
        "seconds": info.seconds,
        "peak_rss_mb": peak_rss_mb(),
        "settings": dict(info.settings),
        "versions": versions(),
    }
    block = accuracy_block(judgements)
    if block is not None:
        report["accuracy"] = block
    return plain(report)


def _stage_rank(stage: str) -> int:
    """The order of a frame's journey, what is not known before the total, which ends it."""
    return STAGES.index(stage) if stage in STAGES else len(STAGES) + (stage == "total")


def _names(recorder: RunRecorder) -> list[str]:
    return list(dict.fromkeys([*recorder.references, *recorder.objects]))


def _object(recorder: RunRecorder, info: RunInfo, name: str) -> dict[str, Any]:
    return {
        "obj_id": info.obj_ids.get(name),
        "gt_id": info.gt_ids.get(name),
        "reference_frame": recorder.references.get(name),
        "setup_ms": info.setup_ms.get(name),
        "mesh": info.meshes.get(name),
        "status_counts": recorder.status_counts(name),
        **_beliefs(recorder.objects.get(name)),
    }


def _beliefs(rows: ObjectRows | None) -> dict[str, Any]:
    """How likely the poses were right by the verifier, and how many views it kept at most."""
    if rows is None or not len(rows):
        return {"probability_median": None, "memory_max": None}
    posed = [cam_T_obj is not None for _, cam_T_obj in rows.poses()]
    chances = rows.column("probability")[posed]
    return {
        "probability_median": float(np.median(chances)) if len(chances) else None,
        "memory_max": int(rows.column("memory").max()),
    }


def _first(warnings: Sequence[str]) -> list[str]:
    shown = list(warnings[:MAX_WARNINGS])
    if len(warnings) > len(shown):
        shown.append(f"… and {len(warnings) - len(shown)} more")
    return shown


def event_row(event: TrackEvent) -> dict[str, Any]:
    """An event as plain values."""
    return {
        "frame": event.frame,
        "stamp_ns": event.stamp_ns,
        "type": event.type.value,
        "object": event.object_id,
        "cause": event.cause.value if event.cause is not None else None,
        "frames_lost": event.frames_lost,
        "seconds_lost": event.seconds_lost,
        "energy": event.energy,
        "threshold": event.threshold,
        "score": event.score,
        "jump_m": event.jump_m,
        "jump_rad": event.jump_rad,
    }


def percentiles(values: np.ndarray) -> dict[str, float]:
    """p50, p95, p99 and max of some values; NaN of none."""
    if not len(values):
        return dict.fromkeys(("p50", "p95", "p99", "max"), math.nan)
    p50, p95, p99 = np.percentile(values, [50, 95, 99])
    return {"p50": float(p50), "p95": float(p95), "p99": float(p99), "max": float(np.max(values))}


def peak_rss_mb() -> float | None:
    """Largest resident memory of this process so far in MB; None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1024.0


def versions() -> dict[str, str | None]:
    """Versions of what the result depends on; None of what is not installed."""
    from storm_ros import __version__

    opencv = next((v for v in map(_version, _OPENCV) if v), None)
    if opencv is None:  # a system's own OpenCV is no pip package
        import cv2

        opencv = cv2.__version__
    return {
        "storm_ros": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": _version("scipy"),
        "opencv": opencv,
        "warp": _version("warp-lang"),
        "platform": platform.platform(),
    }


_OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def plain(value: Any) -> Any:
    """A value as JSON knows it: mappings, lists, numbers (None for NaN and infinity), text."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_report(path: str | Path, report: Mapping[str, Any]) -> None:
    """Write report.json, all or nothing.

    Raises:
        OutputError: it cannot be written.
    """
    write_text(path, json.dumps(report, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def load_report(path: str | Path) -> dict[str, Any]:
    """Read a report.json.

    Raises:
        RecordingError: not readable, or of another schema.
    """
    try:
        report = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordingError(f"report {path} cannot be read: {error}") from None
    schema = report.get("schema") if isinstance(report, dict) else None
    if schema != SCHEMA:
        raise RecordingError(f"report {path} has schema {schema!r}: {SCHEMA} is needed; write it again")
    return report


def write_text(path: str | Path, text: str) -> None:
    """Write a text file through a temporary one in the same folder, so that it is never seen half written.

    Raises:
        OutputError: it cannot be written.
    """
    path = Path(path)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
