"""What the verifying network does in a frame, traced: run so, no Python lies between its many small operations."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

import copy
import functools
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from storm_ros.encoders.nano import channels_last, planes_tensor
from storm_ros.encoders.nano_input import CHANNELS
from storm_ros.tom.crops import COLOURS, PLACES
from storm_ros.tom.evidence import EVIDENCE
from storm_ros.tom.network import Asked, Stored, Tokens, TomNetwork
from storm_ros.tom.sizes import CROP_PX, TomConfig

_RUNS = 3
"""PyTorch makes a trace quick in its first runs: none of them is part of a frame."""


class TracedTom:
    """`TomNetwork.encode`, `tokens` and `decide` for one crop, in two thirds of the time; it follows the weights."""

    def __init__(self, network: TomNetwork) -> None:
        """Take the traces of a network of this size, with this one's weights."""
        with torch.inference_mode(False):
            self._encode, self._network = copy.deepcopy(_traces(network.config))
        for trace, its in ((self._encode, network.encoder), (self._network, network)):
            for ours, theirs in zip(trace.parameters(), its.parameters(), strict=True):
                ours.data = theirs.data

    def tokens(self, planes: Tensor, places: Tensor) -> Tokens:
        """Tokens (1, L, ...) of one crop's input planes (1, 7, S, S) and places (1, 8, S, S)."""
        return Tokens(*self._network.tokens(self._encode(planes), places))

    def logit(
        self, tokens: Tokens, asked: Asked, lie: npt.NDArray[np.float32], figures: npt.NDArray[np.float32]
    ) -> float:
        """Logit of one crop before the V views it asks.

        Args:
            tokens: of the crop.
            asked: the views.
            lie: (V, 3) how they lie to it, see `memory.between`.
            figures: (8,) of its estimate, see `evidence`.
        """
        return float(self._network.decide(tokens, asked, *_told(lie, figures))[0])


@functools.lru_cache(maxsize=4)
def _traces(config: TomConfig) -> tuple[Any, Any]:
    """The encoder of a network, and the rest, traced on an empty crop and run until they are quick.

    PyTorch never lets go of what was traced, so each size is traced once.
    """
    with torch.random.fork_rng(devices=()):  # no random number of anyone else's is drawn
        network = channels_last(TomNetwork(config)).eval()
    planes, places = (
        planes_tensor(np.zeros((1, CROP_PX, CROP_PX, channels), np.float32))
        for channels in (CHANNELS, PLACES + COLOURS)
    )
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # what is to replace it needs a compiler
        encoded = network.encode(planes)
        tokens = network.tokens(encoded, places)
        view = Stored(*(part[:, None].repeat_interleave(2, dim=1) for part in network.store(tokens)))
        judged = (tokens, network.asked(view), *_told(np.ones((2, 3), np.float32), np.zeros(EVIDENCE, np.float32)))
        encode: Any = torch.jit.trace(network.encoder, (planes,), check_trace=False)
        rest: Any = torch.jit.trace_module(network, {"tokens": (encoded, places), "decide": judged}, check_trace=False)
    with torch.inference_mode():
        for _ in range(_RUNS):
            rest.tokens(encode(planes), places)
            rest.decide(*judged)
    return encode, rest


def _told(lie: npt.NDArray[np.float32], figures: npt.NDArray[np.float32]) -> tuple[Tensor, Tensor, Tensor]:
    return torch.from_numpy(lie)[None], torch.ones(1, len(lie), dtype=torch.bool), torch.from_numpy(figures)[None]
