"""How fast a GPU trains the segmenter with scenes made on the way, whether it waits for them, and what it learns.

Runs the segmenter's training of ``storm train all --preset ship`` for some minutes (the first of its schedule: no end
of a training), and measures the weights it started from and those it came to on held-out simulated scenes. ``--device
cpu`` tries the script itself; make it smaller then, as in ``--set som.stream.shards=1 --set som.optim.batch=2``.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import math
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.figures import Figure, Outcome, console, main, parser

from storm_ros.cli.train_all import measure_som
from storm_ros.core.config import from_assignments
from storm_ros.core.errors import needs_torch
from storm_ros.training.making import made, make_shard
from storm_ros.training.recipe import Recipe, preset
from storm_ros.training.settings import TrainConfig

PAIRS_PER_S = 5000.0
_SHOWN = (("mean_iou", "mean IoU"), ("hit_rate", "hits at rank 1"), ("presence_auroc", "AUROC of the presence"))

Row = dict[str, float]


def run(args: argparse.Namespace, outcome: Outcome) -> None:
    """Measure before, train, measure after."""
    with needs_torch("training"):
        from storm_ros.training.pipeline import resolved
    recipe = from_assignments(preset("ship"), args.assignments)
    recipe = replace(recipe, figures=replace(recipe.figures, recordings="", cases=args.cases))
    device = resolved(args.device)
    with tempfile.TemporaryDirectory(dir=args.out) as folder:
        out = Path(folder)
        held = out / "held"
        work = functools.partial(make_shard, folder=held, config=recipe.som.scenes, held_out=True, device=device)
        first = recipe.data.first_held_out
        for path in made(work, range(first, first + recipe.data.held_out), recipe.data.processes, lambda: False):
            console.print(f"held-out shard {path.name}", highlight=False)
        config = replace(recipe.som, out=str(out / "som"))
        before, after, rows = _trained(config, out, device, 60.0 * args.minutes)
        outcome.figures += _speeds(rows, recipe, outcome)
        shown = ("step", "pairs", "pairs_per_s", "wait_s", "gpu_percent", "loss", "mean_iou")
        outcome.details["training"] = [{key: row[key] for key in shown if key in row} for row in rows]
        found = {name: measure_som(path, held, recipe) for name, path in (("before", before), ("after", after))}
    for name, results in found.items():
        for method, row in results["simulated"].items():
            outcome.figures += [Figure(f"{method}, {title}, {name}", row[key], "") for key, title in _SHOWN]


def _trained(config: TrainConfig, out: Path, device: str, seconds: float) -> tuple[Path, Path, list[Row]]:
    """Train for some seconds after the first line of the log; weights before and after, and the log's lines."""
    import torch

    from storm_ros.som.loading import KIND, save_som
    from storm_ros.training.export import trained
    from storm_ros.training.running import Process
    from storm_ros.training.som import SomTraining, train_som

    start = SomTraining(config, Process(0, 1, torch.device("cpu"))).network
    before = save_som(out / "before.safetensors", start)
    rows: list[Row] = []
    ends: list[float] = []

    def report(step: int, figures: dict[str, float]) -> None:
        if not ends:
            ends.append(time.monotonic() + seconds)
        rows.append({"step": float(step), **figures})
        console.print(f"step {step}: {figures['pairs_per_s']:.0f} pairs/s, waited {figures['wait_s']:.3f} s a step")

    def stop() -> bool:
        return bool(ends) and time.monotonic() > ends[0]

    checkpoint = train_som(config, device=device, report=report, stop=stop)
    return before, save_som(out / "after.safetensors", *trained(checkpoint, KIND)), rows


def _speeds(rows: list[Row], recipe: Recipe, outcome: Outcome) -> list[Figure]:
    """Without the first line, whose time holds the making of the first shards."""
    if len(rows) < 2:
        outcome.skipped.append("speed: one line of the log is too few, give more --minutes or a smaller log_every")
        return []
    steps = rows[-1]["step"] - rows[0]["step"]
    seconds = sum((b["pairs"] - a["pairs"]) / b["pairs_per_s"] for a, b in itertools.pairwise(rows))
    waited = sum(b["wait_s"] * (b["step"] - a["step"]) for a, b in itertools.pairwise(rows))
    c = recipe.som
    note = f"{c.optim.batch} scenes x {c.optim.looks} looks x {c.optim.pairs} pairs a step, {c.optim.precision}"
    out: list[Any] = [
        Figure("pairs per second", (rows[-1]["pairs"] - rows[0]["pairs"]) / seconds, "1/s", PAIRS_PER_S, True, note),
        Figure("seconds a step", seconds / steps, "s"),
        Figure("time waiting for data", 100.0 * waited / seconds, "%",
               note=f"{c.stream.makers} makers, {c.stream.readers} readers"),
    ]  # fmt: skip
    busy = [row["gpu_percent"] for row in rows[1:] if math.isfinite(row.get("gpu_percent", math.nan))]
    if busy:
        out.append(Figure("GPU busy", sum(busy) / len(busy), "%"))
    else:
        outcome.skipped.append("GPU busy: no GPU, or nothing that can tell (pip install nvidia-ml-py)")
    return out


if __name__ == "__main__":
    options = parser(__doc__)
    options.set_defaults(device="cuda")
    options.add_argument("--minutes", type=float, default=10.0, help="of training (default: 10)")
    options.add_argument("--cases", type=int, default=200, help="held-out cases to measure with (default: 200)")
    options.add_argument(
        "--out", type=Path, help="folder with room for the shards (default: the system's temporary one)"
    )
    options.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], dest="assignments")
    sys.exit(main(run, options.parse_args(), "train"))
