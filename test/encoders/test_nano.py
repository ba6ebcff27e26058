"""The nano encoder: sizes, and the contract of an encoder."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing: pip install storm_ros[learned]")

from storm_ros.core.protocols import Encoder  # noqa: E402
from storm_ros.encoders.nano import NanoEncoder, NanoFeatures  # noqa: E402

RGB = np.random.default_rng(0).integers(0, 256, (72, 100, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def encoder() -> NanoEncoder:
    torch.manual_seed(0)
    return NanoEncoder()


def test_it_is_small(encoder: NanoEncoder) -> None:
    assert sum(p.numel() for p in encoder.parameters()) <= 6_000_000


def test_strides(encoder: NanoEncoder) -> None:
    features = encoder(torch.zeros(2, 7, 64, 96))
    assert features.fine.shape == (2, encoder.config.fine, 16, 24)
    assert features.middle.shape == (2, encoder.channels, 8, 12)


def test_it_is_an_encoder(encoder: NanoEncoder) -> None:
    features = NanoFeatures(encoder)
    assert isinstance(features, Encoder)
    out = features.encode(RGB)
    assert out.shape == (9, 12, encoder.channels)
    assert np.linalg.norm(out, axis=2) == pytest.approx(1.0, abs=1e-4)


def test_colours_alike_give_features_alike_before_any_training(encoder: NanoEncoder) -> None:
    def seen(colour: tuple[int, int, int]) -> np.ndarray:
        image = np.tile(np.uint8(colour), (32, 32, 1))
        planes = torch.from_numpy((image.astype(np.float32) - 127.5) / 127.5).permute(2, 0, 1)
        middle = encoder(torch.cat([planes, torch.zeros(4, 32, 32)])[None]).middle
        return middle[0, encoder.config.middle :, 2, 2].detach().numpy()

    red, dark_red, green = seen((220, 30, 30)), seen((190, 30, 30)), seen((30, 200, 40))
    assert np.linalg.norm(red - dark_red) < 0.5 * np.linalg.norm(red - green)
