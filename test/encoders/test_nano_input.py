"""What the nano encoder sees: independent of distance, and without depth where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from storm_ros.core.errors import InputError
from storm_ros.encoders.nano_input import CHANNELS, input_planes

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (48, 64, 3)).astype(np.uint8)


def bump() -> np.ndarray:
    y, x = np.mgrid[:48, :64]
    return (1.0 - 0.05 * np.exp(-((x - 30) ** 2 + (y - 20) ** 2) / 50.0)).astype(np.float32)


def test_colours_fill_minus_one_to_one() -> None:
    planes = input_planes(np.array([[[0, 255, 127]]], np.uint8), None, 1.0)
    assert planes.shape == (1, 1, CHANNELS)
    assert planes[0, 0, :3] == pytest.approx([-1, 1, -0.5 / 127.5], abs=1e-6)


def test_without_depth_nothing_but_colour() -> None:
    planes = input_planes(RGB, None, 500.0)
    assert not planes[..., 3:].any()
    assert np.array_equal(planes, input_planes(RGB, np.zeros((48, 64), np.float32), 500.0))


def test_relief_does_not_depend_on_the_scale_of_the_scene() -> None:
    near, far = input_planes(RGB, bump(), 500.0), input_planes(RGB, 2 * bump(), 500.0)
    assert near[..., 3:5] == pytest.approx(far[..., 3:5], abs=1e-5)
    assert far[..., 5] - near[..., 5] == pytest.approx(np.log(2.0), abs=1e-5)


def test_the_bump_stands_out_towards_the_camera() -> None:
    planes = input_planes(RGB, bump(), 500.0)
    assert planes[20, 30, 4] < -0.2
    assert abs(planes[45, 5, 4]) < 0.02


def test_holes_have_no_relief() -> None:
    depth = bump()
    depth[10:20, 10:20] = 0
    planes = input_planes(RGB, depth, 500.0)
    assert not planes[10:20, 10:20, 3:].any()
    assert np.isfinite(planes).all()


@pytest.mark.parametrize(
    ("rgb", "depth", "focal", "said"),
    [
        (RGB.astype(np.float32), None, 1.0, "uint8"),
        (RGB[..., :2], None, 1.0, r"\(H, W, 3\)"),
        (RGB, np.ones((10, 10), np.float32), 1.0, "equal"),
        (RGB, bump(), 0.0, "positive"),
    ],
)
def test_bad_input_is_named(rgb: np.ndarray, depth: np.ndarray | None, focal: float, said: str) -> None:
    with pytest.raises(InputError, match=said):
        input_planes(rgb, depth, focal)
