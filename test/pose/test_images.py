"""What counts as print, and what is only shading."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from storm_ros.pose.images import texture

MASK = cv2.circle(np.zeros((120, 160), np.uint8), (80, 60), 45, 1, -1) > 0


def shaded(grey: int = 200) -> np.ndarray:
    """A white cylinder lit from one side."""
    light = np.cos(np.linspace(-1.2, 0.8, 160)) ** 2
    return np.repeat((grey * np.tile(light, (120, 1)))[..., None], 3, 2).astype(np.uint8)


def test_shading_is_no_texture() -> None:
    assert texture(shaded(), MASK) < 0.1
    noisy = shaded() + np.random.default_rng(0).normal(0, 3, (120, 160, 3))
    assert texture(noisy.clip(0, 255).astype(np.uint8), MASK) < 0.2


def test_print_and_paint_are() -> None:
    printed = shaded()
    for row in range(20, 100, 10):
        printed[row : row + 4] //= 4
    assert texture(printed, MASK) > 0.8
    painted = shaded()
    painted[60:] = painted[60:] * np.array([1.0, 0.3, 0.2])
    assert texture(painted, MASK) > 0.8


@pytest.mark.parametrize(
    "mask", [np.zeros((120, 160), bool), cv2.circle(np.zeros((120, 160), np.uint8), (9, 9), 3, 1, -1) > 0]
)
def test_too_few_pixels_say_nothing(mask: np.ndarray) -> None:
    assert texture(shaded(), mask) == 0.0
