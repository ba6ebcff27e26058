"""Facts about the verifying network that hold for any weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing: pip install storm_ros[learned]")

from storm_ros.core.errors import ConfigError, InputError  # noqa: E402
from storm_ros.tom.network import Tokens, TomNetwork, squared_form  # noqa: E402
from storm_ros.tom.sizes import TomConfig  # noqa: E402


def crops(count: int, seed: int = 0) -> tuple[Any, Any]:
    g = torch.Generator().manual_seed(seed)
    places = torch.rand(count, 8, 64, 64, generator=g)
    places[:, 4] = (places[:, 4] > 0.2).float()
    return torch.randn(count, 7, 64, 64, generator=g), places


def logits(network: TomNetwork, views: list[int], usable: list[bool] | None = None, figures: Any = None) -> Any:
    planes, places = crops(6)
    with torch.inference_mode():
        tokens = network.tokens(network.encode(planes), places)
        now = Tokens(*(part[:1] for part in tokens))
        memory = network.asked(network.store(tokens).at(torch.tensor([views])))
        lie = torch.linspace(0.1, 0.9, 6)[torch.tensor(views)][None, :, None].expand(1, -1, 3).contiguous()
        known = torch.tensor([usable or [True] * len(views)])
        return network.decide(now, memory, lie, known, torch.zeros(1, 8) if figures is None else figures)


def test_the_order_of_the_views_after_the_reference_does_not_matter(network: TomNetwork) -> None:
    assert torch.allclose(logits(network, [1, 2, 3, 4]), logits(network, [1, 4, 2, 3]), atol=1e-5)


def test_views_that_are_not_there_do_not_count(network: TomNetwork) -> None:
    with_rest = logits(network, [1, 2, 5, 4], [True, True, False, False])
    assert torch.allclose(with_rest, logits(network, [1, 2]), atol=1e-5)


def test_what_is_in_the_memory_counts(network: TomNetwork) -> None:
    assert not torch.allclose(logits(network, [1, 2]), logits(network, [1, 3]), atol=1e-5)


def test_withheld_figures_are_not_read(network: TomNetwork) -> None:
    withheld = torch.full((1, 8), torch.nan)
    assert torch.isfinite(logits(network, [1, 2], figures=withheld)).all()
    without = TomNetwork(TomConfig(**{**_fields(network.config), "evidence": False})).eval()
    without.load_state_dict(network.state_dict())
    high = torch.full((1, 8), 3.0)
    assert torch.allclose(logits(without, [1, 2], figures=high), logits(network, [1, 2], figures=withheld), atol=1e-6)
    assert not torch.allclose(logits(network, [1, 2], figures=high), logits(network, [1, 2]), atol=1e-6)


def test_without_geometry_places_do_not_matter(network: TomNetwork) -> None:
    blind = TomNetwork(TomConfig(**{**_fields(network.config), "geometry": False})).eval()
    blind.load_state_dict(network.state_dict())
    planes, places = crops(2)
    moved = places.clone()
    moved[:, 1:4] += 0.7
    with torch.inference_mode():
        for net, same in ((blind, True), (network, False)):
            out = []
            for given in (places, moved):
                tokens = net.tokens(net.encode(planes), given)
                memory = net.asked(net.store(tokens).at(torch.tensor([[1]])))
                first = Tokens(*(part[:1] for part in tokens))
                out.append(
                    net.decide(
                        first, memory, torch.ones(1, 1, 3), torch.ones(1, 1, dtype=torch.bool), torch.zeros(1, 8)
                    )
                )
            assert torch.allclose(out[0], out[1], atol=1e-6) == same


def test_without_colours_they_do_not_matter(network: TomNetwork) -> None:
    blind = TomNetwork(TomConfig(**{**_fields(network.config), "colours": False})).eval()
    blind.load_state_dict(network.state_dict())
    planes, places = crops(2)
    faded = places.clone()
    faded[:1, 5:] += 0.5
    with torch.inference_mode():
        for net, same in ((blind, True), (network, False)):
            out = []
            for given in (places, faded):
                tokens = net.tokens(net.encode(planes), given)
                asked = net.asked(net.store(tokens).at(torch.tensor([[1]])))
                lie, there = torch.ones(1, 1, 3), torch.ones(1, 1, dtype=torch.bool)
                out.append(net.decide(Tokens(*(p[:1] for p in tokens)), asked, lie, there, torch.zeros(1, 8)))
            assert torch.allclose(out[0], out[1], atol=1e-6) == same


def test_asking_is_attention_written_out(network: TomNetwork) -> None:
    """Head by head, token by token, against the joint form that is used."""
    planes, places = crops(3)
    block: Any = network.blocks[0]
    with torch.inference_mode():
        block.nearness += 0.3
        tokens = network.tokens(network.encode(planes), places)
        now, others = (Tokens(*(part[at] for part in tokens)) for at in (slice(0, 1), slice(1, 3)))
        stored = network.store(tokens).at(torch.tensor([[1, 2]]))
        asked = network.asked(stored)
        bias = asked.shown[:, 0][:, :, None]
        _, numbers = block(now, asked.keys[:, 0], asked.given[:, 0], bias)
        heads, width = block.heads, network.config.channels // block.heads
        unit = torch.nn.functional.normalize
        queries = block.qv(block.norm(now.features))[0, :, : network.config.channels]
        keys = block.kv(block.memory_norm(others.features))[..., : network.config.channels].flatten(0, 1)
        apart = now.near[0] @ others.there.flatten(0, 1).T
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            none = unit(block.none_key[part], dim=0)
            q = unit(queries[:, part], dim=1)
            alike = q @ torch.cat([unit(keys[:, part], dim=1), none[None]]).T
            far = torch.nn.functional.pad(apart, (0, 1))
            score = alike * block.sharpness[head].exp() - 4 * torch.nn.functional.softplus(block.nearness[head]) * far
            shown = torch.log(others.share.flatten() + 0.02) * block.shown[head]
            weight = torch.softmax(score + torch.nn.functional.pad(shown, (0, 1)), dim=1)
            assert torch.allclose(numbers[0, :, head], (weight * alike).sum(1), atol=1e-4)
            assert torch.allclose(numbers[0, :, heads + head], (weight * far).sum(1), atol=1e-4)
            assert torch.allclose(numbers[0, :, 2 * heads + head], weight[:, -1], atol=1e-5)
            theirs = weight[:, :-1] @ others.colour.flatten(0, 1)
            faded = now.colour[0] * (1 - weight[:, -1:]) - theirs
            numbers[0, :, 3 * heads :] -= faded / heads
        assert torch.allclose(numbers[0, :, 3 * heads :], torch.zeros(64, 3), atol=1e-4)


def test_the_bilinear_form_is_the_squared_distance() -> None:
    g = torch.Generator().manual_seed(1)
    a, b = torch.randn(2, 5, 3, generator=g), torch.randn(2, 7, 3, generator=g)
    known_a, known_b = torch.rand(2, 5, generator=g), torch.rand(2, 7, generator=g)
    asked, offered = squared_form(a, known_a)
    ours = asked @ squared_form(b, known_b)[1].transpose(1, 2)
    theirs = torch.cdist(a, b) ** 2 * known_a[:, :, None] * known_b[:, None]
    assert offered.shape == (2, 5, 5)
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_sizes_that_do_not_fit_are_refused(network: TomNetwork) -> None:
    with pytest.raises(InputError, match="64 x 64 pixels are needed"):
        network.encode(torch.zeros(1, 7, 32, 32))
    with pytest.raises(ConfigError, match="multiple"):
        TomNetwork(TomConfig(channels=30, heads=4))


def test_it_learns_to_tell_same_from_other() -> None:
    torch.manual_seed(1)
    from storm_ros.encoders.nano_input import NanoConfig

    small = NanoConfig(stem=4, fine=8, middle=16, colour=8, coarse=16)
    network = TomNetwork(TomConfig(encoder=small, channels=16, heads=2, blocks=1, places=8))
    _, places = crops(8)
    generator = torch.Generator().manual_seed(2)
    rough = torch.randn(8, 7, 4, 4, generator=generator)
    planes = torch.nn.functional.interpolate(rough, size=(64, 64), mode="bilinear")
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    now, memory = torch.arange(8).repeat(2), torch.cat([torch.arange(8), torch.arange(8).roll(1)])[:, None]
    right = torch.cat([torch.ones(8), torch.zeros(8)])
    losses = []
    for _ in range(60):
        tokens = network.tokens(network.encode(planes), places)
        lie, there = torch.ones(16, 1, 3), torch.ones(16, 1, dtype=torch.bool)
        asked = network.asked(network.store(tokens).at(memory))
        out = network.decide(tokens.at(now), asked, lie, there, torch.zeros(16, 8))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(out, right)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] > 0.5
    assert np.mean(losses[-5:]) < 0.25


def _fields(config: TomConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in config.__dataclass_fields__}
