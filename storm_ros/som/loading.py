"""From a weights file to the segmenting network, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from storm_ros.encoders.network_files import Kind, load_network, save_network
from storm_ros.som.judging import NETWORK_ALONE, SIGNALS, Weighing
from storm_ros.som.network import SomNetwork
from storm_ros.som.sizes import SomConfig
from storm_ros.weights import WeightsError

KIND = Kind("storm_ros.som", "segmenter", SomNetwork, SomConfig())
WEIGHING = "weighing"


def load_som(weights: str | Path, config: SomConfig | None = None) -> tuple[SomNetwork, Weighing]:
    """The segmenting network with trained weights, and how its candidates are weighed.

    Args:
        weights: a name of `storm weights list`, or the path of a .safetensors file.
        config: the size it has to have; that of the file by default.

    Returns:
        The network ready for use, and the weighing; `NETWORK_ALONE` where the file was never calibrated.

    Raises:
        WeightsError: missing, damaged, altered, of another kind, or of another size than asked for.
    """
    network, metadata = load_network(KIND, weights, config)
    return network, _weighing_of(weights, metadata)


def save_som(
    path: str | Path, network: SomNetwork, notes: Mapping[str, str] | None = None, weighing: Weighing | None = None
) -> Path:
    """Write a network's weights in half precision with its configuration.

    Args:
        path: of the .safetensors file.
        network: whose weights are written.
        notes: more texts to keep with them.
        weighing: of its candidates, see `storm_ros.training.chances`.

    Raises:
        OutputError: the file cannot be written.
    """
    own = {} if weighing is None else {WEIGHING: json.dumps([np.asarray(part).tolist() for part in weighing])}
    return save_network(KIND, path, network, network.config, {**(notes or {}), **own})


def _weighing_of(weights: str | Path, metadata: Mapping[str, str]) -> Weighing:
    if WEIGHING not in metadata:
        return NETWORK_ALONE
    try:
        mean, weight, bias = (np.array(part, dtype=np.float64) for part in json.loads(metadata[WEIGHING]))
    except (ValueError, TypeError):
        mean = weight = bias = np.zeros(0)
    shapes = mean.shape, weight.shape, bias.shape
    if shapes != ((len(SIGNALS),), (len(SIGNALS),), ()) or not np.isfinite([*mean, *weight, bias]).all():
        raise WeightsError(
            f"weights {weights} do not weigh candidates by {len(SIGNALS)} finite signals: calibrate them anew "
            "(storm train export --shards)"
        )
    return Weighing(mean, weight, float(bias))
