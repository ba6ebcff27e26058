"""``storm train``: makes training scenes, trains the segmenter, and writes the weights that come out of it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_ros.cli import train_all, train_tom
from storm_ros.cli.errors import UsageError
from storm_ros.cli.training import add_running, add_settings, chosen, finished, progress
from storm_ros.core.errors import needs_torch

if TYPE_CHECKING:
    from storm_ros.training.settings import TrainConfig


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "train",
        help="make training scenes, train the segmenter, export its weights",
        description="Make training scenes with the simulator, train the segmenter on them, export its weights.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    scenes = actions.add_parser("scenes", help="write shards of simulated scenes")
    scenes.add_argument("--out", metavar="DIR", required=True, help="folder of the shards; those there already stay")
    scenes.add_argument("--shards", metavar="N", type=int, default=1, help="how many (default 1)")
    scenes.add_argument("--first", metavar="N", type=int, default=0, help="number of the first (default 0)")
    scenes.add_argument("--held-out", action="store_true", help="use the scanned objects that training leaves out")
    add_settings(scenes)
    scenes.set_defaults(run=run_scenes)

    recorded = actions.add_parser("recorded", help="write shards of a BOP scene with poses and masks")
    recorded.add_argument("input", metavar="INPUT", help="the BOP scene")
    recorded.add_argument("--out", metavar="DIR", required=True, help="folder of the shards")
    recorded.add_argument("--number", metavar="N", type=int, default=0, help="number of the shard (default 0)")
    add_settings(recorded)
    recorded.set_defaults(run=run_recorded)

    som = actions.add_parser(
        "som", help="train the segmenter; several GPUs: torchrun -m storm_ros.cli.main train som …"
    )
    add_running(som)
    add_settings(som)
    som.set_defaults(run=run_som)

    train_tom.add_actions(actions)
    train_all.add_action(actions)

    export = actions.add_parser("export", help="calibrate checkpoints of the segmenter and write their weights")
    export.add_argument(
        "checkpoints", metavar="CHECKPOINT", nargs="+",
        help="checkpoint.pt of a training, or a .safetensors file; of several the mean of their weights is written",
    )  # fmt: skip
    export.add_argument("output", metavar="FILE", help="the .safetensors file")
    export.add_argument(
        "--shards", metavar="DIR", help="scenes that it was not trained on, of objects that it was: to weigh candidates"
    )
    export.add_argument("--cases", metavar="N", type=int, help="cases made of these (default: as many as train all)")
    export.set_defaults(run=run_export)


def run_scenes(args: argparse.Namespace) -> int:
    """Run ``storm train scenes``.

    Raises:
        UsageError: numbers that cannot be meant.
        ConfigError: a setting that does not fit.
    """
    if args.shards < 1 or args.first < 0:
        raise UsageError(f"--shards {args.shards} --first {args.first}: at least one shard from number 0 on is needed")
    from storm_ros.training.shards import write_shard
    from storm_ros.training.studio import scanned

    config = _chosen(args).scenes
    scans = scanned(config, held_out=args.held_out)
    if not scans:
        sys.stderr.write(f"storm: no scanned objects in {config.household}: procedural ones only\n")
    for number in range(args.first, args.first + args.shards):
        folder = write_shard(Path(args.out), config, number, scans)
        sys.stdout.write(f"{folder}\n")
        sys.stdout.flush()
    return 0


def run_recorded(args: argparse.Namespace) -> int:
    """Run ``storm train recorded``.

    Raises:
        UsageError: a number that cannot be meant.
        StormError: a recording that cannot be read, or that has no truth.
    """
    if args.number < 0:
        raise UsageError(f"--number {args.number}: 0 or more is needed")
    from storm_ros.io import open_recording
    from storm_ros.training.recorded import write_recorded_shard

    with open_recording(args.input) as recording:
        folder = write_recorded_shard(Path(args.out), _chosen(args).scenes, args.number, recording)
    sys.stdout.write(f"{folder}\n")
    return 0


def run_som(args: argparse.Namespace) -> int:
    """Run ``storm train som``.

    Raises:
        BackendUnavailableError: PyTorch is missing.
        ConfigError: a setting that does not fit, or a folder that holds another training.
        InputError: no shards.
    """
    config = _chosen(args)
    with needs_torch("training"):
        from storm_ros.training.som import train_som
    figures = ("loss", "loss", ".3f"), ("mean_iou", "IoU", ".3f"), ("presence_accuracy", "presence", ".3f")
    report = None if args.quiet else progress(config.optim.steps, *figures, ("pairs_per_s", "pairs/s", ".1f"))
    finished(train_som(config, resume=args.resume, device=args.device, report=report), args)
    return 0


def run_export(args: argparse.Namespace) -> int:
    """Run ``storm train export``.

    Raises:
        BackendUnavailableError: PyTorch is missing.
        UsageError: no cases.
        InputError: the checkpoint or the shards cannot be read, or too few candidates are right or wrong.
    """
    from storm_ros.training.recipe import DataConfig

    cases = DataConfig.weighing_cases if args.cases is None else args.cases
    if cases < 1:
        raise UsageError(f"--cases {cases}: at least one is needed")
    with needs_torch("training"):
        from storm_ros.som.loading import KIND, save_som
        from storm_ros.training.chances import weighed
        from storm_ros.training.export import mean_of
        from storm_ros.training.shards import Shards
    from storm_ros.weights.files import file_sha256

    network, notes = mean_of([Path(c) for c in args.checkpoints], KIND)
    weighing = None
    if args.shards:
        weighing, count = weighed(network, Shards([args.shards]), cases)
        sys.stdout.write(f"{count} candidates weighed\n")
    else:
        sys.stderr.write("storm: without --shards the network's presence alone tells how likely a candidate is\n")
    path = save_som(args.output, network, notes, weighing)
    sys.stdout.write(f"{path}  sha256 {file_sha256(path)}\n")
    return 0


def _chosen(args: argparse.Namespace) -> TrainConfig:
    from storm_ros.training.settings import TrainConfig

    return chosen(args, TrainConfig())
