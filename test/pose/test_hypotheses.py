"""Viewpoints."""

from __future__ import annotations

import numpy as np
import pytest

from storm_ros.pose import hypotheses


@pytest.mark.parametrize(("asked", "given"), [(12, 12), (13, 42), (42, 42), (100, 162), (642, 642)])
def test_icosphere_has_evenly_spread_unit_vectors(asked: int, given: int) -> None:
    points = hypotheses.icosphere_directions(asked)
    assert len(points) == given
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1.0)
    gaps = np.arccos(np.clip(points @ points.T, -1, 1)) + 9 * np.eye(given)
    assert gaps.min(1).max() < 1.3 * gaps.min()  # nobody is much lonelier than another
    np.testing.assert_allclose(points.mean(0), 0, atol=1e-12)


def test_cameras_look_at_the_centre() -> None:
    directions = hypotheses.icosphere_directions(42)
    for direction, rotation in zip(directions, hypotheses.view_rotations(directions), strict=True):
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1.0)
        np.testing.assert_allclose(rotation @ direction, [0, 0, -1], atol=1e-12)


def test_turns_are_about_the_optical_axis() -> None:
    views = hypotheses.view_rotations(hypotheses.icosphere_directions(12))
    turned = hypotheses.turned(views, 4)
    assert turned.shape == (12, 4, 3, 3)
    np.testing.assert_allclose(turned[:, 0], views, atol=1e-12)
    np.testing.assert_allclose(turned[:, 1, 2], views[:, 2], atol=1e-12)  # the axis stays
    np.testing.assert_allclose(turned[:, 2, :2], -views[:, :2], atol=1e-12)  # half a turn


def test_towards_carries_the_axis_onto_the_ray() -> None:
    for ray in ([0.3, -0.2, 1.0], [0.0, 0.0, 2.0], [0.0, 1.0, 0.1]):
        unit = np.array(ray) / np.linalg.norm(ray)
        np.testing.assert_allclose(hypotheses.towards(np.array(ray)) @ [0, 0, 1], unit, atol=1e-12)
