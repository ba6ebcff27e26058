"""How right the poses are: simulator with sensor noise, and the real recordings.

Parts: given (simulator, model given), lifted (simulator, one view, turntable), register (ycbv, from the mask), desk
(model-free), kitchen (lost and found).
"""

from __future__ import annotations

import argparse
import sys

from common.figures import Outcome, main, parser
from common.recorded import desk, kitchen, register
from common.simulated import given, lifted

from storm_ros.core.errors import RecordingError

PARTS = {"given": given, "lifted": lifted, "register": register, "desk": desk, "kitchen": kitchen}


def run(args: argparse.Namespace, outcome: Outcome) -> None:
    """Run the chosen parts; one whose recording is not there is skipped."""
    for name in args.only or PARTS:
        try:
            PARTS[name](args, outcome)
        except RecordingError as error:
            outcome.skipped.append(f"{name}: {error}")


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--only", nargs="+", choices=tuple(PARTS), help="parts to run (default: all)")
    arguments.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], dest="assignments", help="one setting; repeatable"
    )
    arguments.add_argument("--seeds", type=int, default=2, help="seeds per kind of simulated sequence (default: 2)")
    sys.exit(main(run, arguments.parse_args(), "accuracy"))
