"""From references as typed to what the tracker is given: image, mask, mesh and name of every object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from storm_ros.cli.errors import UsageError
from storm_ros.cli.references import ReferenceSpec
from storm_ros.core.errors import InputError, RecordingError
from storm_ros.core.types import Mask, Mesh, Reference, RgbdFrame

if TYPE_CHECKING:
    from storm_ros.io import Recording

SAME_OBJECT_IOU = 0.5
"""A prompt's mask means a true object when the two masks overlap so much."""


@dataclass(frozen=True, eq=False)
class Target:
    """An object to track.

    Attributes:
        object_id: name in the tracker.
        obj_id: number in poses.csv: the ground truth's, or 1, 2, … where it has none.
        gt_id: id in the ground truth; None where it is not known.
        number: frame number of its reference; None for a saved one, which is there from the start.
        frame: reference image; None for a saved one.
        mask: (H, W) bool; None for a saved one.
        mesh: given model, if any.
        saved: saved reference, if it is one.
    """

    object_id: str
    obj_id: int
    gt_id: int | None = None
    number: int | None = None
    frame: RgbdFrame | None = None
    mask: Mask | None = None
    mesh: Mesh | None = None
    saved: Reference | None = None


def resolve(specs: Sequence[ReferenceSpec], recording: Recording, meshes: Sequence[Mesh] = ()) -> list[Target]:
    """Look at every reference's frame and make its mask.

    Args:
        specs: as typed.
        recording: to read the frames from.
        meshes: none, one for all, or one per reference in their order.

    Raises:
        UsageError: a frame that is not there, an object the ground truth does not know, two objects of one name,
            or a number of meshes that does not fit.
        InputError: a mask that cannot be used.
        RecordingError: a frame, a mask file or a saved reference that cannot be read.
    """
    if len(meshes) not in (0, 1, len(specs)):
        raise UsageError(f"--mesh is given {len(meshes)} times for {len(specs)} references: once for all, or once each")
    targets: list[Target] = []
    for i, spec in enumerate(specs):
        target = _saved(spec) if spec.folder is not None else _shown(spec, recording)
        mesh = meshes[i if len(meshes) > 1 else 0] if meshes else None
        if mesh is not None and target.saved is not None:
            raise UsageError(f"--reference {spec.text!r} is saved with its mesh: --mesh cannot replace it")
        targets.append(replace(target, mesh=mesh))
    return _numbered(_named(targets, specs), specs)


def _saved(spec: ReferenceSpec) -> Target:
    from storm_ros.io import load_reference

    assert spec.folder is not None
    reference = load_reference(spec.folder)
    if spec.name:
        reference = replace(reference, object_id=spec.name)
    return Target(reference.object_id, 0, saved=reference)


def _shown(spec: ReferenceSpec, recording: Recording) -> Target:
    assert spec.frame is not None
    numbers = recording.numbers
    if spec.frame not in numbers:
        raise UsageError(f"--reference {spec.text!r}: no frame {spec.frame}; {range_text(numbers)}")
    if spec.gt is not None:
        _check_gt(spec, recording)
    frame = recording.read(spec.frame)
    mask = _mask(spec, recording, frame)
    if mask.shape != frame.shape:
        raise InputError(
            f"--reference {spec.text!r}: the mask is {mask.shape[1]}x{mask.shape[0]} but the image is "
            f"{frame.shape[1]}x{frame.shape[0]}: make it from this very image"
        )
    if not mask.any():
        raise InputError(f"--reference {spec.text!r}: the mask is empty; mark the object's pixels with values above 0")
    gt_id = spec.gt if spec.gt is not None else match_truth(recording, spec.frame, frame, mask)
    return Target("", 0, gt_id=gt_id, number=spec.frame, frame=frame, mask=mask)


def range_text(numbers: Sequence[int]) -> str:
    """The frame numbers of a recording in words."""
    if not len(numbers):
        return "the recording has no frames"
    gaps = "" if numbers[-1] - numbers[0] + 1 == len(numbers) else ", with gaps"
    return f"the recording has {len(numbers)} frames, {numbers[0]} to {numbers[-1]}{gaps}"


def _check_gt(spec: ReferenceSpec, recording: Recording) -> None:
    truth = recording.ground_truth
    if truth is None:
        raise UsageError(f"--reference {spec.text!r}: this recording has no ground truth; use mask=, box= or point=")
    if spec.gt not in truth.object_ids:
        known = ", ".join(map(str, truth.object_ids)) or "none"
        raise UsageError(f"--reference {spec.text!r}: no object {spec.gt} in the ground truth; there is {known}")


def _mask(spec: ReferenceSpec, recording: Recording, frame: RgbdFrame) -> Mask:
    if spec.mask is not None:
        return _read_mask(spec.mask)
    if spec.box is not None:
        from storm_ros.som.prompts import mask_from_box

        return mask_from_box(frame, spec.box)
    if spec.point is not None:
        from storm_ros.som.prompts import mask_from_point

        return mask_from_point(frame, spec.point)
    truth = recording.ground_truth
    assert truth is not None
    assert spec.gt is not None
    assert spec.frame is not None
    mask = truth.mask(spec.frame, spec.gt)
    if mask is None:
        why = "is not in that frame" if truth.pose(spec.frame, spec.gt) is None else "has no mask in that frame"
        raise InputError(
            f"--reference {spec.text!r}: object {spec.gt} {why}; take another frame, or mask=, box=, point="
        )
    return mask


def _read_mask(path: Path) -> Mask:
    from storm_ros.io.images import decode_mask, read_bytes

    if path.is_dir():
        raise RecordingError(f"mask {path} is a folder: name one image in it")
    if not path.exists():
        raise RecordingError(f"mask {path} does not exist: give an image with values above 0 on the object's pixels")
    return decode_mask(read_bytes(path), f"mask {path}")


def match_truth(recording: Recording, number: int, frame: RgbdFrame, mask: Mask) -> int | None:
    """The true object a mask shows: the one whose mask overlaps most, or else the one whose centre it holds.

    Returns:
        Its id; None where there is no truth, or where none fits, or (without masks) more than one.
    """
    truth = recording.ground_truth
    if truth is None:
        return None
    overlaps: dict[int, float] = {}
    centred: list[int] = []
    for obj_id in truth.object_ids:
        true_mask, cam_T_gt = truth.mask(number, obj_id), truth.pose(number, obj_id)
        if cam_T_gt is None:
            continue
        if true_mask is not None and true_mask.shape == mask.shape:
            overlaps[obj_id] = float((mask & true_mask).sum() / max((mask | true_mask).sum(), 1))
        elif _holds(mask, frame.camera.project(cam_T_gt[:3, 3])):
            centred.append(obj_id)
    best = max(overlaps, key=lambda obj_id: overlaps[obj_id], default=None)
    if best is not None and overlaps[best] >= SAME_OBJECT_IOU:
        return best
    return centred[0] if len(centred) == 1 else None


def _holds(mask: Mask, pixel: np.ndarray) -> bool:
    """Whether a pixel lies inside the mask's bounding box."""
    rows, columns = np.nonzero(mask)
    u, v = pixel
    return bool(columns.min() <= u <= columns.max() and rows.min() <= v <= rows.max())


def _named(targets: Sequence[Target], specs: Sequence[ReferenceSpec]) -> list[Target]:
    """Give every object its name: the given one, that of a saved reference, obj_<gt id>, or object, object_2, …."""
    taken = {spec.name or target.object_id for target, spec in zip(targets, specs, strict=True)}
    names: list[str] = []
    for target, spec in zip(targets, specs, strict=True):
        name = spec.name or target.object_id
        if not name and spec.gt is not None:
            name = f"obj_{spec.gt}"
        count = 1
        while not name:
            candidate = "object" if count == 1 else f"object_{count}"
            name = "" if candidate in taken or candidate in names else candidate
            count += 1
        if name in names:
            raise UsageError(f"two references have the name {name!r}: give them different ones with name=")
        names.append(name)
    return [replace(target, object_id=name) for target, name in zip(targets, names, strict=True)]


def _numbered(targets: Sequence[Target], specs: Sequence[ReferenceSpec]) -> list[Target]:
    """Give every object its number in poses.csv: the ground truth's where it is free, else the next free from 1 on."""
    typed = {spec.gt for spec in specs if spec.gt is not None}
    used: set[int] = set()
    numbers: list[int | None] = []
    for target, spec in zip(targets, specs, strict=True):
        free = (
            target.gt_id is not None and target.gt_id not in used and (spec.gt is not None or target.gt_id not in typed)
        )
        numbers.append(target.gt_id if free else None)
        if free and target.gt_id is not None:
            used.add(target.gt_id)
    out: list[Target] = []
    for target, number in zip(targets, numbers, strict=True):
        obj_id = number if number is not None else next(i for i in range(1, len(used) + 2) if i not in used)
        used.add(obj_id)
        out.append(replace(target, obj_id=obj_id))
    return out
