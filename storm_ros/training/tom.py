"""Training of the verifier: one loop for a CPU, a GPU, or several under torchrun; it goes on where it stopped."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from storm_ros.core.config import knobs, with_values
from storm_ros.core.errors import ConfigError, InputError
from storm_ros.encoders.nano import channels_last, planes_tensor
from storm_ros.encoders.nano_input import CHANNELS
from storm_ros.tom.network import TomNetwork
from storm_ros.tom.sizes import CROP_PX, TomConfig
from storm_ros.training.running import FigureLog, blend, decaying, rate_at
from storm_ros.training.som import Process, process
from storm_ros.training.tom_batches import CaseBatch, CaseStream
from storm_ros.training.tom_features import known_features
from storm_ros.training.tom_settings import TomTrainConfig
from storm_ros.training.tom_shards import CaseShards
from storm_ros.weights import find, read_weights, verified

CHECKPOINT, LOG, PLOT, FEATURES = "checkpoint.pt", "log.csv", "log.png", "features.npy"
NO_WEIGHTS = "none"

_ENCODER = "encoder."

Report = Callable[[int, dict[str, float]], None]


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
        return self.network.decide(tokens.at(now), self.network.store(tokens).at(memory), between, usable, figures)


class TomTraining:
    """Weights, their moving average, the optimiser, and the number of steps done."""

    def __init__(self, config: TomTrainConfig, group: Process) -> None:
        """Start from weights that the seed decides, and from the encoder's that the configuration names."""
        torch.manual_seed(config.optim.seed)
        self.config, self.group = config, group
        self.network = TomNetwork(config.model)
        if config.encoder != NO_WEIGHTS:
            encoder_from(self.network, config.encoder)
        self.network = channels_last(self.network.to(group.device))
        self.average = channels_last(TomNetwork(config.model).to(group.device))
        self.average.load_state_dict(self.network.state_dict())
        self.frozen = frozen = config.optim.encoder_share == 0.0
        self.network.encoder.requires_grad_(not frozen)
        self.answer: nn.Module = BatchLogits(self.network)
        if group.world > 1:
            self.answer = nn.parallel.DistributedDataParallel(self.answer)
        c = config.optim
        rest = nn.ModuleList(m for name, m in self.network.named_children() if name != "encoder")
        groups = [dict(g, share=1.0) for g in decaying(rest, c.weight_decay)]
        if not frozen:
            groups += [dict(g, share=c.encoder_share) for g in decaying(self.network.encoder, c.weight_decay)]
        self.optimizer = torch.optim.AdamW(groups, lr=c.learning_rate)
        self.step = 0
        self.cases = 0

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
        if not torch.isfinite(loss):
            raise InputError(
                f"the loss is {float(loss.detach())} at step {self.step}: lower optim.learning_rate and go on with "
                "--resume"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        trained = [p for p in self.network.parameters() if p.requires_grad]
        norm = nn.utils.clip_grad_norm_(trained, c.clip)
        self.optimizer.step()
        self.step += 1
        self.cases += len(batch.right) * self.group.world
        blend(self.average, self.network, min(c.ema, (1.0 + self.step) / (10.0 + self.step)))
        accuracy = float(((logits.detach() > 0) == right).float().mean())
        return {"loss": float(loss.detach()), "accuracy": accuracy, "rate": rate, "gradient": float(norm)}

    def save(self, path: Path) -> None:
        """Write everything needed to go on, in place of what was there."""
        state = {
            "network": self.network.state_dict(), "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(), "step": self.step, "cases": self.cases,
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
            self.step, self.cases = int(state["step"]), int(state["cases"])
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"checkpoint {path} does not fit ({reason}): use the configuration it was made with, or start anew "
                "without --resume"
            ) from error


def encoder_from(network: TomNetwork, weights: str) -> None:
    """Start the encoder from that of another network.

    Args:
        network: whose encoder is set.
        weights: a name of `storm weights list`, or a .safetensors file with an encoder in it.

    Raises:
        WeightsError: the file cannot be used.
        ConfigError: its encoder is of another size.
    """
    arrays, _ = read_weights(weights if weights.endswith(".safetensors") else verified(find(weights)))
    given = {
        k[len(_ENCODER) :]: torch.from_numpy(v.astype(np.float32)) for k, v in arrays.items() if k.startswith(_ENCODER)
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
    config: TomTrainConfig, *, resume: bool = False, device: str = "auto", report: Report | None = None
) -> Path:
    """Train the verifier.

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
    shards = CaseShards([folder.strip() for folder in config.data.split(",") if folder.strip()])
    if config.optim.threads:
        torch.set_num_threads(config.optim.threads)
    with process(device) as group:
        training = TomTraining(config, group)
        if checkpoint.exists():
            training.load(checkpoint)
        out.mkdir(parents=True, exist_ok=True)
        known = None
        if training.frozen:
            known = known_features(training.network, shards, config, out / FEATURES)
        stream = CaseStream(shards, config.optim, encoded=known, rank=group.rank, world=group.world)
        _loop(training, stream, out, report)
    return checkpoint


def _loop(training: TomTraining, stream: CaseStream, out: Path, report: Report | None) -> None:
    c, leads = training.config.optim, training.group.leads
    log = FigureLog(out / LOG, training.step) if leads else None
    saved = started = time.monotonic()
    sums: dict[str, float] = {}
    count = done = 0
    for batch in stream.from_step(training.step, c.steps):
        for name, value in training.train_step(batch).items():
            sums[name] = sums.get(name, 0.0) + value
        count, done = count + 1, done + len(batch.right)
        last = training.step == c.steps
        if log is not None and (training.step % c.log_every == 0 or last):
            now = time.monotonic()
            figures = {name: value / count for name, value in sums.items()}
            speed = done * training.group.world / max(now - started, 1e-6)
            figures |= {"cases": float(training.cases), "cases_per_s": speed}
            log.write(training.step, figures)
            if report is not None:
                report(training.step, figures)
            sums, count, done, started = {}, 0, 0, now
        if log is not None and (time.monotonic() - saved > c.checkpoint_s or last):
            training.save(out / CHECKPOINT)
            log.plot(out / PLOT, ("loss", "accuracy"))
            saved = time.monotonic()


def network_of(checkpoint: Path) -> tuple[TomNetwork, dict[str, str]]:
    """The averaged network of a checkpoint, and notes on it.

    Raises:
        InputError: the checkpoint cannot be read.
    """
    try:
        state: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
        model = {k.removeprefix("model."): v for k, v in state["config"].items() if k.startswith("model.")}
        network = TomNetwork(with_values(TomConfig(), model))
        network.load_state_dict(state["average"])
        return channels_last(network).eval(), {"steps": str(state["step"]), "cases": str(state["cases"])}
    except (OSError, RuntimeError, KeyError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"checkpoint {checkpoint} cannot be read ({reason}): give checkpoint.pt of a training of the verifier"
        ) from error
