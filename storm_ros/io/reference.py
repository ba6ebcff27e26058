"""References as folders: everything the tracker needs to look for an object again, without loss.

::

    reference.json            version, object id, and of every view: camera, pose, stamp
    mesh.ply, texture.png     the mesh in metres in the object's frame, vertex colours and texture where it has them
    view_000/rgb.png          the image
    view_000/depth.npz        float32 metres, under the key ``depth_m``
    view_000/mask.png         255 = object
"""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from storm_ros.core import se3
from storm_ros.core.errors import InputError, OutputError, RecordingError
from storm_ros.core.types import Camera, Mesh, Reference, RgbdFrame, View
from storm_ros.io.files import output_error, replace_folder, sibling_folder
from storm_ros.io.images import decode_color, decode_mask, read_bytes
from storm_ros.io.ply import read_ply, write_ply

VERSION = 1
_INDEX = "reference.json"


def save_reference(folder: str | Path, reference: Reference) -> None:
    """Save a reference as a folder, which appears whole. An older reference there is replaced.

    Raises:
        OutputError: the place cannot be written, or holds something that is not a reference.
    """
    folder = Path(folder)
    check_place(folder)
    with sibling_folder(folder) as temporary:
        new = temporary / "reference"
        try:
            new.mkdir()
            views = [_save_view(new, i, view) for i, view in enumerate(reference.views)]
            mesh = _save_mesh(new, reference.mesh)
            tree = {"version": VERSION, "object_id": reference.object_id, "mesh": mesh, "views": views}
            (new / _INDEX).write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise output_error(folder, error) from None
        replace_folder(new, folder)


def check_place(folder: Path) -> None:
    """Prove that a reference may be saved to a place: one that lies there is replaced, anything else is not.

    Raises:
        OutputError: something else lies there.
    """
    if folder.exists() and not (folder / _INDEX).is_file() and not _is_empty_folder(folder):
        raise OutputError(f"cannot write {folder}: it exists and is not a saved reference; choose another name")


def load_reference(folder: str | Path) -> Reference:
    """Load a reference that `save_reference` saved.

    Raises:
        RecordingError: missing, damaged, or of a newer version.
    """
    folder = Path(folder)
    path = folder / _INDEX
    if not path.is_file():
        raise RecordingError(f"{folder} is not a saved reference: it has no {_INDEX}")
    try:
        tree = json.loads(read_bytes(path))
        version = tree["version"]
        if version != VERSION:
            raise RecordingError(f"{path} has version {version!r}, this software reads {VERSION}: save it again")
        views = tuple(_load_view(folder, entry) for entry in tree["views"])
        if not views:
            raise RecordingError(f"{path} has no view: at least one is needed")
        return Reference(str(tree["object_id"]), views, _load_mesh(folder, tree["mesh"]))
    except KeyError as error:
        raise RecordingError(f"{path} has no entry {error}: it is damaged; save the reference again") from None
    except (TypeError, ValueError) as error:
        raise RecordingError(f"reference {folder} cannot be used: {error}") from None


def _save_view(root: Path, number: int, view: View) -> dict[str, Any]:
    name = f"view_{number:03d}"
    (root / name).mkdir()
    _write_png(root / name / "rgb.png", cv2.cvtColor(view.frame.rgb, cv2.COLOR_RGB2BGR))
    _write_png(root / name / "mask.png", np.where(view.mask, np.uint8(255), np.uint8(0)))
    with (root / name / "depth.npz").open("wb") as file:
        np.savez_compressed(file, depth_m=view.frame.depth_m)
    return {
        "folder": name,
        "camera": dataclasses.asdict(view.frame.camera),
        "cam_T_obj": np.asarray(view.cam_T_obj, dtype=np.float64).tolist(),
        "stamp_ns": int(view.frame.stamp_ns),
        "index": int(view.frame.index),
        "frame_id": view.frame.frame_id,
    }


def _load_view(root: Path, entry: dict[str, Any]) -> View:
    folder = root / Path(entry["folder"]).name
    rgb, mask = folder / "rgb.png", folder / "mask.png"
    try:
        frame = RgbdFrame(
            decode_color(read_bytes(rgb), str(rgb)),
            _load_depth(folder / "depth.npz"),
            Camera(**entry["camera"]),
            stamp_ns=int(entry["stamp_ns"]),
            index=int(entry["index"]),
            frame_id=str(entry["frame_id"]),
        )
    except InputError as error:
        raise RecordingError(f"{folder}: {error}") from None
    pixels = decode_mask(read_bytes(mask), str(mask))
    if pixels.shape != frame.shape:
        raise RecordingError(f"{mask} is {pixels.shape[1]}x{pixels.shape[0]} but its image is of another size")
    cam_T_obj = np.asarray(entry["cam_T_obj"], dtype=np.float64)
    if not se3.is_rigid(cam_T_obj):
        raise RecordingError(f"cam_T_obj of {folder} is not a rigid (4, 4) transform: save the reference again")
    return View(frame, pixels, cam_T_obj)


def _save_mesh(root: Path, mesh: Mesh) -> dict[str, Any]:
    write_ply(root / "mesh.ply", mesh)
    if mesh.texture is not None:
        _write_png(root / "texture.png", cv2.cvtColor(mesh.texture, cv2.COLOR_RGB2BGR))
    return {"name": mesh.name, "open_surface": bool(mesh.open_surface), "texture": mesh.texture is not None}


def _load_mesh(root: Path, entry: dict[str, Any]) -> Mesh:
    path = root / "texture.png"
    texture = decode_color(read_bytes(path), str(path)) if entry["texture"] else None
    parts = read_ply(root / "mesh.ply")
    return Mesh(**parts, texture=texture, open_surface=bool(entry["open_surface"]), name=str(entry["name"]))


def _load_depth(path: Path) -> np.ndarray:
    try:
        with np.load(io.BytesIO(read_bytes(path)), allow_pickle=False) as arrays:
            return arrays["depth_m"]
    except (KeyError, ValueError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise RecordingError(f"{path} is damaged ({error}): save the reference again") from None


def _write_png(path: Path, image: np.ndarray) -> None:
    done, data = cv2.imencode(".png", image)
    if not done:
        raise OutputError(f"cannot encode {path} from {image.dtype} {image.shape}")
    path.write_bytes(data.tobytes())


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
