"""Training of the segmenter: one loop for a CPU, a GPU, or several under torchrun; it goes on where it stopped."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from storm_ros.core.config import knobs
from storm_ros.core.errors import ConfigError, InputError
from storm_ros.encoders.nano import channels_last, planes_tensor
from storm_ros.som.network import SomNetwork
from storm_ros.training.batches import Batch, BatchStream
from storm_ros.training.losses import correspondence_loss, som_loss
from storm_ros.training.running import FigureLog, blend, decaying, rate_at
from storm_ros.training.settings import OptimConfig, TrainConfig
from storm_ros.training.shards import Shards
from storm_ros.weights import find, read_weights, verified

CHECKPOINT = "checkpoint.pt"
LOG = "log.csv"
PLOT = "log.png"

Report = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class Process:
    """One of the processes that train together.

    Attributes:
        rank: its number.
        world: how many there are.
        device: it computes on.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this one writes."""
        return self.rank == 0


@contextlib.contextmanager
def process(device: str) -> Iterator[Process]:
    """This process, in the group that torchrun's environment names, or alone."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    if cuda and not torch.cuda.is_available():
        raise ConfigError("device.name = 'cuda': there is no CUDA device; use cpu or auto")
    chosen = torch.device("cuda", local) if cuda else torch.device("cpu")
    if world == 1:
        yield Process(0, 1, chosen)
        return
    torch.distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Process(torch.distributed.get_rank(), world, chosen)
    finally:
        torch.distributed.destroy_process_group()


class SomTraining:
    """Weights, their moving average, the optimiser, and the number of steps done."""

    def __init__(self, config: TrainConfig, group: Process) -> None:
        """Start from weights that the seed decides."""
        torch.manual_seed(config.optim.seed)
        self.config, self.group = config, group
        self.network = channels_last(SomNetwork(config.model).to(group.device))
        if config.start:
            start_from(self.network, config.start)
        self.average = channels_last(SomNetwork(config.model).to(group.device))
        self.average.load_state_dict(self.network.state_dict())
        self.model: nn.Module = self.network
        if group.world > 1:
            self.model = nn.parallel.DistributedDataParallel(self.network)
        self.optimizer = torch.optim.AdamW(
            decaying(self.network, config.optim.weight_decay), lr=config.optim.learning_rate
        )
        self.step = 0
        self.pairs = 0

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
        if not torch.isfinite(loss):
            raise InputError(
                f"the loss is {float(loss.detach())} at step {self.step}: lower optim.learning_rate and go on with "
                "--resume"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), c.clip)
        self.optimizer.step()
        self.step += 1
        self.pairs += batch.which.size * self.group.world
        share = min(c.ema, (1.0 + self.step) / (10.0 + self.step))
        blend(self.average, self.network, share)
        return {"loss": float(loss.detach()), **figures, "rate": rate, "gradient": float(norm)}

    def save(self, path: Path) -> None:
        """Write everything needed to go on, in place of what was there."""
        state = {
            "network": self.network.state_dict(), "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(), "step": self.step, "pairs": self.pairs,
            "config": {item.key: item.value for item in knobs(self.config)},
        }  # fmt: skip
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        torch.save(state, draft)
        os.replace(draft, path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            InputError: not readable, or of a network of another size.
        """
        try:
            state: dict[str, Any] = torch.load(path, map_location=self.group.device, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.pairs = int(state["step"]), int(state["pairs"])
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"checkpoint {path} does not fit ({reason}): use the configuration it was made with, or start anew "
                "without --resume"
            ) from error


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
    arrays, _ = read_weights(Path(weights) if weights.endswith(".safetensors") else verified(find(weights)))
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


def train_som(config: TrainConfig, *, resume: bool = False, device: str = "auto", report: Report | None = None) -> Path:
    """Train the segmenter.

    Args:
        config: everything.
        resume: go on from the checkpoint in the output folder; from the start if there is none.
        device: "auto", "cpu" or "cuda".
        report: called with the step and its figures, once every `log_every` steps.

    Returns:
        The last checkpoint.

    Raises:
        ConfigError: the output folder has a checkpoint already, and it is not to be resumed.
        InputError: no data, or a checkpoint that does not fit.
    """
    out = Path(config.out)
    checkpoint = out / CHECKPOINT
    if checkpoint.exists() and not resume:
        raise ConfigError(f"{checkpoint} exists: go on with --resume, or choose another folder with --set out=FOLDER")
    shards = Shards([folder.strip() for folder in config.data.split(",") if folder.strip()])
    if config.optim.threads:
        torch.set_num_threads(config.optim.threads)
    with process(device) as group:
        training = SomTraining(config, group)
        if checkpoint.exists():
            training.load(checkpoint)
        out.mkdir(parents=True, exist_ok=True)
        stream = BatchStream(shards, config.optim, config.model.reference_px, rank=group.rank, world=group.world)
        _loop(training, stream, out, report)
    return checkpoint


def _loop(training: SomTraining, stream: BatchStream, out: Path, report: Report | None) -> None:
    c = training.config.optim
    log = FigureLog(out / LOG, training.step)
    saved = started = time.monotonic()
    sums: dict[str, float] = {}
    count = 0
    for batch in stream.from_step(training.step, c.steps):
        for name, value in training.train_step(batch).items():
            sums[name] = sums.get(name, 0.0) + value
        count += 1
        if training.group.leads and (training.step % c.log_every == 0 or training.step == c.steps):
            now = time.monotonic()
            figures = {name: value / count for name, value in sums.items()}
            speed = count * batch.which.size * training.group.world / max(now - started, 1e-6)
            figures |= {"pairs": float(training.pairs), "pairs_per_s": speed}
            log.write(training.step, figures)
            if report is not None:
                report(training.step, figures)
            sums, count, started = {}, 0, now
        if training.group.leads and (time.monotonic() - saved > c.checkpoint_s or training.step == c.steps):
            training.save(out / CHECKPOINT)
            log.plot(out / PLOT, ("loss", "mean_iou", "presence_accuracy"))
            saved = time.monotonic()
