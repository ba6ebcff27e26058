"""Closed surfaces in metres with texture coordinates: triangles counter-clockwise seen from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.core.errors import InputError
from storm_ros.core.types import Mesh

Floats = npt.NDArray[np.float64]

BOX_FACES = ((0, 1), (0, -1), (1, 1), (1, -1), (2, 1), (2, -1))
"""(axis, sign) of the faces of a box, in the order of their tiles in the texture (3 across, 2 down)."""

_SHRINK = 0.004  # texture coordinates keep this far from a tile's rim, so that neighbours do not bleed in


def grid_faces(rows: int, columns: int) -> npt.NDArray[np.int32]:
    """Triangles (F, 3) of a grid of vertices, seen from where rows run up and columns run right."""
    first = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)[None, :]).ravel()
    a, b, c, d = first, first + 1, first + columns + 1, first + columns
    return np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)]).astype(np.int32)


def centred(mesh: Mesh) -> Mesh:
    """The mesh with the centre of its bounding box at the origin."""
    return mesh.translated(-mesh.center)


def _finish(vertices: Floats, faces: npt.NDArray[np.int32], uv: Floats, name: str) -> Mesh:
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    kept = faces[area > 1e-12]  # the triangles at a pole have no area
    used, compact = np.unique(kept, return_inverse=True)
    uv = np.clip(uv, 0.0, 1.0)
    return Mesh(
        vertices[used].astype(np.float32),
        compact.reshape(kept.shape).astype(np.int32),
        uv=uv[used].astype(np.float32),
        name=name,
    )


def box(size: npt.ArrayLike, bevel: float = 0.0, bevel_steps: int = 3) -> Mesh:
    """A box with rounded edges; every face has its own tile of the texture (see `BOX_FACES`).

    Args:
        size: (3,) edge lengths in metres.
        bevel: radius of the edges in metres; 0 for sharp ones.
        bevel_steps: triangles across half an edge's rounding.
    """
    half = np.asarray(size, dtype=np.float64) / 2
    radius = float(min(bevel, 0.98 * half.min()))
    ramp = np.tan(np.linspace(-np.pi / 4, 0, bevel_steps + 1)) if radius > 0 else np.array([-1.0])
    lines = []
    for h in half:
        low = -h + radius * (1 + ramp)
        lines.append(np.concatenate([low, -low[::-1]]))
    vertices, uv, faces = [], [], []
    for tile, (axis, sign) in enumerate(BOX_FACES):
        right, up = box_face_axes(axis, sign)
        s, t = np.meshgrid(lines[abs(right) - 1], lines[abs(up) - 1])
        q = np.zeros((s.size, 3))
        q[:, axis] = sign * half[axis]
        q[:, abs(right) - 1] = np.sign(right) * s.ravel()
        q[:, abs(up) - 1] = np.sign(up) * t.ravel()
        if radius > 0:
            inner = np.clip(q, -(half - radius), half - radius)
            away = q - inner
            q = inner + radius * away / np.linalg.norm(away, axis=1, keepdims=True)
        faces.append(grid_faces(*s.shape) + tile * s.size)
        vertices.append(q)
        local = np.stack([s.ravel() / half[abs(right) - 1], t.ravel() / half[abs(up) - 1]], -1) / 2 + 0.5
        local = _SHRINK + (1 - 2 * _SHRINK) * local
        uv.append((local + np.array([tile % 3, 1 - tile // 3])) / [3, 2])
    return _finish(np.concatenate(vertices), np.concatenate(faces), np.concatenate(uv), "box")


def box_face_axes(axis: int, sign: int) -> tuple[int, int]:
    """Signed axes (1 based) that run right and up on a box's face seen from outside."""
    if axis == 2:
        return (1, 2) if sign > 0 else (-1, 2)
    if axis == 0:
        return (2, 3) if sign > 0 else (-2, 3)
    return (-1, 3) if sign > 0 else (1, 3)


def revolution(profile: npt.ArrayLike, segments: int = 40, turn: float = 2 * np.pi) -> Mesh:
    """A surface of revolution about z; u runs round the axis, v along the profile.

    Args:
        profile: (N, 2) radius and height in metres, from the axis at the bottom along the outside (and, of a
            hollow body, back down the inside) to the axis; the solid lies to the left on the way.
        segments: triangles round the axis.
        turn: angle swept in radians; only a full turn is closed.
    """
    points = _split_corners(np.asarray(profile, dtype=np.float64))
    angle = np.linspace(0, turn, segments + 1)
    angle[-1] = 0.0 if turn == 2 * np.pi else angle[-1]  # the seam closes exactly
    x, y = points[:, :1] * np.cos(angle), points[:, :1] * np.sin(angle)
    vertices = np.stack([x, y, np.broadcast_to(points[:, 1:], x.shape)], -1).reshape(-1, 3)
    u, v = np.meshgrid(np.linspace(0, 1, segments + 1), profile_coordinate(points))
    return _finish(vertices, grid_faces(*x.shape), np.stack([u.ravel(), v.ravel()], -1), "revolution")


def _split_corners(profile: Floats, sharp_rad: float = 0.6) -> Floats:
    """The profile with every sharp corner twice, so that shading does not run over the edge."""
    step = np.diff(profile, axis=0)
    heading = np.arctan2(step[:, 1], step[:, 0])
    bend = np.abs((np.diff(heading) + np.pi) % (2 * np.pi) - np.pi)
    times = np.concatenate([[1], np.where(bend > sharp_rad, 2, 1), [1]])
    return np.repeat(profile, times, axis=0)


def profile_coordinate(profile: npt.ArrayLike) -> Floats:
    """Where each point of a profile (N, 2) lies along it, in [0, 1]: the texture's v."""
    steps = np.linalg.norm(np.diff(np.asarray(profile, dtype=np.float64), axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)]) / steps.sum()


def superquadric(radii: npt.ArrayLike, e1: float = 1.0, e2: float = 1.0, segments: int = 40, rings: int = 22) -> Mesh:
    """A superquadric: e1 shapes the profile, e2 the outline (1 round, towards 0 square, 2 a rhombus).

    Args:
        radii: (3,) half axes in metres.
        e1: exponent from pole to pole.
        e2: exponent around.
        segments: triangles around.
        rings: triangles from pole to pole.
    """
    a = np.asarray(radii, dtype=np.float64)
    latitude = np.linspace(-np.pi / 2, np.pi / 2, rings + 1)[:, None]
    longitude = np.linspace(0, 2 * np.pi, segments + 1)[None, :]
    out = _signed_power(np.cos(latitude), e1)
    x = a[0] * out * _signed_power(np.cos(longitude), e2)
    y = a[1] * out * _signed_power(np.sin(longitude), e2)
    z = a[2] * _signed_power(np.sin(latitude), e1) * np.ones_like(longitude)
    vertices = np.stack([x, y, z], -1)
    vertices[0], vertices[-1] = (0, 0, -a[2]), (0, 0, a[2])
    vertices[:, -1] = vertices[:, 0]
    u, v = np.meshgrid(np.linspace(0, 1, segments + 1), np.linspace(0, 1, rings + 1))
    return _finish(vertices.reshape(-1, 3), grid_faces(*x.shape), np.stack([u.ravel(), v.ravel()], -1), "superquadric")


def _signed_power(base: Floats, exponent: float) -> Floats:
    return np.sign(base) * np.abs(base) ** exponent


def prism(outline: npt.ArrayLike, height: float) -> Mesh:
    """A convex outline pulled up along z; the wall takes the texture's upper half, the caps the lower quarters.

    Args:
        outline: (N, 2) corners in metres, counter-clockwise seen from +z, convex.
        height: metres.
    """
    corners = np.asarray(outline, dtype=np.float64)
    n, half = len(corners), height / 2
    ring = np.concatenate([corners, corners[:1]])
    at = profile_coordinate(ring)
    left, right = np.c_[corners, at[:-1]], np.c_[ring[1:], at[1:]]
    quads = np.stack([left, right, right, left], 1).reshape(-1, 3)  # sides share no vertex: their edges stay sharp
    up = np.tile([0.0, 0.0, 1.0, 1.0], n)
    wall = np.c_[quads[:, :2], (up - 0.5) * height]
    wall_uv = np.c_[quads[:, 2], 0.5 + _SHRINK + (0.5 - _SHRINK) * up]
    sides = 4 * np.arange(n)[:, None]
    wall_faces = np.concatenate([sides + np.array([0, 1, 2]), sides + np.array([0, 2, 3])]).astype(np.int32)
    low, span = corners.min(0), np.ptp(corners, axis=0).max()
    flat_uv = _SHRINK + (1 - 2 * _SHRINK) * (corners - low) / span
    fan = np.stack([np.zeros(n - 2), np.arange(1, n - 1), np.arange(2, n)], -1).astype(np.int32)
    vertices = np.concatenate([wall, np.c_[corners, np.full(n, half)], np.c_[corners, np.full(n, -half)]])
    uv = np.concatenate([wall_uv, flat_uv / 2, flat_uv / 2 + [0.5, 0]])
    first = 4 * n
    faces = np.concatenate([wall_faces, fan + first, fan[:, ::-1] + first + n])
    return _finish(vertices, faces, uv, "prism")


def tube(path: npt.ArrayLike, radii: npt.ArrayLike, segments: int = 16) -> Mesh:
    """A tube with rounded-off (flat) ends along a curve; u runs round it, v along it.

    Args:
        path: (N, 3) points of its axis in metres.
        radii: (N,) or one number, metres; a smaller radius at the ends rounds them.
        segments: triangles round it.
    """
    p = np.asarray(path, dtype=np.float64)
    r = np.broadcast_to(np.asarray(radii, dtype=np.float64), len(p))
    tangent = np.gradient(p, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    normal = _carried_normals(tangent)
    side = np.cross(tangent, normal)
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    angle[-1] = 0.0
    offset = np.cos(angle)[None, :, None] * normal[:, None] + np.sin(angle)[None, :, None] * side[:, None]
    rings = p[:, None] + r[:, None, None] * offset
    rings = np.concatenate([np.broadcast_to(p[:1, None], rings[:1].shape), rings,
                            np.broadcast_to(p[-1:, None], rings[:1].shape)])  # fmt: skip
    along = np.linspace(0, 1, len(p))
    u, v = np.meshgrid(np.linspace(0, 1, segments + 1), np.concatenate([[0.0], along, [1.0]]))
    return _finish(rings.reshape(-1, 3), grid_faces(*u.shape), np.stack([u.ravel(), v.ravel()], -1), "tube")


def _carried_normals(tangent: Floats) -> Floats:
    """One normal per point of a curve, turned as little as possible from point to point."""
    out = np.empty_like(tangent)
    normal = np.cross(tangent[0], np.eye(3)[np.argmin(np.abs(tangent[0]))])
    for i, t in enumerate(tangent):
        normal = normal - t * (normal @ t)
        normal /= np.linalg.norm(normal)
        out[i] = normal
    return out


def displaced(mesh: Mesh, amount: npt.ArrayLike) -> Mesh:
    """Move every vertex along its direction from the origin by (V,) metres (for star-shaped bodies)."""
    p = mesh.vertices.astype(np.float64)
    length = np.maximum(np.linalg.norm(p, axis=1, keepdims=True), 1e-9)
    return replace(mesh, vertices=(p * (1 + np.reshape(amount, (-1, 1)) / length)).astype(np.float32))


def moved(mesh: Mesh, a_T_mesh: npt.ArrayLike) -> Mesh:
    """The mesh in another frame: vertices mapped by a rigid transform (4, 4)."""
    m = np.asarray(a_T_mesh, dtype=np.float64)
    return replace(mesh, vertices=(mesh.vertices @ m[:3, :3].T + m[:3, 3]).astype(np.float32))


def join(meshes: Sequence[Mesh], name: str = "joined") -> Mesh:
    """One mesh of several textured ones; their textures are stacked into one.

    Raises:
        InputError: none given, or one without texture.
    """
    if not meshes:
        raise InputError("no meshes to join: at least one is needed")
    images, uvs, colourless = [], [], [m.name for m in meshes if m.texture is None or m.uv is None]
    if colourless:
        raise InputError(f"mesh {colourless[0]!r} has no texture: paint it before joining")
    width = max(m.texture.shape[1] for m in meshes if m.texture is not None)
    for mesh in meshes:
        assert mesh.texture is not None
        assert mesh.uv is not None
        image = mesh.texture
        if image.shape[1] != width:
            image = cv2.resize(image, (width, image.shape[0]), interpolation=cv2.INTER_LINEAR)
        images.append(image)
        uvs.append(mesh.uv.astype(np.float64))
    heights = np.array([len(image) for image in images])
    total, top = heights.sum(), 0
    for uv, height in zip(uvs, heights, strict=True):
        rows = 0.5 + (1 - uv[:, 1]) * (height - 1) + top  # row from the top, half a pixel inside the part's own rim
        uv[:, 1] = 1 - rows / total
        top += height
    first = np.cumsum([0] + [len(m.vertices) for m in meshes[:-1]])
    return Mesh(
        np.concatenate([m.vertices for m in meshes]),
        np.concatenate([m.faces + offset for m, offset in zip(meshes, first, strict=True)]).astype(np.int32),
        uv=np.concatenate(uvs).astype(np.float32),
        texture=np.concatenate(images),
        name=name,
    )


def volume(mesh: Mesh) -> float:
    """Signed volume in cubic metres: positive when the faces of a closed mesh look outward."""
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(np.float64) for i in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)
