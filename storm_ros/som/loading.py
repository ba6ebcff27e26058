"""From a weights file to a network, and back."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from storm_ros.core.config import check_value, knobs, with_values
from storm_ros.core.errors import ConfigError
from storm_ros.encoders.nano import channels_last
from storm_ros.som.network import SomNetwork
from storm_ros.som.sizes import SomConfig
from storm_ros.weights import WeightsError, find, read_weights, verified, write_weights

KIND = "storm_ros.som"


def load_som(weights: str | Path, config: SomConfig | None = None) -> SomNetwork:
    """The segmenting network with trained weights, ready for use.

    Args:
        weights: a name of `storm weights list`, or the path of a .safetensors file.
        config: the size it has to have; that of the file by default.

    Raises:
        WeightsError: missing, damaged, altered, of another kind, or of another size than asked for.
    """
    text = str(weights)
    path = Path(text) if text.endswith(".safetensors") else verified(find(text))
    arrays, metadata = read_weights(path)
    if metadata.get("kind") != KIND:
        raise WeightsError(
            f"weights file {path} is not of the segmenter but of {metadata.get('kind', 'an unknown kind')}"
        )
    network = SomNetwork(_config_of(path, metadata) if config is None else config)
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
    return channels_last(network).eval()


def save_som(path: str | Path, network: SomNetwork, notes: Mapping[str, str] | None = None) -> Path:
    """Write a network's weights in half precision with its configuration.

    Args:
        path: of the .safetensors file.
        network: whose weights are written.
        notes: more texts to keep with them.

    Raises:
        OutputError: the file cannot be written.
    """
    arrays = {name: values.detach().cpu().numpy().astype(np.float16) for name, values in network.state_dict().items()}
    sizes = {f"config.{item.key}": str(item.value) for item in knobs(network.config)}
    return write_weights(path, arrays, {**(notes or {}), **sizes, "kind": KIND})


def _config_of(path: Path, metadata: Mapping[str, str]) -> SomConfig:
    values = {key[len("config.") :]: value for key, value in metadata.items() if key.startswith("config.")}
    known = {item.key: item for item in knobs(SomConfig())}
    try:
        parsed = {k: check_value(known[k], v.lower() if known[k].kind is bool else v) for k, v in values.items()}
        return with_values(SomConfig(), parsed)
    except (KeyError, ConfigError) as error:
        raise WeightsError(f"weights file {path} was made for another version of the package ({error})") from error
