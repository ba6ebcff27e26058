"""Networks in weights files: the arrays in half precision, and the configuration they need in the metadata."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import nn

from storm_ros.core.config import check_value, knobs, with_values
from storm_ros.core.errors import ConfigError
from storm_ros.encoders.nano import channels_last
from storm_ros.weights import WeightsError, find, read_weights, verified, write_weights

Network = TypeVar("Network", bound=nn.Module)

_CONFIG = "config."


@dataclass(frozen=True)
class Kind(Generic[Network]):
    """A kind of network that weights files hold.

    Attributes:
        name: of the kind, in the metadata.
        part: what it is for, in messages.
        build: the network of a configuration, with random weights.
        config: its default configuration; a file says what differs.
    """

    name: str
    part: str
    build: Callable[[Any], Network]
    config: Any


def weights_path(weights: str | Path) -> Path:
    """The file of some weights.

    Args:
        weights: a name of `storm weights list`, or the path of a .safetensors file.

    Raises:
        WeightsError: an unknown name, or a shipped file that is missing or altered.
    """
    text = str(weights)
    return Path(text) if text.endswith(".safetensors") else verified(find(text))


def load_network(kind: Kind[Network], weights: str | Path, config: Any = None) -> tuple[Network, dict[str, str]]:
    """A network with trained weights, ready for use.

    Args:
        kind: which network.
        weights: a name of `storm weights list`, or the path of a .safetensors file.
        config: the size it has to have; that of the file by default.

    Returns:
        The network, and the metadata of the file.

    Raises:
        WeightsError: missing, damaged, altered, of another kind, or of another size than asked for.
    """
    path = weights_path(weights)
    arrays, metadata = read_weights(path)
    if metadata.get("kind") != kind.name:
        raise WeightsError(
            f"weights file {path} is not of the {kind.part} but of {metadata.get('kind', 'an unknown kind')}"
        )
    network = kind.build(_config_of(kind.config, path, metadata) if config is None else config)
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
    return channels_last(network).eval(), metadata


def save_network(
    kind: Kind[Any], path: str | Path, network: nn.Module, config: Any, notes: Mapping[str, str] | None = None
) -> Path:
    """Write a network's weights in half precision with its configuration.

    Args:
        kind: of the network.
        path: of the .safetensors file.
        network: whose weights are written.
        config: its configuration.
        notes: more texts to keep with them.

    Raises:
        OutputError: the file cannot be written.
    """
    arrays = {name: values.detach().cpu().numpy().astype(np.float16) for name, values in network.state_dict().items()}
    sizes = {_CONFIG + item.key: str(item.value) for item in knobs(config)}
    return write_weights(path, arrays, {**(notes or {}), **sizes, "kind": kind.name})


def _config_of(defaults: Any, path: Path, metadata: Mapping[str, str]) -> Any:
    values = {key[len(_CONFIG) :]: value for key, value in metadata.items() if key.startswith(_CONFIG)}
    known = {item.key: item for item in knobs(defaults)}
    try:
        parsed = {k: check_value(known[k], v.lower() if known[k].kind is bool else v) for k, v in values.items()}
        return with_values(defaults, parsed)
    except (KeyError, ConfigError) as error:
        raise WeightsError(f"weights file {path} was made for another version of the package ({error})") from error
