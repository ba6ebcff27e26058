"""``storm evaluate failures``: does the tracker know when it has lost its object, and does it find it again?"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_ros.cli import options
from storm_ros.cli.errors import UsageError

if TYPE_CHECKING:
    from storm_ros.core.config import StormConfig
    from storm_ros.evaluation.failures import Options

_SMALLEST = (64, 48)


def add_failures(actions: Any) -> None:
    """Add the part to the parser of ``storm evaluate``."""
    parser = actions.add_parser(
        "failures",
        help="the loop, on simulated clips in each of which something goes wrong",
        description="Track an object through simulated clips in each of which something goes wrong (it is hidden, "
        "jumps, leaves, has a look-alike, the light changes, the camera fails, …): how well the energy tells good "
        "frames from bad ones, how soon a loss is noticed, how often one is announced for nothing, how soon the "
        "object is found again, and whether it is the right one. Writes failures.json, failures.html and clips.jsonl "
        "(every finished clip; the same command goes on from there).",
    )
    parser.add_argument("--out", metavar="DIR", type=options.place, default="out/failures", help="folder (%(default)s)")
    parser.add_argument("--clips", metavar="N", type=int, default=200, help="how many (default 200)")
    parser.add_argument("--kinds", metavar="A,B", help="what may go wrong (default: everything)")
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="of all clips (default 0)")
    parser.add_argument("--frames", metavar="N", type=int, default=80, help="length of a clip (default 80)")
    parser.add_argument("--size", metavar="WxH", default="320x240", help="of the images (default %(default)s)")
    parser.add_argument(
        "--verifier", metavar="A,B", help="verifiers to compare (default: that of the settings, and inlier)"
    )
    parser.add_argument("--no-baselines", action="store_true", help="neither the cosine nor single frames")
    parser.add_argument(
        "--household", metavar="DIR", default="../shared/data/household",
        help="scanned objects (.glb) to use beside procedural ones; may be absent (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--jobs", metavar="N", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--sheets", action="store_true", help="draw the clips in which the first verifier failed")
    parser.add_argument("--quiet", action="store_true", help="show neither progress nor tables")
    options.add_settings(parser)
    parser.set_defaults(run=run_failures)


def run_failures(args: argparse.Namespace) -> int:
    """Run ``storm evaluate failures``.

    Raises:
        UsageError: an option that cannot be meant.
        StormError: the benchmark failed.
    """
    from storm_ros.cli.outputs import Outputs
    from storm_ros.cli.progress import RunProgress
    from storm_ros.cli.stopping import StopRequest
    from storm_ros.evaluation.failures import run_benchmark
    from storm_ros.evaluation.failures_file import finished_clips
    from storm_ros.evaluation.failures_page import failures_page
    from storm_ros.evaluation.report import plain, write_report, write_text

    config = options.config_of(args)
    chosen = options_of(args, config)
    folder = Path(args.out)
    Outputs(folder).prepare()
    with StopRequest() as stop, RunProgress(args.clips, quiet=args.quiet, text="clips") as progress:
        report = run_benchmark(
            config,
            chosen,
            args.clips,
            folder,
            jobs=args.jobs,
            sheets=folder / "sheets" if args.sheets else None,
            done=lambda _: progress.advance(),
            stop=lambda: stop.requested,
        )
        stop.finish()
        report = {"command": args.command_line, **report}
        write_report(folder / "failures.json", plain(report))
        write_text(folder / "failures.html", failures_page(report, finished_clips(folder / "clips.jsonl", report)))
    if not args.quiet:
        _show(report, folder)
    return 0 if report["clips"] == args.clips else 1


def options_of(args: argparse.Namespace, config: StormConfig) -> Options:
    """What the options mean.

    Raises:
        UsageError: something that cannot be meant.
    """
    from storm_ros.core.config import knobs
    from storm_ros.evaluation.failures import CALIBRATION_FIRST, Options
    from storm_ros.sim.failures import KINDS, MIN_FRAMES

    for name, value, least in (("clips", args.clips, 1), ("jobs", args.jobs, 1), ("seed", args.seed, 0),
                               ("frames", args.frames, MIN_FRAMES)):  # fmt: skip
        if value < least:
            raise UsageError(f"--{name} {value}: {least} or more are needed")
    kinds = _names(args.kinds, "--kinds", KINDS) if args.kinds else KINDS
    if args.clips > CALIBRATION_FIRST * len(kinds):
        raise UsageError(f"--clips {args.clips}: at most {CALIBRATION_FIRST} of a kind")
    size = re.fullmatch(r"(\d{1,4})x(\d{1,4})", args.size)
    if size is None or int(size[1]) < _SMALLEST[0] or int(size[2]) < _SMALLEST[1]:
        raise UsageError(f"--size {args.size}: write WIDTHxHEIGHT, at least {_SMALLEST[0]}x{_SMALLEST[1]}")
    known = next(k.choices for k in knobs(config) if k.key == "verifier.name") or ()
    usual = dict.fromkeys([config.verifier.name, "inlier"])
    return Options(
        kinds=kinds, seed=args.seed, frames=args.frames, width=int(size[1]), height=int(size[2]),
        household=args.household, baselines=not args.no_baselines,
        verifiers=_names(args.verifier, "--verifier", known) if args.verifier else tuple(usual),
    )  # fmt: skip


def _names(text: str, option: str, known: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names or not set(names) <= set(known):
        raise UsageError(f"{option} {text}: each must be one of {', '.join(known)}")
    return names


def _show(report: Mapping[str, Any], folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from storm_ros.evaluation.failures_page import ENERGY_ROWS, METHOD_ROWS, written

    console = Console()
    for title, rows, columns in (
        (f"Tracking failures: {report['clips']} clips", METHOD_ROWS, report["methods"]),
        ("Energy of every frame", ENERGY_ROWS, report["energies"]),
    ):
        table = Table("", title=title, title_justify="left")
        for name in columns:
            table.add_column(name, justify="right")
        for row in rows:
            table.add_row(row[0], *(written(figures, row) for figures in columns.values()))
        console.print(table)
    if report["clips"] < report["wanted_clips"]:
        console.print(f"{report['clips']} of {report['wanted_clips']} clips: the same command goes on from here")
    console.print(f"results in {folder}", markup=False, highlight=False)
