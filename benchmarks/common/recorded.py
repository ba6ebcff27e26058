"""Accuracy on the real recordings: ycbv (registration), desk (model-free), kitchen (lost and found)."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from common.figures import Figure, Outcome
from common.runs import errors, follow, judged, median, new_tracker, open_data, read_all, summary
from storm_ros.core.tracker import Parts
from storm_ros.core.types import Mask, Mesh, Reference, RgbdFrame
from storm_ros.evaluation.accuracy import accuracy_block
from storm_ros.evaluation.metrics import VertexErrors, rotation_error_deg
from storm_ros.evaluation.visibility import Leave
from storm_ros.io import GroundTruth, Recording

DESK_OBJECTS = {1: "cube", 2: "dragon"}
KITCHEN_REFERENCE, KITCHEN_LEAVE = 111, 160
_KITCHEN_OBJECT = 1


def truth_of(recording: Recording) -> GroundTruth:
    """The ground truth of a recording that is known to have one."""
    assert recording.ground_truth is not None
    return recording.ground_truth


def seen(recording: Recording, number: int, obj_id: int) -> Mask:
    """An object's true visible mask."""
    mask = truth_of(recording).mask(number, obj_id)
    assert mask is not None
    return mask


def register(args: argparse.Namespace, outcome: Outcome) -> None:
    """Registration from the visible mask with the given mesh, every frame on its own."""
    rows: list[dict[str, Any]] = []
    worst: dict[int, list[float]] = {}
    with open_data(args.data, "ycbv") as recording:
        truth = truth_of(recording)
        parts = new_tracker(args).parts
        for number in recording.numbers:
            frame = recording.read(number)
            for obj_id in truth.object_ids:
                mesh = truth.mesh(obj_id)
                assert mesh is not None
                rows.append(_registered(parts, frame, seen(recording, number, obj_id), mesh, truth, number, obj_id))
                worst.setdefault(obj_id, []).append(rows[-1]["ADD-S mm"])
    outcome.details["ycbv, registered from the visible mask"] = rows
    total = [value for values in worst.values() for value in values]
    outcome.figures.append(
        Figure("ycbv, registered: worst ADD-S", max(total), "mm", 5.0, note=f"{len(total)} registrations, given mesh")
    )
    for obj_id, values in worst.items():
        adds = [row["ADD mm"] for row in rows if row["object"] == obj_id]
        note = f"ADD: median {median(adds):.1f} mm, worst {max(adds):.1f} mm"
        outcome.figures.append(Figure(f"ycbv object {obj_id}: median ADD-S", median(values), "mm", note=note))


def _registered(
    parts: Parts, frame: RgbdFrame, mask: Mask, mesh: Mesh, truth: GroundTruth, number: int, obj_id: int
) -> dict[str, Any]:
    cam_T_gt = truth.pose(number, obj_id)
    assert cam_T_gt is not None
    model = parts.pose.prepare(Reference("object", (), mesh))
    best = parts.pose.register(frame, mask, model).best
    compared = VertexErrors(mesh.vertices)
    return {
        "object": obj_id,
        "frame": number,
        "ADD-S mm": compared.adds(best.cam_T_obj, cam_T_gt) * 1e3,
        "ADD mm": compared.add(best.cam_T_obj, cam_T_gt) * 1e3,
        "turn deg": rotation_error_deg(best.cam_T_obj, cam_T_gt),
        "score": best.score,
    }


def desk(args: argparse.Namespace, outcome: Outcome) -> None:
    """Model-free from frame 0, each object on its own."""
    rows: list[dict[str, Any]] = []
    with open_data(args.data, "desk") as recording:
        frames = read_all(recording, recording.numbers)
        first = recording.numbers[0]
        for obj_id, name in DESK_OBJECTS.items():
            tracker = new_tracker(args)
            reference = tracker.set_reference(frames[0], seen(recording, first, obj_id))
            run = follow(tracker, frames)
            judgement = judged(run, truth_of(recording), obj_id, first, cam_T_obj_ref=reference.views[0].cam_T_obj)
            lost = run.losses("object")
            rows.append(summary(judgement, object=name, frames=len(frames)) | {"losses": len(lost)})
            target = 5.0 if obj_id == 1 else None
            outcome.figures += [
                Figure(f"desk {name}, model-free: median ADD", median(errors(judgement, "add_mm")), "mm", target),
                Figure(f"desk {name}, model-free: losses", len(lost), "", 0, note="at " + str(lost) if lost else ""),
            ]
    outcome.details["desk, model-free from frame 0"] = rows


def kitchen(args: argparse.Namespace, outcome: Outcome) -> None:
    """The mug from frame 111 to the end: until it leaves the image, and what happens afterwards."""
    with open_data(args.data, "kitchen") as recording:
        mask = seen(recording, KITCHEN_REFERENCE, _KITCHEN_OBJECT)
        numbers = [n for n in recording.numbers if n >= KITCHEN_REFERENCE]
        tracker = new_tracker(args)
        reference = tracker.set_reference(recording.read(KITCHEN_REFERENCE), mask)
        run = follow(tracker, (recording.read(n) for n in numbers))
        pose = reference.views[0].cam_T_obj
        judgement = judged(run, truth_of(recording), _KITCHEN_OBJECT, KITCHEN_REFERENCE, cam_T_obj_ref=pose)
    block = accuracy_block([judgement])
    assert block is not None
    stats = block["objects"]["object"]
    before = [f for f in judgement.scored if f.frame < KITCHEN_LEAVE]
    centre = np.array([np.inf if f.centre_mm != f.centre_mm else f.centre_mm for f in before])
    early = [n for n in run.losses("object") if n < KITCHEN_LEAVE]
    leave = next((Leave(**x) for x in stats["leaves"] if x["frame"] == KITCHEN_LEAVE), None)
    silent = None if leave is None else leave.frames_until_silent
    returns = stats["returns"]
    again = sum(r["frames_until_found"] is not None for r in returns)
    span = f"frames {KITCHEN_REFERENCE} to {KITCHEN_LEAVE - 1}"
    outcome.figures += [
        Figure("kitchen: losses before the leave", len(early), "", 0, note=f"{span} {early or ''}".strip()),
        Figure("kitchen: median centre error before the leave", median(centre), "mm", 40.0, note=span),
        Figure("kitchen: worst centre error before the leave", float(centre.max()), "mm", note=span),
        Figure("kitchen: frames from the leave to silence", silent, "", 10, note=f"leaves at {KITCHEN_LEAVE}"),
        Figure("kitchen: found, of the visible frames", stats["found_fraction"], "", note="baseline segmenter"),
        Figure("kitchen: false finds, of the other frames", stats["false_fraction"], "", note="baseline segmenter"),
        Figure("kitchen: returns found again", again, "", note=f"of {len(returns)}"),
    ]
    outcome.details["kitchen, returns into view"] = returns
    outcome.details["kitchen, events"] = [
        {"frame": e.frame, "event": e.type.value, "cause": e.cause and e.cause.value, "energy": e.energy}
        for e in run.events
    ]
