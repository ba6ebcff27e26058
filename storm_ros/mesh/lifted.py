"""A surface lifted from the depth of one view: metric, coloured, open at the back."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from storm_ros.core import se3
from storm_ros.core.config import MeshConfig
from storm_ros.core.errors import InputError
from storm_ros.core.types import Mask, Mesh, Pose, RgbdFrame
from storm_ros.mesh.support import check_mask, object_depth


class LiftedMeshBuilder:
    """Triangulates the pixel grid of the masked depth."""

    def __init__(self, config: MeshConfig | None = None) -> None:
        self.config = config or MeshConfig()

    def build(self, frame: RgbdFrame, mask: Mask) -> tuple[Mesh, Pose]:
        """Build the visible surface of the masked object.

        Args:
            frame: the reference image.
            mask: (H, W) bool; it may be a few pixels too large, depth off the object is left out.

        Returns:
            The mesh in the object's frame (origin at the centre of its bounding box, axes parallel to the camera's,
            `open_surface`) and cam_T_obj (4, 4) in this frame.

        Raises:
            InputError: mask of another size, with fewer than 64 pixels, or nothing left to triangulate.
            NoDepthError: fewer than 64 valid depth pixels under the mask.
        """
        mask = check_mask(frame, mask)
        step = self.config.stride
        depth, (rows, columns) = object_depth(frame, mask, self.config)
        camera = frame.camera
        x = (np.arange(columns.start, columns.stop, dtype=np.float32) - np.float32(camera.cx)) / np.float32(camera.fx)
        y = (np.arange(rows.start, rows.stop, dtype=np.float32) - np.float32(camera.cy)) / np.float32(camera.fy)
        depth, x, y = depth[::step, ::step], x[::step], y[::step]
        points = np.stack([x[None, :] * depth, y[:, None] * depth, depth], -1, dtype=np.float32)
        faces = grid_triangles(points, self.config)
        if not len(faces):
            raise InputError(
                f"no surface is left of the {int((depth > 0).sum())} depth points under the mask: give a larger mask, "
                f"or lower mesh.stride ({step}) or raise mesh.max_jump ({self.config.max_jump:g})"
            )
        used = np.zeros(depth.size, dtype=bool)
        used[faces] = True
        number = np.cumsum(used, dtype=np.int32) - 1
        vertices = points.reshape(-1, 3)[used].astype(np.float64)
        center = (vertices.min(0) + vertices.max(0)) / 2.0
        mesh = Mesh(
            vertices=(vertices - center).astype(np.float32),
            faces=number[faces],
            colors=frame.rgb[rows, columns][::step, ::step].reshape(-1, 3)[used],
            open_surface=True,
            name="lifted",
        )
        return mesh, se3.transform(np.eye(3), center)


def grid_triangles(points: npt.NDArray[np.float32], config: MeshConfig) -> npt.NDArray[np.int64]:
    """Triangulate a grid of points seen by the camera.

    Args:
        points: (h, w, 3) in the camera's frame, metres; z = 0 where there is none.
        config: faces over a depth step beyond `max_jump` or seen at more than `max_grazing_deg` are left out.

    Returns:
        (F, 3) indices into the flat grid, counter-clockwise seen from the camera.
    """
    z = np.ascontiguousarray(points[..., 2]).ravel()
    index = np.arange(z.size).reshape(points.shape[:2])
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]  # a b / c d
    has_a, has_b, has_c, has_d = (z[corner] > 0 for corner in (a, b, c, d))
    bc = np.abs(z[b] - z[c]) <= np.abs(z[a] - z[d])  # the diagonal along which the surface is flatter
    bc = (bc | ~(has_a & has_d)) & has_b & has_c
    triangles = (
        (bc & has_a, (a, c, b)),
        (bc & has_d, (b, c, d)),
        (~bc & has_a & has_c & has_d, (a, c, d)),
        (~bc & has_a & has_b & has_d, (a, d, b)),
    )
    faces = np.concatenate([np.stack([corner[use] for corner in triple], -1) for use, triple in triangles])
    p0, p1, p2 = (points.reshape(-1, 3)[faces[:, i]] for i in range(3))
    nearest = np.minimum(np.minimum(p0[:, 2], p1[:, 2]), p2[:, 2])
    farthest = np.maximum(np.maximum(p0[:, 2], p1[:, 2]), p2[:, 2])
    normal, ray = _cross(p1 - p0, p2 - p0), p0 + p1 + p2
    towards = -np.einsum("ij,ij->i", normal, ray)
    lengths = np.einsum("ij,ij->i", normal, normal) * np.einsum("ij,ij->i", ray, ray)
    steep = towards < math.cos(math.radians(config.max_grazing_deg)) * np.sqrt(lengths)
    return faces[~steep & (lengths > 0) & (farthest - nearest <= config.max_jump * nearest)]


def _cross(u: npt.NDArray[np.float32], v: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    (ux, uy, uz), (vx, vy, vz) = u.T, v.T
    return np.stack([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx], -1)
