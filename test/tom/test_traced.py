"""A trace of the network says what the network says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing: pip install storm_ros[learned]")

from storm_ros.tom.network import Stored  # noqa: E402
from storm_ros.tom.traced import TracedTom  # noqa: E402


def both(network: Any, traced: TracedTom, views: int) -> tuple[float, float]:
    """Logits of the network and of its trace, of the same crop before the same views."""
    g = torch.Generator().manual_seed(views)
    planes, places = torch.randn(1, 7, 64, 64, generator=g), torch.rand(1, 8, 64, 64, generator=g)
    lie, figures = np.linspace(0.1, 0.9, 3 * views, dtype=np.float32).reshape(views, 3), np.full(8, 0.7, np.float32)
    with torch.inference_mode():
        tokens = network.tokens(network.encode(planes), places)
        stored = Stored(*(part[:, None].repeat_interleave(views, dim=1) for part in network.store(tokens)))
        asked, there = network.asked(stored), torch.ones(1, views, dtype=torch.bool)
        ours = network.decide(tokens, asked, torch.from_numpy(lie)[None], there, torch.from_numpy(figures)[None])
        return float(ours[0]), traced.logit(traced.tokens(planes, places), asked, lie, figures)


def test_it_says_the_same_for_any_number_of_views(network: Any) -> None:
    traced = TracedTom(network)
    pairs = np.array([both(network, traced, views) for views in (1, 2, 5, 7)])
    assert np.allclose(pairs[:, 0], pairs[:, 1], atol=1e-5)
    assert np.ptp(pairs[:, 0]) > 1e-4


def test_it_follows_the_weights(network: Any) -> None:
    traced = TracedTom(network)
    before, _ = both(network, traced, 2)
    with torch.no_grad():
        network.to_tokens.weight *= 2.0
        network.judge[-1].bias += 3.0
    after, told = both(network, traced, 2)
    assert abs(after - before) > 1.0
    assert told == pytest.approx(after, abs=1e-5)
