"""Two boxes before a wall, rendered; and a small verifying network."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.core.types import Camera, Mesh, Reference, RgbdFrame, View
from storm_ros.encoders.nano_input import NanoConfig
from storm_ros.render import RayCaster
from storm_ros.tom.sizes import TomConfig

CAMERA = Camera(320, 240, 300.0, 300.0, 159.5, 119.5)
SMALL = TomConfig(
    encoder=NanoConfig(stem=4, fine=8, middle=16, colour=8, coarse=16),
    channels=16,
    heads=2,
    blocks=2,
    places=8,
    asked=2,
)


def painted_box(size: tuple[float, float, float], seed: int) -> Mesh:
    """A box with a random smooth picture on each of its sides."""
    rng = np.random.default_rng(seed)
    vertices, faces, uv = [], [], []
    base = rng.integers(30, 220, 3)
    texture = np.zeros((64, 6 * 64, 3), np.uint8)
    for side in range(6):
        axis, sign = side // 2, 1.0 if side % 2 else -1.0
        corners = np.zeros((4, 3))
        corners[:, axis] = sign * size[axis] / 2
        corners[:, (axis + 1) % 3] = np.array([-1, 1, 1, -1]) * size[(axis + 1) % 3] / 2
        corners[:, (axis + 2) % 3] = np.array([-1, -1, 1, 1]) * size[(axis + 2) % 3] / 2
        order = [[0, 1, 2], [0, 2, 3]] if sign > 0 else [[0, 2, 1], [0, 3, 2]]
        faces.extend((np.array(order) + 4 * side).tolist())
        vertices.append(corners)
        uv.append(np.stack([(side + np.array([0.02, 0.98, 0.98, 0.02])) / 6, [0.02, 0.02, 0.98, 0.98]], 1))
        noise = np.clip(base + rng.integers(-70, 70, (5, 5, 3)), 0, 255).astype(np.uint8)
        texture[:, 64 * side : 64 * (side + 1)] = cv2.resize(noise, (64, 64), interpolation=cv2.INTER_CUBIC)
    return Mesh(np.concatenate(vertices), np.array(faces), uv=np.concatenate(uv), texture=texture, name="box")


class Shot(NamedTuple):
    """A frame, the mask of the first box, and the poses of both."""

    frame: RgbdFrame
    mask: np.ndarray
    ours: np.ndarray
    theirs: np.ndarray


class Boxes:
    """Takes pictures of two boxes."""

    def __init__(self, caster: RayCaster) -> None:
        self.meshes = painted_box((0.10, 0.14, 0.06), 3), painted_box((0.13, 0.07, 0.09), 8)
        self._on_device = [caster.upload(mesh) for mesh in self.meshes]
        wall = Mesh(np.array([[-3, -3, 0], [3, -3, 0], [3, 3, 0], [-3, 3, 0]]), np.array([[0, 1, 2], [0, 2, 3]]))
        self._wall, self._caster = caster.upload(wall), caster

    def shoot(self, turn_deg: float = 0.0, x: float = -0.1) -> Shot:
        ours = se3.transform(se3.so3_exp([0.3, 0.4 + np.radians(turn_deg), 0.1]), [x, 0.0, 0.7])
        theirs = se3.transform(se3.so3_exp([0.2, -0.5, 0.0]), [x + 0.2, 0.02, 0.75])
        things = [(self._on_device[0], ours), (self._on_device[1], theirs)]
        out = self._caster.render_scene([*things, (self._wall, se3.transform(np.eye(3), [0, 0, 1.1]))], CAMERA)
        noise = np.random.default_rng(int(turn_deg) + 5).normal(0, 3, out.rgb.shape)
        rgb = np.clip(out.rgb + noise, 0, 255).astype(np.uint8)
        return Shot(RgbdFrame(rgb, out.depth_m, CAMERA), np.asarray(out.instance == 0), ours, theirs)

    def reference(self) -> Reference:
        shot = self.shoot()
        return Reference("box", (View(shot.frame, shot.mask, shot.ours),), self.meshes[0])


@pytest.fixture(scope="session")
def boxes(raycaster: RayCaster) -> Boxes:
    return Boxes(raycaster)


@pytest.fixture
def network() -> Any:
    torch = pytest.importorskip("torch", reason="PyTorch is missing: pip install storm_ros[learned]")
    from storm_ros.tom.network import TomNetwork

    torch.manual_seed(0)
    return TomNetwork(SMALL).eval()
