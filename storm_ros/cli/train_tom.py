"""``storm train cases``, ``tom`` and ``export-tom``: the verifier's data, training and weights."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_ros.cli.errors import UsageError
from storm_ros.cli.training import add_running, add_settings, chosen, finished, progress
from storm_ros.core.errors import needs_torch

if TYPE_CHECKING:
    from storm_ros.training.tom_settings import TomTrainConfig

SCENES_PER_SHARD = 32


def add_actions(actions: Any) -> None:
    """Add the actions to those of ``storm train``."""
    cases = actions.add_parser("cases", help="make cases for the verifier of shards of scenes")
    cases.add_argument("scenes", metavar="SCENES", help="folder of shards (storm train scenes)")
    cases.add_argument("--out", metavar="DIR", required=True, help="folder of the cases; those there already stay")
    cases.add_argument("--first", metavar="N", type=int, default=0, help="number of the first shard (default 0)")
    cases.add_argument("--shards", metavar="N", type=int, help=f"how many of {SCENES_PER_SHARD} scenes (default all)")
    add_settings(cases)
    cases.set_defaults(run=run_cases)

    tom = actions.add_parser("tom", help="train the verifier; several GPUs: torchrun -m storm_ros.cli.main train tom …")
    add_running(tom)
    add_settings(tom)
    tom.set_defaults(run=run_tom)

    export = actions.add_parser("export-tom", help="calibrate a checkpoint of the verifier and write its weights")
    export.add_argument("checkpoint", metavar="CHECKPOINT", help="checkpoint.pt of a training")
    export.add_argument("output", metavar="FILE", help="the .safetensors file")
    export.add_argument("--cases", metavar="DIR", required=True, help="held-out cases, for the threshold")
    export.set_defaults(run=run_export)


def run_cases(args: argparse.Namespace) -> int:
    """Run ``storm train cases``.

    Raises:
        UsageError: numbers that cannot be meant.
        InputError: no scenes.
    """
    if args.first < 0 or (args.shards is not None and args.shards < 1):
        raise UsageError(f"--shards {args.shards} --first {args.first}: at least one shard from number 0 on is needed")
    from storm_ros.pose import GeometricEstimator
    from storm_ros.training.shards import Shards
    from storm_ros.training.tom_shards import write_case_shard

    config = _chosen(args).cases
    scenes = Shards([args.scenes])
    available = -(-len(scenes) // SCENES_PER_SHARD)
    if args.first >= available:
        raise UsageError(f"--first {args.first}: the scenes of {args.scenes} give shards 0 to {available - 1}")
    last = available if args.shards is None else min(available, args.first + args.shards)
    estimator = GeometricEstimator()
    for number in range(args.first, last):
        which = range(number * SCENES_PER_SHARD, min(len(scenes), (number + 1) * SCENES_PER_SHARD))
        sys.stdout.write(f"{write_case_shard(Path(args.out), config, number, scenes, which, estimator)}\n")
        sys.stdout.flush()
    return 0


def run_tom(args: argparse.Namespace) -> int:
    """Run ``storm train tom``.

    Raises:
        BackendUnavailableError: PyTorch is missing.
        ConfigError: a setting that does not fit, or a folder that holds another training.
        InputError: no cases.
    """
    config = _chosen(args)
    with needs_torch("training"):
        from storm_ros.training.tom import train_tom
    figures = ("loss", "loss", ".3f"), ("accuracy", "accuracy", ".3f"), ("cases_per_s", "cases/s", ".1f")
    report = None if args.quiet else progress(config.optim.steps, *figures)
    finished(train_tom(config, resume=args.resume, device=args.device, report=report), args)
    return 0


def run_export(args: argparse.Namespace) -> int:
    """Run ``storm train export-tom``.

    Raises:
        BackendUnavailableError: PyTorch is missing.
        InputError: the checkpoint or the cases cannot be read.
    """
    with needs_torch("training"):
        from storm_ros.tom.loading import KIND, save_tom
        from storm_ros.training.export import trained
        from storm_ros.training.tom_figures import calibrated, checked_cases, judge_cases
    from storm_ros.weights.files import file_sha256

    network, notes = trained(Path(args.checkpoint), KIND)
    tau = calibrated(judge_cases(network, checked_cases([args.cases])))
    path = save_tom(args.output, network, tau, notes)
    sys.stdout.write(f"{path}  tau {tau:.3f}  sha256 {file_sha256(path)}\n")
    return 0


def _chosen(args: argparse.Namespace) -> TomTrainConfig:
    from storm_ros.training.tom_settings import TomTrainConfig

    return chosen(args, TomTrainConfig())
