"""Accuracy on simulated recordings with sensor noise, against the exact truth."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from common.figures import Figure, Outcome, console
from common.runs import errors, follow, judged, median, new_tracker, read_all, summary
from storm_ros.core.types import Reference, View
from storm_ros.sim import SimulatedRecording, tabletop_sequence, turntable_sequence

SENSORS = ("realsense", "kinect")
KINDS = ("box", "can", "mug", "dragon", "cube", "bottle")
TURNED = (None, "can", "cube", "mug", "dragon", "bottle", "superquadric")
GIVEN_ADD_MM, LIFTED_ADDS_MM = 1.5, 4.0
_TABLE_FRAMES = 60
_WHOLE_TURN, _TURN_FRAMES = 180.0, 121


def given(args: argparse.Namespace, outcome: Outcome) -> None:
    """Model given: tracked from the true pose, and from the one registered from the first frame's true mask."""
    starts: dict[str, list[np.ndarray]] = {"true": [], "registered": []}
    rows: list[dict[str, Any]] = []
    for sequence in _given_sequences(args):
        with sequence as recording:
            truth, target = recording.ground_truth, recording.target_id
            frames = read_all(recording, recording.numbers)
            mesh, pose, mask = truth.mesh(target), truth.pose(0, target), truth.mask(0, target)
            assert mesh is not None
            assert pose is not None
            assert mask is not None
            for start in starts:
                tracker = new_tracker(args)
                if start == "true":
                    tracker.add_reference(Reference("object", (View(frames[0], mask, pose),), mesh))
                else:
                    tracker.set_reference(frames[0], mask, mesh=mesh)
                run = follow(tracker, frames)
                judgement = judged(run, truth, target, 0, cam_T_obj_ref=None)
                starts[start].append(errors(judgement, "add_mm")[1:])
                first = {"sequence": recording.name, "kind": mesh.name, "sensor": recording.sensor.name, "start": start}
                rows.append(summary(judgement, **first) | {"lost at": _list(run.losses("object"))})
                console.print(_line(rows[-1]), highlight=False)
    outcome.details["simulator, model given"] = rows
    for start, values in starts.items():
        note = f"{len(values)} sequences, " + ("true pose in frame 0" if start == "true" else "set_reference(mesh=…)")
        beyond = [r for r in rows if r["start"] == start and not r["ADD mm"] <= GIVEN_ADD_MM]
        names = ", ".join(f"{r['kind']} ({r['ADD mm']:.1f})" for r in beyond)
        whole = median(np.concatenate(values))
        outcome.figures += [
            Figure(f"model given, {start} start: median ADD", whole, "mm", GIVEN_ADD_MM, note=note),
            Figure(f"model given, {start} start: sequences beyond {GIVEN_ADD_MM:g} mm", len(beyond), "", note=names),
        ]


def _given_sequences(args: argparse.Namespace) -> list[SimulatedRecording]:
    out: list[SimulatedRecording] = []
    for k in range(args.seeds):
        for sensor in SENSORS:
            seed = args.seed + k
            shared: dict[str, Any] = {"sensor": sensor, "device": args.device}
            out.append(tabletop_sequence(seed, frames=_TABLE_FRAMES, moving=k % 2 == 1, kinds=KINDS, **shared))
            out.append(turntable_sequence(90.0, seed, frames=_TABLE_FRAMES, kind=KINDS[k % len(KINDS)], **shared))
    return out


def lifted(args: argparse.Namespace, outcome: Outcome) -> None:
    """Lifted from the first view, turntable: up to 45 degrees, and where it ends at 45, 90 and 180."""
    rows: list[dict[str, Any]] = []
    early: list[np.ndarray] = []
    ends: dict[int, list[float]] = {45: [], 90: [], 180: []}
    for kind in TURNED:
        for seed in range(args.seed, args.seed + args.seeds):
            sensor = SENSORS[seed % 2]
            recording = turntable_sequence(
                _WHOLE_TURN, seed, frames=_TURN_FRAMES, kind=kind, sensor=sensor, device=args.device
            )
            with recording:
                row, upto45, at = _lifted(args, recording, kind or "printed box")
            rows.append(row)
            early.append(upto45)
            for degrees, value in at.items():
                ends[degrees].append(value)
            console.print(_line(row), highlight=False)
    outcome.details["simulator, lifted from one view, turntable"] = rows
    note = f"{len(rows)} sequences, {_WHOLE_TURN / (_TURN_FRAMES - 1):g} degrees a frame; frame aligned at frame 0"
    worst = max(median(values) for values in early)
    outcome.figures += [
        Figure(
            "lifted, up to 45 degrees: median ADD-S", median(np.concatenate(early)), "mm", LIFTED_ADDS_MM, note=note
        ),
        Figure("lifted, up to 45 degrees: worst sequence's median ADD-S", worst, "mm"),
    ]
    for degrees, values in ends.items():
        lost = int(np.isinf(values).sum())
        outcome.figures.append(
            Figure(f"lifted, at {degrees} degrees: median ADD-S", median(values), "mm", note=f"{lost} without a pose")
        )


def _lifted(
    args: argparse.Namespace, recording: SimulatedRecording, kind: str
) -> tuple[dict[str, Any], np.ndarray, dict[int, float]]:
    truth, target = recording.ground_truth, recording.target_id
    frames = read_all(recording, recording.numbers)
    mask = truth.mask(0, target)
    assert mask is not None
    tracker = new_tracker(args)
    reference = tracker.set_reference(frames[0], mask)
    run = follow(tracker, frames)
    judgement = judged(run, truth, target, 0, cam_T_obj_ref=reference.views[0].cam_T_obj)
    per_frame = _WHOLE_TURN / (_TURN_FRAMES - 1)
    adds, adds_all = errors(judgement, "add_mm"), errors(judgement, "adds_mm")
    upto45 = adds_all[: round(45 / per_frame)]
    row: dict[str, Any] = {"kind": kind, "seed": recording.scene_id, "sensor": recording.sensor.name}
    row["ADD-S <=45"] = median(upto45)
    row["ADD <=45"] = median(adds[: len(upto45)])
    at = {degrees: _end(adds_all, round(degrees / per_frame)) for degrees in (45, 90, 180)}
    row |= {f"ADD-S at {degrees}": value for degrees, value in at.items()}
    row |= {f"ADD at {degrees}": _end(adds, round(degrees / per_frame)) for degrees in at}
    row["lost at"] = _list(round(n * per_frame) for n in run.losses("object"))
    return row, upto45, at


def _end(values: np.ndarray, frame: int) -> float:
    """Median over the last five frames up to a frame number; the first value is that of frame 1."""
    return median(values[max(0, frame - 5) : frame])


def _list(numbers: Any) -> str:
    return " ".join(map(str, numbers)) or "-"


def _line(row: dict[str, Any]) -> str:
    return "  ".join(f"{k} {v:.3g}" if isinstance(v, float) else str(v) for k, v in row.items())
