"""Writing a mesh to a file, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from storm_ros.core.errors import BackendUnavailableError, InputError, OutputError
from storm_ros.core.types import Mesh
from storm_ros.mesh.texture import sample_texture


def save_mesh(path: str | Path, mesh: Mesh) -> Path:
    """Write a mesh in metres.

    Args:
        path: ``.ply`` (binary; a texture becomes vertex colours) or ``.glb`` (keeps the texture). Without a suffix
            it becomes ``.glb`` for a textured mesh and ``.ply`` for any other.
        mesh: the mesh.

    Returns:
        The path written.

    Raises:
        InputError: another suffix.
        OutputError: the file cannot be written.
        BackendUnavailableError: a ``.glb`` without trimesh installed.
    """
    path = Path(path)
    if not path.suffix:
        path = path.with_suffix(".ply" if mesh.texture is None or mesh.uv is None else ".glb")
    kind = path.suffix.lower()
    if kind not in (".ply", ".glb"):
        raise InputError(f"mesh cannot be written as {path.name!r}: .ply or .glb is needed")
    _write_whole(path, _ply(mesh) if kind == ".ply" else _glb(mesh))
    return path


def _write_whole(path: Path, data: bytes) -> None:
    temporary: str | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = file.name
            file.write(data)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise OutputError(f"mesh {path} cannot be written: {error.strerror or error}") from None


def _ply(mesh: Mesh) -> bytes:
    colors = mesh.colors
    if mesh.texture is not None and mesh.uv is not None:
        colors = sample_texture(mesh.texture, mesh.uv)
    fields: list[tuple[str, str]] = [(axis, "<f4") for axis in "xyz"]
    if colors is not None:
        fields += [(name, "u1") for name in ("red", "green", "blue")]
    vertices = np.zeros(len(mesh.vertices), dtype=fields)
    for i, axis in enumerate("xyz"):
        vertices[axis] = mesh.vertices[:, i]
    if colors is not None:
        for i, name in enumerate(("red", "green", "blue")):
            vertices[name] = colors[:, i]
    faces = np.zeros(len(mesh.faces), dtype=[("count", "u1"), ("index", "<i4", (3,))])
    faces["count"] = 3
    faces["index"] = mesh.faces
    kinds = {"<f4": "float", "u1": "uchar"}
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(vertices)}",
        *(f"property {kinds[kind]} {name}" for name, kind in fields),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    return ("\n".join(header) + "\n").encode("ascii") + vertices.tobytes() + faces.tobytes()


def _glb(mesh: Mesh) -> bytes:
    try:
        import trimesh
        from PIL import Image
        from trimesh import visual as looks
    except ImportError:
        raise BackendUnavailableError("writing a .glb needs trimesh and pillow: pip install trimesh pillow") from None
    visual: Any = None
    if mesh.texture is not None and mesh.uv is not None:
        material = looks.material.PBRMaterial(baseColorTexture=Image.fromarray(mesh.texture))
        visual = looks.TextureVisuals(uv=mesh.uv, material=material)
    solid = trimesh.Trimesh(
        vertices=mesh.vertices, faces=mesh.faces, vertex_colors=mesh.colors, visual=visual, process=False
    )
    data: Any = trimesh.Scene(solid).export(file_type="glb")
    return bytes(data)
