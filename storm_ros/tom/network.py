"""The verifying network: the current crop's tokens ask the memory's tokens; one logit comes out."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from storm_ros.core.errors import InputError
from storm_ros.encoders.nano import ChannelNorm, Residual
from storm_ros.encoders.nano_input import CHANNELS, NanoConfig
from storm_ros.tom.crops import COLOURS, PLACES
from storm_ros.tom.evidence import EVIDENCE
from storm_ros.tom.sizes import CELL_PX, CROP_PX, TomConfig

BETWEEN = 2
"""The cosines among the three numbers of `memory.between`."""

PLACE_FORM = 5
"""Numbers by which a token tells its place, see `squared_form`."""

_LEAST = -60.0
"""Scores of attention are no lower: the weights beyond are denormal numbers, over which a processor takes long."""


class Tokens(NamedTuple):
    """Crops as tokens.

    Attributes:
        features: (..., L, C).
        share: (..., L) of a token's piece of the crop that is predicted to show the object.
        known: (..., L) share of it with depth.
        near: (..., L, 5) where its measured surface lies on the object, to ask with, see `squared_form`.
        there: (..., L, 5) the same, to be asked.
        colour: (..., L, 3) its mean colour, see `crops.object_places`.
    """

    features: Tensor
    share: Tensor
    known: Tensor
    near: Tensor
    there: Tensor
    colour: Tensor

    def at(self, index: Tensor) -> Tokens:
        """Those of the given numbers."""
        return Tokens(*(part[index] for part in self))


class Stored(NamedTuple):
    """Crops as a memory keeps them, with all that can be computed before they are asked.

    Attributes:
        given: (..., blocks, heads, L, D) of each token the value, colour, 0, the key of unit length, and `there`.
        shown: (..., blocks, heads, L) how much more a token counts because it shows the object.
    """

    given: Tensor
    shown: Tensor

    def at(self, index: Tensor) -> Stored:
        """Those of the given numbers."""
        return Stored(*(part[index] for part in self))


class Asked(NamedTuple):
    """The views that P crops ask, as one list of M = V L + 1 tokens; the last stands for "nothing of the memory".

    Attributes:
        keys: (P, blocks, heads, K, M) key and `there` of each, as they count in the scores.
        given: (P, blocks, heads, M, D) as in `Stored`, of the last token 1 in place of the 0.
        shown: (P, blocks, heads, M).
    """

    keys: Tensor
    given: Tensor
    shown: Tensor


class CropEncoder(nn.Module):
    """The nano encoder up to stride 8: a crop of one object has no context, and this is a third of the time."""

    def __init__(self, config: NanoConfig) -> None:
        super().__init__()
        c = self.config = config
        self.stem = nn.Conv2d(CHANNELS, c.stem, 3, stride=2, padding=1)
        self.to_fine = nn.Conv2d(c.stem, c.fine, 3, stride=2, padding=1)
        self.fine = nn.Sequential(*(Residual(c.fine) for _ in range(c.fine_blocks)))
        self.to_middle = nn.Sequential(ChannelNorm(c.fine), nn.Conv2d(c.fine, c.middle, 3, stride=2, padding=1))
        self.middle = nn.Sequential(*(Residual(c.middle) for _ in range(c.middle_blocks)))
        self.colour = nn.Conv2d(3, c.colour, 1)

    @property
    def channels(self) -> int:
        """Of the features."""
        return self.config.middle + self.config.colour

    def forward(self, planes: Tensor) -> Tensor:
        """Features (N, L, F) of crops (N, 7, S, S)."""
        seen = self.middle(self.to_middle(self.fine(self.to_fine(functional.relu(self.stem(planes))))))
        seen = functional.layer_norm(seen.permute(0, 2, 3, 1), seen.shape[1:2])
        mean = functional.avg_pool2d(planes[:, :3], CELL_PX).permute(0, 2, 3, 1)
        waves = torch.cos(functional.linear(mean, self.colour.weight.flatten(1), self.colour.bias)) * 2.0
        return torch.cat([seen, waves], dim=3).flatten(1, 2)


class Asking(nn.Module):
    """Cross-attention from a crop's tokens to those of all views of the memory.

    What counts is how alike two tokens look and how near they lie on the object; each head weighs the two its own way.
    A learnt token stands for "nothing of the memory". What is fetched is compared with what asked.
    """

    def __init__(self, config: TomConfig) -> None:
        super().__init__()
        c, self.heads, self.colours = config.channels, config.heads, config.colours
        self.norm, self.memory_norm = nn.LayerNorm(c), nn.LayerNorm(c)
        self.qv, self.kv = nn.Linear(c, 2 * c), nn.Linear(c, 2 * c)
        self.sharpness = nn.Parameter(torch.full((self.heads, 1, 1), 2.0))
        self.nearness = nn.Parameter(torch.linspace(0.0, 4.0, self.heads)[:, None, None])
        self.view = nn.Linear(BETWEEN + 1, self.heads)
        self.shown = nn.Parameter(torch.full((self.heads, 1), 0.5))
        self.none_key, self.none_value = (nn.Parameter(torch.randn(c) * 0.02), nn.Parameter(torch.zeros(c)))
        compared = 4 * c + 3 * self.heads + COLOURS + 2
        self.compare = nn.Sequential(nn.Linear(compared, 2 * c), nn.GELU(), nn.Linear(2 * c, c))
        with torch.no_grad():  # what looks alike finds each other before anything is learnt
            nn.init.orthogonal_(self.qv.weight[:c])
            self.kv.weight.copy_(self.qv.weight)
            for layer in (self.qv, self.kv):
                nn.init.zeros_(layer.bias)
            nn.init.zeros_(self.view.weight)
            nn.init.zeros_(self.view.bias)

    def store(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """What a memory keeps of N crops: (N, heads, L, D) and (N, heads, L), see `Stored`."""
        key, value = self._heads(self.kv(self.memory_norm(tokens.features)))
        rest = (functional.pad(tokens.colour, (0, 1)), tokens.there)
        colour, there = (part[:, None].expand(-1, self.heads, -1, -1) for part in rest)
        given = torch.cat([value, colour, functional.normalize(key, dim=-1), there], dim=3)
        return given, torch.log(tokens.share + 0.02)[:, None] * self.shown

    def nothing(self) -> Tensor:
        """(heads, 1, D) the token for "nothing of the memory"."""
        value, key = (part.view(self.heads, 1, -1) for part in (self.none_value, self.none_key))
        one = functional.pad(torch.ones_like(value[..., :1]), (COLOURS, 0))
        return torch.cat([value, one, functional.pad(functional.normalize(key, dim=-1), (0, PLACE_FORM))], dim=2)

    def keys(self, given: Tensor) -> Tensor:
        """(P, heads, K, M) of what is given (P, heads, M, D): how much key and place count in each head's scores."""
        looks = torch.exp(self.sharpness).expand(-1, -1, self.none_key.numel() // self.heads)
        lies = -4.0 * functional.softplus(self.nearness).expand(-1, -1, PLACE_FORM)
        counts = torch.cat([looks, lies], dim=2)
        return (given[..., -counts.shape[2] :] * counts).transpose(2, 3).contiguous()

    def forward(self, now: Tokens, keys: Tensor, given: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Ask.

        Args:
            now: P crops, (P, L, ...).
            keys: (P, heads, K, M) see `Asked`.
            given: (P, heads, M, D) see `Asked`.
            bias: (P, heads, 1, M) how much more each of these counts.

        Returns:
            (P, L, C) features after the comparison; (P, L, 3 heads + 3) how alike what was fetched looks, how far off
            on the object it lies, how much of it is "nothing", and by how much its colour differs.
        """
        own = self.norm(now.features)
        asks, mine = self.qv(own).chunk(2, dim=2)
        asks = functional.normalize(asks.unflatten(2, (self.heads, -1)).transpose(1, 2), dim=-1)
        width = asks.shape[3]
        asks = torch.cat([asks, now.near[:, None].expand(-1, self.heads, -1, -1)], dim=3)
        got = torch.softmax((asks @ keys + bias).clamp_min(_LEAST), dim=3) @ given
        fetched = got[..., :width].transpose(1, 2).flatten(2)
        met = asks * got[..., width + COLOURS + 1 :]
        alike, apart, nothing = met[..., :width].sum(3), met[..., width:].sum(3), got[..., width + COLOURS]
        if self.colours:
            theirs = got[..., width : width + COLOURS + 1].mean(1)
            faded = now.colour * (1.0 - theirs[..., COLOURS:]) - theirs[..., :COLOURS]
        else:
            faded = torch.zeros_like(now.colour)
        numbers = torch.cat([torch.cat([alike, apart, nothing], dim=1).transpose(1, 2), faded], dim=2)
        seen = torch.stack([now.share, now.known], dim=2)
        told = torch.cat([own, fetched, mine * fetched, (mine - fetched).abs(), numbers, seen], dim=2)
        return now.features + self.compare(told), numbers

    def _heads(self, pair: Tensor) -> tuple[Tensor, Tensor]:
        """(N, L, 2 C) as two of (N, heads, L, C / heads)."""
        first, second = pair.unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        return first, second


def squared_form(place: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Places as two sets of vectors whose dot products are squared distances.

    Args:
        place: (P, M, 3).
        known: (P, M) in [0, 1].

    Returns:
        (P, M, 5) to ask with and (P, M, 5) to be asked, `PLACE_FORM` numbers each; of x and y
        their product is known_x known_y |x - y|^2.
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
        self.encoder = CropEncoder(c.encoder)
        self.to_tokens = nn.Linear(self.encoder.channels, c.channels)
        half = max(c.places // 2, 4)
        self.place = nn.Sequential(
            nn.Conv2d(PLACES, half, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(half, c.places, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(c.places, c.channels, 3, stride=2, padding=1),
        )  # fmt: skip
        self.blocks = nn.ModuleList(Asking(c) for _ in range(c.blocks))
        self.pool = nn.Linear(c.channels, 2)
        given = 3 * c.channels + (EVIDENCE + 1) + 2 * BETWEEN + 2 * (3 * c.heads + COLOURS) * c.blocks
        self.judge = nn.Sequential(
            nn.LayerNorm(given), nn.Linear(given, c.channels), nn.GELU(), nn.Linear(c.channels, 1)
        )
        self.weigh = nn.Linear(EVIDENCE + 1, 1, bias=False)  # however sure the rest is, the figures add to it

    def encode(self, planes: Tensor) -> Tensor:
        """Features (N, L, F) of crops (N, 7, S, S).

        Raises:
            InputError: crops of another size.
        """
        if planes.shape[-2:] != (CROP_PX, CROP_PX):
            raise InputError(f"crops have shape {tuple(planes.shape)}: {CROP_PX} x {CROP_PX} pixels are needed")
        return self.encoder(planes)

    def tokens(self, encoded: Tensor, places: Tensor) -> Tokens:
        """Tokens of crops.

        Args:
            encoded: (N, L, F) from `encode`.
            places: (N, 8, S, S), see `crops.object_places`.
        """
        given, mask = places[:, :PLACES], places[:, :1]
        if not self.config.geometry:
            given = functional.pad(mask, (0, 0, 0, 0, 0, PLACES - 1))
        features = self.to_tokens(encoded) + self.place(given).flatten(2).transpose(1, 2)
        plain, shown = (
            functional.avg_pool2d(part, CELL_PX).flatten(2).transpose(1, 2) for part in (places, places * mask)
        )
        share, known = plain[..., 0], plain[..., 4]
        counted = shown + 0.02 * plain  # means of the places times (mask + 0.02)
        place = counted[..., 1:4] / counted[..., 4:5].clamp_min(1e-5)
        colour = counted[..., PLACES:] / (share + 0.02)[..., None]
        near, there = squared_form(place, known)
        if not self.config.geometry:
            near, there = torch.zeros_like(near), torch.zeros_like(there)
        return Tokens(features, share, known, near, there, colour)

    def store(self, tokens: Tokens) -> Stored:
        """Crops as a memory keeps them."""
        pairs = [block.store(tokens) for block in self.blocks]  # pyright: ignore[reportCallIssue]
        given, shown = (torch.stack(parts, dim=1) for parts in zip(*pairs, strict=True))
        return Stored(given, shown)

    def asked(self, memory: Stored) -> Asked:
        """The views that P crops ask, (P, V, ...), as one list of tokens each."""
        p = len(memory.given)
        given, shown = (
            memory.given.permute(0, 2, 3, 1, 4, 5).flatten(3, 4),
            memory.shown.permute(0, 2, 3, 1, 4).flatten(3),
        )
        nothing = torch.stack([block.nothing() for block in self.blocks])  # pyright: ignore[reportCallIssue]
        given = torch.cat([given, nothing.expand(p, -1, -1, -1, -1)], dim=3)
        keys = [block.keys(part) for block, part in zip(self.blocks, given.unbind(1), strict=True)]  # pyright: ignore
        return Asked(torch.stack(keys, dim=1), given, functional.pad(shown, (0, 1)))

    def decide(self, now: Tokens, memory: Asked, between: Tensor, usable: Tensor, figures: Tensor) -> Tensor:
        """Logits (P,) that the crops show the object where their poses have it.

        Args:
            now: tokens of P crops.
            memory: V views for each, see `asked`.
            between: (P, V, 3), see `memory.between`.
            usable: (P, V) bool.
            figures: (P, 8) of the estimates, see `evidence`; NaN in all of them where they are withheld.
        """
        now, memory, away = Tokens(*now), Asked(*memory), ~usable[..., None]  # plain tuples where this is traced
        seen_from = torch.cat([block.view(between) for block in self.blocks], dim=2)  # pyright: ignore
        seen_from = seen_from.masked_fill(away, -1e4).transpose(1, 2)
        seen_from = functional.pad(seen_from.repeat_interleave(now.features.shape[1], dim=2), (0, 1))
        bias = memory.shown + seen_from.view_as(memory.shown)
        numbers = []
        for number, block in enumerate(self.blocks):
            features, told = block(now, memory.keys[:, number], memory.given[:, number], bias[:, number, :, None])
            numbers.append(told)
            now = now._replace(features=features)
        inner = now.share / now.share.sum(1, keepdim=True).clamp_min(1e-3)
        inner, told = inner[:, None, None], torch.stack(numbers, dim=1)
        mean = inner @ told
        spread = torch.sqrt(inner @ (told - mean).square() + 1e-4)
        agreement = torch.cat([mean, spread], dim=3).flatten(1)
        scores = self.pool(now.features) + functional.pad(torch.log(now.share + 0.02)[..., None], (0, 1))
        pooled = torch.softmax(scores, dim=1).transpose(1, 2) @ now.features
        least = (now.features * (now.share[..., None] > 0.25)).amax(1)
        withheld = torch.isnan(figures[:, :1])
        if not self.config.evidence:
            withheld = torch.ones_like(withheld)
        told = torch.cat([torch.where(withheld, torch.zeros_like(figures), figures), withheld.to(figures.dtype)], dim=1)
        nearest = between[..., :BETWEEN].masked_fill(away, -1.0).amax(1)
        seen = torch.cat([pooled.flatten(1), least, told, nearest, between[:, 0, :BETWEEN], agreement], dim=1)
        return (self.judge(seen) + self.weigh(told))[:, 0]
