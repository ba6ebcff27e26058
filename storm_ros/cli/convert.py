"""``storm convert``: writes a recording of any kind as a ROS 2 bag."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from storm_ros.cli import options
from storm_ros.cli.stopping import StopRequest
from storm_ros.core.errors import OutputError


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "convert",
        help="write a recording as a ROS 2 bag",
        description="Write a recording's colour, depth and camera_info as a ROS 2 bag.",
    )
    parser.add_argument("input", metavar="INPUT", type=options.place, help="any recording that `storm track` reads")
    parser.add_argument("output", metavar="OUT", type=options.place, help="an .mcap or .db3 file, or a folder")
    parser.add_argument("--from", metavar="N", type=int, dest="first", help="lowest frame number to write")
    parser.add_argument("--to", metavar="N", type=int, dest="last", help="highest frame number to write")
    parser.add_argument("--quiet", action="store_true", help="show neither progress nor summary")
    options.add_bag_options(parser)
    parser.set_defaults(run=run_command)


def run_command(args: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        UsageError: bounds without a frame between them.
        StormError: it cannot be read or written.
        KeyboardInterrupt: it was interrupted; the frames until then are a complete bag.
    """
    of_bags = options.bag_options(args)

    from rich.console import Console

    from storm_ros.cli.inputs import open_input
    from storm_ros.cli.plan import plan
    from storm_ros.cli.progress import RunProgress
    from storm_ros.io import convert

    out = Path(args.output)
    with open_input(args.input, of_bags) as recording:
        if out.exists() and out.resolve() == Path(args.input).resolve():
            raise OutputError(f"{out} is the input itself: choose another place")
        numbers = plan(recording.numbers, (), first=args.first, last=args.last).numbers
        with RunProgress(len(numbers), quiet=args.quiet, text="writing") as progress, StopRequest() as stop:
            done = 0

            def advance(count: int, _: int) -> None:
                nonlocal done
                done = count
                progress.advance()

            def stopped() -> bool:
                if stop.requested:
                    stop.finish()  # the bag is completed
                return stop.requested

            written = convert(recording, out, numbers=numbers, progress=advance, stop=stopped)
        if not args.quiet:
            console = Console(soft_wrap=True)
            for warning in recording.warnings:
                console.print(f"warning: {warning}", markup=False, highlight=False)
            if done == len(numbers):
                console.print(f"{written} frames of {args.input} in {out}", markup=False, highlight=False)
        if done < len(numbers):
            raise KeyboardInterrupt(f"the {written} frames so far, of {len(numbers)}, are in {out}")
    return 0
