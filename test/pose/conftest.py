"""A textured box before a plane, rendered exactly: the truth the estimator is held against."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.core.types import Camera, Mesh, RgbdFrame
from storm_ros.render import RayCaster

CAMERA = Camera(320, 240, 300.0, 300.0, 159.5, 119.5)
SIZE = np.array([0.10, 0.14, 0.06])


def textured_box() -> Mesh:
    """A box of 10 x 14 x 6 cm with a different smooth random picture on each side."""
    rng = np.random.default_rng(3)
    vertices, faces, uv = [], [], []
    texture = np.zeros((128, 6 * 128, 3), np.uint8)
    for side in range(6):
        axis, sign = side // 2, 1.0 if side % 2 else -1.0
        u_axis, v_axis = (axis + 1) % 3, (axis + 2) % 3
        corners = np.zeros((4, 3))
        corners[:, axis] = sign * SIZE[axis] / 2
        corners[:, u_axis] = np.array([-1, 1, 1, -1]) * SIZE[u_axis] / 2
        corners[:, v_axis] = np.array([-1, -1, 1, 1]) * SIZE[v_axis] / 2
        order = [[0, 1, 2], [0, 2, 3]] if sign > 0 else [[0, 2, 1], [0, 3, 2]]
        faces.extend((np.array(order) + 4 * side).tolist())
        vertices.append(corners)
        left = (side + np.array([0.02, 0.98, 0.98, 0.02])) / 6
        uv.append(np.stack([left, [0.02, 0.02, 0.98, 0.98]], 1))
        noise = rng.integers(0, 255, (9, 9, 3)).astype(np.uint8)
        texture[:, 128 * side : 128 * (side + 1)] = cv2.resize(noise, (128, 128), interpolation=cv2.INTER_CUBIC)
    return Mesh(np.concatenate(vertices), np.array(faces), uv=np.concatenate(uv), texture=texture, name="box")


@pytest.fixture(scope="session")
def box() -> Mesh:
    return textured_box()


@pytest.fixture(scope="session")
def shoot(raycaster: RayCaster, box: Mesh) -> Callable[..., tuple[RgbdFrame, np.ndarray]]:
    """A camera: called with cam_T_obj, it gives the frame and the box's visible mask."""
    on_device = raycaster.upload(box)
    wall = Mesh(np.array([[-3, -3, 0], [3, -3, 0], [3, 3, 0], [-3, 3, 0]]), np.array([[0, 1, 2], [0, 2, 3]]))
    wall_on_device = raycaster.upload(wall)

    def take(
        cam_T_obj: np.ndarray, *, noise_m: float = 0.0, seed: int = 0, index: int = 0, empty: bool = False
    ) -> tuple[RgbdFrame, np.ndarray]:
        rng = np.random.default_rng(seed)
        behind = se3.transform(np.eye(3), [0, 0, 1.1])
        instances = [(wall_on_device, behind)] if empty else [(on_device, cam_T_obj), (wall_on_device, behind)]
        out = raycaster.render_scene(instances, CAMERA)
        depth = out.depth_m + noise_m * rng.normal(size=out.depth_m.shape).astype(np.float32) * out.depth_m**2
        grain = rng.normal(0, 2, out.rgb.shape)
        rgb = np.clip(out.rgb + (grain if noise_m else 0), 0, 255).astype(np.uint8)
        mask = (out.instance == 0) & (not empty)
        return RgbdFrame(rgb, depth, CAMERA, int(index / 30 * 1e9), index), mask

    return take
