"""What trainings have in common: processes, checkpoints, the step, the loop, the log, the learning rate."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

import contextlib
import csv
import math
import os
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from storm_ros.core.config import knobs
from storm_ros.core.errors import ConfigError, InputError, OutputError
from storm_ros.training.plot import curves

CHECKPOINT, LOG, PLOT = "checkpoint.pt", "log.csv", "log.png"

UNFIT = (OSError, RuntimeError, KeyError, ValueError, AttributeError, EOFError, pickle.UnpicklingError)
"""What a file raises that is no checkpoint, one cut off, or one of something else."""

Report = Callable[[int, dict[str, float]], None]
Stop = Callable[[], bool]

Network = TypeVar("Network", bound=nn.Module)
Item = TypeVar("Item")


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


class Pace(Protocol):
    """Settings that every training has."""

    @property
    def steps(self) -> int:
        """Optimisation steps."""
        ...

    @property
    def clip(self) -> float:
        """Largest norm of the gradient."""
        ...

    @property
    def ema(self) -> float:
        """Share of the old in the moving average of the weights."""
        ...

    @property
    def log_every(self) -> int:
        """Steps from one line of the log to the next."""
        ...

    @property
    def checkpoint_s(self) -> float:
        """Seconds from one checkpoint to the next."""
        ...


class Training(Generic[Network]):
    """Weights, their moving average, the optimiser, and how far the training is.

    Attributes:
        unit: what is counted, as the log and the checkpoint name it.
        group: this process.
        network: that is trained.
        average: moving average of its weights.
        optimizer: of the network.
        step: number of steps done.
        seen: how many of the unit all processes have seen.
    """

    unit: ClassVar[str]

    def __init__(self, config: Any, group: Process, network: Network, average: Network) -> None:
        """Start before the first step; the optimiser is the caller's to set."""
        self.settings, self.group, self.network, self.average = config, group, network, average
        self.average.load_state_dict(network.state_dict())
        self.optimizer: torch.optim.Optimizer
        self.step = self.seen = 0

    def descend(self, loss: Tensor, pace: Pace, count: int) -> float:
        """Go down a loss.

        Args:
            loss: of a batch.
            pace: clip and moving average.
            count: how many of the unit the batch has.

        Returns:
            The norm of the gradient.

        Raises:
            InputError: the loss is not finite.
        """
        if not torch.isfinite(loss):
            raise InputError(
                f"the loss is {float(loss.detach())} at step {self.step}: lower optim.learning_rate and go on with "
                "--resume"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        trained = [p for p in self.network.parameters() if p.requires_grad]
        norm = nn.utils.clip_grad_norm_(trained, pace.clip)
        self.optimizer.step()
        self.step += 1
        self.seen += count * self.group.world
        blend(self.average, self.network, min(pace.ema, (1.0 + self.step) / (10.0 + self.step)))
        return float(norm)

    def save(self, path: Path) -> None:
        """Write everything needed to go on, in place of what was there.

        Raises:
            OutputError: it cannot be written.
        """
        state = {
            "network": self.network.state_dict(), "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(), "step": self.step, self.unit: self.seen,
            "config": {item.key: item.value for item in knobs(self.settings)},
        }  # fmt: skip
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            torch.save(state, draft)
            os.replace(draft, path)
        except (OSError, RuntimeError) as error:  # PyTorch reports a full disk as a RuntimeError
            draft.unlink(missing_ok=True)
            reason = " ".join(str(error).split())[:160]
            raise OutputError(
                f"checkpoint {path} cannot be written ({reason}): make room or choose another disk"
            ) from None

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
            self.step, self.seen = int(state["step"]), int(state[self.unit])
        except UNFIT as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"checkpoint {path} does not fit ({reason}): use the configuration it was made with, or start anew "
                "without --resume"
            ) from error


def checkpoint_in(out: str, *, resume: bool) -> Path:
    """The checkpoint of an output folder, which may not be there yet.

    Raises:
        ConfigError: it is there, and is not to be resumed.
    """
    checkpoint = Path(out) / CHECKPOINT
    if checkpoint.exists() and not resume:
        raise ConfigError(f"{checkpoint} exists: go on with --resume, or choose another folder with --set out=FOLDER")
    return checkpoint


def folders_of(text: str) -> list[str]:
    """Folders that a setting names, separated by commas."""
    return [folder.strip() for folder in text.split(",") if folder.strip()]


def run_steps(
    training: Training[Any], figures_of: Iterable[dict[str, float]], pace: Pace, out: Path, drawn: Sequence[str],
    report: Report | None, stop: Stop | None = None,
) -> None:  # fmt: skip
    """Take the steps, with a log, a plot and checkpoints.

    Args:
        training: that takes them.
        figures_of: takes a step each time it is asked, and gives its figures.
        pace: how many, and how often what is written.
        out: folder of what is written; one process writes.
        drawn: figures in the plot.
        report: called with the step and the mean figures since it was called last.
        stop: asked after each step; where it says so, a checkpoint is written and no more steps are taken.
    """
    log = FigureLog(out / LOG, training.step) if training.group.leads else None
    saved = started = time.monotonic()
    sums: dict[str, float] = {}
    count, before = 0, training.seen
    for step_figures in figures_of:
        for name, value in step_figures.items():
            sums[name] = sums.get(name, 0.0) + value
        count += 1
        stopped = stop is not None and stop()
        last = stopped or training.step == pace.steps
        if log is not None and (training.step % pace.log_every == 0 or last):
            now = time.monotonic()
            figures = {name: value / count for name, value in sums.items()}
            speed = (training.seen - before) / max(now - started, 1e-6)
            figures |= {training.unit: float(training.seen), f"{training.unit}_per_s": speed}
            log.write(training.step, figures)
            if report is not None:
                report(training.step, figures)
            sums, count, before, started = {}, 0, training.seen, now
        if log is not None and (time.monotonic() - saved > pace.checkpoint_s or last):
            training.save(out / CHECKPOINT)
            log.plot(out / PLOT, drawn)
            saved = time.monotonic()
        if stopped:
            return


def taken(
    step: Callable[[Item], dict[str, float]], batches: Iterable[Item], device: torch.device
) -> Iterator[dict[str, float]]:
    """Take a step with each batch.

    Args:
        step: takes one and gives its figures.
        batches: one after the other.
        device: that computes.

    Yields:
        The figures, with the seconds that the step waited for its batch, and how busy a GPU is (see `gpu_use`).
    """
    began = time.monotonic()
    for batch in batches:
        waited = time.monotonic() - began
        figures = {**step(batch), "wait_s": waited}
        yield {**figures, "gpu_percent": gpu_use(device)} if device.type == "cuda" else figures
        began = time.monotonic()


def gpu_use(device: torch.device) -> float:
    """Percent of the last moments in which a GPU was at work; NaN where nothing can tell (nvidia-ml-py is missing)."""
    try:
        return float(torch.cuda.utilization(device))
    except (ImportError, RuntimeError):
        return math.nan


def rate_at(step: int, steps: int, *, peak: float, warm_up: int, final_share: float) -> float:
    """Learning rate at a step of so many: a straight rise, then half a cosine down to a share of the peak."""
    rise = min(1.0, (step + 1) / max(warm_up, 1))
    done = min(1.0, max(0, step - warm_up) / max(steps - warm_up, 1))
    return peak * rise * (final_share + (1.0 - final_share) * 0.5 * (1.0 + math.cos(math.pi * done)))


def decaying(network: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Groups for the optimiser: weights decay; biases, norms and learnt tokens do not."""
    decays = [p for p in network.parameters() if p.ndim >= 2]
    others = [p for p in network.parameters() if p.ndim < 2]
    return [{"params": decays, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def blend(mean: nn.Module, now: nn.Module, share: float) -> None:
    """Move the moving average of some weights: it keeps a share of what it was."""
    with torch.no_grad():
        for old, new in zip(mean.parameters(), now.parameters(), strict=True):
            old.lerp_(new, 1.0 - share)


class FigureLog:
    """A CSV file with a line of figures per report; lines after the step that is resumed from are dropped."""

    def __init__(self, path: Path, step: int) -> None:
        """Open the file of a training that goes on from a step."""
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
            csv.DictWriter(file, list(self.rows[0]), extrasaction="ignore").writerow(row)

    def plot(self, path: Path, names: Sequence[str]) -> None:
        """Draw some of the figures over the steps."""
        drawn = [n for n in names if self.rows and n in self.rows[0]]
        curves(path, {n: [(float(r["step"]), float(r[n])) for r in self.rows] for n in drawn})

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
