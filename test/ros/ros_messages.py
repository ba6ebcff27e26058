"""Messages for the tests of the ROS layer: the real definitions, from rosbags and from the package's own files."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from storm_ros.core.types import Camera, RgbdFrame
from storm_ros.io.messages import camera_info_message, header, image_message, make

ROOT = Path(__file__).resolve().parents[2]
WIDTH, HEIGHT = 64, 48
CAMERA = Camera(WIDTH, HEIGHT, 60.0, 61.0, 31.5, 23.5)
STAMP_NS = 5_000_000_123


def image(pixels: np.ndarray, encoding: str, stamp_ns: int = STAMP_NS, frame_id: str = "cam") -> Any:
    """A sensor_msgs/Image."""
    return image_message(header(stamp_ns, frame_id), pixels, encoding)


def raw_image(width: int, height: int, encoding: str, step: int, data: Any, big: int = 0) -> Any:
    """A sensor_msgs/Image whose bytes are given."""
    return make(
        "sensor_msgs/msg/Image",
        header=header(STAMP_NS, "cam"),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=big,
        step=step,
        data=data,
    )


def info(camera: Camera = CAMERA, stamp_ns: int = STAMP_NS) -> Any:
    """A sensor_msgs/CameraInfo."""
    return camera_info_message(header(stamp_ns, "cam"), camera)


def empty(type_name: str) -> Any:
    """A message object that takes any attribute, with the nested parts that the conversions write into."""
    nested = {
        "Pose": ("position", "orientation"),
        "Transform": ("translation", "rotation"),
    }.get(type_name, ())
    return SimpleNamespace(**{name: SimpleNamespace() for name in nested})


def fields_of(path: Path, part: int = 0) -> list[tuple[str, str]]:
    """(type, name) of every field of an interface file; part 1 is a service's response."""
    text = path.read_text(encoding="utf-8").split("\n---\n")[part]
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    return [tuple(line.split()) for line in lines if line and "=" not in line]  # type: ignore[misc]


def default(kind: str) -> Any:
    if kind.endswith("[]"):
        return []
    if "[" in kind:
        return np.zeros(int(kind.split("[")[1].rstrip("]")))
    return "" if kind == "string" else 0.0


def box_frame(shift: int = 0, size: tuple[int, int] = (320, 240)) -> tuple[RgbdFrame, np.ndarray]:
    """A printed box before a wall, with its true mask."""
    width, height = size
    rgb = np.full((height, width, 3), 80, np.uint8)
    depth_m = np.full((height, width), 0.85, np.float32)
    mask = np.zeros((height, width), bool)
    mask[92:148, 132 + shift : 188 + shift] = True
    blocks = np.random.default_rng(1).integers(0, 255, (7, 7, 3)).astype(np.uint8)
    rgb[mask] = blocks.repeat(8, 0).repeat(8, 1).reshape(-1, 3)
    depth_m[mask] = 0.7
    camera = Camera(width, height, 300.0, 300.0, (width - 1) / 2, (height - 1) / 2)
    return RgbdFrame(rgb, depth_m, camera, stamp_ns=STAMP_NS, frame_id="cam"), mask
