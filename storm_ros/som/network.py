"""The segmenting network: reference views and a query image in; mask, its IoU and the object's presence out."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from storm_ros.core.errors import InputError
from storm_ros.encoders.nano import ChannelNorm, Features, NanoEncoder
from storm_ros.som.attention import Retrieval, SelfAttention, Sharing, from_there, towards
from storm_ros.som.sizes import MAX_VIEWS, REFERENCE_MARGIN, SomConfig

_WAVES = 4


class Described(NamedTuple):
    """References as the fusion blocks need them.

    Attributes:
        original: tokens (N, L, C).
        refined: the same after self-attention.
        objectness: (N, L) share of the object in each.
        place: (N, L, 2) right and down from the object's middle, in units of its size.
        summary: (N, C).
    """

    original: Tensor
    refined: Tensor
    objectness: Tensor
    place: Tensor
    summary: Tensor

    def chosen(self, index: Tensor) -> Described:
        """Those of the given numbers."""
        return Described(*(part[index] for part in self))


class Output(NamedTuple):
    """What the network says of P pairs.

    Attributes:
        mask: (P, H / 4, W / 4) logits; (P, H / 2, W / 2) where they are sharpened.
        presence: (P,) logits.
        iou: (P,) logits of the mask's IoU.
        coarse: (blocks, P, H / 8, W / 8) objectness carried by each block, in [0, 1].
        alignment: (blocks, P, H / 8 * W / 8, 1 + L) the alignment matrices; the first column is "nothing". None where
            they were not asked for.
    """

    mask: Tensor
    presence: Tensor
    iou: Tensor
    coarse: Tensor
    alignment: Tensor | None


class SomNetwork(nn.Module):
    """Encoder, gathering of the reference, fusion with the query, decoder and heads.

    A query image is encoded once for all its references (`encode`), a reference once for all queries (`describe`).
    """

    def __init__(self, config: SomConfig | None = None) -> None:
        super().__init__()
        c = self.config = config or SomConfig()
        c.check()
        cells = (c.reference_px // 8) ** 2
        self.encoder = NanoEncoder(c.encoder)
        self.to_reference = nn.Linear(self.encoder.channels, c.channels)
        self.kind = nn.Linear(1, c.channels)
        self.place = nn.Parameter(torch.randn(cells, c.channels) * 0.02)
        self.where = nn.Linear(_WAVES * 4, c.channels)
        self.per_view = SelfAttention(c.channels, c.heads)
        self.across_views = SelfAttention(c.channels, c.heads)
        self.to_query = nn.Linear(self.encoder.channels, c.channels)
        self.blocks = nn.ModuleList(Retrieval(c.channels, c.heads, c.text) for _ in range(c.blocks))
        self.up = nn.Conv2d(c.channels, c.mask_channels, 1)
        self.skip = nn.Conv2d(c.encoder.fine, c.mask_channels, 1)
        self.told = nn.Parameter(torch.randn(c.mask_channels) * 0.5)
        self.refine = nn.Conv2d(c.mask_channels, c.mask_channels, 3, padding=1)
        self.refine_norm = ChannelNorm(c.mask_channels)
        self.mask = nn.Conv2d(c.mask_channels, 1, 3, padding=1)
        if c.sharp:
            self.sharing = Sharing(c.encoder.fine, c.mask_channels, c.sharp)
            self.finer = nn.Conv2d(c.mask_channels, c.sharp, 1)
            self.edge = nn.Conv2d(c.encoder.stem, c.sharp, 1)
            self.along = nn.Conv2d(c.sharp, c.sharp, 3, padding=1)
            self.correct = nn.Conv2d(c.sharp, 1, 3, padding=1)
            for parameter in self.correct.parameters():  # nothing is added at the start of the training
                nn.init.zeros_(parameter)
        self.judge = nn.Sequential(nn.Linear(3 * c.channels + 3, c.channels), nn.ReLU(), nn.Linear(c.channels, 2))
        # most pixels are not the object: so the network expects from the start
        with torch.no_grad():  # query and reference start alike, and what the reference's mask adds is small
            self.to_reference.weight.copy_(self.to_query.weight)
            self.to_reference.bias.copy_(self.to_query.bias)
            nn.init.normal_(self.where.weight, std=0.02)
            nn.init.zeros_(self.where.bias)
            nn.init.normal_(self.kind.weight, std=0.05)
            nn.init.zeros_(self.kind.bias)
        self.mask.bias = nn.Parameter(torch.full((1,), -3.0))

    def encode(self, planes: Tensor) -> Features:
        """Features of query images (B, 7, H, W)."""
        return self.encoder(planes)

    def describe(self, planes: Tensor, masks: Tensor) -> Described:
        """Gather the tokens of references.

        Args:
            planes: (N, V, 7, S, S) of V views each.
            masks: (N, V, S, S) in [0, 1].

        Raises:
            InputError: no view, more than 16, or views of another size.
        """
        n, views = planes.shape[:2]
        side = self.config.reference_px
        if not 1 <= views <= MAX_VIEWS:
            raise InputError(f"reference has {views} views: 1 to {MAX_VIEWS} are needed; leave some out")
        if planes.shape[-2:] != (side, side) or masks.shape != (n, views, side, side):
            raise InputError(
                f"reference views have shapes {tuple(planes.shape)} and {tuple(masks.shape)}: {side} x {side} is needed"
            )
        middle = self.encoder(planes.flatten(0, 1)).middle.flatten(2).transpose(1, 2)
        objectness = functional.avg_pool2d(masks.flatten(0, 1)[:, None], 8).flatten(1)
        original = self.to_reference(middle) + self.kind(objectness[..., None]) + self.place
        refined = self.per_view(original)
        original = original.view(n, -1, self.config.channels)
        objectness = objectness.view(n, -1)
        refined = self.across_views(refined.view(n, -1, self.config.channels))
        share = objectness / objectness.sum(1, keepdim=True).clamp_min(1e-6)
        place = (_grid(side // 8, side // 8, planes) * REFERENCE_MARGIN).repeat(views, 1)
        summary = (share[:, None] @ refined)[:, 0]
        return Described(original, refined, objectness, place.expand(n, -1, -1), summary)

    def decide(
        self, features: Features, described: Described, extent: Tensor | None = None, text: Tensor | None = None,
        *, sharp: float | None = 0.0, aligned: bool = True,
    ) -> Output:  # fmt: skip
        """Look for references in query images.

        Args:
            features: of B query images.
            described: P references, the same number for each image: first those of the first image.
            extent: (P,) width of the image over the object's size where the object, if it is there, is in the middle
                (both in metres); 0 where its size in the image or its place is not known.
            text: (P, T) embedding of a text about each object; zeros where there is none.
            sharp: sharpen the masks of pairs whose presence is at least this, in [0, 1], where the network can; None:
                those of none.
            aligned: whether the alignment matrices are asked for.

        Raises:
            InputError: the references cannot be shared out among the images.
        """
        c = self.config
        images, pairs = len(features.middle), len(described.summary)
        if pairs % images:
            raise InputError(f"{pairs} references for {images} images: the same number for each is needed")
        height, width = features.middle.shape[-2:]
        tokens = self.to_query(features.middle.flatten(2).transpose(1, 2))
        tokens = _repeated(tokens, pairs // images)
        text = tokens.new_zeros(1, c.text) if text is None else text
        width_in_objects = (tokens.new_zeros(pairs) if extent is None else extent.to(tokens))[:, None, None]
        known = (width_in_objects > 0).to(tokens)
        place = _grid(height, width, tokens) * width_in_objects
        tokens = tokens + self.where(_waves(place)) * known
        ours, theirs = towards(place) * known, from_there(described.place)
        told: list[Tensor] = []
        alignment: list[Tensor] = []
        for number, block in enumerate(self.blocks):
            shallow = number < max(1, len(self.blocks) // 2) or not c.deep
            reference = described.original if shallow else described.refined
            tokens, carried, weights = block(
                tokens, reference, described.objectness, described.summary, text, ours, theirs, (height, width), aligned
            )
            told.append(carried)
            if weights is not None:
                alignment.append(weights)
        coarse = torch.stack(told).view(len(told), -1, height, width)
        decoded = self._decoded(tokens, features.fine, coarse[-1])
        mask = self.mask(decoded)[:, 0]
        judged = self.judge(_summary(tokens, described.summary, told[-1], mask))
        if sharp is not None and self.config.sharp:
            mask = self._sharpened(decoded, mask, features, torch.sigmoid(judged[:, 0]) >= sharp)
        matrices = torch.stack(alignment) if alignment else None
        return Output(mask, judged[:, 0], judged[:, 1], coarse, matrices)

    def _decoded(self, tokens: Tensor, fine: Tensor, told: Tensor) -> Tensor:
        p, height, width = told.shape
        grid = tokens.view(p, height, width, -1).permute(0, 3, 1, 2)
        x = self.up(grid)
        if self.config.alignment:
            x = x + told[:, None] * self.told[:, None, None]
        x = _doubled(x)
        skip = self.skip(fine)
        x = functional.relu(_shared(x, skip))
        return x + functional.relu(self.refine(self.refine_norm(x)))

    def _sharpened(self, decoded: Tensor, mask: Tensor, features: Features, wanted: Tensor) -> Tensor:
        """Logits (P, H / 2, W / 2): the masks' own, where wanted (P,) moved to the edges that the first layers see."""
        doubled = _doubled(mask[:, None])[:, 0]
        fine, stem = features.fine, features.stem
        if len(mask) == len(fine) and not wanted.all():  # a pair for each image: the others can be left out
            if not wanted.any():
                return doubled
            decoded, mask, fine, stem = decoded[wanted], mask[wanted], fine[wanted], stem[wanted]
        else:
            wanted = torch.ones_like(wanted)
        decoded = decoded + self.sharing(decoded, mask, fine)
        x = functional.relu(_shared(_doubled(self.finer(decoded)), self.edge(stem)))
        x = x + functional.relu(self.along(x))
        return doubled.index_add(0, wanted.nonzero()[:, 0], self.correct(x)[:, 0])

    def forward(
        self, planes: Tensor, reference: Tensor, masks: Tensor, which: Tensor, extent: Tensor | None = None,
        text: Tensor | None = None,
    ) -> tuple[Output, Tensor, Tensor]:  # fmt: skip
        """Everything at once, for the training.

        Args:
            planes: (B, 7, H, W) images.
            reference: (N, V, 7, S, S).
            masks: (N, V, S, S).
            which: (B, K) references each image asks for.
            extent: (B, K) as in `decide`.
            text: (B * K, T).

        Returns:
            The answer, and the unit-length tokens of the images (B, H / 8 * W / 8, C) and of the references (N, L, C)
            before they meet.
        """
        features, described = self.encode(planes), self.describe(reference, masks)
        pairs = described.chosen(which.flatten())
        output = self.decide(features, pairs, None if extent is None else extent.flatten(), text)
        ours = self.to_query(features.middle.flatten(2).transpose(1, 2))
        return output, functional.normalize(ours, dim=-1), functional.normalize(described.original, dim=-1)


def _grid(rows: int, columns: int, like: Tensor) -> Tensor:
    """Middles of cells (rows * columns, 2), right and down from the image's middle, in units of its width."""
    x = (torch.arange(columns, device=like.device) + 0.5) / columns - 0.5
    y = ((torch.arange(rows, device=like.device) + 0.5) / rows - 0.5) * rows / columns
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)
    return grid.flatten(0, 1).to(like.dtype)


def _waves(place: Tensor) -> Tensor:
    """Sines and cosines (..., 4 * _WAVES) of places (..., 2), from one that is as long as four objects down."""
    scale = 0.5 * math.pi * 2.0 ** torch.arange(_WAVES, device=place.device)
    angle = (place[..., None] * scale.to(place.dtype)).flatten(-2)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def _shared(pairs: Tensor, images: Tensor) -> Tensor:
    """Maps (P, C, h, w) of pairs with those (B, C, h, w) of their images added."""
    return (pairs.view(len(images), -1, *images.shape[1:]) + images[:, None]).view(pairs.shape)


def _repeated(tokens: Tensor, times: int) -> Tensor:
    return tokens[:, None].expand(-1, times, -1, -1).reshape(-1, *tokens.shape[1:])


def _summary(tokens: Tensor, reference: Tensor, told: Tensor, mask: Tensor) -> Tensor:
    """What presence and IoU are judged by: (P, 3 C + 3)."""
    chance = torch.sigmoid(functional.avg_pool2d(mask[:, None], 2).flatten(1))
    weight = chance + 1e-4
    weight = weight / weight.sum(1, keepdim=True)
    inside = (weight[:, None] @ tokens)[:, 0]
    numbers = torch.stack([chance.amax(1), (weight * told).sum(1), torch.log(chance.sum(1) + 0.1)], dim=1)
    return torch.cat([inside, reference, inside * reference, numbers], dim=1)
