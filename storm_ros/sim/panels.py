"""Flat textured panels: tables, walls and sheets drawn exactly and quickly, without a search tree.

A ray meets a panel at (a, b) along its two edges; both, and the inverse depth, are linear in the pixel up to a
common divisor, so that a panel costs a few multiplications a pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import warp as wp

from storm_ros.core import se3
from storm_ros.core.errors import InputError
from storm_ros.core.types import Camera, Pose
from storm_ros.render.device import resolve_device
from storm_ros.sim.kernels import RUN_PX, nearest_panel, panel_surface
from storm_ros.sim.primitives import BOX_FACES, box_face_axes
from storm_ros.sim.textures import Image

Floats = npt.NDArray[np.floating]
Drawn = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.uint8]]

_MAX_ROWS = 32_000


@dataclass(frozen=True, eq=False)
class Panel:
    """A textured parallelogram in world coordinates, visible from the side that `right x up` points to.

    Attributes:
        corner: (3,) metres, where the texture's bottom left lies.
        right: (3,) edge along the texture's rows.
        up: (3,) edge along its columns.
        texture: (h, w, 3) uint8 RGB.
    """

    corner: npt.NDArray[np.float64]
    right: npt.NDArray[np.float64]
    up: npt.NDArray[np.float64]
    texture: Image


def box_panels(
    world_T_box: Pose, size: npt.ArrayLike, textures: Sequence[Image], *, inside: bool = False
) -> list[Panel]:
    """The six faces of a box, in the order of `primitives.BOX_FACES`.

    Args:
        world_T_box: (4, 4), of its centre.
        size: (3,) edge lengths in metres.
        textures: one for all faces, or one for each.
        inside: faces to be seen from inside, as of a room.
    """
    half = np.asarray(size, dtype=np.float64) / 2
    images = list(textures) * 6 if len(textures) == 1 else list(textures)
    if len(images) != 6:
        raise InputError(f"{len(textures)} textures for a box: one, or one for each of its six faces, is needed")
    panels = []
    for (axis, sign), image in zip(BOX_FACES, images, strict=True):
        middle, right, up = np.zeros(3), np.zeros(3), np.zeros(3)
        middle[axis] = sign * half[axis]
        for edge, signed in zip((right, up), box_face_axes(axis, sign), strict=True):
            edge[abs(signed) - 1] = np.sign(signed) * half[abs(signed) - 1]
        turn = world_T_box[:3, :3]
        right = -right if inside else right
        corner = se3.apply(world_T_box, (middle - right - up)[None])[0]
        panels.append(Panel(corner, 2 * turn @ right, 2 * turn @ up, image))
    return panels


class PanelRenderer:
    """Draws panels; keeps their textures on the device."""

    def __init__(self, panels: Sequence[Panel], device: str = "cpu") -> None:
        """Stack the panels' textures into one.

        Raises:
            InputError: no panels, or a stack higher than OpenCV can remap.
        """
        self.panels = tuple(panels)
        self._device = resolve_device(device)
        images = list({id(p.texture): p.texture for p in panels}.values())
        rows = sum(image.shape[0] for image in images)
        if not images or rows > _MAX_ROWS:
            raise InputError(f"{len(panels)} panels with {rows} texture rows: 1 or more with up to {_MAX_ROWS} needed")
        self._stack = np.zeros((rows, max(image.shape[1] for image in images), 3), np.uint8)
        first, row = {}, 0
        for image in images:
            self._stack[row : row + image.shape[0], : image.shape[1]] = image
            first[id(image)] = row
            row += image.shape[0]
        self._spans = np.array(
            [[0.0, p.texture.shape[1] - 1.0, first[id(p.texture)], p.texture.shape[0] - 1.0] for p in panels]
        )
        self._corners = np.array([p.corner for p in panels], dtype=np.float64)
        self._right = np.array([p.right for p in panels], dtype=np.float64)
        self._up = np.array([p.up for p in panels], dtype=np.float64)

    def render(self, camera: Camera, world_T_cam: Pose) -> Drawn:
        """Draw all panels.

        Args:
            camera: intrinsics.
            world_T_cam: (4, 4).

        Returns:
            Depth (H, W) in metres (0 where there is none), normals (H, W, 3) in the camera frame that face the
            camera, and colour (H, W, 3) uint8 without shading.
        """
        cam_T_world = se3.inverse(world_T_cam)
        origin = se3.apply(cam_T_world, self._corners)
        right, up = (edges @ cam_T_world[:3, :3].T for edges in (self._right, self._up))
        normal = np.cross(right, up)
        depths = np.stack([origin, origin + right, origin + up, origin + right + up])[..., 2]
        seen = ((normal * origin).sum(1) < -1e-9) & (depths.max(0) > 0)  # from the front, and not behind the camera
        frames = np.stack([right, up, origin], axis=2)[seen]
        facing = normal[seen] / np.linalg.norm(normal[seen], axis=1, keepdims=True)
        maps = np.linalg.inv(frames) @ np.linalg.inv(camera.k)
        return self._draw((camera.height, camera.width), maps, facing, self._spans[seen])

    def _draw(self, shape: tuple[int, int], maps: Floats, facing: Floats, spans: Floats) -> Drawn:
        if not len(maps):
            return np.zeros(shape, np.float32), np.zeros((*shape, 3), np.float32), np.zeros((*shape, 3), np.uint8)
        device = self._device
        on_device = wp.array(maps.astype(np.float32), dtype=wp.mat33, device=device)
        nearness = wp.zeros(shape, dtype=float, device=device)
        owner = wp.full(shape, -1, dtype=int, device=device)
        wp.launch(nearest_panel, dim=shape[0], inputs=[on_device, shape[1]], outputs=[nearness, owner], device=device)
        depth, column, line = (wp.zeros(shape, dtype=float, device=device) for _ in range(3))
        normals = wp.zeros(shape, dtype=wp.vec3, device=device)
        wp.launch(
            panel_surface,
            dim=(shape[0], -(-shape[1] // RUN_PX)),
            inputs=[
                on_device,
                wp.array(facing.astype(np.float32), dtype=wp.vec3, device=device),
                wp.array(spans.astype(np.float32), dtype=wp.vec4, device=device),
                owner,
                nearness,
            ],
            outputs=[depth, normals, column, line],
            device=device,
        )
        rgb = np.asarray(cv2.remap(self._stack, column.numpy(), line.numpy(), cv2.INTER_LINEAR), dtype=np.uint8)
        depth_m = np.asarray(depth.numpy(), dtype=np.float32)
        missed = depth_m <= 0
        if missed.any():
            rgb[missed] = 0
        return depth_m, np.asarray(normals.numpy(), dtype=np.float32), rgb
