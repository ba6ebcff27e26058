"""``storm track``: one reference, then the object's pose in every frame of a recording."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_ros.cli import options
from storm_ros.cli.errors import UsageError
from storm_ros.cli.outputs import Outputs
from storm_ros.cli.references import FORMS, parse_reference
from storm_ros.cli.stopping import StopRequest
from storm_ros.core.config import StormConfig
from storm_ros.core.errors import StormError

if TYPE_CHECKING:
    from storm_ros.cli.plan import Plan
    from storm_ros.cli.run import Run, TrackerLike
    from storm_ros.cli.targets import Target
    from storm_ros.core.types import Mesh
    from storm_ros.io import Recording


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "track",
        help="track objects through a recording",
        description="Track one or more objects through a recording and write poses.csv, report.json and report.html.",
        epilog=f"REF is one of: {FORMS}. A name for the object may follow, as in frame=0,gt=1,name=cup.",
    )
    parser.add_argument(
        "input",
        metavar="INPUT",
        type=options.place,
        help="BOP scene, rosbag2 folder, .mcap or .db3 file, or a folder with rgb/ depth/ camera.json",
    )
    parser.add_argument(
        "--reference", metavar="REF", action="append", required=True, help="the object, see below; repeatable"
    )
    parser.add_argument("--out", metavar="DIR", type=options.place, required=True, help="folder for the results")
    parser.add_argument(
        "--mesh",
        metavar="FILE",
        action="append",
        default=[],
        help="the object's model, else the run is model-free; once for all references, or once each, in order",
    )
    parser.add_argument(
        "--mesh-scale",
        metavar="S",
        type=options.positive,
        default=1.0,
        help="metres per unit of the mesh file (0.001 for mm)",
    )
    parser.add_argument(
        "--reverse",
        action="store_true",
        help="run backwards from the reference to the first frame; stamps are mirrored there, so that they increase",
    )
    parser.add_argument("--from", metavar="N", type=int, dest="first", help="lowest frame number to run")
    parser.add_argument("--to", metavar="N", type=int, dest="last", help="highest frame number to run")
    options.add_bag_options(parser)
    options.add_settings(parser)
    options.add_outputs(parser)
    parser.set_defaults(run=run_command)


def run_command(args: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        UsageError: what was typed cannot be meant.
        StormError: the run failed.
    """
    specs = [parse_reference(text) for text in args.reference]
    config = options.config_of(args)
    of_bags = options.bag_options(args)
    if len(args.mesh) not in (0, 1, len(specs)):
        raise UsageError(
            f"--mesh is given {len(args.mesh)} times for {len(specs)} references: once for all, or once each"
        )
    outputs = outputs_of(args)

    from storm_ros.cli.inputs import open_input
    from storm_ros.cli.plan import plan
    from storm_ros.cli.targets import resolve

    with open_input(args.input, of_bags) as recording:
        targets = resolve(specs, recording, load_meshes(args.mesh, args.mesh_scale))
        planned = plan(recording.numbers, targets, reverse=args.reverse, first=args.first, last=args.last)
        return track_recording(args, recording, targets, planned, config, outputs)


def outputs_of(args: argparse.Namespace) -> Outputs:
    """Where the results go, proved to be writable.

    Raises:
        OutputError: it is not.
    """
    outputs = Outputs(
        Path(args.out),
        html=not args.no_html,
        bag=Path(args.bag_out) if args.bag_out else None,
        reference=Path(args.save_reference) if args.save_reference else None,
    )
    outputs.prepare()
    return outputs


def load_meshes(paths: Sequence[str], scale: float) -> list[Mesh]:
    """Model files, in their own axes.

    Raises:
        InputError: one cannot be used; that of a mesh in millimetres says so.
    """
    from storm_ros.mesh import load_mesh

    return [load_mesh(path, scale=scale) for path in paths]


def track_recording(
    args: argparse.Namespace,
    recording: Recording,
    targets: Sequence[Target],
    planned: Plan,
    config: StormConfig,
    outputs: Outputs,
    tracker: TrackerLike | None = None,
    after: Callable[[Run, Mapping[str, Any]], None] | None = None,
) -> int:
    """Track, write the results, and say how it went.

    Args:
        args: command line; `quiet`, `reverse`, `input` and `command_line` are read.
        recording: to read from.
        targets: the objects.
        planned: the frames.
        config: settings.
        outputs: where the results go.
        tracker: one made of the configuration, by default.
        after: called with the run and the report once it is written.

    Returns:
        0.

    Raises:
        OutputError: a place is taken; nothing of an earlier run is touched then.
        StormError: the run failed; what came out until then is written.
        KeyboardInterrupt: it was interrupted; the same.
    """
    from rich.console import Console

    from storm_ros.cli.results import summarise, write_results
    from storm_ros.cli.run import run

    outputs.check([target.object_id for target in targets])
    if tracker is None:
        from storm_ros import create_tracker

        tracker = create_tracker(config)
    reverse = bool(getattr(args, "reverse", False))
    state = run(tracker, recording, targets, planned, outputs, reverse=reverse, quiet=args.quiet)
    source = str(getattr(args, "input", recording.name))
    command = args.command_line
    with StopRequest.finishing():
        settings = tracker.config
        report = write_results(state, recording, settings, outputs, source=source, command=command, reverse=reverse)
    if state.failure is not None:
        raise state.failure
    if not report["frames"]:
        raise StormError(
            f"none of the {len(planned.numbers)} frames could be read: {'; '.join(report['warnings'][:3])}"
        )
    if not args.quiet:
        summarise(Console(soft_wrap=True), report, outputs)
    if after is not None:
        after(state, report)
    if state.interrupted:
        raise KeyboardInterrupt(f"results so far are in {outputs.folder}")
    return 0
