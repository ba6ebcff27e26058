"""How well a segmenter finds an object from its reference: overlap, ranking, presence, average precision."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from storm_ros.core import se3
from storm_ros.core.errors import InputError
from storm_ros.core.protocols import Segmenter
from storm_ros.core.types import Candidate, Mask, Reference, RgbdFrame, View
from storm_ros.io import Recording, read_frames
from storm_ros.mesh import LiftedMeshBuilder
from storm_ros.som.masks import mask_iou

SHOWN = 0.3
"""Visible share above which an object counts as shown where its mask is known."""

FOUND = 0.5
"""Visible share above which it counts as shown where only its pose is known."""


@dataclass(frozen=True, eq=False)
class Case:
    """One reference looked for in one image.

    Attributes:
        name: of the reference.
        reference: what is looked for.
        frame: where.
        present: whether it is there.
        mask: (H, W) true mask; None where it is not known, or the object is absent.
        circle: column, row and radius in pixels of the object where only its pose is known.
        traits: what makes it hard, where it is known: "size" (of the object's diameter in the image over that in the
            reference), "angle_deg" between the views, "visible" share.
    """

    name: str
    reference: Reference
    frame: RgbdFrame
    present: bool
    mask: Mask | None = None
    circle: tuple[float, float, float] | None = None
    traits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What came of one case.

    Attributes:
        name: of the reference.
        present: whether the object is there.
        score: of the best candidate, 0 without one.
        iou: of the best candidate's mask; None where the true one is not known.
        best_iou: of the best of all candidates.
        hit: whether the centroid of the best candidate's mask lies on the object; None where it is absent.
        seconds: that the search took.
        traits: of the case.
    """

    name: str
    present: bool
    score: float
    iou: float | None
    best_iou: float | None
    hit: bool | None
    seconds: float
    traits: Mapping[str, float] = field(default_factory=dict)


def recorded_cases(
    recording: Recording, *, object_id: int | None = None, reference: int | None = None, every: int = 1
) -> Iterator[Case]:
    """Cases of a recording with truth: each object's first frame with a mask is its reference.

    Args:
        recording: the frames.
        object_id: only this object; all by default.
        reference: frame number of the reference; the first with a mask by default.
        every: only every so-manieth frame.

    Raises:
        InputError: no truth, no such object, or no mask to make a reference of.
    """
    truth = recording.ground_truth
    if truth is None:
        raise InputError(f"{recording.name} has no truth (scene_gt.json): a BOP dataset with poses and masks is needed")
    ids = [i for i in truth.object_ids if object_id in (None, i)]
    if not ids:
        raise InputError(
            f"object {object_id} is not in {recording.name}: it has {', '.join(map(str, truth.object_ids))}"
        )
    numbers = list(recording.numbers)
    for obj_id in ids:
        first = (
            reference
            if reference is not None
            else next((n for n in numbers if truth.mask(n, obj_id) is not None), None)
        )
        mask = None if first is None else truth.mask(first, obj_id)
        if first is None or mask is None:
            raise InputError(f"{recording.name} has no mask of object {obj_id} in frame {first}: name one that has")
        name = f"{recording.name}/{obj_id}"
        made = make_reference(recording.read(first), mask, name)
        center = np.zeros(3)
        home = truth.pose(first, obj_id)
        if home is not None:  # poses are in the axes of the true mesh, whose origin may be anywhere
            center = se3.apply(se3.inverse(home), made.views[0].cam_T_obj[None, :3, 3])[0]
        for number, frame in read_frames(recording, [n for n in numbers[::every] if n != first]):
            if frame is None:
                continue
            case = _recorded_case(name, made, frame, recording, number, obj_id, center)
            if case is not None:
                yield case


def _recorded_case(
    name: str, reference: Reference, frame: RgbdFrame, recording: Recording, number: int, obj_id: int,
    center: npt.NDArray[np.float64],
) -> Case | None:  # fmt: skip
    truth = recording.ground_truth
    assert truth is not None
    pose, share, mask = truth.pose(number, obj_id), truth.visible_fraction(number, obj_id), truth.mask(number, obj_id)
    if pose is None:
        return Case(name, reference, frame, False)
    if mask is not None and mask.any():
        return Case(name, reference, frame, True, mask) if share is None or share > SHOWN else None
    if share is not None and share <= FOUND:
        return None
    point = se3.apply(pose, center[None])[0]
    u, v = frame.camera.project(point[None])[0]
    radius = 0.5 * reference.mesh.diameter * frame.camera.fx / point[2]
    return Case(name, reference, frame, True, None, (float(u), float(v), float(radius)))


def make_reference(frame: RgbdFrame, mask: Mask, name: str) -> Reference:
    """A reference of one view, its surface lifted from the depth.

    Raises:
        InputError: a mask that cannot be used.
        NoDepthError: too little depth under it.
    """
    mesh, pose = LiftedMeshBuilder().build(frame, mask)
    return Reference(name, (View(frame, mask, pose),), mesh)


class WithoutDepth:
    """A segmenter that is shown frames or references without their depth; the object's size is known all the same."""

    def __init__(self, segmenter: Segmenter, *, frames: bool, references: bool) -> None:
        """Take a segmenter, and say from what depth is withheld."""
        self._segmenter, self._frames, self._references = segmenter, frames, references

    def describe(self, reference: Reference) -> Any:
        """Describe a reference."""
        if self._references:
            views = tuple(replace(view, frame=_without_depth(view.frame)) for view in reference.views)
            reference = replace(reference, views=views)
        return self._segmenter.describe(reference)

    def segment(self, frame: RgbdFrame, description: Any) -> tuple[Candidate, ...]:
        """Look for it in a frame."""
        return self._segmenter.segment(_without_depth(frame) if self._frames else frame, description)


def _without_depth(frame: RgbdFrame) -> RgbdFrame:
    return replace(frame, depth_m=np.zeros_like(frame.depth_m))


class Judge:
    """Lets a segmenter work on cases; a reference is described once as long as the cases keep to it.

    Attributes:
        verdicts: one a case.
        answers: the true mask, None where the object is absent, and the candidates, of the cases with known masks.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self.verdicts: list[Verdict] = []
        self.answers: list[tuple[Mask | None, tuple[Candidate, ...]]] = []
        self._segmenter = segmenter
        self._known: tuple[Reference, Any] | None = None

    def see(self, case: Case) -> Verdict:
        """Judge one more case."""
        if self._known is None or self._known[0] is not case.reference:
            self._known = case.reference, self._segmenter.describe(case.reference)
        start = time.perf_counter()
        found = self._segmenter.segment(case.frame, self._known[1])
        verdict = _verdict(case, found, time.perf_counter() - start)
        self.verdicts.append(verdict)
        if case.mask is not None or not case.present:
            self.answers.append((case.mask, found))
        return verdict


def _verdict(case: Case, found: Sequence[Candidate], seconds: float) -> Verdict:
    score = found[0].score if found else 0.0
    ious = [mask_iou(c.mask, case.mask) for c in found] if case.mask is not None else None
    hit = None
    if case.present:
        hit = bool(found) and _on_object(case, found[0].mask)
    return Verdict(
        case.name, case.present, score, (ious[0] if ious else 0.0) if ious is not None else None,
        max(ious, default=0.0) if ious is not None else None, hit, seconds, case.traits,
    )  # fmt: skip


def _on_object(case: Case, mask: Mask) -> bool:
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return False
    row, column = float(rows.mean()), float(columns.mean())
    if case.mask is not None:
        near = case.mask[max(0, round(row) - 2) : round(row) + 3, max(0, round(column) - 2) : round(column) + 3]
        return bool(near.any())
    assert case.circle is not None
    u, v, radius = case.circle
    return bool(np.hypot(column - u, row - v) <= radius)


def figures(verdicts: Sequence[Verdict], threshold: float) -> dict[str, float | int | None]:
    """Figures of many verdicts.

    Args:
        verdicts: of a `Judge`.
        threshold: score from which the object counts as there.

    Returns:
        Mean IoU, share of hits at rank 1, average precision, AUROC of the presence, shares of right answers at the
        threshold, and the median time; None where there is nothing to count.
    """
    there = [v for v in verdicts if v.present]
    gone = [v for v in verdicts if not v.present]
    with_mask = [v.iou for v in there if v.iou is not None]
    return {
        "cases": len(verdicts),
        "present": len(there),
        "mean_iou": _mean(with_mask),
        "hit_rate": _mean([float(bool(v.hit)) for v in there]),
        "found_rate": _mean([float(bool(v.hit) and v.score >= threshold) for v in there]),
        "silent_rate": _mean([float(v.score < threshold) for v in gone]),
        "presence_auroc": auroc([v.score for v in there], [v.score for v in gone]),
        "median_ms": None if not verdicts else float(np.median([v.seconds for v in verdicts]) * 1e3),
    }


TRAITS = {
    "size": (0.0, 0.4, 0.6, 1.0, 1.6, 2.5, 100.0),
    "angle_deg": (0.0, 15.0, 30.0, 45.0, 60.0, 180.0),
    "visible": (0.0, 0.3, 0.6, 0.9, 1.01),
}
"""Edges of the classes that `by_trait` makes."""


def by_trait(verdicts: Sequence[Verdict]) -> dict[str, list[dict[str, float | int | None]]]:
    """Mean IoU and hit rate of the cases that show the object, by size, angle and visible share.

    Args:
        verdicts: of a `Judge`; those without traits are not counted.

    Returns:
        For each trait its classes with cases in them: "from", "to", "cases", "mean_iou", "hit_rate".
    """
    out: dict[str, list[dict[str, float | int | None]]] = {}
    for trait, edges in TRAITS.items():
        for low, high in itertools.pairwise(edges):
            some = [v for v in verdicts if v.present and low <= v.traits.get(trait, -1.0) < high]
            if not some:
                continue
            row = {
                "from": low, "to": high, "cases": len(some),
                "mean_iou": _mean([v.iou for v in some if v.iou is not None]),
                "hit_rate": _mean([float(bool(v.hit)) for v in some]),
            }  # fmt: skip
            out.setdefault(trait, []).append(row)
    return out


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def auroc(positive: Sequence[float], negative: Sequence[float]) -> float | None:
    """Chance that a positive's score is above a negative's, ties counting half; None if one of them is empty."""
    if not positive or not negative:
        return None
    ours, theirs = np.asarray(positive)[:, None], np.asarray(negative)[None, :]
    return float(((ours > theirs) + 0.5 * (ours == theirs)).mean())
