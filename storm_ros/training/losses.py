"""Losses of the segmenter: mask, alignment, correspondence, presence and predicted IoU."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from storm_ros.som.network import Output
from storm_ros.training.settings import OptimConfig


def som_loss(
    output: Output, target: Tensor, present: Tensor, config: OptimConfig, weight: Tensor | None = None
) -> tuple[Tensor, dict[str, float]]:
    """The loss of P pairs.

    Args:
        output: of the network.
        target: (P, H / 2, W / 2) share of the object in each cell.
        present: (P,) bool.
        config: weights of its parts.
        weight: (P,) of the pairs; 1 by default.

    Returns:
        The loss, and its parts with the mean IoU where the object is present and the accuracy of the presence.
    """
    counted = torch.ones_like(present, dtype=torch.float32) if weight is None else weight
    logits = output.mask.float()
    coarse_target = _pooled(target, output.coarse.shape[-2:])
    target = _pooled(target, logits.shape[-2:])
    there = present.float() * counted
    shown = there.sum().clamp_min(1.0)
    total_weight = counted.sum().clamp_min(1.0)
    chance = torch.sigmoid(logits)
    focal = (_focal(logits, chance, target).mean((1, 2)) * counted).sum() / total_weight
    overlap = (chance * target).sum((1, 2))
    dice = 1.0 - (2.0 * overlap + 1.0) / (chance.sum((1, 2)) + target.sum((1, 2)) + 1.0)
    missed, extra = target.sum((1, 2)) - overlap, chance.sum((1, 2)) - overlap
    tversky = 1.0 - (overlap + 1.0) / (overlap + 0.7 * missed + 0.3 * extra + 1.0)
    iou = mask_iou(logits.detach(), target)
    said = output.presence.float()
    presence = functional.binary_cross_entropy_with_logits(said, present.float(), reduction="none")
    judged = ((torch.sigmoid(output.iou.float()) - iou) ** 2 * there).sum() / shown
    coarse = _coarse(output.coarse.float(), coarse_target, counted, there)
    parts = {
        "focal": config.focal * focal,
        "dice": config.dice * (dice * there).sum() / shown,
        "tversky": config.tversky * (tversky * there).sum() / shown,
        "coarse": config.coarse * coarse,
        "presence": config.presence * (presence * counted).sum() / total_weight,
        "iou": config.iou * judged,
    }
    total = torch.stack(list(parts.values())).sum()
    figures = {name: float(value.detach()) for name, value in parts.items()}
    figures["mean_iou"] = float((iou * there).sum() / shown)
    figures["presence_accuracy"] = float((((said > 0) == present).float() * counted).sum() / total_weight)
    return total, figures


class Pairs(NamedTuple):
    """True correspondence of P pairs.

    Attributes:
        positive: (P, A, L) bool: the same place of the same object.
        known: (P, A) 1 where a cell has a partner.
    """

    positive: Tensor
    known: Tensor


def match_loss(alignment: Tensor, pairs: Pairs) -> Tensor:
    """How far the alignment matrices are from true correspondence.

    Args:
        alignment: (blocks, P, A, 1 + L) of the network.
        pairs: which cells of the look correspond to which of the reference.

    Returns:
        Mean over cells with a true partner of minus the logarithm of what the matrix gives to true partners.
    """
    told = (alignment[..., 1:] * pairs.positive).sum(-1).clamp_min(1e-5)
    cost = -told.log().mean(0) * pairs.known
    return cost.sum() / pairs.known.sum().clamp_min(1.0)


def contrast_loss(
    ours: Tensor, theirs: Tensor, owner: Tensor, near: Tensor, usable: Tensor, temperature: float
) -> Tensor:
    """Contrastive loss (InfoNCE) of the tokens: a cell of a look against the cells of all references.

    Args:
        ours: (A, C) unit-length tokens of cells that show an object.
        theirs: (N * L, C) unit-length tokens of the references.
        owner: (A,) number of the reference whose object each shows.
        near: (A, L) which of that reference's cells correspond.
        usable: (N * L,) which cells of the references show their object.
        temperature: of the softmax.
    """
    if not len(ours):
        return theirs.sum() * 0.0
    cells = near.shape[1]
    logits = (ours @ theirs.T) / temperature
    everything = torch.logsumexp(logits.masked_fill(~usable, -1e4), dim=1)
    column = owner[:, None] * cells + torch.arange(cells, device=owner.device)
    own = logits.gather(1, column).masked_fill(~near, -1e4)
    return (everything - torch.logsumexp(own, dim=1)).mean()


def true_pairs(
    which: Tensor, owner: Tensor, points: Tensor, reference_points: Tensor, size: Tensor, reach: float
) -> Pairs:
    """Which cells of looks and references show the same place of the same object.

    Args:
        which: (B, K) reference of each pair.
        owner: (B, A) reference whose object a cell shows, -1 for none.
        points: (B, A, 3) in that object's frame; NaN where it is not known.
        reference_points: (N, L, 3) likewise.
        size: (N,) of the objects, metres.
        reach: of the size, how near is near.
    """
    images, count = which.shape
    number = which.flatten()
    ours = points[:, None].expand(-1, count, -1, -1).flatten(0, 1)
    theirs = reference_points[number]
    gap = torch.cdist(torch.nan_to_num(ours), torch.nan_to_num(theirs))
    valid = ours.isfinite().all(-1)[..., None] & theirs.isfinite().all(-1)[:, None]
    own = owner[:, None].expand(images, count, -1).flatten(0, 1) == number[:, None]
    positive = valid & own[..., None] & (gap < reach * size[number][:, None, None])
    return Pairs(positive, positive.any(-1).float())


def correspondence_loss(
    alignment: Tensor, ours: Tensor, theirs: Tensor, which: Tensor, owner: Tensor,
    points: tuple[Tensor, Tensor, Tensor], weight: Tensor, config: OptimConfig,
) -> dict[str, Tensor]:  # fmt: skip
    """What true correspondence adds to the loss.

    Args:
        alignment: (blocks, P, A, 1 + L) of the network.
        ours: (B, A, C) tokens of the looks.
        theirs: (N, L, C) tokens of the references.
        which: (B, K) reference of each pair.
        owner: (B, A) reference whose object a cell shows, -1 for none.
        points: of the looks (B, A, 3), of the references (N, L, 3), and the objects' sizes (N,).
        weight: (P,) of the pairs.
        config: weights of the parts.
    """
    seen, known, size = points
    pairs = true_pairs(which, owner, seen, known, size, config.reach)
    pairs = pairs._replace(known=pairs.known * weight[:, None])
    whose = owner.flatten()
    alone = true_pairs(
        whose.clamp_min(0)[:, None], whose[:, None], seen.flatten(0, 1)[:, None], known, size, config.reach
    )
    chosen = alone.known[:, 0] > 0
    contrast = contrast_loss(
        ours.float().flatten(0, 1)[chosen], theirs.float().flatten(0, 1), whose[chosen], alone.positive[:, 0][chosen],
        known.isfinite().all(-1).flatten(), config.temperature,
    )  # fmt: skip
    return {"match": config.match * match_loss(alignment.float(), pairs), "contrast": config.contrast * contrast}


def mask_iou(logits: Tensor, target: Tensor) -> Tensor:
    """IoU (P,) of masks (P, h, w) given as logits and as shares of cells."""
    ours, theirs = logits > 0, target > 0.5
    union = (ours | theirs).sum((1, 2))
    return (ours & theirs).sum((1, 2)) / union.clamp_min(1)


def _pooled(target: Tensor, size: torch.Size) -> Tensor:
    return functional.avg_pool2d(target[:, None], target.shape[-1] // size[-1])[:, 0]


def _focal(logits: Tensor, chance: Tensor, target: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss (P, h, w) that is fair to the few pixels of the object."""
    error = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    right = chance * target + (1.0 - chance) * (1.0 - target)
    weight = alpha * target + (1.0 - alpha) * (1.0 - target)
    return weight * (1.0 - right) ** gamma * error


def _coarse(carried: Tensor, target: Tensor, counted: Tensor, there: Tensor) -> Tensor:
    """Dice and cross entropy of the objectness that each block carries (blocks, P, h, w)."""
    clipped = carried.clamp(1e-4, 1.0 - 1e-4)
    entropy = -(target * clipped.log() + (1.0 - target) * (1.0 - clipped).log())
    weight = 1.0 + 3.0 * target
    overlap = (carried * target).sum((2, 3))
    dice = 1.0 - (2.0 * overlap + 0.5) / (carried.sum((2, 3)) + target.sum((1, 2)) + 0.5)
    told = ((weight * entropy).mean((2, 3)) * counted).sum() / (len(carried) * counted.sum().clamp_min(1.0))
    return told + (dice * there).sum() / (len(carried) * there.sum().clamp_min(1.0))
