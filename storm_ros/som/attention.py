"""Attention blocks of the segmenter, and the text conditioning that changes nothing until it is trained."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def towards(places: Tensor) -> Tensor:
    """(..., 4) of places (..., 2), whose products with `from_there` of others are the negative squared distances."""
    square = places.square().sum(-1, keepdim=True)
    return torch.cat([2.0 * places, -torch.ones_like(square), -square], dim=-1)


def from_there(places: Tensor) -> Tensor:
    """(..., 4) of places (..., 2); see `towards`."""
    square = places.square().sum(-1, keepdim=True)
    return torch.cat([places, square, torch.ones_like(square)], dim=-1)


def attended(asked: Tensor, offered: Tensor, values: Tensor) -> Tensor:
    """Softmax of products, times values: (..., A, D), (..., L, D) and (..., L, V) to (..., A, V).

    Where V is at most D, the matrix of the products (..., A, L) is never written out.
    """
    width = values.shape[-1]
    values = functional.pad(values, (0, max(0, asked.shape[-1] - width)))
    return functional.scaled_dot_product_attention(asked, offered, values, scale=1.0)[..., :width]


def _joined(first: Tensor, second: Tensor) -> Tensor:
    """Two tensors side by side in their last dimension; the second is repeated along the others."""
    return torch.cat([first, second.expand(*first.shape[:-1], -1)], dim=-1)


class Conditioned(nn.Module):
    """Layer norm whose scale and shift come from the text: (1 + s(e)) * (F - mean) / std + b(e), zero at the start."""

    def __init__(self, channels: int, text: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, elementwise_affine=False)
        self.affine = nn.Linear(text, 2 * channels)
        for parameter in self.affine.parameters():
            nn.init.zeros_(parameter)

    def forward(self, tokens: Tensor, text: Tensor) -> Tensor:
        """Tokens (N, L, C) under a text embedding (N, T), or (1, T) for all."""
        scale, shift = self.affine(text)[:, None].chunk(2, dim=-1)
        return torch.addcmul(shift, self.norm(tokens), 1.0 + scale)


class ChannelGate(nn.Module):
    """Turns channels of the reference down or up by what the reference and the text are; 1 at the start."""

    def __init__(self, channels: int, text: int) -> None:
        super().__init__()
        self.gate = nn.Linear(channels + text, channels)
        for parameter in self.gate.parameters():
            nn.init.zeros_(parameter)

    def forward(self, tokens: Tensor, summary: Tensor, text: Tensor) -> Tensor:
        """Tokens (N, L, C) gated by a summary of the reference (N, C) and the text (N, T) or (1, T)."""
        given = torch.cat([summary, text.expand(len(summary), -1)], dim=-1)
        return tokens * (2.0 * torch.sigmoid(self.gate(given)))[:, None]


class SelfAttention(nn.Module):
    """Self-attention and a small perceptron over a few tokens."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.mlp = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels)
        )
        for layer in (self.out, self.mlp[-1]):  # nothing is added at the start of the training
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, L, C) to the same."""
        n, length, channels = tokens.shape
        qkv = self.qkv(self.norm(tokens)).view(n, length, 3, self.heads, channels // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        tokens = tokens + self.out(mixed.transpose(1, 2).reshape(n, length, channels))
        return tokens + self.mlp(tokens)


class Sharing(nn.Module):
    """Places of an image that look alike and lie near each other share what each pair says of them.

    Who shares with whom is decided once for all pairs of an image; what is shared is averaged over 2 x 2 cells. Nothing
    is added at the start of the training.
    """

    heads = 2

    def __init__(self, fine: int, channels: int, width: int) -> None:
        super().__init__()
        self.look = nn.Conv2d(fine, self.heads * width, 1)
        self.sharpness = nn.Parameter(torch.full((self.heads, 1, 1), 2.0))
        self.nearness = nn.Parameter(torch.full((self.heads, 1, 1), 3.0))
        self.value = nn.Conv2d(channels + 1, width, 1)
        self.out = nn.Conv2d((self.heads + 1) * width, channels, 1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, told: Tensor, mask: Tensor, fine: Tensor) -> Tensor:
        """What is shared, to be added.

        Args:
            told: (P, C, H, W) of P pairs, the same number for each image.
            mask: (P, H, W) logits.
            fine: (B, F, H, W) features of the images.

        Returns:
            (P, C, H, W).
        """
        images, (height, width) = len(fine), fine.shape[-2:]
        given = self.value(torch.cat([told, torch.sigmoid(mask)[:, None]], dim=1))
        values = functional.avg_pool2d(given, 2).view(images, -1, height * width // 4).transpose(1, 2)
        look = self.look(fine)
        asked, offered = self._unit(look), self._unit(functional.avg_pool2d(look, 2))
        ours, theirs = _places(height, width, look), _places(height // 2, width // 2, look)
        near = functional.relu(self.nearness)
        asked = _joined(torch.exp(self.sharpness) * asked, near * towards(ours))
        offered = _joined(offered, from_there(theirs))
        values = values[:, None].expand(-1, self.heads, -1, -1)
        shared = attended(asked, offered, values)  # (B, heads, H * W, pairs * width)
        shared = shared.view(images, self.heads, height * width, -1, given.shape[1]).permute(0, 3, 1, 4, 2)
        shared = shared.reshape(len(told), -1, height, width)
        return self.out(functional.relu(torch.cat([shared, given], dim=1)))

    def _unit(self, look: Tensor) -> Tensor:
        """Of maps (B, heads * width, H, W): (B, heads, H * W, width), of unit length."""
        return functional.normalize(look.view(len(look), self.heads, -1, look[0, 0].numel()), dim=2).transpose(2, 3)


def _places(rows: int, columns: int, like: Tensor) -> Tensor:
    """Middles of cells (rows * columns, 2) in quarters of the width."""
    y = (torch.arange(rows, device=like.device, dtype=like.dtype) + 0.5) / columns * 4.0
    x = (torch.arange(columns, device=like.device, dtype=like.dtype) + 0.5) / columns * 4.0
    return torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1).view(-1, 2)


class Retrieval(nn.Module):
    """One fusion block: query tokens fetch from the reference's, and carry its objectness along.

    Each query token may also choose a learnt token that stands for "nothing of the reference". Queries and keys are
    made alike at the start, so that what looks the same finds each other before anything is learnt. Where the place of
    both within the object is known, tokens far apart find each other less; how much less is learnt.
    """

    def __init__(self, channels: int, heads: int, text: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = Conditioned(channels, text)
        self.reference_norm = nn.LayerNorm(channels)
        self.q = nn.Linear(channels, channels)
        self.kv = nn.Linear(channels, 2 * channels)
        self.sharpness = nn.Parameter(torch.full((heads, 1, 1), 2.0))
        self.stiffness = nn.Parameter(torch.linspace(0.0, 6.0, heads)[:, None, None])
        self.none = nn.Parameter(torch.randn(1, 1, channels) * 0.02)
        self.gate = ChannelGate(channels, text)
        self.out = nn.Linear(channels, channels)
        self.agreement = nn.Linear(channels, channels)
        self.objectness = nn.Parameter(torch.randn(heads, channels) * 0.3)
        self.mix_norm = nn.LayerNorm(channels)
        self.mix = nn.Conv2d(channels, channels, 3, padding=1)
        with torch.no_grad():
            nn.init.orthogonal_(self.q.weight)
            self.kv.weight[:channels] = self.q.weight
            for parameter in (self.q.bias, self.kv.bias):
                parameter.zero_()
            for parameter in (self.out.weight, self.agreement.weight, self.mix.weight):
                parameter.mul_(0.2)

    def forward(
        self, query: Tensor, reference: Tensor, objectness: Tensor, summary: Tensor, text: Tensor, ours: Tensor,
        theirs: Tensor, size: tuple[int, int], aligned: bool = True,
    ) -> tuple[Tensor, Tensor, Tensor | None]:  # fmt: skip
        """Fetch from the reference.

        Args:
            query: (P, H * W, C) tokens of P pairs.
            reference: (P, L, C) tokens.
            objectness: (P, L) how much of each reference token is the object.
            summary: (P, C) of the reference.
            text: (P, T) or (1, T).
            ours: (P, H * W, 4) `towards` the places of the query's tokens; 0 where they are not known.
            theirs: (P, L, 4) `from_there` of the reference's.
            size: (H, W).
            aligned: whether the alignment matrix is asked for.

        Returns:
            The query tokens (P, H * W, C), the objectness they were told (P, H * W), and the alignment matrix W
            (P, H * W, 1 + L), its first column that of "nothing"; its rows sum to 1.
        """
        p, length, channels = query.shape
        width = channels // self.heads
        gated = self.gate(self.reference_norm(reference), summary, text)
        k, v = self.kv(torch.cat([self.none.expand(p, 1, channels), gated], 1)).chunk(2, dim=-1)
        q = self.q(self.norm(query, text))
        q_heads = q.view(p, length, self.heads, width).transpose(1, 2)
        k = k.reshape(p, -1, self.heads, width).transpose(1, 2)
        v = v.reshape(p, -1, self.heads, width).transpose(1, 2)
        asked = _joined(q_heads * (self.sharpness * width**-0.5), functional.relu(self.stiffness) * ours[:, None])
        offered = _joined(k, functional.pad(theirs, (0, 0, 1, 0))[:, None])
        values = _joined(v, functional.pad(objectness, (1, 0))[:, None, :, None])
        weights = torch.softmax(asked @ offered.transpose(2, 3), dim=-1) if aligned else None
        fetched = attended(asked, offered, values) if weights is None else weights @ values
        carried = fetched[..., width].transpose(1, 2)
        fetched = fetched[..., :width].transpose(1, 2).reshape(p, length, channels)
        query = query + self.out(fetched) + self.agreement(q * fetched) + carried @ self.objectness
        grid = self.mix_norm(query).view(p, *size, channels).permute(0, 3, 1, 2)
        mixed = functional.relu(self.mix(grid)).permute(0, 2, 3, 1).reshape(p, length, channels)
        return query + mixed, carried.mean(2), None if weights is None else weights.mean(1)
