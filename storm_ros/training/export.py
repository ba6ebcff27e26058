"""From a checkpoint of a training to the network that comes out of it."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from storm_ros.core.config import with_values
from storm_ros.core.errors import InputError
from storm_ros.encoders.nano import channels_last
from storm_ros.encoders.network_files import Kind, Network

_COUNTS = ("step", "pairs", "cases")


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
    except (OSError, RuntimeError, KeyError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"checkpoint {checkpoint} cannot be read ({reason}): give checkpoint.pt of a training of the {kind.part}"
        ) from error
    return channels_last(network).eval(), {name: str(state[name]) for name in _COUNTS if name in state}
