"""From checkpoints of trainings to the network that comes out of them."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from storm_ros.core.config import with_values
from storm_ros.core.errors import InputError
from storm_ros.encoders.nano import channels_last
from storm_ros.encoders.network_files import Kind, Network, load_network
from storm_ros.training.running import UNFIT

_COUNTS = ("step", "pairs", "cases")
_MEAN_OF = "mean_of"


def trained(checkpoint: Path, kind: Kind[Network]) -> tuple[Network, dict[str, str]]:
    """The averaged network of a checkpoint, and how long it was trained.

    Args:
        checkpoint: of a training.
        kind: of its network.

    Raises:
        InputError: the checkpoint cannot be read.
    """
    try:
        state: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
        model = {k.removeprefix("model."): v for k, v in state["config"].items() if k.startswith("model.")}
        network = kind.build(with_values(kind.config, model))
        network.load_state_dict(state["average"])
    except UNFIT as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"checkpoint {checkpoint} cannot be read ({reason}): give checkpoint.pt of a training of the {kind.part}"
        ) from error
    return channels_last(network).eval(), {name: str(state[name]) for name in _COUNTS if name in state}


def mean_of(sources: Sequence[Path], kind: Kind[Network]) -> tuple[Network, dict[str, str]]:
    """The mean of the weights of networks that began alike (Wortsman et al., *Model soups*, 2022).

    Args:
        sources: checkpoints of trainings and .safetensors files, at least one.
        kind: of the networks.

    Returns:
        The network, and notes on what it is made of; of a single source how long it was trained.

    Raises:
        InputError: a checkpoint cannot be read, or the networks are not of one size.
        WeightsError: a .safetensors file is missing, damaged or of another kind.
    """
    found = [_read(source, kind) for source in sources]
    network, notes = found[0]
    if len(found) == 1:
        return network, notes
    states = [each.state_dict() for each, _ in found]
    sizes = [{name: values.shape for name, values in state.items()} for state in states]
    other = next((i for i, size in enumerate(sizes) if size != sizes[0]), None)
    if other is not None:
        raise InputError(f"{sources[other]} is of another size than {sources[0]}: a mean needs one kind of network")
    with torch.no_grad():
        network.load_state_dict(
            {
                name: torch.stack([state[name].double() for state in states]).mean(0).to(values.dtype)
                for name, values in states[0].items()
            }
        )
    counts = ["".join(f" {key} {own[key]}" for key in _COUNTS if key in own) for _, own in found]
    return network, {_MEAN_OF: ", ".join(f"{s.parent.name}/{s.name}{c}" for s, c in zip(sources, counts, strict=True))}


def _read(source: Path, kind: Kind[Network]) -> tuple[Network, dict[str, str]]:
    if source.suffix != ".safetensors":
        return trained(source, kind)
    network, metadata = load_network(kind, source)
    return network, {name: metadata[name] for name in _COUNTS if name in metadata}
