"""Training of the segmenter: one loop for a CPU, a GPU, or several under torchrun; it goes on where it stopped."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from storm_ros.core.errors import InputError
from storm_ros.encoders.nano import channels_last, planes_tensor
from storm_ros.encoders.network_files import weights_path
from storm_ros.som.network import SomNetwork
from storm_ros.training.batches import Batch, BatchStream
from storm_ros.training.losses import correspondence_loss, som_loss
from storm_ros.training.readers import made_ahead
from storm_ros.training.ring import RingMakers, RingScenes, ring_folder, supplied
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
from storm_ros.training.settings import OptimConfig, TrainConfig
from storm_ros.training.shards import Shards
from storm_ros.weights import read_weights


class SomTraining(Training[SomNetwork]):
    """The segmenter's training."""

    unit = "pairs"

    def __init__(self, config: TrainConfig, group: Process) -> None:
        """Start from weights that the seed decides, and from those that the configuration names."""
        torch.manual_seed(config.optim.seed)
        network = channels_last(SomNetwork(config.model).to(group.device))
        if config.start:
            start_from(network, config.start)
        super().__init__(config, group, network, channels_last(SomNetwork(config.model).to(group.device)))
        self.config = config
        self.model: nn.Module = network
        if group.world > 1:
            self.model = nn.parallel.DistributedDataParallel(network)
        self.optimizer = torch.optim.AdamW(decaying(network, config.optim.weight_decay), lr=config.optim.learning_rate)

    def train_step(self, batch: Batch) -> dict[str, float]:
        """One step.

        Returns:
            The parts of the loss, the learning rate and the norm of the gradient.

        Raises:
            InputError: the loss is not finite.
        """
        c = self.config.optim
        rate = learning_rate(self.step, c)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss, figures = batch_loss(self.model, batch, self.group.device, c)
        norm = self.descend(loss, c, batch.which.size)
        return {"loss": float(loss.detach()), **figures, "rate": rate, "gradient": norm}


def start_from(network: nn.Module, weights: str) -> int:
    """Take over what fits from trained weights: arrays of the same name and shape.

    Args:
        network: that is changed.
        weights: a name of `storm weights list`, or the path of a .safetensors file.

    Returns:
        How many arrays fitted.

    Raises:
        WeightsError: missing or damaged.
        InputError: nothing fits.
    """
    arrays, _ = read_weights(weights_path(weights))
    own = network.state_dict()
    fitting = {
        name: torch.from_numpy(values.astype(np.float32))
        for name, values in arrays.items()
        if name in own and tuple(own[name].shape) == values.shape
    }
    if not fitting:
        raise InputError(f"nothing of {weights} fits this network: give weights of the same kind, or leave start empty")
    network.load_state_dict(fitting, strict=False)
    return len(fitting)


def batch_loss(
    model: nn.Module, batch: Batch, device: torch.device, config: OptimConfig
) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch and its parts."""
    n, views, side = batch.reference.shape[:3]
    reference = planes_tensor(batch.reference.reshape(n * views, side, side, -1)).to(device)

    def given(values: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(device)

    which, extent = given(batch.which), given(batch.extent)
    with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
        output, ours, theirs = model(
            planes_tensor(batch.planes).to(device), reference.unflatten(0, (n, views)), given(batch.reference_mask),
            which, extent,
        )  # fmt: skip
    weight = given(batch.weight).flatten()
    loss, figures = som_loss(output, given(batch.target).flatten(0, 1), given(batch.present).flatten(), config, weight)
    if config.match == 0 and config.contrast == 0:
        return loss, figures
    points = given(batch.points), given(batch.reference_points), given(batch.size)
    more = correspondence_loss(output.alignment, ours, theirs, which, given(batch.owner), points, weight, config)
    return loss + sum(more.values()), figures | {name: float(value.detach()) for name, value in more.items()}


def learning_rate(step: int, config: OptimConfig) -> float:
    """Rate at a step: a straight rise, then half a cosine down."""
    return rate_at(
        step, config.steps, peak=config.learning_rate, warm_up=config.warm_up, final_share=config.final_share
    )


def train_som(
    config: TrainConfig, *, resume: bool = False, device: str = "auto", report: Report | None = None,
    stop: Stop | None = None,
) -> Path:  # fmt: skip
    """Train the segmenter.

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
    folder = ring_folder(checkpoint.parent, config.scenes)
    scenes = (
        RingScenes(folder, config.scenes, config.stream) if config.stream.shards else Shards(folders_of(config.data))
    )
    c = config.optim
    if c.threads:
        torch.set_num_threads(c.threads)
    with process(device) as group:
        training = SomTraining(config, group)
        if checkpoint.exists():
            training.load(checkpoint)
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        stream = BatchStream(scenes, c, config.model.reference_px, rank=group.rank, world=group.world)
        with contextlib.ExitStack() as open_now:
            batches = made_ahead(stream, training.step, c.steps, config.stream.readers)
            open_now.enter_context(contextlib.closing(batches))
            if config.stream.shards and group.leads and training.step < c.steps:
                rounds = stream.epochs(training.step)[0], stream.epochs(c.steps - 1)[1]
                makers = RingMakers(folder, config.scenes, config.stream, device=group.device.type, rounds=rounds)
                open_now.enter_context(makers)
                batches = supplied(batches, range(training.step, c.steps), stream.epochs, makers)
            steps = taken(training.train_step, batches, group.device)
            run_steps(training, steps, c, checkpoint.parent, ("loss", "mean_iou", "presence_accuracy"), report, stop)
    return checkpoint
