"""Meshes as binary PLY with colours and texture coordinates, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from storm_ros.core.errors import RecordingError
from storm_ros.core.types import Mesh
from storm_ros.io.images import read_bytes

_TYPES = {"float": "<f4", "uchar": "u1"}
_FACE = np.dtype([("count", "u1"), ("index", "<i4", 3)])
_POSITION, _COLOR, _UV = ("x", "y", "z"), ("red", "green", "blue"), ("s", "t")


def write_ply(path: Path, mesh: Mesh) -> None:
    """Write vertices (float32), faces, vertex colours and texture coordinates. The texture is a file of its own."""
    columns = [(name, "float") for name in _POSITION]
    parts: list[tuple[tuple[str, ...], npt.NDArray]] = [(_POSITION, mesh.vertices)]
    if mesh.colors is not None:
        columns += [(name, "uchar") for name in _COLOR]
        parts.append((_COLOR, mesh.colors))
    if mesh.uv is not None:
        columns += [(name, "float") for name in _UV]
        parts.append((_UV, mesh.uv))
    table = np.zeros(len(mesh.vertices), np.dtype([(name, _TYPES[kind]) for name, kind in columns]))
    for names, values in parts:
        for i, name in enumerate(names):
            table[name] = values[:, i]
    faces = np.zeros(len(mesh.faces), _FACE)
    faces["count"], faces["index"] = 3, mesh.faces
    head = ["ply", "format binary_little_endian 1.0", f"element vertex {len(table)}"]
    head += [f"property {kind} {name}" for name, kind in columns]
    head += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    path.write_bytes("\n".join([*head, ""]).encode("ascii") + table.tobytes() + faces.tobytes())


def read_ply(path: Path) -> dict[str, npt.NDArray]:
    """Read what `write_ply` wrote: vertices, faces, and colors and uv where it has them.

    Raises:
        RecordingError: missing, cut off, or of another form.
    """
    data = read_bytes(path)
    text, mark, body = data.partition(b"end_header\n")
    lines = [line.split() for line in text.decode("ascii", "replace").splitlines()]
    counts = {line[1]: line[2] for line in lines if line[:1] == ["element"] and len(line) == 3}
    columns = [(line[2], line[1]) for line in lines if line[:1] == ["property"] and len(line) == 3]
    binary = ["format", "binary_little_endian", "1.0"] in lines
    try:
        if not mark or not binary or [name for name, _ in columns[:3]] != list(_POSITION):
            raise ValueError("its header is of another form")
        vertex = np.dtype([(name, _TYPES[kind]) for name, kind in columns])
        table = np.frombuffer(body, vertex, int(counts["vertex"]))
        faces = np.frombuffer(body, _FACE, int(counts["face"]), table.nbytes)
        if (faces["count"] != 3).any():
            raise ValueError("it has faces that are not triangles")
    except (KeyError, ValueError) as error:
        raise RecordingError(f"mesh {path} cannot be read: {error}; save the reference again") from None
    out = {"vertices": _stack(table, _POSITION), "faces": faces["index"].astype(np.int32)}
    names = set(vertex.names or ())
    if set(_COLOR) <= names:
        out["colors"] = _stack(table, _COLOR)
    if set(_UV) <= names:
        out["uv"] = _stack(table, _UV)
    return out


def _stack(table: npt.NDArray, names: tuple[str, ...]) -> npt.NDArray:
    return np.stack([table[name] for name in names], axis=1)
