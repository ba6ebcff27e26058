"""``storm weights``: which weights come with the package, and whether they are intact."""

from __future__ import annotations

import argparse
import sys
from typing import Any

DONE, FAILED = 0, 1


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "weights",
        help="list or verify the weights that come with the package",
        description="List the weights that come with the package, or compare their checksums.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="show name, size, licence and what they are")
    listing.set_defaults(run=run_list)
    verify = actions.add_parser("verify", help="compare each file with its registered SHA-256")
    verify.add_argument("names", metavar="NAME", nargs="*", help="only these; all by default")
    verify.set_defaults(run=run_verify)


def run_list(args: argparse.Namespace) -> int:
    """Run ``storm weights list``."""
    from storm_ros.weights import entries

    for entry in entries():
        size = f"{entry.path.stat().st_size / 2**20:.1f} MiB" if entry.path.is_file() else "missing"
        sys.stdout.write(f"{entry.name}  {size}  {entry.licence}  {entry.text}\n  {entry.path.with_name(entry.card)}\n")
    return DONE


def run_verify(args: argparse.Namespace) -> int:
    """Run ``storm weights verify``: 1 when one of them is not what was registered.

    Raises:
        WeightsError: a name that is not registered.
    """
    from storm_ros.weights import WeightsError, entries, find, read_weights, verified

    code = DONE
    for entry in [find(name) for name in args.names] or entries():
        try:
            arrays, _ = read_weights(verified(entry))
        except WeightsError as error:
            sys.stderr.write(f"storm: error: {error}\n")
            code = FAILED
        else:
            count = sum(values.size for values in arrays.values())
            sys.stdout.write(f"{entry.name}  intact  {count} values  sha256 {entry.sha256}\n")
    return code
