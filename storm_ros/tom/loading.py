"""From a weights file to the verifying network, and back."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from storm_ros.core.config import check_value, knobs, with_values
from storm_ros.core.errors import ConfigError
from storm_ros.encoders.nano import channels_last
from storm_ros.tom.network import TomNetwork
from storm_ros.tom.sizes import TomConfig
from storm_ros.weights import WeightsError, find, read_weights, verified, write_weights

KIND = "storm_ros.tom"
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
    text = str(weights)
    path = Path(text) if text.endswith(".safetensors") else verified(find(text))
    arrays, metadata = read_weights(path)
    if metadata.get("kind") != KIND:
        raise WeightsError(
            f"weights file {path} is not of the verifier but of {metadata.get('kind', 'an unknown kind')}"
        )
    network = TomNetwork(_config_of(path, metadata) if config is None else config)
    wanted = network.state_dict()
    wrong = sorted(
        name
        for name in wanted.keys() | arrays.keys()
        if name not in wanted or name not in arrays or tuple(wanted[name].shape) != arrays[name].shape
    )
    if wrong:
        raise WeightsError(
            f"weights file {path} does not fit the configuration: {len(wrong)} arrays differ, the first is {wrong[0]}; "
            "use the configuration it was made with"
        )
    unfit = [name for name, values in arrays.items() if not np.isfinite(values).all()]
    if unfit:
        raise WeightsError(f"weights file {path} has values that are not finite in {unfit[0]}: get it again")
    network.load_state_dict({name: torch.from_numpy(values.astype(np.float32)) for name, values in arrays.items()})
    return channels_last(network).eval(), _tau_of(path, metadata)


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
    arrays = {name: values.detach().cpu().numpy().astype(np.float16) for name, values in network.state_dict().items()}
    sizes = {f"config.{item.key}": str(item.value) for item in knobs(network.config)}
    return write_weights(path, arrays, {**(notes or {}), **sizes, TAU: repr(float(tau)), "kind": KIND})


def _tau_of(path: Path, metadata: Mapping[str, str]) -> float:
    try:
        tau = float(metadata.get(TAU, "0"))
    except ValueError:
        tau = math.nan
    if not math.isfinite(tau):
        raise WeightsError(
            f"weights file {path} has tau = {metadata[TAU]!r}: a finite number is needed; calibrate anew"
        )
    return tau


def _config_of(path: Path, metadata: Mapping[str, str]) -> TomConfig:
    values = {key[len("config.") :]: value for key, value in metadata.items() if key.startswith("config.")}
    known = {item.key: item for item in knobs(TomConfig())}
    try:
        parsed = {k: check_value(known[k], v.lower() if known[k].kind is bool else v) for k, v in values.items()}
        return with_values(TomConfig(), parsed)
    except (KeyError, ConfigError) as error:
        raise WeightsError(f"weights file {path} was made for another version of the package ({error})") from error
