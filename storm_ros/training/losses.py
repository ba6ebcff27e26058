"""Losses of the segmenter: mask, alignment, presence and predicted IoU."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from storm_ros.som.network import Output
from storm_ros.training.settings import OptimConfig


def som_loss(
    output: Output, target: Tensor, present: Tensor, config: OptimConfig, pixels: tuple[float, float] = (0.25, 2.0)
) -> tuple[Tensor, dict[str, float]]:
    """The loss of P pairs.

    Args:
        output: of the network.
        target: (P, H / 4, W / 4) share of the object in each cell.
        present: (P,) bool.
        config: weights of its parts.
        pixels: alpha and gamma of the focal loss.

    Returns:
        The loss, and its parts with the mean IoU where the object is present and the accuracy of the presence.
    """
    logits = output.mask.float()
    there = present.float()
    shown = there.sum().clamp_min(1.0)
    chance = torch.sigmoid(logits)
    focal = _focal(logits, chance, target, *pixels).mean()
    overlap = (chance * target).sum((1, 2))
    dice = 1.0 - (2.0 * overlap + 1.0) / (chance.sum((1, 2)) + target.sum((1, 2)) + 1.0)
    missed, extra = target.sum((1, 2)) - overlap, chance.sum((1, 2)) - overlap
    tversky = 1.0 - (overlap + 1.0) / (overlap + 0.7 * missed + 0.3 * extra + 1.0)
    iou = mask_iou(logits.detach(), target)
    presence = functional.binary_cross_entropy_with_logits(output.presence.float(), there)
    judged = ((torch.sigmoid(output.iou.float()) - iou) ** 2 * there).sum() / shown
    coarse = _coarse(output.coarse.float(), functional.avg_pool2d(target[:, None], 2)[:, 0], there)
    parts = {
        "focal": config.focal * focal,
        "dice": config.dice * (dice * there).sum() / shown,
        "tversky": config.tversky * (tversky * there).sum() / shown,
        "coarse": config.coarse * coarse,
        "presence": config.presence * presence,
        "iou": config.iou * judged,
    }
    total = torch.stack(list(parts.values())).sum()
    figures = {name: float(value.detach()) for name, value in parts.items()}
    figures["mean_iou"] = float((iou * there).sum() / shown)
    figures["presence_accuracy"] = float(((output.presence > 0) == present).float().mean())
    return total, figures


def mask_iou(logits: Tensor, target: Tensor) -> Tensor:
    """IoU (P,) of masks (P, h, w) given as logits and as shares of cells."""
    ours, theirs = logits > 0, target > 0.5
    union = (ours | theirs).sum((1, 2))
    return (ours & theirs).sum((1, 2)) / union.clamp_min(1)


def _focal(logits: Tensor, chance: Tensor, target: Tensor, alpha: float, gamma: float) -> Tensor:
    """Focal loss (P, h, w) that is fair to the few pixels of the object."""
    error = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    right = chance * target + (1.0 - chance) * (1.0 - target)
    weight = alpha * target + (1.0 - alpha) * (1.0 - target)
    return weight * (1.0 - right) ** gamma * error


def _coarse(carried: Tensor, target: Tensor, there: Tensor) -> Tensor:
    """Dice and cross entropy of the objectness that each block carries (blocks, P, h, w)."""
    clipped = carried.clamp(1e-4, 1.0 - 1e-4)
    entropy = -(target * clipped.log() + (1.0 - target) * (1.0 - clipped).log())
    weight = 1.0 + 8.0 * target
    overlap = (carried * target).sum((2, 3))
    dice = 1.0 - (2.0 * overlap + 0.5) / (carried.sum((2, 3)) + target.sum((1, 2)) + 0.5)
    return (weight * entropy).mean() + (dice * there).sum() / (len(carried) * there.sum().clamp_min(1.0))
