"""Recordings as plain folders: ``rgb/``, ``depth/`` and ``camera.json``.

An image in ``rgb/`` (PNG or JPEG) and one in ``depth/`` (PNG, one channel of 16 bits, registered to the colour image)
belong together when their names are the same but for the ending. Frames come in the order of their names. Where every
name is a number, these are the frame numbers; else they are numbered 0, 1, 2 and so on.

``camera.json``::

    {
      "fx": 607.2, "fy": 607.2, "cx": 321.4, "cy": 241.9,   pixels; or "cam_K": the nine numbers of the 3x3 matrix
      "width": 640, "height": 480,                          optional, checked against the images
      "depth_scale": 1.0,                                   optional, millimetres per unit of the depth images
      "rate_hz": 30.0,                                      optional, makes stamps of the frame numbers
      "stamps": {"000000": 12.5, ...} or [12.5, ...]        optional, seconds, by name or in the order of the frames
    }

``stamps_ns`` may stand instead of ``stamps``: the same in whole nanoseconds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from storm_ros.core.errors import InputError, RecordingError
from storm_ros.core.types import Camera, RgbdFrame
from storm_ros.io.images import check_metres, decode_color, decode_raw_depth, read_bytes, to_metres
from storm_ros.io.recording import NANOSECONDS, RecordingBase, even_stamp_ns, numbers_of, rate_of

_KEYS = frozenset({"fx", "fy", "cx", "cy", "cam_K", "width", "height", "depth_scale", "rate_hz", "stamps", "stamps_ns"})


def open_folder(path: str | Path, *, rate_hz: float = 30.0) -> FolderRecording:
    """Open a folder with rgb/, depth/ and camera.json.

    Args:
        path: the folder.
        rate_hz: frames per second where camera.json gives neither a rate nor stamps.

    Raises:
        RecordingError: a part is missing or cannot be used.
    """
    return FolderRecording(Path(path), rate_hz=rate_hz)


class FolderRecording(RecordingBase):
    """Frames of a folder; see the module's text for the layout."""

    def __init__(self, path: Path, *, rate_hz: float = 30.0) -> None:
        self._file = path / "camera.json"
        self._settings = _load_settings(self._file)
        color = _images(path / "rgb", (".png", ".jpg", ".jpeg"))
        depth = _images(path / "depth", (".png",))
        stems = sorted(color.keys() & depth.keys())
        if not stems:
            raise RecordingError(
                f"{path}: none of the {len(color)} images in rgb/ has a partner of the same name among the "
                f"{len(depth)} in depth/"
            )
        numbers = _numbers(stems)
        order = sorted(zip(numbers, stems, strict=True))
        self._files = {number: (color[stem], depth[stem]) for number, stem in order}
        rate = self._number("rate_hz", rate_hz)
        super().__init__(str(path), tuple(self._files), rate_hz=rate)
        if alone := len(color.keys() ^ depth.keys()):
            self.warnings.append(f"{alone} images in {path} have no partner of the same name: they are left out")
        self._depth_scale = self._number("depth_scale", 1.0)
        self._stamps_ns = self._stamps([stem for _, stem in order])
        if self._stamps_ns is not None and "rate_hz" not in self._settings:
            self.rate_hz = rate_of(list(self._stamps_ns.values()), rate)
        self._camera = self._first_camera()

    @property
    def camera(self) -> Camera:
        """Intrinsics of every frame."""
        return self._camera

    def _read(self, number: int) -> RgbdFrame:
        color, depth = self._files[number]
        stamps = self._stamps_ns
        return RgbdFrame(
            decode_color(read_bytes(color), str(color)),
            check_metres(
                to_metres(decode_raw_depth(read_bytes(depth), str(depth)), self._depth_scale),
                f"depth_scale in {self._file} is {self._depth_scale:g}; set it to the millimetres per unit of the "
                "depth images",
            ),
            self._camera,
            stamp_ns=even_stamp_ns(number, self.rate_hz) if stamps is None else stamps[number],
            index=number,
        )

    def _number(self, key: str, default: float) -> float:
        value = self._settings.get(key, default)
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and np.isfinite(value) and value > 0
        if not good:
            raise RecordingError(f"{key} in {self._file} is {value!r}: a positive number is needed")
        return float(value)

    def _plain(self, key: str, value: Any) -> float:
        return numbers_of(value, f"{key} in {self._file}", 1)[0]

    def _stamps(self, stems: Sequence[str]) -> dict[int, int] | None:
        key = "stamps_ns" if "stamps_ns" in self._settings else "stamps"
        given = self._settings.get(key)
        if given is None:
            return None
        try:
            row = [given[stem] for stem in stems] if isinstance(given, dict) else list(given)
            if len(row) != len(stems):
                raise ValueError(f"{len(row)} stamps for {len(stems)} frames")
            return {
                number: int(value) if key == "stamps_ns" else round(float(value) * NANOSECONDS)
                for number, value in zip(self.numbers, row, strict=True)
            }
        except KeyError as error:
            raise RecordingError(f"{key} in {self._file} has no entry for frame {error}") from None
        except (TypeError, ValueError, OverflowError) as error:
            raise RecordingError(f"{key} in {self._file} cannot be used: {error}") from None

    def _first_camera(self) -> Camera:
        width, height = self._settings.get("width"), self._settings.get("height")
        last: RecordingError | None = None
        if width is None or height is None:
            for color, _ in self._files.values():
                try:
                    height, width = decode_color(read_bytes(color), str(color)).shape[:2]
                    break
                except RecordingError as error:
                    last = error
            else:
                raise RecordingError(f"none of the {len(self._files)} colour images can be read; the last: {last}")
        k = self._settings.get("cam_K")
        try:
            if k is None:
                fx, fy, cx, cy = (self._plain(key, self._settings[key]) for key in ("fx", "fy", "cx", "cy"))
                k = [fx, 0, cx, 0, fy, cy, 0, 0, 1]
            size = int(self._plain("width", width)), int(self._plain("height", height))
            return Camera.from_k(numbers_of(k, f"cam_K in {self._file}"), *size)
        except KeyError as error:
            raise RecordingError(f"{self._file} has no {error}: fx, fy, cx, cy or cam_K are needed") from None
        except InputError as error:
            raise RecordingError(f"{self._file}: {error}") from None


def _load_settings(path: Path) -> dict[str, Any]:
    try:
        tree = json.loads(read_bytes(path))
    except ValueError as error:
        raise RecordingError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(tree, dict):
        raise RecordingError(f"{path} is a {type(tree).__name__}: an object with fx, fy, cx, cy is needed")
    if unknown := sorted(tree.keys() - _KEYS):
        raise RecordingError(f"{path} has unknown entries {', '.join(unknown)}: known are {', '.join(sorted(_KEYS))}")
    return tree


def _images(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    if not folder.is_dir():
        raise RecordingError(f"{folder} is missing: a folder with rgb/, depth/ and camera.json is needed")
    return {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in suffixes}


def _numbers(stems: Sequence[str]) -> Sequence[int]:
    if all(stem.isascii() and stem.isdigit() for stem in stems):
        numbers = [int(stem) for stem in stems]
        if len(set(numbers)) == len(numbers):
            return numbers
    return range(len(stems))
