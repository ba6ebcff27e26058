"""Running a network: without gradients, on as many threads as suit its size."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def use_threads(threads: int) -> None:
    """Run operations on so many threads, at least 1, where nothing else is said; threads begun later know it, too."""
    torch.set_num_threads(threads)


@contextmanager
def inference(threads: int) -> Iterator[None]:
    """Run networks without gradients, with a number of threads inside each operation.

    PyTorch keeps that number per calling thread, and a thread that is new takes over what was set last, anywhere; who
    wants a certain number sets it for each run. On small inputs one is best: where cores are busy with something else,
    waiting for a second thread takes up to a hundred times longer than the operation.

    Args:
        threads: at least 1.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)
