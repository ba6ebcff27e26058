"""From a weights file to the segmenting network, and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from storm_ros.encoders.network_files import Kind, load_network, save_network
from storm_ros.som.network import SomNetwork
from storm_ros.som.sizes import SomConfig

KIND = Kind("storm_ros.som", "segmenter", SomNetwork, SomConfig())


def load_som(weights: str | Path, config: SomConfig | None = None) -> SomNetwork:
    """The segmenting network with trained weights, ready for use.

    Args:
        weights: a name of `storm weights list`, or the path of a .safetensors file.
        config: the size it has to have; that of the file by default.

    Raises:
        WeightsError: missing, damaged, altered, of another kind, or of another size than asked for.
    """
    return load_network(KIND, weights, config)[0]


def save_som(path: str | Path, network: SomNetwork, notes: Mapping[str, str] | None = None) -> Path:
    """Write a network's weights in half precision with its configuration.

    Args:
        path: of the .safetensors file.
        network: whose weights are written.
        notes: more texts to keep with them.

    Raises:
        OutputError: the file cannot be written.
    """
    return save_network(KIND, path, network, network.config, notes)
