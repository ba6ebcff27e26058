"""Weights on disk in the safetensors format: a JSON header, then plain arrays; nothing in it is ever executed."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from storm_ros.core.errors import OutputError, StormError

Arrays = dict[str, npt.NDArray[Any]]

CHECKSUM = "data_sha256"
"""In a file's metadata: SHA-256 of its arrays, so that a file that nobody registered can be checked, too."""

_TYPES = {"F16": np.float16, "F32": np.float32, "I64": np.int64, "U8": np.uint8}
_NAMES = {np.dtype(kind): name for name, kind in _TYPES.items()}
_LONGEST_HEADER = 1 << 24


class WeightsError(StormError, OSError):
    """A weights file that is missing, damaged, altered, or made for another configuration."""


def write_weights(path: str | Path, arrays: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str]) -> Path:
    """Write arrays in place of what was there.

    Args:
        path: of the file.
        arrays: float16, float32, int64 or uint8.
        metadata: texts to keep with them.

    Raises:
        OutputError: an array of another type, or the file cannot be written.
    """
    header: dict[str, Any] = {}
    pieces, offset = [], 0
    for name in sorted(arrays):
        values = np.asarray(arrays[name])
        if values.dtype not in _NAMES:
            raise OutputError(f"array {name} is {values.dtype}: one of {', '.join(map(str, _NAMES))} can be stored")
        data = values.tobytes()
        header[name] = {
            "dtype": _NAMES[values.dtype], "shape": list(values.shape), "data_offsets": [offset, offset + len(data)],
        }  # fmt: skip
        pieces.append(data)
        offset += len(data)
    body = b"".join(pieces)
    header["__metadata__"] = {**metadata, CHECKSUM: hashlib.sha256(body).hexdigest()}
    text = json.dumps(header, sort_keys=True).encode()
    text += b" " * (-len(text) % 8)
    target = Path(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        draft.write_bytes(struct.pack("<Q", len(text)) + text + body)
        os.replace(draft, target)
    except OSError as error:
        raise OutputError(f"{target}: {error.strerror or error}") from error
    return target


def read_weights(path: str | Path) -> tuple[Arrays, dict[str, str]]:
    """Read arrays and the metadata kept with them.

    Raises:
        WeightsError: missing, truncated, of another format, or altered since it was written.
    """
    source = Path(path)
    try:
        data = source.read_bytes()
    except OSError as error:
        raise WeightsError(f"weights file {source}: {error.strerror or error}") from None
    header, body = _split(source, data)
    metadata = {str(k): str(v) for k, v in header.pop("__metadata__", {}).items()}
    expected = metadata.get(CHECKSUM)
    if expected is not None and hashlib.sha256(body).hexdigest() != expected:
        raise WeightsError(f"weights file {source} was altered or damaged (its SHA-256 is wrong): get it again")
    return {name: _array(source, name, entry, body) for name, entry in header.items()}, metadata


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a whole file, in hexadecimal.

    Raises:
        WeightsError: it cannot be read.
    """
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(f"weights file {path}: {error.strerror or error}") from None


def _split(source: Path, data: bytes) -> tuple[dict[str, Any], bytes]:
    if len(data) < 8:
        raise WeightsError(f"weights file {source} has {len(data)} bytes: it is truncated; get it again")
    (length,) = struct.unpack("<Q", data[:8])
    if length > min(_LONGEST_HEADER, len(data) - 8):
        raise WeightsError(f"weights file {source} is truncated, or is no safetensors file: get it again")
    try:
        header = json.loads(data[8 : 8 + length])
    except ValueError:
        raise WeightsError(f"weights file {source} is no safetensors file: its header is not JSON") from None
    if not isinstance(header, dict):
        raise WeightsError(f"weights file {source} is no safetensors file: its header lists no arrays")
    return header, data[8 + length :]


def _array(source: Path, name: str, entry: Any, body: bytes) -> npt.NDArray[Any]:
    try:
        kind, shape = entry["dtype"], tuple(int(s) for s in entry["shape"])
        first, last = (int(o) for o in entry["data_offsets"])
    except (KeyError, TypeError, ValueError):
        raise WeightsError(f"weights file {source}: the entry of {name} cannot be understood; get it again") from None
    if kind not in _TYPES:
        raise WeightsError(f"weights file {source}: {name} is of type {kind}; known are {', '.join(_TYPES)}")
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(_TYPES[kind]).itemsize
    if not 0 <= first <= last <= len(body) or last - first != size:
        raise WeightsError(f"weights file {source} is truncated or damaged at {name}: get it again")
    return np.frombuffer(body[first:last], dtype=_TYPES[kind]).reshape(shape).copy()
