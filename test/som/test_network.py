"""The segmenting network: identity at the start, any number of views, gradients everywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing: pip install storm_ros[learned]")

from storm_ros.core.errors import ConfigError, InputError  # noqa: E402
from storm_ros.som.attention import ChannelGate, Conditioned, SelfAttention, Sharing  # noqa: E402
from storm_ros.som.network import SomNetwork  # noqa: E402
from storm_ros.som.sizes import SomConfig  # noqa: E402


def inputs(network: SomNetwork, views: int = 2, references: int = 3, images: int = 1) -> tuple[Any, ...]:
    generator = torch.Generator().manual_seed(1)
    side = network.config.reference_px
    planes = torch.rand(images, 7, 48, 64, generator=generator)
    reference = torch.rand(references, views, 7, side, side, generator=generator)
    masks = (torch.rand(references, views, side, side, generator=generator) > 0.5).float()
    return planes, reference, masks


def answer(network: SomNetwork, *given: Any, text: Any = None) -> Any:
    return network(*given, text=text)[0]


def test_text_conditioning_is_a_plain_norm_at_the_start() -> None:
    tokens, text = torch.randn(2, 5, 16), torch.randn(2, 6)
    expected = torch.nn.functional.layer_norm(tokens, (16,))
    assert torch.allclose(Conditioned(16, 6)(tokens, text), expected, atol=1e-6)


def test_the_gate_lets_everything_through_at_the_start() -> None:
    tokens = torch.randn(2, 5, 16)
    assert torch.equal(ChannelGate(16, 6)(tokens, torch.randn(2, 16), torch.randn(2, 6)), tokens)


def test_self_attention_adds_nothing_at_the_start() -> None:
    tokens = torch.randn(2, 5, 16)
    assert torch.equal(SelfAttention(16, 2)(tokens), tokens)


def test_sharing_adds_nothing_at_the_start() -> None:
    assert not Sharing(3, 4, 5)(torch.randn(2, 4, 8, 6), torch.randn(2, 8, 6), torch.randn(1, 3, 8, 6)).any()


def test_what_is_shared_of_a_pair_is_its_own() -> None:
    """Pairs of one image have its appearance in common and nothing else."""
    sharing = Sharing(3, 4, 5)
    torch.nn.init.normal_(sharing.out.weight)
    told, mask, fine = torch.randn(6, 4, 8, 6), torch.randn(6, 8, 6), torch.randn(2, 3, 8, 6)
    together = sharing(told, mask, fine)
    alone = [sharing(told[i : i + 1], mask[i : i + 1], fine[i // 3 : i // 3 + 1]) for i in range(6)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


def test_what_looks_alike_shares() -> None:
    """Of an image whose left half is unlike its right half, what is told in one half stays in it."""
    sharing = Sharing(2, 1, 1)
    with torch.no_grad():
        sharing.look.weight.copy_(torch.eye(2)[:, :, None, None])
        sharing.look.bias.zero_()
        sharing.sharpness.fill_(4.0)
        sharing.nearness.zero_()
        sharing.value.weight.copy_(torch.tensor([1.0, 0.0])[None, :, None, None])
        sharing.value.bias.zero_()
        sharing.out.weight.copy_(torch.tensor([0.5, 0.5, 0.0])[None, :, None, None])
    fine = torch.ones(1, 2, 4, 8)
    fine[..., 4:] = -1.0
    told = torch.zeros(1, 1, 4, 8)
    told[:, :, 0:2, 0:2] = 8.0
    shared = sharing(told, torch.zeros(1, 4, 8), fine)
    assert torch.allclose(shared[..., :4], torch.full((1, 1, 4, 4), 2.0), atol=1e-3)
    assert torch.allclose(shared[..., 4:], torch.zeros(1, 1, 4, 4), atol=1e-3)


def test_a_sharp_mask_is_the_plain_one_at_the_start_and_twice_as_fine(network: SomNetwork) -> None:
    sharper = SomNetwork(replace(network.config, sharp=8)).eval()
    sharper.load_state_dict(network.state_dict(), strict=False)
    planes, reference, masks = inputs(network)
    which = torch.tensor([[0, 1, 2]])
    plain, sharp = (
        answer(network.eval(), planes, reference, masks, which),
        answer(sharper, planes, reference, masks, which),
    )
    assert sharp.mask.shape[-2:] == (24, 32)
    doubled = torch.nn.functional.interpolate(plain.mask[:, None], scale_factor=2.0, mode="bilinear")[:, 0]
    assert torch.allclose(sharp.mask, doubled, atol=1e-5)
    assert torch.equal(sharp.presence, plain.presence)
    features, described = sharper.encode(planes), sharper.describe(reference, masks)
    assert sharper.decide(features, described, sharp=None).mask.shape[-2:] == (12, 16)


def test_masks_are_sharpened_where_the_presence_is_enough(network: SomNetwork) -> None:
    sharper = SomNetwork(replace(network.config, sharp=8)).eval()
    for layer in (sharper.sharing.out, sharper.correct):
        torch.nn.init.normal_(layer.weight)
    planes, reference, masks = inputs(sharper, images=3)
    with torch.no_grad():
        features, described = sharper.encode(planes), sharper.describe(reference, masks)
        every, none = (sharper.decide(features, described, sharp=level) for level in (0.0, 1.0))
        middle = float(torch.sigmoid(every.presence).median())
        some = sharper.decide(features, described, sharp=middle)
    wanted = torch.sigmoid(every.presence) >= middle
    assert 0 < wanted.sum() < 3
    assert torch.allclose(some.mask[wanted], every.mask[wanted], atol=1e-5)
    assert torch.equal(some.mask[~wanted], none.mask[~wanted])
    assert not torch.allclose(every.mask, none.mask, atol=1e-2)


def test_text_changes_nothing_until_it_is_trained(network: SomNetwork) -> None:
    planes, reference, masks = inputs(network)
    which = torch.tensor([[0, 1, 2]])
    plain = answer(network, planes, reference, masks, which)
    told = answer(network, planes, reference, masks, which, text=torch.randn(3, 6))
    assert torch.allclose(plain.mask, told.mask, atol=1e-6)
    for block in network.blocks:
        torch.nn.init.normal_(block.norm.affine.weight)
    other = answer(network, planes, reference, masks, which, text=torch.randn(3, 6))
    assert not torch.allclose(plain.mask, other.mask, atol=1e-3)


@pytest.mark.parametrize("views", [1, 2, 5, 16])
def test_any_number_of_views_with_the_same_weights(network: SomNetwork, views: int) -> None:
    planes, reference, masks = inputs(network, views=views, references=1)
    out = answer(network, planes, reference, masks, torch.tensor([[0]]))
    assert out.mask.shape == (1, 12, 16)
    assert out.coarse.shape == (2, 1, 6, 8)
    assert torch.isfinite(out.mask).all()


def test_order_of_the_views_does_not_matter(network: SomNetwork) -> None:
    torch.nn.init.normal_(network.across_views.out.weight, std=0.1)
    planes, reference, masks = inputs(network, views=3, references=1)
    which = torch.tensor([[0]])
    turned = answer(network, planes, reference.flip(1), masks.flip(1), which)
    assert torch.allclose(answer(network, planes, reference, masks, which).mask, turned.mask, atol=1e-5)


@pytest.mark.parametrize("views", [0, 17])
def test_too_few_or_too_many_views_are_refused(network: SomNetwork, views: int) -> None:
    with pytest.raises(InputError, match=f"{views} views: 1 to 16"):
        network.describe(torch.zeros(1, views, 7, 32, 32), torch.zeros(1, views, 32, 32))


def test_views_of_another_size_are_refused(network: SomNetwork) -> None:
    with pytest.raises(InputError, match="32 x 32 is needed"):
        network.describe(torch.zeros(1, 1, 7, 64, 64), torch.zeros(1, 1, 64, 64))


def test_references_must_divide_among_images(network: SomNetwork) -> None:
    planes, reference, masks = inputs(network, images=2)
    with pytest.raises(InputError, match="3 references for 2 images"):
        network.decide(network.encode(planes), network.describe(reference, masks))


def test_references_do_not_disturb_each_other(network: SomNetwork) -> None:
    planes, reference, masks = inputs(network, images=2, references=2)
    together = answer(network, planes, reference, masks, torch.tensor([[0, 1], [1, 0]]))
    alone = answer(network, planes[1:], reference[:1], masks[:1], torch.tensor([[0]]))
    assert torch.allclose(together.mask[3], alone.mask[0], atol=1e-5)
    assert torch.allclose(together.presence[3], alone.presence[0], atol=1e-5)


@pytest.mark.parametrize("sharp", [0, 4])
def test_gradient_reaches_every_weight(network: SomNetwork, sharp: int) -> None:
    network = SomNetwork(replace(network.config, sharp=sharp))
    for parameter in network.parameters():  # off the zeros that make the start an identity
        torch.nn.init.normal_(parameter, std=0.2)
    for name, parameter in network.named_parameters():
        if name.endswith(("stiffness", "nearness")):  # below zero they count as zero
            torch.nn.init.constant_(parameter, 0.5)
    planes, reference, masks = inputs(network)
    extent = torch.tensor([[2.0, 2.0, 0.0]])
    out = network(planes, reference, masks, torch.tensor([[0, 1, 2]]), extent, text=torch.randn(3, 6))[0]
    (out.mask.square().mean() + out.presence.sum() + out.iou.sum() + out.coarse.sum()).backward()
    dead = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert dead == []


def test_alignment_marks_what_looks_like_the_object(network: SomNetwork) -> None:
    """Untrained: a green square is where a green reference's objectness goes."""
    side = network.config.reference_px
    planes = torch.zeros(1, 7, 64, 64)
    planes[:, 0] = 0.8
    planes[:, :3, 16:48, 16:48] = torch.tensor([-0.9, 0.7, -0.9])[:, None, None]
    reference = torch.zeros(1, 1, 7, side, side)
    reference[:, :, 0] = 0.8
    reference[:, :, :3, 8:24, 8:24] = torch.tensor([-0.9, 0.7, -0.9])[:, None, None]
    masks = torch.zeros(1, 1, side, side)
    masks[..., 8:24, 8:24] = 1.0
    with torch.no_grad():
        carried = answer(network, planes, reference, masks, torch.tensor([[0]])).coarse[0, 0]
    inside = torch.zeros(8, 8, dtype=torch.bool)
    inside[2:6, 2:6] = True
    assert carried[inside].mean() > carried[~inside].mean()


def test_sizes_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ConfigError, match="multiple of heads"):
        SomNetwork(SomConfig(channels=10, heads=3))


def test_rows_of_the_alignment_sum_to_one_and_carry_the_objectness(network: SomNetwork) -> None:
    planes, reference, masks = inputs(network)
    out = answer(network, planes, reference, masks, torch.tensor([[0, 1, 2]]))
    assert torch.allclose(out.alignment.sum(-1), torch.ones(2, 3, 48), atol=1e-5)
    told = network.describe(reference, masks).objectness
    by_hand = (out.alignment[..., 1:] @ told[..., None])[..., 0].view(2, 3, 6, 8)
    assert torch.allclose(out.coarse, by_hand, atol=1e-6)


def test_the_answer_is_the_same_whether_the_alignment_is_asked_for_or_not(network: SomNetwork) -> None:
    planes, reference, masks = inputs(network)
    which = torch.tensor([0, 1, 0, 2, 1, 0])
    with torch.no_grad():
        features, pairs = network.encode(planes), network.describe(reference, masks).chosen(which)
        extent = torch.tensor([2.0, 0.0, 1.4, 2.0, 2.0, 0.0])
        full = network.decide(features, pairs, extent)
        lean = network.decide(features, pairs, extent, aligned=False)
    assert lean.alignment is None
    assert full.alignment is not None
    for ours, theirs in zip(full[:4], lean[:4], strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_a_known_size_draws_tokens_to_the_same_place_of_the_object(network: SomNetwork) -> None:
    """Everything looks alike: only the place can tell, and only where the size is known."""
    side = network.config.reference_px
    planes = torch.full((1, 7, 64, 64), 0.3)
    reference = torch.full((1, 1, 7, side, side), 0.3)
    masks = torch.ones(1, 1, side, side)
    torch.nn.init.zeros_(network.place)
    torch.nn.init.zeros_(network.where.weight)
    for block in network.blocks:
        torch.nn.init.constant_(block.stiffness, 8.0)
    with torch.no_grad():
        described, features = network.describe(reference, masks), network.encode(planes)
        free = network.decide(features, described).alignment[0, 0, :, 1:]
        bound = network.decide(features, described, torch.tensor([2.0])).alignment[0, 0, :, 1:]
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    ours = (torch.stack([columns, rows], -1).flatten(0, 1) + 0.5) / 8 - 0.5
    gap = torch.cdist(2.0 * ours, described.place[0])  # in units of the object
    near = (ours.abs() < 0.25).all(-1)  # where the object may be
    assert float((bound * gap)[near].sum() / bound[near].sum()) < 0.6 * float(
        (free * gap)[near].sum() / free[near].sum()
    )
