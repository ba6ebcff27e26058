"""The weights file: round trip, the format others read, and every way it can be damaged."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from storm_ros.core.errors import OutputError
from storm_ros.weights import WeightsError, read_weights, write_weights

ARRAYS = {
    "b.weight": np.arange(6, dtype=np.float16).reshape(2, 3),
    "a": np.array([1.5, -2.0], np.float32),
    "count": np.array(7, np.int64),
    "empty": np.zeros((0, 4), np.float32),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_weights(tmp_path / "w.safetensors", ARRAYS, {"kind": "test"})


def test_what_was_written_comes_back(path: Path) -> None:
    arrays, metadata = read_weights(path)
    assert metadata["kind"] == "test"
    assert arrays.keys() == ARRAYS.keys()
    for name, values in ARRAYS.items():
        assert arrays[name].dtype == values.dtype
        assert np.array_equal(arrays[name], values)


def test_the_format_is_the_common_one(path: Path) -> None:
    """Header length, JSON header with types, shapes and offsets, then the data; as the format is published."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    entry = header["b.weight"]
    assert (entry["dtype"], entry["shape"]) == ("F16", [2, 3])
    first, last = entry["data_offsets"]
    body = data[8 + length :]
    assert np.frombuffer(body[first:last], np.float16).tolist() == [0, 1, 2, 3, 4, 5]
    assert length % 8 == 0


def test_another_reader_reads_it(path: Path) -> None:
    reader = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    loaded = reader.load_file(path)
    assert np.array_equal(loaded["b.weight"], ARRAYS["b.weight"])


@pytest.mark.parametrize("kept", [0, 5, 40, -1])
def test_a_truncated_file_is_refused(path: Path, kept: int) -> None:
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(WeightsError, match=r"truncated|altered or damaged"):
        read_weights(path)


def test_an_altered_file_is_refused(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(WeightsError, match="SHA-256 is wrong"):
        read_weights(path)


def test_something_else_is_refused(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 4) + b"what" + b"is this")
    with pytest.raises(WeightsError, match="not JSON"):
        read_weights(path)


def test_offsets_beyond_the_file_are_refused(path: Path) -> None:
    text = json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"1234")
    with pytest.raises(WeightsError, match="truncated or damaged at a"):
        read_weights(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.safetensors: No such file"):
        read_weights(tmp_path / "none.safetensors")


def test_types_that_cannot_be_stored_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="complex128"):
        write_weights(tmp_path / "w.safetensors", {"a": np.zeros(2, complex)}, {})
