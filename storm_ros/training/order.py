"""Batches by step number: which of the data a step takes, and made ahead of their use."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

Item = TypeVar("Item")


class OrderedStream(Generic[Item]):
    """Batches that the step number and a seed decide; each epoch takes everything once, in an order of its own."""

    def __init__(self, size: int, batch: int, key: tuple[int, ...], rank: int, world: int, advance: int = 0) -> None:
        """Set the order.

        Args:
            size: how much there is to choose from.
            batch: how much of it one process takes a step.
            key: seed of the order.
            rank: number of this process.
            world: number of processes; they take different things.
            advance: how many are left behind for as many new ones after each epoch.
        """
        self.rank, self.world, self._advance = rank, world, advance
        self._size, self._batch, self._key = size, batch, key
        self._orders: dict[int, npt.NDArray[np.int64]] = {}

    def batch(self, step: int) -> Item:
        """The batch of a step."""
        raise NotImplementedError

    def chosen(self, step: int) -> list[int]:
        """Numbers of what this process takes at a step."""
        first = (step * self.world + self.rank) * self._batch
        return [self._drawn(first + i) for i in range(self._batch)]

    def _drawn(self, draw: int) -> int:
        epoch, place = divmod(draw, self._size)
        if epoch not in self._orders:
            order = np.random.default_rng([*self._key, epoch]).permutation(self._size)
            self._orders = {epoch: order, **{e: o for e, o in self._orders.items() if e == epoch - 1}}
        return epoch * self._advance + int(self._orders[epoch][place])

    def epochs(self, step: int) -> tuple[int, int]:
        """First and last epoch that the processes take from at a step."""
        draws = self.world * self._batch
        return step * draws // self._size, ((step + 1) * draws - 1) // self._size

    def from_step(self, first: int, last: int, ahead: int = 2) -> Iterator[Item]:
        """Batches of the steps first to last - 1, made ahead on a thread."""
        with ThreadPoolExecutor(1) as pool:
            waiting = [pool.submit(self.batch, s) for s in range(first, min(first + ahead, last))]
            for step in range(first, last):
                done = waiting.pop(0).result()
                if step + ahead < last:
                    waiting.append(pool.submit(self.batch, step + ahead))
                yield done
