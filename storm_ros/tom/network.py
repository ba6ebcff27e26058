"""The verifying network: the current crop's tokens ask the memory's tokens; one logit comes out."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from storm_ros.core.errors import InputError
from storm_ros.encoders.nano import NanoEncoder
from storm_ros.tom.crops import PLACES
from storm_ros.tom.evidence import EVIDENCE
from storm_ros.tom.sizes import CELL_PX, CROP_PX, TomConfig

BETWEEN = 2
"""The cosines among the three numbers of `memory.between`."""


class Tokens(NamedTuple):
    """Crops as tokens.

    Attributes:
        features: (..., L, C).
        share: (..., L) of a token's piece of the crop that is predicted to show the object.
        place: (..., L, 3) where its measured surface lies on the object, in radii.
        known: (..., L) share of it with depth.
    """

    features: Tensor
    share: Tensor
    place: Tensor
    known: Tensor

    def at(self, index: Tensor) -> Tokens:
        """Those of the given numbers."""
        return Tokens(*(part[index] for part in self))


class Stored(NamedTuple):
    """Crops as a memory keeps them, with all that can be computed before they are asked.

    Attributes:
        keys: (..., blocks, L, C), unit length in each head.
        values: (..., blocks, L, C).
        share: (..., L) as in `Tokens`.
        place: (..., L, 3).
        known: (..., L).
    """

    keys: Tensor
    values: Tensor
    share: Tensor
    place: Tensor
    known: Tensor

    def at(self, index: Tensor) -> Stored:
        """Those of the given numbers."""
        return Stored(*(part[index] for part in self))


class Asking(nn.Module):
    """Cross-attention from a crop's tokens to those of all views of the memory.

    What counts is how alike two tokens look and how near they lie on the object; each head weighs the two its own way.
    A learnt token stands for "nothing of the memory". What is fetched is compared with what asked.
    """

    def __init__(self, config: TomConfig) -> None:
        super().__init__()
        c, self.heads, self.geometry = config.channels, config.heads, config.geometry
        self.norm, self.memory_norm = nn.LayerNorm(c), nn.LayerNorm(c)
        self.q, self.k, self.v = nn.Linear(c, c), nn.Linear(c, c), nn.Linear(c, c)
        self.sharpness = nn.Parameter(torch.full((self.heads,), 2.0))
        self.nearness = nn.Parameter(torch.linspace(0.0, 4.0, self.heads))
        self.view = nn.Linear(BETWEEN + 1, self.heads)
        self.shown = nn.Parameter(torch.full((self.heads,), 0.5))
        self.none_key, self.none_value = nn.Parameter(torch.randn(c) * 0.02), nn.Parameter(torch.zeros(c))
        compared = 4 * c + 3 * self.heads + 2
        self.compare = nn.Sequential(nn.Linear(compared, 2 * c), nn.GELU(), nn.Linear(2 * c, c))
        with torch.no_grad():  # what looks alike finds each other before anything is learnt
            nn.init.orthogonal_(self.q.weight)
            self.k.weight.copy_(self.q.weight)
            for layer in (self.q, self.k):
                nn.init.zeros_(layer.bias)
            nn.init.zeros_(self.view.weight)
            nn.init.zeros_(self.view.bias)

    def store(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (N, L, C) of tokens (N, L, C)."""
        given = self.memory_norm(features)
        keys = functional.normalize(self.k(given).unflatten(-1, (self.heads, -1)), dim=-1).flatten(-2)
        return keys, self.v(given)

    def forward(
        self, now: Tokens, keys: Tensor, values: Tensor, memory: Stored, between: Tensor, usable: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Ask.

        Args:
            now: P crops, (P, L, ...).
            keys: (P, V, L, C) of this block, of V views for each crop.
            values: the same.
            memory: what else is known of the views.
            between: (P, V, 3) how the crop's view lies to each of them, see `memory.between`.
            usable: (P, V) bool, views that are there.

        Returns:
            (P, L, C) features after the comparison; (P, L, 3 heads) how alike what was fetched looks, how far off on
            the object it lies, and how much of it is "nothing".
        """
        p, length, c = now.features.shape
        own = self.norm(now.features)

        def split(x: Tensor) -> Tensor:
            return x.reshape(p, -1, self.heads, c // self.heads).transpose(1, 2)

        def every_head(x: Tensor) -> Tensor:
            return x[:, None].expand(-1, self.heads, -1, -1)

        q = functional.normalize(split(self.q(own)), dim=-1)
        none = functional.normalize(self.none_key.view(self.heads, 1, -1), dim=-1).expand(p, -1, -1, -1)
        nothing = self.none_value.view(self.heads, 1, -1).expand(p, -1, -1, -1)
        k, v = torch.cat([split(keys), none], dim=2), torch.cat([split(values), nothing], dim=2)
        turned, _ = squared_form(now.place, now.known)
        _, there = squared_form(memory.place.flatten(1, 2), memory.known.flatten(1))
        there = functional.pad(there, (0, 0, 0, 1))
        bias = torch.log(memory.share.flatten(1) + 0.02)[:, None] * self.shown[:, None]
        seen_from = self.view(between).masked_fill(~usable[..., None], -1e4).transpose(1, 2)
        bias = functional.pad(bias + seen_from[..., None].expand(-1, -1, -1, length).flatten(2), (0, 1))[..., None]
        near = -4.0 * functional.softplus(self.nearness) if self.geometry else torch.zeros_like(self.nearness)
        asked = [q * torch.exp(self.sharpness)[:, None, None], near[:, None, None] * turned[:, None]]
        asked.append(torch.ones_like(asked[1][..., :1]))
        offered = [k, every_head(there), bias]
        is_none = functional.pad(torch.zeros_like(k[:, :, :-1, :1]), (0, 0, 0, 1), value=1.0)
        given = torch.cat([v, k, every_head(there), is_none], dim=3)
        fill = given.shape[3] - k.shape[3] - there.shape[2] - 1  # the kernel wants all three equally wide
        got = functional.scaled_dot_product_attention(
            functional.pad(torch.cat(asked, dim=3), (0, fill)), functional.pad(torch.cat(offered, dim=3), (0, fill)),
            given, scale=1.0,
        )  # fmt: skip
        width = k.shape[3]
        fetched = got[..., :width].transpose(1, 2).reshape(p, length, c)
        alike = (q * got[..., width : 2 * width]).sum(3)
        apart = (turned[:, None] * got[..., 2 * width : 2 * width + 5]).sum(3)
        apart = apart if self.geometry else torch.zeros_like(apart)
        numbers = torch.cat([alike, apart, got[..., -1]], dim=1).transpose(1, 2)
        mine = self.v(own)
        told = [own, fetched, mine * fetched, (mine - fetched).abs(), numbers]
        told += [now.share[..., None], now.known[..., None]]
        return now.features + self.compare(torch.cat(told, dim=2)), numbers


def squared_form(place: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Places as two sets of vectors whose dot products are squared distances.

    Args:
        place: (P, M, 3).
        known: (P, M) in [0, 1].

    Returns:
        (P, M, 5) to ask with and (P, M, 5) to be asked; of x and y their product is known_x known_y |x - y|^2.
    """
    squared = (known * place.square().sum(-1))[..., None]
    asked = torch.cat([squared, known[..., None], -2.0 * known[..., None] * place], dim=-1)
    return asked, torch.cat([known[..., None], squared, known[..., None] * place], dim=-1)


class TomNetwork(nn.Module):
    """Encoder, tokens, the comparison with the memory, and the verdict."""

    def __init__(self, config: TomConfig | None = None) -> None:
        super().__init__()
        c = self.config = config or TomConfig()
        c.check()
        self.encoder = NanoEncoder(c.encoder)
        self.to_tokens = nn.Linear(self.encoder.channels, c.channels)
        half = max(c.places // 2, 4)
        self.place = nn.Sequential(
            nn.Conv2d(PLACES, half, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(half, c.places, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(c.places, c.channels, 3, stride=2, padding=1),
        )  # fmt: skip
        self.blocks = nn.ModuleList(Asking(c) for _ in range(c.blocks))
        self.pool = nn.Linear(c.channels, 2)
        given = 3 * c.channels + (EVIDENCE + 1) + 2 * BETWEEN + 6 * c.heads * c.blocks
        self.judge = nn.Sequential(
            nn.LayerNorm(given), nn.Linear(given, c.channels), nn.GELU(), nn.Linear(c.channels, 1)
        )

    def encode(self, planes: Tensor) -> Tensor:
        """Features (N, L, F) of crops (N, 7, S, S).

        Raises:
            InputError: crops of another size.
        """
        if planes.shape[-2:] != (CROP_PX, CROP_PX):
            raise InputError(f"crops have shape {tuple(planes.shape)}: {CROP_PX} x {CROP_PX} pixels are needed")
        return self.encoder(planes).middle.flatten(2).transpose(1, 2)

    def tokens(self, encoded: Tensor, places: Tensor) -> Tokens:
        """Tokens of crops.

        Args:
            encoded: (N, L, F) from `encode`.
            places: (N, 5, S, S), see `crops.PLACES`.
        """
        shown = places[:, :1] if self.config.geometry else functional.pad(places[:, :1], (0, 0, 0, 0, 0, PLACES - 1))
        given = places if self.config.geometry else shown
        features = self.to_tokens(encoded) + self.place(given).flatten(2).transpose(1, 2)
        mask, known = places[:, :1], places[:, 4:5]
        weight = known * (mask + 0.02)
        total = functional.avg_pool2d(weight, CELL_PX)
        place = functional.avg_pool2d(places[:, 1:4] * weight, CELL_PX) / total.clamp_min(1e-5)
        return Tokens(
            features, functional.avg_pool2d(mask, CELL_PX).flatten(1), place.flatten(2).transpose(1, 2),
            functional.avg_pool2d(known, CELL_PX).flatten(1),
        )  # fmt: skip

    def store(self, tokens: Tokens) -> Stored:
        """Crops as a memory keeps them."""
        pairs = [block.store(tokens.features) for block in self.blocks]  # pyright: ignore[reportCallIssue]
        keys, values = (torch.stack(parts, dim=-3) for parts in zip(*pairs, strict=True))
        return Stored(keys, values, tokens.share, tokens.place, tokens.known)

    def decide(self, now: Tokens, memory: Stored, between: Tensor, usable: Tensor, figures: Tensor) -> Tensor:
        """Logits (P,) that the crops show the object where their poses have it.

        Args:
            now: tokens of P crops.
            memory: V views for each, (P, V, ...).
            between: (P, V, 3), see `memory.between`.
            usable: (P, V) bool.
            figures: (P, 8) of the estimates, see `evidence`; NaN in all of them where they are withheld.
        """
        inner = now.share / now.share.sum(1, keepdim=True).clamp_min(1e-3)
        agreement = []
        for number, block in enumerate(self.blocks):
            keys, values = memory.keys[..., number, :, :], memory.values[..., number, :, :]
            features, numbers = block(now, keys, values, memory, between, usable)
            mean = (inner[:, None] @ numbers)[:, 0]
            spread = (inner[:, None] @ (numbers - mean[:, None]).square())[:, 0]
            agreement += [mean, torch.sqrt(spread + 1e-4)]
            now = now._replace(features=features)
        scores = self.pool(now.features)
        inside = torch.softmax(scores[..., 0] + torch.log(now.share + 0.02), dim=1)
        anywhere = torch.softmax(scores[..., 1], dim=1)
        pooled = torch.stack([inside, anywhere], dim=1) @ now.features
        least = (now.features * (now.share[..., None] > 0.25)).amax(1)
        withheld = torch.isnan(figures[:, :1])
        if not self.config.evidence:
            withheld = torch.ones_like(withheld)
        told = torch.cat([torch.where(withheld, torch.zeros_like(figures), figures), withheld.to(figures.dtype)], dim=1)
        nearest = between[..., :BETWEEN].masked_fill(~usable[..., None], -1.0).amax(1)
        reference = between[:, 0, :BETWEEN]
        return self.judge(torch.cat([pooled.flatten(1), least, told, nearest, reference, *agreement], dim=1))[:, 0]
