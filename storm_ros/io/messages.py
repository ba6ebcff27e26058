"""ROS 2 messages as real serialised CDR, by the definitions of ROS 2 Jazzy (from `rosbags`; no ROS needed)."""

from __future__ import annotations

import functools
import struct
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.core.errors import BackendUnavailableError, InputError, RecordingError
from storm_ros.core.types import Camera, Pose
from storm_ros.io.images import check_metres, decode_color, decode_raw_depth, to_metres, to_millimetres
from storm_ros.io.recording import NANOSECONDS

_COLOR = {"rgb8": None, "bgr8": cv2.COLOR_BGR2RGB, "8UC3": cv2.COLOR_BGR2RGB, "rgba8": cv2.COLOR_RGBA2RGB}
_COLOR |= {"bgra8": cv2.COLOR_BGRA2RGB, "8UC4": cv2.COLOR_BGRA2RGB}
_COLOR |= {"mono8": cv2.COLOR_GRAY2RGB, "8UC1": cv2.COLOR_GRAY2RGB}
_CHANNELS = {"rgb8": 3, "bgr8": 3, "8UC3": 3, "rgba8": 4, "bgra8": 4, "8UC4": 4, "mono8": 1, "8UC1": 1}
_DEPTH = {"16UC1": "u2", "mono16": "u2", "32FC1": "f4"}
_PNG = b"\x89PNG"
_COMPRESSED_DEPTH_HEAD = 12


@functools.lru_cache(maxsize=1)
def typestore() -> Any:
    """The message definitions of ROS 2 Jazzy.

    Raises:
        BackendUnavailableError: `rosbags` is missing or too old.
    """
    try:
        from rosbags.typesys import Stores, get_typestore

        return get_typestore(Stores["ROS2_JAZZY"])
    except (ImportError, KeyError):
        raise BackendUnavailableError(
            "ROS 2 bags need the package rosbags, 0.11 or newer: pip install 'rosbags>=0.11'"
        ) from None


def make(msgtype: str, **fields: Any) -> Any:
    """A message of the given type, as in ``make("geometry_msgs/msg/Point", x=0.0, y=0.0, z=0.0)``."""
    return typestore().types[msgtype](**fields)


def parse(data: bytes, msgtype: str) -> Any:
    """Deserialise a message.

    Raises:
        RecordingError: the bytes are not of that type.
    """
    store = typestore()
    from rosbags.serde import SerdeError

    try:
        return store.deserialize_cdr(data, msgtype)
    except (SerdeError, struct.error, ValueError, IndexError, AssertionError) as error:
        raise RecordingError(f"a {msgtype} message of {len(data)} bytes is damaged: {error}") from None


def header(stamp_ns: int, frame_id: str) -> Any:
    """A std_msgs/Header; stamps outside what ROS can hold are an InputError."""
    seconds, nanoseconds = divmod(int(stamp_ns), NANOSECONDS)
    if not -(2**31) <= seconds < 2**31:
        raise InputError(f"stamp {stamp_ns} ns does not fit a ROS header: seconds of 32 bits are needed")
    stamp = make("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)
    return make("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)


def image_message(head: Any, image: npt.NDArray, encoding: str) -> Any:
    """A sensor_msgs/Image of an array (H, W) or (H, W, C)."""
    pixels = np.ascontiguousarray(image)
    if pixels.dtype.byteorder == ">":
        pixels = pixels.astype(pixels.dtype.newbyteorder("<"))
    return make(
        "sensor_msgs/msg/Image",
        header=head,
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=pixels.strides[0],
        data=pixels.reshape(-1).view(np.uint8),
    )


def depth_message(head: Any, depth_m: npt.NDArray[np.float32]) -> Any:
    """Depth as 16UC1 millimetres where that is exact, else as 32FC1 metres (0 becomes NaN, as REP 118 asks)."""
    raw = to_millimetres(depth_m)
    if raw is not None:
        return image_message(head, raw, "16UC1")
    return image_message(head, np.where(depth_m > 0, depth_m, np.float32(np.nan)), "32FC1")


def camera_info_message(head: Any, camera: Camera) -> Any:
    """A sensor_msgs/CameraInfo without distortion."""
    k = camera.k
    roi = make("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return make(
        "sensor_msgs/msg/CameraInfo",
        header=head,
        height=camera.height,
        width=camera.width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=k.ravel(),
        r=np.eye(3).ravel(),
        p=np.hstack([k, np.zeros((3, 1))]).ravel(),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def transform_parts(a_T_b: Pose) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Translation (x, y, z) in metres and unit quaternion (x, y, z, w) of a (4, 4) transform."""
    from scipy.spatial.transform import Rotation

    pose = np.asarray(a_T_b, dtype=np.float64)
    quaternion = Rotation.from_matrix(pose[:3, :3]).as_quat()
    return tuple(map(float, pose[:3, 3])), tuple(map(float, quaternion))


def color_of(message: Any, compressed: bool) -> npt.NDArray[np.uint8]:
    """Colour (H, W, 3) uint8 RGB of an Image or CompressedImage message.

    Raises:
        RecordingError: an encoding that is not colour or gray of 8 bits, or damaged data.
    """
    if compressed:
        return decode_color(np.asarray(message.data, np.uint8), f"a colour image ({message.format})")
    encoding = message.encoding
    if encoding not in _COLOR:
        raise RecordingError(f"colour image has encoding {encoding!r}: one of {', '.join(_COLOR)} is needed")
    channels = _CHANNELS[encoding]
    rows = _rows(message, channels).reshape(message.height, message.width, channels)
    conversion = _COLOR[encoding]
    return rows if conversion is None else np.asarray(cv2.cvtColor(rows, conversion), np.uint8)


def depth_of(message: Any, compressed: bool) -> npt.NDArray[np.float32]:
    """Depth (H, W) float32 metres, 0 where invalid, of an Image or compressedDepth message.

    Raises:
        RecordingError: an encoding that is not depth, or damaged data.
    """
    if compressed:
        return _compressed_depth(message)
    encoding = message.encoding
    if encoding not in _DEPTH:
        raise RecordingError(f"depth image has encoding {encoding!r}: 16UC1 (millimetres) or 32FC1 (metres) is needed")
    kind = np.dtype((">" if message.is_bigendian else "<") + _DEPTH[encoding])
    values = _rows(message, kind.itemsize).view(kind)
    if kind.kind == "u":
        return to_metres(values.astype(np.uint16))
    return _valid(values.astype(np.float32))


def camera_of(message: Any) -> Camera:
    """Camera of a CameraInfo message.

    Raises:
        InputError: a matrix that cannot be used.
    """
    return Camera.from_k(message.k, message.width, message.height)


def _rows(message: Any, pixel_bytes: int) -> npt.NDArray[np.uint8]:
    """Pixels (H, W * pixel_bytes) uint8 without the padding at the end of each row."""
    data = np.asarray(message.data, np.uint8)
    height, width, step = message.height, message.width, message.step
    if height <= 0 or width <= 0 or step < width * pixel_bytes or data.size < step * (height - 1) + width * pixel_bytes:
        raise RecordingError(
            f"image of {width}x{height} pixels ({message.encoding}) has {data.size} bytes in rows of {step}: "
            f"at least {height} rows of {width * pixel_bytes} bytes are needed"
        )
    strides = (step * data.strides[0], data.strides[0])
    return np.lib.stride_tricks.as_strided(data, (height, width * pixel_bytes), strides).copy()


def _compressed_depth(message: Any) -> npt.NDArray[np.float32]:
    data = np.asarray(message.data, np.uint8)
    name = f"a depth image ({message.format})"
    start = 0 if data[:4].tobytes() == _PNG else _COMPRESSED_DEPTH_HEAD
    if data[start : start + 4].tobytes() != _PNG:
        raise RecordingError(f"cannot decode {name}: only PNG inside compressedDepth can be read; record raw depth")
    raw = decode_raw_depth(data[start:], name)
    if "32FC1" not in message.format:
        return to_metres(raw)
    _, a, b = np.frombuffer(data[:_COMPRESSED_DEPTH_HEAD].tobytes(), np.dtype("<i4,<f4,<f4"))[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        metres = np.float32(a) / (raw.astype(np.float32) - np.float32(b))
    return _valid(np.where(raw > 0, metres, np.float32(0.0)))


def _valid(depth_m: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    clean = np.where((depth_m > 0) & np.isfinite(depth_m), depth_m, np.float32(0.0))
    return check_metres(
        clean, "it looks like millimetres, but 32FC1 means metres; divide it by 1000, or publish it as 16UC1"
    )
