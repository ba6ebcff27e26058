"""From a weights file to the verifying network with its threshold, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from storm_ros.encoders.network_files import Kind, load_network, save_network
from storm_ros.tom.network import TomNetwork
from storm_ros.tom.sizes import TomConfig
from storm_ros.weights import WeightsError

KIND = Kind("storm_ros.tom", "verifier", TomNetwork, TomConfig())
TAU = "tau"


def load_tom(weights: str | Path, config: TomConfig | None = None) -> tuple[TomNetwork, float]:
    """The verifying network with trained weights, and the threshold that was calibrated for them.

    Args:
        weights: a name of `storm weights list`, or the path of a .safetensors file.
        config: the size it has to have; that of the file by default.

    Returns:
        The network, and tau; 0 where the file was never calibrated.

    Raises:
        WeightsError: missing, damaged, altered, of another kind, or of another size than asked for.
    """
    network, metadata = load_network(KIND, weights, config)
    return network, _tau_of(weights, metadata)


def save_tom(path: str | Path, network: TomNetwork, tau: float, notes: Mapping[str, str] | None = None) -> Path:
    """Write a network's weights in half precision with its configuration and its threshold.

    Args:
        path: of the .safetensors file.
        network: whose weights are written.
        tau: energy above which a frame is bad.
        notes: more texts to keep with them.

    Raises:
        OutputError: the file cannot be written.
    """
    return save_network(KIND, path, network, network.config, {**(notes or {}), TAU: repr(float(tau))})


def _tau_of(weights: str | Path, metadata: Mapping[str, str]) -> float:
    try:
        tau = float(metadata.get(TAU, "0"))
    except ValueError:
        tau = math.nan
    if not math.isfinite(tau):
        raise WeightsError(f"weights {weights} have tau = {metadata[TAU]!r}: a finite number is needed; calibrate anew")
    return tau
