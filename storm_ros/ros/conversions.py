"""ROS messages to the package's values and back. Messages are duck-typed: those of rclpy and of rosbags both do."""

from __future__ import annotations

import array
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from storm_ros.core.errors import InputError, RecordingError
from storm_ros.core.types import Mask, Pose, RgbdFrame
from storm_ros.io.messages import camera_of, color_of, depth_of

COLOUR_ENCODINGS = ("rgb8", "bgr8", "rgba8", "bgra8", "mono8", "8UC1", "8UC3", "8UC4")
DEPTH_ENCODINGS = ("16UC1", "mono16", "32FC1")

_NANOSECONDS = 1_000_000_000
_BYTES = {"rgb8": 3, "bgr8": 3, "8UC3": 3, "rgba8": 4, "bgra8": 4, "8UC4": 4, "mono8": 1, "8UC1": 1}
_BYTES |= {"16UC1": 2, "mono16": 2, "32FC1": 4}
_MASKS = {"mono8": "u1", "8UC1": "u1", "mono16": "u2", "16UC1": "u2"}


def stamp_ns(stamp: Any) -> int:
    """Nanoseconds of a builtin_interfaces/Time."""
    return int(stamp.sec) * _NANOSECONDS + int(stamp.nanosec)


def fill_time(stamp: Any, nanoseconds: int) -> Any:
    """Write nanoseconds into a builtin_interfaces/Time, and return it."""
    stamp.sec, stamp.nanosec = divmod(int(nanoseconds), _NANOSECONDS)
    return stamp


def pixel_bytes(encoding: str) -> int | None:
    """Bytes of a pixel in an encoding that can be read; None for others."""
    return _BYTES.get(encoding)


def frame_of(image: Any, depth: Any, info: Any) -> RgbdFrame:
    """One frame of a colour image, its registered depth and its camera_info.

    Args:
        image: sensor_msgs/Image in one of `COLOUR_ENCODINGS`; its header's stamp and frame become the frame's.
        depth: sensor_msgs/Image, 16UC1 in millimetres (0 invalid) or 32FC1 in metres (NaN invalid), as REP 118 says.
        info: sensor_msgs/CameraInfo.

    Raises:
        InputError: any of them cannot be used; the message names the fix.
    """
    try:
        return RgbdFrame(
            color_of(image, compressed=False),
            depth_of(depth, compressed=False),
            camera_of(info),
            stamp_ns=stamp_ns(image.header.stamp),
            frame_id=image.header.frame_id,
        )
    except RecordingError as error:
        raise InputError(str(error)) from None


def mask_of(message: Any) -> Mask:
    """Mask (H, W) bool of a sensor_msgs/Image, True where it is above 0.

    Raises:
        InputError: an encoding of more than one channel, or damaged data.
    """
    kind = _MASKS.get(message.encoding)
    if kind is None:
        raise InputError(f"mask has encoding {message.encoding!r}: mono8 is needed, above 0 on the object's pixels")
    data = np.asarray(message.data, np.uint8)
    size = int(kind[1])
    height, width, step = int(message.height), int(message.width), int(message.step)
    if height <= 0 or width <= 0 or step < width * size or data.size < step * (height - 1) + width * size:
        raise InputError(
            f"mask of {width}x{height} pixels ({message.encoding}) has {data.size} bytes in rows of {step}: "
            f"{height} rows of at least {width * size} bytes are needed"
        )
    rows = np.lib.stride_tricks.as_strided(data, (height, width * size), (step * data.strides[0], data.strides[0]))
    return (rows.reshape(height, width, size) != 0).any(axis=2)


def fill_image(message: Any, header: Any, pixels: npt.NDArray[Any], encoding: str) -> Any:
    """Write pixels into a sensor_msgs/Image, and return it.

    The bytes go through an `array.array`, which rclpy takes as it is; anything else it would check byte by byte.

    Args:
        message: an empty Image.
        header: as it is to be.
        pixels: (H, W) or (H, W, C) of the encoding's type, such as uint16 for ``16UC1``.
        encoding: what they are, such as ``mono8``.
    """
    pixels = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<"))
    message.header = header
    message.height, message.width = int(pixels.shape[0]), int(pixels.shape[1])
    message.encoding = encoding
    message.is_bigendian = 0
    message.step = int(pixels.strides[0])
    data = array.array("B")
    data.frombytes(memoryview(pixels.reshape(-1).view(np.uint8)))  # pyright: ignore[reportArgumentType]
    message.data = data
    return message


def fill_pose(message: Any, cam_T_obj: Pose) -> Any:
    """Write a (4, 4) transform into a geometry_msgs/Pose, and return it."""
    fill_vector(message.position, cam_T_obj[:3, 3])
    _fill_quaternion(message.orientation, cam_T_obj)
    return message


def fill_transform(message: Any, cam_T_obj: Pose) -> Any:
    """Write a (4, 4) transform into a geometry_msgs/Transform, and return it."""
    fill_vector(message.translation, cam_T_obj[:3, 3])
    _fill_quaternion(message.rotation, cam_T_obj)
    return message


def fill_vector(message: Any, values: npt.ArrayLike) -> Any:
    """Write three numbers into a geometry_msgs/Vector3 or Point, and return it."""
    message.x, message.y, message.z = np.asarray(values, dtype=np.float64).tolist()
    return message


def quaternion_of(a_T_b: Pose) -> tuple[float, float, float, float]:
    """Unit quaternion (x, y, z, w) of a (4, 4) transform, w not negative; Shepperd's choice of the largest component.

    SciPy does the same with many checks, which cost half a millisecond each time.
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = np.asarray(a_T_b, dtype=np.float64)[:3, :3].tolist()
    four_ww, four_xx, four_yy, four_zz = 1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz
    largest = max(four_ww, four_xx, four_yy, four_zz)
    if largest == four_ww:
        q = (zy - yz, xz - zx, yx - xy, four_ww)
    elif largest == four_xx:
        q = (four_xx, xy + yx, xz + zx, zy - yz)
    elif largest == four_yy:
        q = (xy + yx, four_yy, yz + zy, xz - zx)
    else:
        q = (xz + zx, yz + zy, four_zz, yx - xy)
    scale = math.copysign(1.0 / math.sqrt(sum(v * v for v in q)), q[3])
    x, y, z, w = (v * scale for v in q)
    return x, y, z, w


def _fill_quaternion(message: Any, a_T_b: Pose) -> None:
    message.x, message.y, message.z, message.w = quaternion_of(a_T_b)
