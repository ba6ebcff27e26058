"""Small recordings that the tests of io build in their temporary folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from storm_ros.core.types import Camera, RgbdFrame
from storm_ros.io.recording import RecordingBase

WIDTH, HEIGHT = 48, 32
CAMERA = Camera(WIDTH, HEIGHT, 50.0, 51.0, 23.5, 15.5)


class MemoryRecording(RecordingBase):
    """Frames that are kept in memory."""

    def __init__(self, frames: Sequence[RgbdFrame], rate_hz: float = 30.0) -> None:
        super().__init__("memory", [f.index for f in frames], rate_hz=rate_hz)
        self.frames = {f.index: f for f in frames}

    @property
    def camera(self) -> Camera:
        return next(iter(self.frames.values())).camera

    def _read(self, number: int) -> RgbdFrame:
        return self.frames[number]


def raw_depth(number: int) -> np.ndarray:
    """Depth (H, W) uint16 in file units, with holes."""
    raw = np.random.default_rng(100 + number).integers(400, 4000, (HEIGHT, WIDTH)).astype(np.uint16)
    raw[::7, ::5] = 0
    return raw


def color(number: int) -> np.ndarray:
    """Colour (H, W, 3) uint8 RGB, other in every pixel and frame."""
    return np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an RGB or one-channel image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image)


def write_scene(scene: Path, count: int = 4, depth_scale: float = 1.0) -> Path:
    """A BOP scene with object 5 in the even frames (twice in frame 2) and object 9 in frame 0."""
    cameras: dict[str, Any] = {}
    truth: dict[str, list] = {}
    info: dict[str, list] = {}
    for n in range(count):
        write_image(scene / "rgb" / f"{n:06d}.png", color(n))
        write_image(scene / "depth" / f"{n:06d}.png", raw_depth(n))
        cameras[str(n)] = {"cam_K": CAMERA.k.ravel().tolist(), "depth_scale": depth_scale}
        if n % 2 == 0:
            pose = {"cam_R_m2c": [0, -1, 0, 1, 0, 0, 0, 0, 1], "cam_t_m2c": [10.0 * n, -20.0, 500.0], "obj_id": 5}
            truth[str(n)] = [pose]
            info[str(n)] = [{"visib_fract": 0.25}]
    truth["0"].append({"cam_R_m2c": np.eye(3).ravel().tolist(), "cam_t_m2c": [0, 0, 700], "obj_id": 9})
    info["0"].append({"visib_fract": 0.75})
    truth["2"].append(truth["2"][0] | {"cam_t_m2c": [1.0, 2.0, 600.0]})
    info["2"].append({"visib_fract": 0.5})
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[4:9, 10:20] = 255
    write_image(scene / "mask_visib" / "000002_000001.png", mask)
    for name, tree in (("scene_camera", cameras), ("scene_gt", truth), ("scene_gt_info", info)):
        (scene / f"{name}.json").write_text(json.dumps(tree))
    return scene


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A BOP scene folder: dataset/test/000003."""
    return write_scene(tmp_path / "dataset" / "test" / "000003")


@pytest.fixture
def make_scene() -> Callable[..., Path]:
    """Writer of BOP scenes; see `write_scene`."""
    return write_scene


@pytest.fixture
def put_image() -> Callable[[Path, np.ndarray], None]:
    """Writer of single images; see `write_image`."""
    return write_image


@pytest.fixture(scope="session")
def frames() -> list[RgbdFrame]:
    """Six frames, 0.1 s apart from 5 s on; depth in whole millimetres."""
    scale = np.float32(0.001)
    return [
        RgbdFrame(color(n), raw_depth(n).astype(np.float32) * scale, CAMERA, 5_000_000_000 + n * 100_000_000, n, "cam")
        for n in range(6)
    ]


@pytest.fixture
def recording(frames: list[RgbdFrame]) -> MemoryRecording:
    """The six frames as a recording."""
    return MemoryRecording(frames)
