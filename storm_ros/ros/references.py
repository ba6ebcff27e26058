"""From a set_reference request to what the tracker needs: images, masks, mesh. Requests are duck-typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from storm_ros.core import tracker as loop
from storm_ros.core.config import SearchConfig
from storm_ros.core.errors import InputError, StormError
from storm_ros.core.tracker import ObjectState, Parts, TrackerState
from storm_ros.core.types import Camera, Mask, Mesh, Reference, RgbdFrame, View
from storm_ros.io.images import check_metres, decode_color, decode_mask, decode_raw_depth, read_bytes, to_metres
from storm_ros.ros.conversions import frame_of, mask_of

KINDS = ("box", "point", "mask", "text", "object")

_MIN_VIEW_SCORE = 0.6
"""Registration score that a further view must reach to be taken for the same object."""


@dataclass(frozen=True, eq=False)
class Scene:
    """What a request can refer to.

    Attributes:
        frame: the current image; None while there is none.
        why_none: why there is none, and what to do.
        camera: of the last camera_info; None before the first.
        masks: (H, W) bool in `frame` of the tracked objects that have a pose.
        objects: names of all objects.
    """

    frame: RgbdFrame | None
    why_none: str = ""
    camera: Camera | None = None
    masks: Mapping[str, Mask] = field(default_factory=dict)
    objects: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Shown:
    """What a request points at.

    Attributes:
        views: images with the object's mask (H, W) bool, at least one.
        mesh: the given model, if any, in metres.
        live: whether the first image is the current one.
    """

    views: tuple[tuple[RgbdFrame, Mask], ...]
    mesh: Mesh | None = None
    live: bool = False


def resolve(request: Any, scene: Scene) -> Shown:
    """What a SetReference request points at.

    Raises:
        InputError: it is incomplete, contradicts itself, or points at nothing; the message says what to give.
        RecordingError: one of its files cannot be read.
        StormError: a part that it needs is not there.
    """
    kind = _kind(request)
    frames = _frames(request, scene)
    live = not frames
    if live:
        if scene.frame is None:
            raise InputError(f"there is no current image: {scene.why_none}; or give images or image_files")
        frames = [scene.frame]
    masks = _masks(request)
    if kind == "mask":
        _check_count(masks, frames)
    elif len(frames) > 1:
        raise InputError(f"{len(frames)} images need a mask each: kind {kind} works with one image")
    elif masks:
        raise InputError(f"kind is {kind} but {len(masks)} masks are given: use kind mask, or leave the masks out")
    else:
        masks = [_prompted(kind, request, frames[0], scene, live=live)]
    checked = [loop.checked_mask(frame, mask) for frame, mask in zip(frames, masks, strict=True)]
    return Shown(tuple(zip(frames, checked, strict=True)), _mesh(request), live)


def build_reference(parts: Parts, shown: Shown, object_id: str) -> Reference:
    """A reference of all views: the first gives the mesh and the object's frame, the others are registered to it.

    Raises:
        NoDepthError: too little depth under a mask.
        InputError: a further view does not show the same object.
    """
    (frame, mask), *others = shown.views
    reference = loop.make_reference(parts, frame, mask, object_id, shown.mesh)
    if not others:
        return reference
    model = parts.pose.prepare(reference)
    views = list(reference.views)
    for number, (frame, mask) in enumerate(others, start=2):
        best = parts.pose.register(frame, mask, model).best
        if best.score < _MIN_VIEW_SCORE:
            raise InputError(
                f"image {number} does not fit the first (score {best.score:.2f}, {_MIN_VIEW_SCORE} is needed): show "
                "the same object from a side that both see, or give a mesh_file"
            )
        views.append(View(frame, mask, best.cam_T_obj))
    return Reference(object_id, tuple(views), reference.mesh)


def prepare_object(parts: Parts, search: SearchConfig, reference: Reference, *, live: bool) -> ObjectState:
    """The state of a new object, ready to be put into a tracker's.

    An object shown in the current image is followed from there on at once; others are searched for first.
    """
    state = loop.add_object(parts, TrackerState(), reference, search)
    if live:
        state, _ = loop.step(parts, search, state, reference.views[0].frame)
    return state.objects[reference.object_id]


def load_saved(folder: str, object_id: str) -> Reference:
    """A saved reference, under another name where one is given.

    Raises:
        RecordingError: missing or damaged.
        InputError: no folder is named.
    """
    from storm_ros.io import load_reference

    if not folder.strip():
        raise InputError("folder is empty: name a folder that save_reference wrote")
    reference = load_reference(Path(folder.strip()).expanduser())
    return Reference(object_id or reference.object_id, reference.views, reference.mesh)


def _kind(request: Any) -> str:
    kind = request.kind.strip().lower()
    if not kind and (len(request.masks) or len(request.mask_files)):
        return "mask"
    if kind not in KINDS:
        came = f"kind is {request.kind!r}" if kind else "kind is empty"
        raise InputError(f"{came}: one of {', '.join(KINDS)} is needed, such as kind: box, box: [x, y, width, height]")
    return kind


def _frames(request: Any, scene: Scene) -> list[RgbdFrame]:
    """The images of a request; none when the current one is meant."""
    sent, files = len(request.images), len(request.image_files)
    if sent and files:
        raise InputError(f"both images ({sent}) and image_files ({files}) are given: use one of them")
    if sent:
        return _sent(request, scene)
    if files:
        return _from_files(request, scene)
    if len(request.depths) or len(request.depth_files):
        raise InputError("depth is given without its image: give images and depths, or image_files and depth_files")
    return []


def _sent(request: Any, scene: Scene) -> list[RgbdFrame]:
    count, infos = len(request.images), list(request.camera_infos)
    if len(request.depths) != count:
        raise InputError(f"{count} images but {len(request.depths)} depths are given: one depth for each is needed")
    if len(infos) not in (0, 1, count):
        raise InputError(f"{count} images but {len(infos)} camera_infos are given: none, one for all, or one each")
    if not infos:
        infos = [_info_like(_camera(scene))]
    infos = infos * count if len(infos) == 1 else infos
    return [frame_of(*three) for three in zip(request.images, request.depths, infos, strict=True)]


@dataclass(frozen=True)
class _InfoLike:
    """The fields of a camera_info that are read."""

    k: Any
    width: int
    height: int


def _info_like(camera: Camera) -> _InfoLike:
    return _InfoLike(camera.k.ravel(), camera.width, camera.height)


def _camera(scene: Scene) -> Camera:
    if scene.camera is None:
        raise InputError("no camera_info was received yet: give the camera matrix (camera_infos, or k with files)")
    return scene.camera


def _from_files(request: Any, scene: Scene) -> list[RgbdFrame]:
    count = len(request.image_files)
    if len(request.depth_files) != count:
        raise InputError(
            f"{count} image_files but {len(request.depth_files)} depth_files are given: one for each is needed"
        )
    scale = float(request.depth_scale) or 1.0
    if not (np.isfinite(scale) and scale > 0):
        raise InputError(f"depth_scale is {scale:g}: millimetres per unit of the depth files are needed (1 for mm)")
    k = np.asarray(request.k, dtype=np.float64)
    frames = []
    for image_file, depth_file in zip(request.image_files, request.depth_files, strict=True):
        rgb = decode_color(read_bytes(_path(image_file)), str(image_file))
        raw = decode_raw_depth(read_bytes(_path(depth_file)), str(depth_file))
        depth_m = check_metres(to_metres(raw, scale), "the unit is another one; set depth_scale to mm per unit")
        height, width = rgb.shape[:2]
        camera = Camera.from_k(k, width, height) if k.any() else _camera(scene)
        frames.append(RgbdFrame(rgb, depth_m, camera))
    return frames


def _masks(request: Any) -> list[Mask]:
    if len(request.masks) and len(request.mask_files):
        raise InputError("both masks and mask_files are given: use one of them")
    if len(request.masks):
        return [mask_of(message) for message in request.masks]
    return [decode_mask(read_bytes(_path(name)), f"mask {name}") for name in request.mask_files]


def _path(name: str) -> Path:
    path = Path(name).expanduser()
    if not name.strip():
        raise InputError("a file name is empty: give the path of an image")
    if path.is_dir():
        raise InputError(f"{name} is a folder: name one image in it")
    return path


def _check_count(masks: Sequence[Mask], frames: Sequence[RgbdFrame]) -> None:
    if len(masks) != len(frames):
        raise InputError(
            f"{len(masks)} masks are given for {len(frames)} images: one mask for each is needed (masks or mask_files)"
        )


def _prompted(kind: str, request: Any, frame: RgbdFrame, scene: Scene, *, live: bool) -> Mask:
    if kind == "box":
        from storm_ros.som.prompts import mask_from_box

        x, y, width, height = (float(v) for v in request.box)
        return mask_from_box(frame, (x, y, width, height))
    if kind == "point":
        from storm_ros.som.prompts import mask_from_point

        u, v = (float(value) for value in request.point)
        return mask_from_point(frame, (u, v))
    if kind == "text":
        raise StormError(
            f"kind text ({request.text!r}) needs a text encoder, and none is installed: point at the object by a box, "
            "a point or a mask instead"
        )
    return _mask_of_object(request.source_object, scene, live=live)


def _mask_of_object(name: str, scene: Scene, *, live: bool) -> Mask:
    if not live:
        raise InputError("kind object takes the mask in the current image: leave images and image_files out")
    if name not in scene.objects:
        known = ", ".join(scene.objects) or "none"
        raise InputError(f"source_object {name!r} is not an object of the tracker (known: {known})")
    if name not in scene.masks:
        raise InputError(f"source_object {name!r} has no mask now, it is not tracked: wait until it is found again")
    return scene.masks[name]


def _mesh(request: Any) -> Mesh | None:
    if not request.mesh_file:
        return None
    from storm_ros.mesh import load_mesh

    return load_mesh(Path(request.mesh_file).expanduser(), scale=float(request.mesh_scale) or 1.0)


def preview(mask: Mask) -> Any:
    """Mask (H, W) bool as grey values (H, W) uint8, 255 on the object."""
    return np.where(mask, np.uint8(255), np.uint8(0))
