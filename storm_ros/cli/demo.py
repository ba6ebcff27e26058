"""``storm demo``: the whole loop on a simulated scene, with a full occlusion and a fast jump."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from storm_ros.cli import options
from storm_ros.cli.errors import UsageError
from storm_ros.core.errors import InputError

if TYPE_CHECKING:
    from storm_ros.cli.run import Run
    from storm_ros.evaluation.accuracy import Judgement
    from storm_ros.sim import Phase

NAME = "target"


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "demo",
        help="run the whole loop on a simulated scene",
        description="Simulate an RGB-D camera before a table, point at one object in the first frame, and track it "
        "through a full occlusion and a fast jump; writes poses.csv, report.json and report.html.",
    )
    parser.add_argument("--out", metavar="DIR", default="out/demo", help="folder for the results (%(default)s)")
    parser.add_argument("--frames", metavar="N", type=int, default=240, help="length of the recording (%(default)s)")
    parser.add_argument("--seed", metavar="S", type=_seed, default=0, help="of scene, motion and noise (%(default)s)")
    options.add_settings(parser)
    options.add_outputs(parser)
    parser.set_defaults(run=run_command)


def _seed(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} must be 0 or more")
    return value


def run_command(args: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        UsageError: too few frames for the script.
        StormError: the run failed.
    """
    from rich.console import Console

    from storm_ros.cli.plan import plan
    from storm_ros.cli.references import parse_reference
    from storm_ros.cli.results import judged
    from storm_ros.cli.targets import resolve
    from storm_ros.cli.track import outputs_of, track_recording
    from storm_ros.sim import demo_sequence

    config = options.config_of(args)
    try:
        recording = demo_sequence(frames=args.frames, seed=args.seed)
    except InputError as error:
        raise UsageError(f"--frames {args.frames}: {error}") from None
    outputs = outputs_of(args)
    with recording:
        first = recording.numbers[0]
        targets = resolve([parse_reference(f"frame={first},gt={recording.target_id},name={NAME}")], recording)
        planned = plan(recording.numbers, targets)
        args.input = recording.name

        def show(state: Run, report: Mapping[str, Any]) -> None:
            judgements, _ = judged(state, recording)
            if judgements and not args.quiet:
                show_script(Console(), recording.script, report["events"], judgements[0])

        return track_recording(args, recording, targets, planned, config, outputs, after=show)


def show_script(
    console: Any, script: Sequence[Phase], events: Sequence[Mapping[str, Any]], judgement: Judgement
) -> None:
    """Show a table of what was to happen, and what the tracker made of it."""
    from rich.table import Table

    table = Table("script", "frames", "with a pose", "median error", "events", title="Demo", title_justify="left")
    for row in script_rows(script, events, judgement):
        table.add_row(*row)
    console.print(table)


def script_rows(
    script: Sequence[Phase], events: Sequence[Mapping[str, Any]], judgement: Judgement
) -> list[tuple[str, str, str, str, str]]:
    """One row a phase: name, frames, frames with a pose, median error (ADD; of the centre without a mesh), events."""
    rows = []
    for phase in script:
        frames = [f for f in judgement.frames if phase.first <= f.frame <= phase.last]
        reported = [f for f in frames if f.reported]
        errors_mm = [f.add_mm if judgement.has_mesh else f.centre_mm for f in reported]
        finite = [e for e in errors_mm if np.isfinite(e)]
        happened = [
            f"{e['type'].replace('_', ' ')} at {e['frame']}" for e in events if phase.first <= e["frame"] <= phase.last
        ]
        rows.append(
            (
                phase.name,
                f"{phase.first} to {phase.last}",
                f"{len(reported)} of {len(frames)}",
                f"{np.median(finite):.2f} mm" if finite else "",
                ", ".join(happened),
            )
        )
    return rows
