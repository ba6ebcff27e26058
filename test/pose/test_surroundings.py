"""Where a surface goes on around a mask, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from storm_ros.core.types import Camera, RgbdFrame
from storm_ros.pose.surroundings import surface_goes_on

CAMERA = Camera(120, 100, 200.0, 200.0, 59.5, 49.5)
RADIUS_M = 0.1


def frame(depth_m: np.ndarray) -> RgbdFrame:
    return RgbdFrame(np.zeros((100, 120, 3), np.uint8), depth_m.astype(np.float32), CAMERA)


def box() -> np.ndarray:
    mask = np.zeros((100, 120), bool)
    mask[30:70, 40:80] = True
    return mask


def test_a_patch_of_a_wall_goes_on_all_around() -> None:
    assert surface_goes_on(frame(np.full((100, 120), 1.0)), box(), RADIUS_M) == 1.0


def test_a_box_before_a_wall_goes_on_nowhere() -> None:
    assert surface_goes_on(frame(np.where(box(), 1.0, 1.5)), box(), RADIUS_M) == 0.0


def test_a_box_on_a_table_goes_on_at_its_foot() -> None:
    depth = np.where(box(), 1.0, 1.5)
    depth[70:] = 1.0
    assert surface_goes_on(frame(depth), box(), RADIUS_M) == pytest.approx(0.25, abs=0.08)


def test_a_slanted_wall_goes_on_as_well() -> None:
    slant = np.tile(np.linspace(0.9, 1.1, 120), (100, 1))
    assert surface_goes_on(frame(slant), box(), RADIUS_M) > 0.9


@pytest.mark.parametrize("mask", [np.zeros((100, 120), bool), np.ones((100, 120), bool)])
def test_unknown_without_mask_or_surroundings(mask: np.ndarray) -> None:
    assert np.isnan(surface_goes_on(frame(np.full((100, 120), 1.0)), mask, RADIUS_M))


def test_unknown_without_depth() -> None:
    assert np.isnan(surface_goes_on(frame(np.zeros((100, 120))), box(), RADIUS_M))
    assert np.isnan(surface_goes_on(frame(np.where(box(), 1.0, 0.0)), box(), RADIUS_M))
