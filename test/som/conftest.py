"""A small network, a frame with a textured square, and its reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from storm_ros.core.types import Camera, Mesh, Reference, RgbdFrame, View
from storm_ros.encoders.nano_input import NanoConfig
from storm_ros.som.sizes import SomConfig

SMALL = SomConfig(
    encoder=NanoConfig(stem=4, fine=8, middle=16, colour=8, coarse=16),
    channels=16, heads=2, blocks=2, mask_channels=8, reference_px=32, text=6,
)  # fmt: skip


@pytest.fixture
def network() -> Any:
    torch = pytest.importorskip("torch", reason="PyTorch is missing: pip install storm_ros[learned]")
    from storm_ros.som.network import SomNetwork

    torch.manual_seed(0)
    return SomNetwork(SMALL).eval()


def make_square_frame(seed: int = 0, *, depth: bool = True) -> tuple[RgbdFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    rgb = np.full((120, 160, 3), 120, np.uint8)
    mask = np.zeros((120, 160), bool)
    mask[40:80, 60:100] = True
    rgb[mask] = rng.integers(0, 256, (int(mask.sum()), 3))
    metres = np.where(mask, np.float32(0.75), np.float32(0.8)) * np.float32(depth)
    return RgbdFrame(rgb, metres, Camera(160, 120, 150.0, 150.0, 79.5, 59.5)), mask


def make_reference(views: int = 1) -> Reference:
    frame, mask = make_square_frame()
    pose = np.eye(4)
    pose[2, 3] = 0.75
    vertices = np.array([[-0.1, -0.1, 0], [0.1, -0.1, 0], [0.1, 0.1, 0], [-0.1, 0.1, 0]], np.float32)
    mesh = Mesh(vertices, np.array([[0, 1, 2], [0, 2, 3]], np.int32))
    return Reference("square", tuple(View(frame, mask, pose) for _ in range(views)), mesh)


@pytest.fixture
def square_frame() -> Callable[..., tuple[RgbdFrame, np.ndarray]]:
    """Makes a frame with a textured square on a grey table, and its mask."""
    return make_square_frame


@pytest.fixture
def a_reference() -> Callable[..., Reference]:
    """Makes a reference of that square with some views."""
    return make_reference
