"""Turns a run into report.json, report.html and the lines on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from storm_ros.cli.outputs import Outputs
from storm_ros.cli.run import Run, mesh_names
from storm_ros.core.config import StormConfig, knobs
from storm_ros.core.errors import InputError, RecordingError
from storm_ros.core.types import Mesh
from storm_ros.evaluation.accuracy import JudgedObject, Judgement, judge
from storm_ros.evaluation.html import number, percent, render_html
from storm_ros.evaluation.report import RunInfo, build_report, write_report, write_text

if TYPE_CHECKING:
    from rich.console import Console

    from storm_ros.io import Recording

SAME_FRAME_M = 1e-3
"""Two meshes have the same frame when the corners of their bounding boxes are this close."""


def write_results(
    state: Run,
    recording: Recording,
    config: StormConfig,
    outputs: Outputs,
    *,
    source: str,
    command: str = "",
    reverse: bool = False,
) -> dict[str, Any]:
    """Write report.json and, if wanted, report.html.

    Args:
        state: the run, finished or not.
        recording: it was made on.
        config: settings.
        outputs: where to.
        source: the recording as the user named it.
        command: command line.
        reverse: whether it ran backwards.

    Returns:
        The content of report.json.

    Raises:
        OutputError: they cannot be written.
    """
    judgements, complaints = judged(state, recording)
    failure = [f"the run ended early: {state.failure}"] if state.failure is not None else []
    info = RunInfo(
        input=source,
        name=recording.name,
        command=command,
        seconds=state.seconds,
        setup_ms=state.setup_ms,
        settings={k.key: k.value for k in knobs(config)},
        meshes=mesh_names(state),
        gt_ids={t.object_id: t.gt_id for t in state.targets},
        obj_ids={t.object_id: t.obj_id for t in state.targets},
        reverse=reverse,
        interrupted=state.interrupted,
        warnings=[*failure, *never_found(state), *state.plan.warnings, *recording.warnings, *complaints],
    )
    report = build_report(state.recorder, info, judgements)
    write_report(outputs.report_json, report)
    if outputs.html:
        write_text(outputs.report_html, render_html(report, state.recorder, judgements))
    return report


def judged(state: Run, recording: Recording) -> tuple[list[Judgement], list[str]]:
    """Errors of every object that has a ground truth, and why others that should have them do not."""
    truth = recording.ground_truth
    if truth is None:
        return [], []
    judgements: list[Judgement] = []
    complaints: list[str] = []
    for target in state.targets:
        rows = state.recorder.objects.get(target.object_id)
        if rows is None:
            continue
        if target.number is None:
            complaints.append(
                f"{target.object_id}: its frame is that of a saved reference, so it has no accuracy figures"
            )
            continue
        if target.gt_id is None:
            complaints.append(f"{target.object_id}: fits no object of the ground truth, so it has no accuracy figures")
            continue
        reference = state.references[target.object_id]
        try:
            true_mesh = truth.mesh(target.gt_id)
            aligned = target.mesh is not None and true_mesh is not None and same_frame(reference.mesh, true_mesh)
            judged_object = JudgedObject(
                target.object_id, target.gt_id, target.number, aligned, reference.views[0].cam_T_obj
            )
            judgements.append(judge(judged_object, rows.poses(), truth))
        except InputError as error:
            complaints.append(str(error))
        except RecordingError as error:  # a damaged truth must not cost the run's results
            complaints.append(f"{target.object_id} has no accuracy figures: {error}")
    return judgements, complaints


def never_found(state: Run) -> list[str]:
    """One line for every object that got no pose in any of its frames."""
    return [
        f"{name}: never found in {len(rows)} frames"
        for name, rows in state.recorder.objects.items()
        if all(cam_T_obj is None for _, cam_T_obj in rows.poses())
    ]


def same_frame(mesh: Mesh, other: Mesh) -> bool:
    """Whether two meshes are of one object in one frame, by their bounding boxes."""
    return bool(np.abs(mesh.bounds - other.bounds).max() <= SAME_FRAME_M)


def summarise(console: Console, report: Mapping[str, Any], outputs: Outputs) -> None:
    """Say in a few lines how a run went."""
    unreadable = f", {report['unreadable']} unreadable" if report["unreadable"] else ""
    speed = f", {report['fps']:.0f} frames/s" if report["fps"] else ""
    console.print(f"{report['frames']} frames{unreadable}{speed}, peak memory {number(report['peak_rss_mb'], 0)} MB")
    for name, obj in report["objects"].items():
        counts = obj["status_counts"]
        kinds = [e["type"] for e in report["events"] if e["object"] == name]
        words = [
            f"pose in {counts['TRACKING'] + counts['SUSPECT']} of {sum(counts.values())} frames",
            f"lost {kinds.count('lost')} times, found again {kinds.count('relocalized')} times",
            *_accuracy_words((report.get("accuracy") or {}).get("objects", {}).get(name, {})),
        ]
        console.print(f"{name}: {'; '.join(words)}", markup=False, highlight=False)
    for warning in report["warnings"]:
        console.print(f"warning: {warning}", markup=False, highlight=False)
    console.print(f"results in {outputs.folder}", markup=False, highlight=False)


def _accuracy_words(block: Mapping[str, Any]) -> Sequence[str]:
    words = [
        ("median ADD", number(block.get("add_mm_median"), 2, " mm")),
        ("median ADD-S", number(block.get("adds_mm_median"), 2, " mm")),
        ("median centre error", number(block.get("centre_mm_median"), 2, " mm")),
        ("median rotation error", number(block.get("rot_deg_median"), 2, " deg")),
        ("found", percent(block.get("found_fraction"))),
    ]
    return [f"{name} {value}" for name, value in words if value]
