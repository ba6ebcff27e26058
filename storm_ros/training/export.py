"""From a checkpoint of the training to the weights that are used."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from storm_ros.core.config import with_values
from storm_ros.core.errors import InputError
from storm_ros.som.loading import save_som
from storm_ros.som.network import SomNetwork
from storm_ros.som.sizes import SomConfig


def export(checkpoint: Path, output: Path) -> Path:
    """Write the averaged weights of a checkpoint.

    Args:
        checkpoint: of a training.
        output: the .safetensors file.

    Raises:
        InputError: the checkpoint cannot be read.
    """
    try:
        state: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
        model = {k.removeprefix("model."): v for k, v in state["config"].items() if k.startswith("model.")}
        network = SomNetwork(with_values(SomConfig(), model))
        network.load_state_dict(state["average"])
    except (OSError, RuntimeError, KeyError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"checkpoint {checkpoint} cannot be read ({reason}): give checkpoint.pt of a training"
        ) from error
    return save_som(output, network, {"steps": str(state["step"]), "pairs": str(state["pairs"])})
