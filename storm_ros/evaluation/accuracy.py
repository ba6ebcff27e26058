"""A run's poses against the ground truth: errors of every frame, and the "accuracy" block of report.json."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from storm_ros.core.errors import InputError
from storm_ros.core.types import Mesh, Pose
from storm_ros.evaluation import metrics, visibility
from storm_ros.evaluation.visibility import Sighting, Visibility

NAN = float("nan")


class Truth(Protocol):
    """Ground truth of a recording (a BOP scene's, or the simulator's)."""

    def pose(self, number: int, obj_id: int) -> Pose | None:
        """cam_T_obj (4, 4) in metres; None where the object is not in that frame."""
        ...

    def visible_fraction(self, number: int, obj_id: int) -> float | None:
        """Visible share of the object in [0, 1]; None where it is not known."""
        ...

    def mesh(self, obj_id: int) -> Mesh | None:
        """The object's mesh in metres; None where there is none."""
        ...


@dataclass(frozen=True, eq=False)
class JudgedObject:
    """Which true object a tracked one is, and how the two frames belong together.

    Attributes:
        object_id: name in the tracker.
        gt_id: object id in the ground truth.
        reference_frame: number of the frame it was pointed at in.
        aligned: True when the poses are already those of the truth's own frame (the data set's mesh was given), so
            that they compare directly; False for a frame of our own, which is aligned at the reference frame only.
        cam_T_obj_ref: (4, 4) pose at the reference frame; without it the run's own result there is taken.
    """

    object_id: str
    gt_id: int
    reference_frame: int
    aligned: bool = False
    cam_T_obj_ref: Pose | None = None


@dataclass(frozen=True)
class FrameErrors:
    """Errors of one object in one frame; NaN without a pose, a truth or (ADD, ADD-S) a mesh."""

    frame: int
    visibility: Visibility
    reported: bool
    right: bool
    add_mm: float = NAN
    adds_mm: float = NAN
    centre_mm: float = NAN
    rot_deg: float = NAN


@dataclass(frozen=True, eq=False)
class Judgement:
    """Errors of one object in every frame of a run, in the order of the run."""

    target: JudgedObject
    has_mesh: bool
    frames: tuple[FrameErrors, ...]

    @property
    def scored(self) -> tuple[FrameErrors, ...]:
        """The frames that count: an aligned-at-reference run is exact in its reference frame by construction."""
        if self.target.aligned:
            return self.frames
        return tuple(f for f in self.frames if f.frame != self.target.reference_frame)


def accuracy(
    poses: Sequence[tuple[JudgedObject, Iterable[tuple[int, Pose | None]]]], truth: Truth
) -> dict[str, Any] | None:
    """The "accuracy" block of report.json.

    Args:
        poses: for each object its frames in the order of the run, as (frame number, cam_T_obj or None).
        truth: ground truth of the recording.

    Returns:
        Figures over all objects and, under "objects", of each; None without any object.

    Raises:
        InputError: an object that must be aligned has no pose or no truth in its reference frame.
    """
    return accuracy_block([judge(target, frames, truth) for target, frames in poses])


def judge(target: JudgedObject, poses: Iterable[tuple[int, Pose | None]], truth: Truth) -> Judgement:
    """Errors of one object in every frame.

    Raises:
        InputError: it must be aligned, but has no pose or no truth in its reference frame.
    """
    run = list(poses)
    mesh = truth.mesh(target.gt_id)
    errors = metrics.VertexErrors(mesh.vertices) if mesh is not None else None
    limit_mm = visibility.FOUND_DIAMETERS * mesh.diameter * 1000.0 if mesh is not None else NAN
    obj_T_gt = np.eye(4) if target.aligned else _alignment(target, run, truth)
    frames = tuple(_frame_errors(n, pose, obj_T_gt, target.gt_id, truth, errors, limit_mm) for n, pose in run)
    return Judgement(target, mesh is not None, frames)


def _alignment(target: JudgedObject, run: Sequence[tuple[int, Pose | None]], truth: Truth) -> Pose:
    number = target.reference_frame
    cam_T_gt = truth.pose(number, target.gt_id)
    if cam_T_gt is None:
        raise InputError(
            f"{target.object_id}: no true pose of object {target.gt_id} in the reference frame {number}, so its frame "
            "cannot be aligned; take a reference frame that has one"
        )
    cam_T_obj = target.cam_T_obj_ref
    if cam_T_obj is None:
        cam_T_obj = next((pose for n, pose in run if n == number), None)
    if cam_T_obj is None:
        raise InputError(f"{target.object_id}: no pose in the reference frame {number}, so its frame cannot be aligned")
    return metrics.alignment(cam_T_obj, cam_T_gt)


def _frame_errors(
    number: int,
    cam_T_obj: Pose | None,
    obj_T_gt: Pose,
    gt_id: int,
    truth: Truth,
    errors: metrics.VertexErrors | None,
    limit_mm: float,
) -> FrameErrors:
    cam_T_gt = truth.pose(number, gt_id)
    seen = visibility.visibility(truth.visible_fraction(number, gt_id), in_truth=cam_T_gt is not None)
    if cam_T_obj is None or cam_T_gt is None:
        return FrameErrors(number, seen, cam_T_obj is not None, right=False)
    estimate = np.asarray(cam_T_obj, dtype=np.float64) @ obj_T_gt
    add_mm = errors.add(estimate, cam_T_gt) * 1000.0 if errors else NAN
    adds_mm = errors.adds(estimate, cam_T_gt) * 1000.0 if errors else NAN
    centre_mm = metrics.centre_error_mm(estimate, cam_T_gt)
    right = adds_mm <= limit_mm if errors else centre_mm <= visibility.FOUND_CENTRE_MM
    rot_deg = metrics.rotation_error_deg(estimate, cam_T_gt)
    return FrameErrors(number, seen, True, bool(right), add_mm, adds_mm, centre_mm, rot_deg)


def accuracy_block(judgements: Sequence[Judgement]) -> dict[str, Any] | None:
    """The "accuracy" block from the errors of every object; None without any object.

    Figures over all objects pool their frames. ADD and ADD-S are there where an object has a mesh.
    """
    if not judgements:
        return None
    block = _figures(judgements)
    block["objects"] = {j.target.object_id: _object_block(j) for j in judgements}
    return block


def _object_block(judgement: Judgement) -> dict[str, Any]:
    target = judgement.target
    sightings = _sightings(judgement)
    return {
        "gt_id": target.gt_id,
        "aligned_at": None if target.aligned else target.reference_frame,
        "found_rule": _rule(judgement),
        **_figures([judgement]),
        **visibility.statistics(sightings),
    }


def _rule(judgement: Judgement) -> str:
    if judgement.has_mesh:
        return f"ADD-S at most {visibility.FOUND_DIAMETERS:g} of the mesh's diameter"
    return f"centre error at most {visibility.FOUND_CENTRE_MM:g} mm"


def _sightings(judgement: Judgement) -> list[Sighting]:
    return [Sighting(f.frame, f.visibility, f.reported, f.right) for f in judgement.scored]


def _figures(judgements: Sequence[Judgement]) -> dict[str, Any]:
    """Figures of the frames in which the objects are visible; medians of those among them that have a pose."""
    visible = [f for j in judgements for f in j.scored if f.visibility is Visibility.VISIBLE]
    meshed = [f for j in judgements if j.has_mesh for f in j.scored if f.visibility is Visibility.VISIBLE]
    out: dict[str, Any] = {}
    if any(j.has_mesh for j in judgements):
        out["add_auc"] = metrics.auc(f.add_mm for f in meshed)
        out["adds_auc"] = metrics.auc(f.adds_mm for f in meshed)
        out["add_mm_median"] = _median(f.add_mm for f in meshed)
        out["adds_mm_median"] = _median(f.adds_mm for f in meshed)
    out["centre_mm_median"] = _median(f.centre_mm for f in visible)
    out["rot_deg_median"] = _median(f.rot_deg for f in visible)
    others = [s for j in judgements for s in _sightings(j) if s.visibility is not Visibility.VISIBLE]
    out["found_fraction"] = visibility.fraction(sum(f.right for f in visible), len(visible))
    out["false_fraction"] = visibility.fraction(sum(map(visibility.is_false, others)), len(others))
    return out


def _median(values: Iterable[float]) -> float:
    finite = [v for v in values if np.isfinite(v)]
    return float(np.median(finite)) if finite else NAN
