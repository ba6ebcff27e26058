"""Training of the segmenter: one loop for a CPU, a GPU, or several under torchrun; it goes on where it stopped."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

import contextlib
import csv
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from storm_ros.core.config import knobs
from storm_ros.core.errors import ConfigError, InputError
from storm_ros.encoders.nano import channels_last, planes_tensor
from storm_ros.som.network import Output, SomNetwork
from storm_ros.training.batches import Batch, BatchStream
from storm_ros.training.losses import som_loss
from storm_ros.training.settings import OptimConfig, TrainConfig
from storm_ros.training.shards import Shards

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
        self.average = channels_last(SomNetwork(config.model).to(group.device))
        self.average.load_state_dict(self.network.state_dict())
        self.model: nn.Module = self.network
        if group.world > 1:
            self.model = nn.parallel.DistributedDataParallel(self.network)
        self.optimizer = torch.optim.AdamW(_groups(self.network, config.optim), lr=config.optim.learning_rate)
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
        output, target, present = run_batch(self.model, batch, self.group.device, c.precision)
        loss, figures = som_loss(output, target, present, c)
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
        with torch.no_grad():
            for mean, now in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(now, 1.0 - share)
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


def run_batch(model: nn.Module, batch: Batch, device: torch.device, precision: str) -> tuple[Output, Tensor, Tensor]:
    """The network's answer to a batch, the masks (P, h, w) and whether each object is present (P,)."""
    n, views, side = batch.reference.shape[:3]
    reference = planes_tensor(batch.reference.reshape(n * views, side, side, -1)).to(device)
    given = (
        planes_tensor(batch.planes).to(device),
        reference.unflatten(0, (n, views)),
        torch.from_numpy(np.ascontiguousarray(batch.reference_mask)).to(device),
        torch.from_numpy(batch.which).to(device),
    )
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        output = model(*given)
    target = torch.from_numpy(np.ascontiguousarray(batch.target)).to(device).flatten(0, 1)
    return output, target, torch.from_numpy(batch.present).to(device).flatten()


def learning_rate(step: int, config: OptimConfig) -> float:
    """Rate at a step: a straight rise, then half a cosine down."""
    rise = min(1.0, (step + 1) / max(config.warm_up, 1))
    done = min(1.0, max(0, step - config.warm_up) / max(config.steps - config.warm_up, 1))
    fall = config.final_share + (1.0 - config.final_share) * 0.5 * (1.0 + float(np.cos(np.pi * done)))
    return config.learning_rate * rise * fall


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
    log = _Log(out / LOG, training.step)
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
            log.plot(out / PLOT)
            saved = time.monotonic()


class _Log:
    """A CSV file with a line of figures per report; lines after the step that is resumed from are dropped."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self.rows: list[dict[str, str]] = []
        if step and path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                self.rows = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
        self._rewrite()

    def write(self, step: int, figures: dict[str, float]) -> None:
        """Add a line."""
        row = {"step": str(step), **{name: f"{value:.6g}" for name, value in figures.items()}}
        self.rows.append(row)
        if len(self.rows) == 1:
            self._rewrite()
            return
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, list(self.rows[0])).writerow(row)

    def _rewrite(self) -> None:
        if not self.rows:
            self.path.unlink(missing_ok=True)
            return
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        with draft.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
        os.replace(draft, self.path)

    def plot(self, path: Path) -> None:
        """Draw the figures that matter over the steps."""
        from storm_ros.training.plot import curves

        names = [n for n in ("loss", "mean_iou", "presence_accuracy") if self.rows and n in self.rows[0]]
        curves(path, {n: [(float(r["step"]), float(r[n])) for r in self.rows] for n in names})


def _groups(network: nn.Module, config: OptimConfig) -> list[dict[str, Any]]:
    """Weights decay; biases, norms and learnt tokens do not."""
    decays = [p for p in network.parameters() if p.ndim >= 2]
    others = [p for p in network.parameters() if p.ndim < 2]
    return [{"params": decays, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
