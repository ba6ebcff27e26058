"""What the actions of ``storm train`` have in common."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Config = TypeVar("Config")


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose settings."""
    group = parser.add_argument_group("settings")
    group.add_argument("--config", metavar="FILE", help="parameter file in ROS form (/**: ros__parameters: …)")
    group.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], dest="assignments", help="one setting; repeatable"
    )


def add_running(parser: argparse.ArgumentParser) -> None:
    """Add the options of an action that trains."""
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in the output folder")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to compute")
    parser.add_argument("--quiet", action="store_true", help="show no figures")


def chosen(args: argparse.Namespace, config: Config) -> Config:
    """A configuration with the values of the file and of the command line.

    Raises:
        ConfigError: one of them does not fit.
    """
    from storm_ros.core.config import from_assignments, load_yaml

    if args.config:
        config = load_yaml(args.config, config)
    return from_assignments(config, args.assignments)


def progress(steps: int, *shown: tuple[str, str, str]) -> Callable[[int, dict[str, float]], None]:
    """A report of a training that writes one line.

    Args:
        steps: of the whole training.
        shown: name of a figure, its label and its format.
    """

    def report(step: int, figures: dict[str, float]) -> None:
        texts = [f"{label} {figures[name]:{form}}" for name, label, form in shown]
        sys.stdout.write(f"step {step}/{steps}  {'  '.join(texts)}\n")
        sys.stdout.flush()

    return report


def finished(checkpoint: Path, args: argparse.Namespace) -> None:
    """Say where the training is; of several processes, one does."""
    if not args.quiet and os.environ.get("RANK", "0") == "0":
        sys.stdout.write(f"{checkpoint}\n")
