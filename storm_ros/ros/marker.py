"""The mesh of an object as a marker for RViz."""

# pyright: reportMissingImports=false, reportPrivateImportUsage=false
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from storm_ros.core.types import Mesh

MAX_FACES = 3000
"""A marker is a list of points in Python: finer meshes are shown coarser."""

_PLAIN_RGB = (51, 204, 77)


def coarse(mesh: Mesh, max_faces: int = MAX_FACES) -> tuple[npt.NDArray, npt.NDArray]:
    """Corners and colours of a mesh's triangles, of few enough of them to be drawn.

    Vertices that fall into one cell of a grid become one, on a grid as fine as the number of faces allows.

    Args:
        mesh: any.
        max_faces: how many triangles there may be.

    Returns:
        (3 N, 3) float64 corners in metres, in the object's frame, and (3 N, 3) float64 their colours in 0-1.
    """
    vertices, faces = mesh.vertices.astype(np.float64), mesh.faces
    colors = np.asarray(mesh.colors if mesh.colors is not None else [_PLAIN_RGB] * len(vertices), np.float64) / 255.0
    cell_m = 1.5 * mesh.diameter / np.sqrt(max_faces)
    while len(faces) > max_faces:
        cells = np.floor((vertices - vertices.min(axis=0)) / cell_m).astype(np.int64)
        keys, index = np.unique(cells @ np.array([1, 1 << 20, 1 << 40]), return_inverse=True)
        count = np.bincount(index, minlength=len(keys))[:, None]
        vertices = _sums(index, vertices, len(keys)) / count
        colors = _sums(index, colors, len(keys)) / count
        faces = index[faces]
        distinct = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
        faces = faces[distinct]
        cell_m *= 1.2
    corners = faces.ravel()
    return vertices[corners], np.clip(colors[corners], 0.0, 1.0)


def _sums(index: npt.NDArray, values: npt.NDArray, count: int) -> npt.NDArray:
    return np.stack([np.bincount(index, weights=values[:, i], minlength=count) for i in range(3)], axis=1)


def mesh_marker(frame: str, object_id: str, mesh: Mesh) -> Any:
    """A visualization_msgs/Marker that moves with the object's TF frame."""
    from geometry_msgs.msg import Point
    from std_msgs.msg import ColorRGBA

    marker = _marker(frame, object_id)
    marker.type, marker.action = marker.TRIANGLE_LIST, marker.ADD
    marker.scale.x = marker.scale.y = marker.scale.z = 1.0
    marker.color.r, marker.color.g, marker.color.b = (v / 255.0 for v in _PLAIN_RGB)
    marker.color.a = 1.0
    marker.pose.orientation.w = 1.0
    marker.frame_locked = True
    corners, colors = coarse(mesh)
    marker.points = [Point(x=x, y=y, z=z) for x, y, z in corners.tolist()]
    marker.colors = [ColorRGBA(r=r, g=g, b=b, a=1.0) for r, g, b in colors.tolist()]
    return marker


def no_marker(frame: str, object_id: str) -> Any:
    """A visualization_msgs/Marker that takes an object's mesh away."""
    marker = _marker(frame, object_id)
    marker.action = marker.DELETE
    return marker


def _marker(frame: str, object_id: str) -> Any:
    from visualization_msgs.msg import Marker

    marker = Marker()
    marker.header.frame_id = frame
    marker.ns = object_id
    return marker
