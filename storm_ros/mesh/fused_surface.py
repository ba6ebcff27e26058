"""The surface of a volume of truncated signed distances, as triangles (naive surface nets, Gibson, 1998)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse import csgraph

from storm_ros.core.types import Mesh

_STEEPEST = 0.9  # distances of neighbours that differ by more, of the truncation, are no surface between them
_MIN_PART = 60  # faces of a separate piece
_UNKNOWN = 128  # colour of what has none
_CORNERS = np.array([(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)])
_EDGES = np.array([(i, i + step) for step, axis in ((4, 0), (2, 1), (1, 2)) for i in range(8) if not _CORNERS[i, axis]])
_EDGE_AXES = (_CORNERS[_EDGES[:, 1]] - _CORNERS[_EDGES[:, 0]]).astype(np.float32)


def surface(
    distance: npt.NDArray[np.float32],
    weight: npt.NDArray[np.float32],
    colour: npt.NDArray[np.floating],
    origin: npt.NDArray[np.float64],
    voxel_m: float,
    *,
    min_weight: float,
) -> Mesh | None:
    """Extract where the distance is zero.

    One vertex in each cell that the surface passes, at the mean of the crossings of its edges; one quad for every edge
    that is crossed, facing the positive side. Cells with a corner that was hardly seen have none.

    Args:
        distance: (X, Y, Z) in units of the truncation, positive outside.
        weight: (X, Y, Z) how much was seen of each.
        colour: (X, Y, Z, 3) in 0 to 255; negative where none is known.
        origin: (3,) of the voxel (0, 0, 0), metres.
        voxel_m: distance between voxels.
        min_weight: below it a voxel counts as unseen.

    Returns:
        The open mesh, or None when there is nothing.
    """
    shape, flat = distance.shape, distance.ravel()
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    cells = _crossed_cells(distance < 0.0, weight >= min_weight)
    values = flat[cells[:, None] + _CORNERS @ strides]
    a, b = values[:, _EDGES[:, 0]], values[:, _EDGES[:, 1]]
    crossed = ((a < 0) != (b < 0)) & (np.abs(a - b) < _STEEPEST)
    share = np.where(crossed, a / np.where(crossed, a - b, np.float32(1.0)), np.float32(0.0))
    count = crossed.sum(1)
    cells, crossed, share, count = (v[count > 0] for v in (cells, crossed, share, count))
    if not len(cells):
        return None
    inside_cell = crossed.astype(np.float32) @ _CORNERS[_EDGES[:, 0]] + share @ _EDGE_AXES
    place = np.stack(np.unravel_index(cells, shape), -1) + inside_cell / count[:, None]
    vertex = np.full(flat.size, -1, dtype=np.int32)
    vertex[cells] = np.arange(len(cells), dtype=np.int32)
    faces = _faces(flat, vertex, cells, strides, place)
    if not len(faces):
        return None
    tint = colour.reshape(-1, 3)[np.floor(place + 0.5).astype(np.intp) @ strides].astype(np.float32)
    tint = np.where(tint < 0, np.float32(_UNKNOWN), tint).round().astype(np.uint8)
    return compact(place * voxel_m + origin, _large_parts(faces, len(place)), tint)


def compact(
    vertices: npt.NDArray[np.floating], faces: npt.NDArray[np.integer], colors: npt.NDArray[np.uint8]
) -> Mesh | None:
    """The open mesh of some faces (F, 3) without the vertices they leave out; None without a face."""
    if not len(faces):
        return None
    used = np.zeros(len(vertices), dtype=bool)
    used[faces] = True
    number = np.cumsum(used, dtype=np.int32) - 1
    return Mesh(vertices[used].astype(np.float32), number[faces], colors[used], open_surface=True, name="fused")


def _crossed_cells(inside: npt.NDArray[np.bool_], seen: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Flat indices (of their lowest corner) of the cells with both signs and all corners seen."""
    crossed = _over_corners(np.logical_or, inside) & ~_over_corners(np.logical_and, inside)
    place = np.nonzero(crossed & _over_corners(np.logical_and, seen))
    return np.ravel_multi_index(place, inside.shape)


def _over_corners(join: np.ufunc, values: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(X - 1, Y - 1, Z - 1): the values (X, Y, Z) at the eight corners of each cell, joined."""
    values = join(values[:-1], values[1:])
    values = join(values[:, :-1], values[:, 1:])
    return join(values[:, :, :-1], values[:, :, 1:])


def _faces(
    flat: npt.NDArray[np.float32],
    vertex: npt.NDArray[np.int32],
    cells: npt.NDArray[np.intp],
    strides: npt.NDArray[np.intp],
    place: npt.NDArray[np.float64],
) -> npt.NDArray[np.int32]:
    """Two triangles for each crossed edge whose four cells have a vertex."""
    out = []
    for axis in range(3):
        across, along = strides[(axis + 1) % 3], strides[(axis + 2) % 3]
        low, high = flat[cells], flat[np.minimum(cells + strides[axis], flat.size - 1)]
        crossed = ((low < 0) != (high < 0)) & (np.abs(low - high) < _STEEPEST)
        edge, inner = cells[crossed], low[crossed] < 0
        around = np.stack([edge, edge - across, edge - across - along, edge - along], -1)
        quads = np.where(around >= 0, vertex[np.maximum(around, 0)], -1)
        whole = quads.min(1) >= 0
        quads, inner = quads[whole], inner[whole]
        quads = np.where(inner[:, None], quads, quads[:, ::-1])
        across_1, across_2 = place[quads[:, 0]] - place[quads[:, 2]], place[quads[:, 1]] - place[quads[:, 3]]
        turned = np.einsum("ij,ij->i", across_1, across_1) > np.einsum("ij,ij->i", across_2, across_2)
        quads[turned] = np.roll(quads[turned], 1, axis=1)  # cut along the shorter diagonal
        out += [quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]
    return np.concatenate(out)


def _large_parts(faces: npt.NDArray[np.int32], vertices: int) -> npt.NDArray[np.int32]:
    """The faces of connected pieces that are no specks."""
    start, end = faces[:, [0, 1]].ravel(), faces[:, [1, 2]].ravel()
    graph = sparse.coo_matrix((np.ones(len(start), np.bool_), (start, end)), shape=(vertices, vertices))
    _, part = csgraph.connected_components(graph, directed=False)
    of_face = part[faces[:, 0]]
    return faces[np.bincount(of_face)[of_face] >= _MIN_PART]
