"""Training of the verifier: one loop for a CPU, a GPU, or several under torchrun; it goes on where it stopped."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from storm_ros.core.errors import ConfigError
from storm_ros.encoders.nano import channels_last, planes_tensor
from storm_ros.encoders.nano_input import CHANNELS
from storm_ros.encoders.network_files import weights_path
from storm_ros.tom.network import TomNetwork
from storm_ros.tom.sizes import CROP_PX
from storm_ros.training.running import (
    Process,
    Report,
    Stop,
    Training,
    checkpoint_in,
    decaying,
    folders_of,
    process,
    rate_at,
    run_steps,
    taken,
)
from storm_ros.training.tom_batches import CaseBatch, CaseStream
from storm_ros.training.tom_features import known_features
from storm_ros.training.tom_settings import TomTrainConfig
from storm_ros.training.tom_shards import CaseShards
from storm_ros.weights import read_weights

FEATURES = "features.npy"
NO_WEIGHTS = "none"

_ENCODER = "encoder."


class BatchLogits(nn.Module):
    """The network's answer to a whole batch: every crop is encoded once."""

    def __init__(self, network: TomNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, planes: Tensor, encoded: Tensor, places: Tensor, now: Tensor, memory: Tensor, between: Tensor,
        usable: Tensor, figures: Tensor,
    ) -> Tensor:  # fmt: skip
        """Logits (P,) of the cases; see `CaseBatch`."""
        tokens = self.network.tokens(encoded if encoded.numel() else self.network.encode(planes), places)
        asked = self.network.asked(self.network.store(tokens).at(memory))
        return self.network.decide(tokens.at(now), asked, between, usable, figures)


class TomTraining(Training[TomNetwork]):
    """The verifier's training."""

    unit = "cases"

    def __init__(self, config: TomTrainConfig, group: Process) -> None:
        """Start from weights that the seed decides, and from the encoder's that the configuration names."""
        torch.manual_seed(config.optim.seed)
        network = TomNetwork(config.model)
        if config.encoder != NO_WEIGHTS:
            encoder_from(network, config.encoder)
        network = channels_last(network.to(group.device))
        super().__init__(config, group, network, channels_last(TomNetwork(config.model).to(group.device)))
        self.config = config
        self.frozen = frozen = config.optim.encoder_share == 0.0
        network.encoder.requires_grad_(not frozen)
        self.answer: nn.Module = BatchLogits(network)
        if group.world > 1:
            self.answer = nn.parallel.DistributedDataParallel(self.answer)
        c = config.optim
        rest = nn.ModuleList(m for name, m in network.named_children() if name != "encoder")
        groups = [dict(g, share=1.0) for g in decaying(rest, c.weight_decay)]
        if not frozen:
            groups += [dict(g, share=c.encoder_share) for g in decaying(network.encoder, c.weight_decay)]
        self.optimizer = torch.optim.AdamW(groups, lr=c.learning_rate)

    def train_step(self, batch: CaseBatch) -> dict[str, float]:
        """One step.

        Returns:
            Loss, share of the cases judged right, the learning rate and the norm of the gradient.

        Raises:
            InputError: the loss is not finite.
        """
        c = self.config.optim
        rate = rate_at(self.step, c.steps, peak=c.learning_rate, warm_up=c.warm_up, final_share=c.final_share)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        right = torch.from_numpy(batch.right).to(self.group.device)
        logits = run_case_batch(self.answer, batch, self.group.device, c.precision).float()
        loss = functional.binary_cross_entropy_with_logits(logits, right.float())
        norm = self.descend(loss, c, len(batch.right))
        accuracy = float(((logits.detach() > 0) == right).float().mean())
        return {"loss": float(loss.detach()), "accuracy": accuracy, "rate": rate, "gradient": norm}


def encoder_from(network: TomNetwork, weights: str) -> None:
    """Start the encoder from that of another network.

    Args:
        network: whose encoder is set.
        weights: a name of `storm weights list`, or a .safetensors file with an encoder in it.

    Raises:
        WeightsError: the file cannot be used.
        ConfigError: its encoder is of another size.
    """
    arrays, _ = read_weights(weights_path(weights))
    given = {
        name: torch.from_numpy(arrays[_ENCODER + name].astype(np.float32))
        for name in network.encoder.state_dict()
        if _ENCODER + name in arrays
    }
    try:
        network.encoder.load_state_dict(given)
    except RuntimeError as error:
        raise ConfigError(
            f"encoder = {weights!r}: its encoder is of another size than model.encoder "
            f"({' '.join(str(error).split())[:160]}); use the sizes it was made with, or encoder=none"
        ) from error


def run_case_batch(model: nn.Module, batch: CaseBatch, device: torch.device, precision: str = "float32") -> Tensor:
    """The network's logits (P,) for a batch."""
    planes = batch.planes if batch.planes.size else np.zeros((0, CROP_PX, CROP_PX, CHANNELS), np.float32)
    given = (
        planes_tensor(planes).to(device), torch.from_numpy(batch.encoded).to(device),
        planes_tensor(batch.places).to(device),
        *(torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in (
            batch.now, batch.memory, batch.between, batch.usable, batch.figures
        )),
    )  # fmt: skip
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        return model(*given)


def train_tom(
    config: TomTrainConfig, *, resume: bool = False, device: str = "auto", report: Report | None = None,
    stop: Stop | None = None,
) -> Path:  # fmt: skip
    """Train the verifier.

    Args:
        config: everything.
        resume: go on from the checkpoint in the output folder; from the start if there is none.
        device: "auto", "cpu" or "cuda".
        report: called with the step and its figures, once every `log_every` steps.
        stop: asked after each step; where it says so, the training can be resumed from there.

    Returns:
        The last checkpoint.

    Raises:
        ConfigError: the output folder has a checkpoint already, and it is not to be resumed.
        InputError: no data, or a checkpoint that does not fit.
    """
    checkpoint = checkpoint_in(config.out, resume=resume)
    shards = CaseShards(folders_of(config.data))
    c = config.optim
    if c.threads:
        torch.set_num_threads(c.threads)
    with process(device) as group:
        training = TomTraining(config, group)
        if checkpoint.exists():
            training.load(checkpoint)
        out = checkpoint.parent
        out.mkdir(parents=True, exist_ok=True)
        known = known_features(training.network, shards, config, out / FEATURES) if training.frozen else None
        stream = CaseStream(shards, c, encoded=known, rank=group.rank, world=group.world)
        steps = taken(training.train_step, stream.from_step(training.step, c.steps), group.device)
        run_steps(training, steps, c, out, ("loss", "accuracy"), report, stop)
    return checkpoint
