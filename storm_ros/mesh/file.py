"""A mesh from a file: any scene becomes one mesh in metres, with its colours."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from storm_ros.core.errors import BackendUnavailableError, InputError
from storm_ros.core.types import Mesh
from storm_ros.mesh.texture import sample_texture

SUFFIXES = (".ply", ".obj", ".glb", ".gltf", ".stl")

LARGEST_M = 5.0
SMALLEST_M = 0.002

_UNITS = {1.0: "metres", 0.001: "millimetres", 0.01: "centimetres"}
_SENSIBLE_M = (0.01, 2.0)  # what a camera looks at from near

# What parsers of broken files have been seen to raise; they promise nothing.
_PARSE_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,  # of helpers that trimesh wants only for text it cannot decode
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)


@dataclass(frozen=True, eq=False)
class _Part:
    """One geometry of a scene: vertices (V, 3) float64 in the scene's frame, faces (F, 3), and its looks."""

    vertices: npt.NDArray[np.float64]
    faces: npt.NDArray[np.int64]
    colors: npt.NDArray[np.uint8] | None = None
    uv: npt.NDArray[np.float32] | None = None
    texture: npt.NDArray[np.uint8] | None = None


def load_mesh(path: str | Path, *, scale: float = 1.0, center: bool = False) -> Mesh:
    """Load a triangle mesh (.ply, .obj, .glb, .gltf, .stl).

    All geometries of a scene are joined with their transforms applied. One texture stays a texture; several
    become vertex colours.

    Args:
        path: the file.
        scale: factor from the file's unit to metres (0.001 for millimetres).
        center: move the origin to the centre of the bounding box; otherwise the file's own axes stay.

    Returns:
        The mesh in metres.

    Raises:
        InputError: no such file, not readable as a mesh, no faces, vertices that are not finite, or a size that
            only makes sense in another unit.
        BackendUnavailableError: trimesh is not installed.
    """
    path = Path(path)
    if not (np.isfinite(scale) and scale > 0):
        raise InputError(f"mesh scale is {scale}: a positive number is needed (1 for metres, 0.001 for millimetres)")
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"mesh {path} is of no known kind: one of {', '.join(SUFFIXES)} is needed")
    if not path.is_file():
        raise InputError(f"mesh {path} does not exist: check the path")
    part = _joined(_read_parts(path))
    vertices, faces, used = _clean(part, path)
    mesh = Mesh(
        vertices=(vertices * scale).astype(np.float32),
        faces=faces.astype(np.int32),
        colors=None if part.colors is None else part.colors[used],
        uv=None if part.uv is None else part.uv[used],
        texture=part.texture,
        name=path.name,
    )
    _check_unit(mesh.diameter, scale, path)
    return mesh.translated(-mesh.center) if center else mesh


def _trimesh() -> Any:
    try:
        import trimesh
    except ImportError:
        raise BackendUnavailableError("reading this mesh needs trimesh: pip install trimesh") from None
    return trimesh


def _read_parts(path: Path) -> list[_Part]:
    trimesh = _trimesh()
    merge = path.suffix.lower() == ".stl"  # it stores three vertices a face
    try:
        scene = trimesh.load_scene(path, process=False)
        parts = []
        for node in scene.graph.nodes_geometry:
            world_T_part, name = scene.graph[node]
            geometry = scene.geometry[name]
            if not isinstance(geometry, trimesh.Trimesh) or not len(geometry.faces):
                continue
            if merge:
                geometry.merge_vertices()
            parts.append(_part(geometry, np.asarray(world_T_part, dtype=np.float64)))
    except _PARSE_ERRORS as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(f"mesh {path} cannot be read ({reason}): the file is damaged or not a mesh") from None
    if not parts:
        raise InputError(f"mesh {path} has no faces: a triangle mesh is needed, not a point cloud or an empty file")
    return parts


def _part(geometry: Any, world_T_part: npt.NDArray[np.float64]) -> _Part:
    vertices = np.asarray(geometry.vertices, dtype=np.float64) @ world_T_part[:3, :3].T + world_T_part[:3, 3]
    faces = np.asarray(geometry.faces, dtype=np.int64)
    if np.linalg.det(world_T_part[:3, :3]) < 0:  # a mirrored part would be inside out
        faces = faces[:, ::-1]
    return _Part(vertices, faces, *_looks(geometry.visual, len(vertices)))


def _looks(visual: Any, count: int) -> tuple[Any, Any, Any]:
    """Colours (V, 3), texture coordinates (V, 2) and texture (h, w, 3); each None where there is none."""
    if visual.kind == "texture":
        material = visual.material
        image = getattr(material, "baseColorTexture", None)
        image = getattr(material, "image", None) if image is None else image
        tint = getattr(material, "baseColorFactor", None)
        if image is None or visual.uv is None:
            tint = getattr(material, "diffuse", None) if tint is None else tint
            plain = tint is None or tuple(np.asarray(tint)[:3]) == _no_colour()
            return (None if plain else np.tile(_bytes(tint)[:3], (count, 1))), None, None
        texture = np.asarray(image.convert("RGB"))
        if tint is not None:
            texture = np.round(texture * (_bytes(tint)[:3] / 255.0)).astype(np.uint8)
        return None, np.asarray(visual.uv, dtype=np.float32), texture
    if visual.kind in ("vertex", "face"):
        return np.asarray(visual.vertex_colors)[:, :3].astype(np.uint8), None, None
    return None, None, None


def _no_colour() -> tuple[int, ...]:
    """The colour trimesh gives to materials that name none."""
    return tuple(int(c) for c in _trimesh().visual.color.DEFAULT_COLOR[:3])


def _bytes(colour: Any) -> npt.NDArray[np.uint8]:
    values = np.asarray(colour)
    return values if values.dtype == np.uint8 else np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)


def _joined(parts: list[_Part]) -> _Part:
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0] + [len(p.vertices) for p in parts[:-1]])
    vertices = np.concatenate([p.vertices for p in parts])
    faces = np.concatenate([p.faces + start for p, start in zip(parts, starts, strict=True)])
    first = parts[0].texture
    if first is not None and all(p.texture is not None and np.array_equal(p.texture, first) for p in parts):
        uv = np.concatenate([p.uv for p in parts if p.uv is not None])
        return _Part(vertices, faces, uv=uv, texture=first)
    if all(p.colors is None and p.texture is None for p in parts):
        return _Part(vertices, faces)
    return _Part(vertices, faces, colors=np.concatenate([_vertex_colors(p) for p in parts]))


def _vertex_colors(part: _Part) -> npt.NDArray[np.uint8]:
    if part.texture is not None and part.uv is not None:
        return sample_texture(part.texture, part.uv)
    return np.full((len(part.vertices), 3), 128, np.uint8) if part.colors is None else part.colors


def _clean(part: _Part, path: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Vertices and faces without faces of no area and vertices of no face, and the indices of the kept vertices."""
    vertices, faces = part.vertices, part.faces
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise InputError(f"mesh {path} has face indices outside its {len(vertices)} vertices: the file is damaged")
    bad = int((~np.isfinite(vertices).all(axis=1)).sum())
    if bad:
        raise InputError(f"mesh {path} has {bad} vertices that are not finite: repair or export it again")
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    with np.errstate(over="ignore", invalid="ignore"):
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    faces = faces[area > 0]
    if not len(faces):
        raise InputError(f"mesh {path} has only faces without area: repair or export it again")
    used, inverse = np.unique(faces, return_inverse=True)
    return vertices[used], inverse.reshape(-1, 3), used


def _check_unit(size_m: float, scale: float, path: Path) -> None:
    if SMALLEST_M <= size_m <= LARGEST_M:
        return
    given = f"{size_m:.3g} m" if size_m > LARGEST_M else f"{size_m * 1000:.2g} mm"
    told = "" if scale == 1.0 else f" at scale {scale:g}"
    raise InputError(f"mesh {path.name} is {given} across{told}: {_unit_advice(size_m / scale)}")


def _unit_advice(size: float) -> str:
    """What to do about a mesh of a size (in the file's unit) that was taken in the wrong unit."""
    for low, high in (_SENSIBLE_M, (SMALLEST_M, LARGEST_M)):
        for scale, unit in _UNITS.items():
            if low <= size * scale <= high:
                return f"it looks like {unit}; pass scale {scale:g} (--mesh-scale {scale:g})"
    return (
        f"{SMALLEST_M * 1000:g} mm to {LARGEST_M:g} m are needed; pass the metres per unit of the file, in which it is "
        f"{size:.3g} across (--mesh-scale)"
    )
