"""``storm calibrate``: the threshold of the learned verifier, from cases or from a recording that is tracked well."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from storm_ros.cli import options
from storm_ros.cli.errors import UsageError
from storm_ros.cli.references import FORMS, parse_reference
from storm_ros.core.errors import StormError, needs_torch

_NEVER = 20.0


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "calibrate",
        help="find the verifier's threshold on simulated cases or on a recording of yours",
        description="Find a threshold such that 95 % of the right poses have a lower energy.",
    )
    actions = parser.add_subparsers(title="parts", metavar="PART", required=True)
    tom = actions.add_parser(
        "tom",
        help="the threshold tau of the learned verifier",
        epilog=f"REF is one of: {FORMS}. Give a recording in which the object stays in view and is tracked rightly.",
    )
    tom.add_argument("input", metavar="INPUT", nargs="?", type=options.place, help="a recording that is tracked well")
    tom.add_argument("--reference", metavar="REF", action="append", default=[], help="the object; repeatable")
    tom.add_argument("--cases", metavar="DIR", help="simulated cases in place of a recording (storm train cases)")
    tom.add_argument("--weights", default="tom-nano", help="name or .safetensors file (default tom-nano)")
    tom.add_argument("--percentile", metavar="P", type=float, default=95.0, help="of the energies (default 95)")
    tom.add_argument("--out", metavar="FILE", help="write the setting there, as a parameter file")
    options.add_bag_options(tom)
    tom.set_defaults(run=run_tom)


def run_tom(args: argparse.Namespace) -> int:
    """Run ``storm calibrate tom``.

    Raises:
        UsageError: neither a recording nor cases, both, or a percentile that cannot be meant.
        BackendUnavailableError: PyTorch is missing.
        StormError: what was given cannot be read, or the object was not tracked in it.
    """
    if bool(args.input) == bool(args.cases):
        raise UsageError("give either INPUT with --reference, or --cases DIR")
    if args.input and not args.reference:
        raise UsageError(f"--reference is needed: which object of {args.input} is tracked")
    if not 50.0 <= args.percentile <= 100.0:
        raise UsageError(f"--percentile {args.percentile:g}: 50 to 100 is needed")
    from storm_ros.tom.energy import threshold_of

    energies = _of_cases(args) if args.cases else _of_recording(args)
    tau = threshold_of(energies, args.percentile)
    snippet = f"/**:\n  ros__parameters:\n    verifier:\n      name: tom\n      weights: {args.weights}\n"
    snippet += f"    gate:\n      tau: {tau:.3f}\n"
    sys.stdout.write(
        f"# percentile {args.percentile:g} of the energies of {len(energies)} right poses; "
        f"median {threshold_of(energies, 50.0):.3f}\n{snippet}"
    )
    if args.out:
        _write(Path(args.out), snippet)
    return 0


def _of_cases(args: argparse.Namespace) -> list[float]:
    with needs_torch("calibration"):
        from storm_ros.tom.loading import load_tom
        from storm_ros.training.tom_figures import checked_cases, judge_cases
    judged = judge_cases(load_tom(args.weights)[0], checked_cases([args.cases]))
    return [float(e) for e in judged.energies["tom"][judged.right]]


def _of_recording(args: argparse.Namespace) -> list[float]:
    """Energies of the frames of a recording from its reference on, whatever they are."""
    from storm_ros import create_tracker
    from storm_ros.cli.inputs import open_input
    from storm_ros.cli.plan import is_due, plan
    from storm_ros.cli.targets import resolve
    from storm_ros.core.config import StormConfig, with_values
    from storm_ros.io import read_frames

    config = with_values(StormConfig(), {"verifier.name": "tom", "verifier.weights": args.weights, "gate.tau": _NEVER})
    tracker = create_tracker(config)
    energies: list[float] = []
    with open_input(args.input, options.bag_options(args)) as recording:
        waiting = resolve([parse_reference(text) for text in args.reference], recording)
        planned = plan(recording.numbers, waiting, reverse=False, first=None, last=None)
        for number, frame in read_frames(recording, planned.numbers):
            if frame is None:
                continue
            for target in [t for t in waiting if is_due(t, number, reverse=False)]:
                waiting.remove(target)
                if target.saved is not None:
                    tracker.add_reference(target.saved)
                elif target.frame is not None and target.mask is not None:
                    tracker.set_reference(target.frame, target.mask, object_id=target.object_id)
            result = tracker.step(frame)
            energies += [o.energy for o in result.objects.values() if o.cam_T_obj is not None]
            if any(event.type.value == "lost" for event in result.events):
                raise StormError(
                    f"the object was lost in frame {number} of {args.input}: give a recording in which it stays in view"
                )
    return energies


def _write(path: Path, text: str) -> None:
    from storm_ros.io.files import make_parent, output_error

    make_parent(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, path)
    except OSError as error:
        raise output_error(path, error) from None
