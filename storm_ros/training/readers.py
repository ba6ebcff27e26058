"""Batches made ahead by several processes, in order; their arrays come over shared memory."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from storm_ros.training.batches import Batch, BatchStream
from storm_ros.training.making import leave_signals

_EACH = 2
"""Batches that a process makes ahead."""


class _Steps(Dataset):  # type: ignore[type-arg]
    def __init__(self, stream: BatchStream) -> None:
        self.stream = stream

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        batch = self.stream.batch(step)
        return {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in vars(batch).items()}


def made_ahead(stream: BatchStream, first: int, last: int, processes: int) -> Generator[Batch, None, None]:
    """Batches of the steps first to last - 1.

    Args:
        stream: that makes them.
        first: step.
        last: step after the last.
        processes: how many make them; 0: a thread of this one.
    """
    if not processes:
        yield from stream.from_step(first, last)
        return
    loader = DataLoader(
        _Steps(stream), batch_size=None, sampler=range(first, last), num_workers=processes, prefetch_factor=_EACH,
        multiprocessing_context="spawn", worker_init_fn=_quiet,
    )  # fmt: skip
    for made in loader:
        yield Batch(**{name: values.numpy() for name, values in made.items()})


def _quiet(number: int) -> None:
    del number
    torch.set_num_threads(1)
    leave_signals()
