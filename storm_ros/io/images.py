"""Encoded images (PNG, JPEG, TIFF) to arrays, with cut-off files told from whole ones."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.core.errors import RecordingError
from storm_ros.core.types import Mask

METRES_PER_MILLIMETRE = 0.001

_FARTHEST_M = 100.0  # no RGB-D camera sees as far: the unit is another one

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_TAIL_BYTES = 4096


def read_bytes(path: Path) -> bytes:
    """Content of a file.

    Raises:
        RecordingError: missing, unreadable or empty.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror or error}") from None
    if not data:
        raise RecordingError(f"cannot read {path}: the file is empty; copy it again")
    return data


def decode_color(data: bytes | npt.NDArray[np.uint8], name: str) -> npt.NDArray[np.uint8]:
    """Decode a colour or gray image.

    Args:
        data: the encoded image.
        name: what to call it in an error.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        RecordingError: damaged, cut off, or not an image.
    """
    bgr = _decode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION, name)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def decode_raw_depth(data: bytes | npt.NDArray[np.uint8], name: str) -> npt.NDArray[np.uint16]:
    """Decode a 16-bit depth image to (H, W) uint16 in the file's own unit.

    Raises:
        RecordingError: damaged, or not a 16-bit image of one channel.
    """
    image = _decode(data, cv2.IMREAD_UNCHANGED, name)
    if image.ndim != 2 or image.dtype != np.uint16:
        channels = 1 if image.ndim == 2 else image.shape[2]
        raise RecordingError(
            f"{name} has {channels} channel(s) of {image.dtype}: depth must be one channel of 16 bits (uint16)"
        )
    return image


def decode_mask(data: bytes, name: str) -> Mask:
    """Decode a mask image to (H, W) bool, True where it is not 0.

    Raises:
        RecordingError: damaged, or not an image.
    """
    return _decode(data, cv2.IMREAD_GRAYSCALE, name) > 0


def to_metres(raw: npt.NDArray[np.uint16], millimetres_per_unit: float = 1.0) -> npt.NDArray[np.float32]:
    """Depth (H, W) uint16 to float32 metres; every reader uses this one, so that equal files give equal metres."""
    return raw.astype(np.float32) * np.float32(millimetres_per_unit * METRES_PER_MILLIMETRE)


def check_metres(depth_m: npt.NDArray[np.float32], remedy: str) -> npt.NDArray[np.float32]:
    """The same depth (H, W), proved to be in metres.

    Args:
        depth_m: metres; what is not above 0 is unknown.
        remedy: what to do where it is too far for any RGB-D camera.

    Raises:
        RecordingError: it is.
    """
    near = depth_m[::8, ::8]
    near = near[(near > 0) & (near < np.inf)]
    if near.size and float(np.median(near)) > _FARTHEST_M:
        raise RecordingError(f"median depth is {float(np.median(near)):.0f} m: {remedy}")
    return depth_m


def to_millimetres(depth_m: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16] | None:
    """Depth (H, W) metres as uint16 millimetres; None where that would change any value."""
    scaled = np.rint(depth_m * np.float32(1.0 / METRES_PER_MILLIMETRE))
    if not np.isfinite(scaled).all() or scaled.min(initial=0) < 0 or scaled.max(initial=0) > np.iinfo(np.uint16).max:
        return None
    raw = scaled.astype(np.uint16)
    return raw if np.array_equal(to_metres(raw), depth_m) else None


def _decode(data: bytes | npt.NDArray[np.uint8], flags: int, name: str) -> npt.NDArray:
    buffer = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
    head, tail = buffer[:8].tobytes(), buffer[-_TAIL_BYTES:].tobytes()
    cut = (head == _PNG and b"IEND" not in tail) or (head.startswith(_JPEG) and b"\xff\xd9" not in tail)
    try:
        image = None if cut or not buffer.size else cv2.imdecode(buffer, flags)
    except cv2.error:
        image = None
    if image is None:
        reason = "the image is cut off" if cut else "it is damaged or not an image"
        raise RecordingError(f"cannot decode {name} ({buffer.size} bytes): {reason}")
    return image
