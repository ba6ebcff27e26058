"""Options that several commands share, and what they mean."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from typing import Any

from storm_ros.cli.errors import UsageError
from storm_ros.core.config import StormConfig, from_assignments, load_yaml, with_values

TOPIC_KINDS = ("image", "depth", "info")


def place(text: str) -> str:
    """A path that is not empty, which would mean the current folder: often a shell variable that is not set.

    Raises:
        argparse.ArgumentTypeError: it is.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("the path is empty: name a file or a folder")
    return text


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add --config, --set and --device."""
    group = parser.add_argument_group("settings (`storm config` lists them all)")
    group.add_argument("--config", metavar="FILE", help="parameter file in ROS form (/**: ros__parameters: …)")
    group.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], dest="assignments", help="one setting; repeatable"
    )
    group.add_argument("--device", choices=("auto", "cpu", "cuda"), help="short for --set device.name=…")


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """Add the options of what is written and shown."""
    group = parser.add_argument_group("output")
    group.add_argument(
        "--bag-out", metavar="FILE", type=place, help="also write a recording of the node's topics (.mcap)"
    )
    group.add_argument(
        "--save-reference", metavar="DIR", type=place, help="save what was learned from the reference for later runs"
    )
    group.add_argument("--no-html", action="store_true", help="write no report.html")
    group.add_argument("--quiet", action="store_true", help="show neither progress nor summary")


def positive(text: str) -> float:
    """A finite number above 0.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} must be a positive number")
    return value


def add_bag_options(parser: argparse.ArgumentParser) -> None:
    """Add --topics and --slop."""
    parser.add_argument(
        "--topics",
        metavar="image=T,depth=T,info=T",
        help="topics of a ROS recording, where they cannot be guessed; any of the three",
    )
    parser.add_argument(
        "--slop",
        metavar="SECONDS",
        type=positive,
        help="largest time between the colour and the depth image of a frame, in a ROS recording (default 0.02)",
    )


def config_of(args: argparse.Namespace) -> StormConfig:
    """The configuration: the defaults, the file, single settings and --device, each over the one before.

    Raises:
        ConfigError: an unknown key, or a value that does not fit.
    """
    config = StormConfig()
    if args.config:
        config = load_yaml(args.config, config)
    config = from_assignments(config, args.assignments)
    return with_values(config, {"device.name": args.device}) if args.device else config


def bag_options(args: argparse.Namespace) -> dict[str, Any]:
    """What --topics and --slop mean to `storm_ros.io.open_bag`; empty where neither is given.

    Raises:
        UsageError: topics that cannot be meant.
    """
    given: dict[str, Any] = {f"{kind}_topic": topic for kind, topic in parse_topics(args.topics).items()}
    if args.slop is not None:
        given["slop_s"] = args.slop
    return given


def parse_topics(text: str | None) -> Mapping[str, str]:
    """Topics by kind (image, depth, info).

    Raises:
        UsageError: an unknown kind, one given twice, or one without a topic.
    """
    topics: dict[str, str] = {}
    for key, value in key_values(text or "", "--topics"):
        if key not in TOPIC_KINDS:
            raise UsageError(f"--topics {text!r}: unknown {key!r}; it knows {', '.join(TOPIC_KINDS)}")
        if not value:
            raise UsageError(f"--topics {text!r}: {key} has no topic; write {key}=/the/topic")
        topics[key] = value
    return topics


def key_values(text: str, what: str) -> list[tuple[str, str]]:
    """Split ``a=1,b=2,3`` into (a, 1) and (b, 2,3): a comma begins a new key only where ``name=`` follows it.

    Raises:
        UsageError: a part without a key, or a key given twice.
    """
    pairs: list[tuple[str, str]] = []
    for part in re.split(r",(?=[A-Za-z_]+=)", text) if text else ():
        key, sign, value = part.partition("=")
        if not sign:
            raise UsageError(f"{what} {text!r}: {part!r} has no '='; write KEY=VALUE, separated by commas")
        if key.strip() in dict(pairs):
            raise UsageError(f"{what} {text!r}: {key.strip()!r} is given twice")
        pairs.append((key.strip(), value.strip()))
    return pairs
