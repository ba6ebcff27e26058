"""What trainings have in common: the learning rate, the log, the weights that decay, the moving average."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

import csv
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from storm_ros.training.plot import curves


def rate_at(step: int, steps: int, *, peak: float, warm_up: int, final_share: float) -> float:
    """Learning rate at a step of so many: a straight rise, then half a cosine down to a share of the peak."""
    rise = min(1.0, (step + 1) / max(warm_up, 1))
    done = min(1.0, max(0, step - warm_up) / max(steps - warm_up, 1))
    return peak * rise * (final_share + (1.0 - final_share) * 0.5 * (1.0 + math.cos(math.pi * done)))


def decaying(network: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Groups for the optimiser: weights decay; biases, norms and learnt tokens do not."""
    decays = [p for p in network.parameters() if p.ndim >= 2]
    others = [p for p in network.parameters() if p.ndim < 2]
    return [{"params": decays, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def blend(mean: nn.Module, now: nn.Module, share: float) -> None:
    """Move the moving average of some weights: it keeps a share of what it was."""
    with torch.no_grad():
        for old, new in zip(mean.parameters(), now.parameters(), strict=True):
            old.lerp_(new, 1.0 - share)


class FigureLog:
    """A CSV file with a line of figures per report; lines after the step that is resumed from are dropped."""

    def __init__(self, path: Path, step: int) -> None:
        """Open the file of a training that goes on from a step."""
        self.path = path
        self.rows: list[dict[str, str]] = []
        if step and path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                self.rows = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
        self._rewrite()

    def write(self, step: int, figures: dict[str, float]) -> None:
        """Add a line."""
        row = {"step": str(step), **{name: f"{value:.6g}" for name, value in figures.items()}}
        self.rows.append(row)
        if len(self.rows) == 1:
            self._rewrite()
            return
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, list(self.rows[0])).writerow(row)

    def plot(self, path: Path, names: Sequence[str]) -> None:
        """Draw some of the figures over the steps."""
        drawn = [n for n in names if self.rows and n in self.rows[0]]
        curves(path, {n: [(float(r["step"]), float(r[n])) for r in self.rows] for n in drawn})

    def _rewrite(self) -> None:
        if not self.rows:
            self.path.unlink(missing_ok=True)
            return
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        with draft.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
        os.replace(draft, self.path)
