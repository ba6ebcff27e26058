"""Scenes in BOP layout: ``rgb/ depth/ mask_visib/ scene_camera.json scene_gt.json scene_gt_info.json``.

Millimetres stay in this file: all that leaves it is in metres.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from storm_ros.core import se3
from storm_ros.core.errors import InputError, RecordingError
from storm_ros.core.types import Camera, Mask, Mesh, Pose, RgbdFrame
from storm_ros.io.images import (
    METRES_PER_MILLIMETRE,
    check_metres,
    decode_color,
    decode_mask,
    decode_raw_depth,
    read_bytes,
    to_metres,
)
from storm_ros.io.recording import RecordingBase, even_stamp_ns, numbers_of

_COLOR_FOLDERS = ("rgb", "gray")
_COLOR_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
_MODEL_FOLDERS = ("models", "models_cad", "models_eval")
_CAMERA_FILE = "scene_camera.json"


def find_scenes(path: Path) -> list[Path]:
    """Scene folders at `path`: itself, or those of a split or of a whole BOP dataset below it."""
    if (path / _CAMERA_FILE).is_file():
        return [path]
    for pattern in (f"*/{_CAMERA_FILE}", f"*/*/{_CAMERA_FILE}"):
        if found := sorted(p.parent for p in path.glob(pattern)):
            return found
    return []


def open_bop(path: str | Path, *, rate_hz: float = 30.0) -> BopRecording:
    """Open a BOP scene.

    Args:
        path: the scene's folder, or a dataset or split folder that holds a single scene.
        rate_hz: frames per second, by which the frame numbers become stamps (BOP stores no time).

    Raises:
        RecordingError: no scene there, several, or one whose files cannot be read.
    """
    scenes = find_scenes(Path(path))
    if not scenes:
        raise RecordingError(f"{path} holds no BOP scene: a folder with {_CAMERA_FILE}, rgb/ and depth/ is needed")
    if len(scenes) > 1:
        names = ", ".join(str(s.relative_to(path)) for s in scenes[:8])
        more = f" and {len(scenes) - 8} more" if len(scenes) > 8 else ""
        raise RecordingError(f"{path} holds {len(scenes)} scenes ({names}{more}): name one, as in {scenes[0]}")
    return BopRecording(scenes[0], rate_hz=rate_hz)


class BopRecording(RecordingBase):
    """One BOP scene; see `open_bop`."""

    def __init__(self, scene: Path, *, rate_hz: float = 30.0) -> None:
        self._scene = scene
        self._cameras = _by_number(scene / _CAMERA_FILE)
        self._color_files = _color_files(scene)
        if not (scene / "depth").is_dir():
            raise RecordingError(f"{scene} has no depth/ folder: colour and depth are needed")
        numbers = sorted(self._cameras.keys() & self._color_files.keys())
        if not numbers:
            raise RecordingError(
                f"{scene} has {len(self._color_files)} colour images and {len(self._cameras)} entries in "
                f"{_CAMERA_FILE}, but none with the same number"
            )
        digits = scene.name.isdigit()
        super().__init__(str(scene), numbers, rate_hz=rate_hz, scene_id=int(scene.name) if digits else 0)
        if missing := len(self._cameras) - len(numbers):
            self.warnings.append(f"{missing} of {len(self._cameras)} frames in {_CAMERA_FILE} have no colour image")
        truth = scene / "scene_gt.json"
        self.ground_truth = BopGroundTruth(scene) if truth.is_file() else None
        self._camera = self._first_camera()

    @property
    def camera(self) -> Camera:
        """Intrinsics of the first frame."""
        return self._camera

    def _read(self, number: int) -> RgbdFrame:
        color = self._color_files[number]
        rgb = decode_color(read_bytes(color), str(color))
        depth = self._scene / "depth" / f"{number:06d}.png"
        raw = decode_raw_depth(read_bytes(depth), str(depth))
        scale = _number_of(self._cameras[number], "depth_scale", 1.0)
        if scale <= 0:
            raise RecordingError(
                f"depth_scale is {scale:g}: millimetres per unit of the depth image, above 0, are needed"
            )
        height, width = rgb.shape[:2]
        return RgbdFrame(
            rgb,
            check_metres(
                to_metres(raw, scale),
                f"depth_scale in {self._scene / _CAMERA_FILE} is {scale:g}; set it to the millimetres per unit of the "
                "depth image",
            ),
            self._camera_of(number, width, height),
            stamp_ns=even_stamp_ns(number, self.rate_hz),
            index=number,
        )

    def _camera_of(self, number: int, width: int, height: int) -> Camera:
        entry = self._cameras[number]
        if "cam_K" not in entry:
            raise RecordingError(f"{_CAMERA_FILE} has no cam_K for frame {number}: add its nine numbers")
        what = f"cam_K of frame {number} in {self._scene / _CAMERA_FILE}"
        try:
            return Camera.from_k(numbers_of(entry["cam_K"], what), width, height)
        except InputError as error:
            raise RecordingError(f"{what}: {error}") from None

    def _first_camera(self) -> Camera:
        last: RecordingError | None = None
        for number in self.numbers:
            path = self._color_files[number]
            try:
                height, width = decode_color(read_bytes(path), str(path)).shape[:2]
            except RecordingError as error:
                last = error
                continue
            return self._camera_of(number, width, height)
        raise RecordingError(f"none of the {len(self.numbers)} colour images can be read; the last: {last}")


class BopGroundTruth:
    """Poses, visible fractions, masks and meshes of a BOP scene. Of several instances the most visible counts."""

    def __init__(self, scene: Path) -> None:
        self._scene = scene
        self._entries = _by_number(scene / "scene_gt.json", kind=list)
        info = scene / "scene_gt_info.json"
        self._info = _by_number(info, kind=list) if info.is_file() else {}
        try:
            self.object_ids = tuple(sorted({int(e["obj_id"]) for row in self._entries.values() for e in row}))
        except (KeyError, TypeError, ValueError) as error:
            raise RecordingError(f"{scene / 'scene_gt.json'}: an entry has no usable obj_id ({error})") from None

    def pose(self, number: int, obj_id: int) -> Pose | None:
        """True cam_T_obj (4, 4) in metres; None where the object has no entry."""
        found = self._find(number, obj_id)
        if found is None:
            return None
        entry = self._entries[number][found]
        try:
            rotation = np.asarray(entry["cam_R_m2c"], dtype=np.float64).reshape(3, 3)
            translation_mm = np.asarray(entry["cam_t_m2c"], dtype=np.float64).reshape(3)
            if not (np.isfinite(rotation).all() and np.isfinite(translation_mm).all()):
                raise ValueError("some are not finite")
        except (KeyError, TypeError, ValueError) as error:
            raise RecordingError(
                f"{self._scene / 'scene_gt.json'}, frame {number}, object {obj_id}: nine numbers in cam_R_m2c and "
                f"three in cam_t_m2c are needed ({error})"
            ) from None
        return se3.orthonormalised(se3.transform(rotation, translation_mm * METRES_PER_MILLIMETRE))

    def visible_fraction(self, number: int, obj_id: int) -> float | None:
        """Visible share of the object in [0, 1]; None where it is not known."""
        found = self._find(number, obj_id)
        return None if found is None else self._fraction(number, found)

    def mask(self, number: int, obj_id: int) -> Mask | None:
        """Visible pixels (H, W) bool; None where the scene has no mask of it in that frame."""
        found = self._find(number, obj_id)
        path = self._scene / "mask_visib" / f"{number:06d}_{found or 0:06d}.png"
        return decode_mask(read_bytes(path), str(path)) if found is not None and path.is_file() else None

    def mesh(self, obj_id: int) -> Mesh | None:
        """The object's mesh in metres, in its own axes; None where the dataset has none."""
        return _load_model(self._scene.resolve(), obj_id)

    def _find(self, number: int, obj_id: int) -> int | None:
        rows = [i for i, e in enumerate(self._entries.get(number, ())) if int(e["obj_id"]) == obj_id]
        return max(rows, key=lambda i: self._fraction(number, i) or 0.0, default=None)

    def _fraction(self, number: int, row: int) -> float | None:
        rows = self._info.get(number, ())
        return _number_of(rows[row], "visib_fract", None) if row < len(rows) else None


@functools.lru_cache(maxsize=64)
def _load_model(scene: Path, obj_id: int) -> Mesh | None:
    from storm_ros.mesh import load_mesh

    root = scene.parent.parent
    for folder in _MODEL_FOLDERS:
        path = root / folder / f"obj_{obj_id:06d}.ply"
        if path.is_file():
            return load_mesh(path, scale=METRES_PER_MILLIMETRE)
    return None


def _color_files(scene: Path) -> dict[int, Path]:
    for folder in _COLOR_FOLDERS:
        if (scene / folder).is_dir():
            files = sorted((scene / folder).iterdir())
            return {int(p.stem): p for p in files if p.suffix.lower() in _COLOR_SUFFIXES and p.stem.isdigit()}
    raise RecordingError(f"{scene} has neither an rgb/ nor a gray/ folder: colour images are needed")


def _by_number(path: Path, kind: type = dict) -> dict[int, Any]:
    try:
        tree = json.loads(read_bytes(path))
        if not isinstance(tree, dict) or not all(isinstance(v, kind) for v in tree.values()):
            raise ValueError(f"an object of frame number: {kind.__name__} is needed")
        return {int(k): v for k, v in tree.items()}
    except ValueError as error:
        raise RecordingError(f"{path} is not a valid BOP file: {error}") from None


def _number_of(entry: Mapping[str, Any], key: str, default: Any) -> Any:
    value = entry.get(key, default)
    if value is default:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
        raise RecordingError(f"{key} is {value!r}: a number is needed")
    return float(value)
