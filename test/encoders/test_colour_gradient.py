"""The fixed encoder."""

from __future__ import annotations

import numpy as np

from storm_ros.core.protocols import Encoder
from storm_ros.encoders import ColourGradientEncoder


def flat(r: int, g: int, b: int) -> np.ndarray:
    return np.full((32, 48, 3), (r, g, b), np.uint8)


def test_unit_length_on_a_grid() -> None:
    encoder = ColourGradientEncoder(stride=4)
    assert isinstance(encoder, Encoder)
    image = np.random.default_rng(0).integers(0, 255, (34, 50, 3)).astype(np.uint8)
    out = encoder.encode(image)
    assert out.shape[:2] == (8, 12)
    assert out.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(out, axis=2), 1.0, atol=1e-5)


def test_other_colours_are_far_and_other_light_is_near() -> None:
    encoder = ColourGradientEncoder()
    red, darker, green, grey = (
        encoder.encode(image)[4, 4]
        for image in (flat(200, 30, 30), flat(170, 26, 26), flat(30, 180, 30), flat(120, 120, 120))
    )
    assert red @ darker > 0.9
    assert red @ green < 0.75
    assert red @ darker > red @ grey + 0.1


def test_edges_of_another_direction_differ() -> None:
    encoder = ColourGradientEncoder(stride=8)
    stripes = np.tile(np.repeat(np.array([30, 220], np.uint8), 4), (48, 6))
    across, down = np.repeat(stripes[..., None], 3, 2), np.repeat(stripes.T[..., None], 3, 2)
    a, b = encoder.encode(across)[3, 3], encoder.encode(down)[3, 3]
    assert a @ encoder.encode(across)[2, 3] > a @ b + 0.15
