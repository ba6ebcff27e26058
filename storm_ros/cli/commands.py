"""The commands of ``storm``, and the parser of its command line."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from typing import NoReturn

from storm_ros import __version__
from storm_ros.cli import calibrate, config_command, convert, demo, doctor, evaluate, track, train, weights_command

COMMANDS = (demo, track, convert, doctor, train, calibrate, evaluate, weights_command, config_command)

_WRONG_USAGE = 2


def parse(given: Sequence[str]) -> argparse.Namespace | int:
    """The arguments as a command takes them, with `run` and `command_line`; an exit code where argparse has answered.

    Args:
        given: arguments without the program's name.
    """
    try:
        args = build_parser().parse_args(given)
    except SystemExit as leave:  # argparse has already said why
        return int(leave.code or 0)
    args.command_line = shlex.join(["storm", *given])
    return args


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, as all other errors do, instead of repeating the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(_WRONG_USAGE, f"{self.prog}: error: {message}; see {self.prog} --help\n")


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = _Parser(
        prog="storm",
        description="Point at an object in one RGB-D image; get its pose in every frame, and told when it is lost.",
        epilog="Exit codes: 0 done, 1 the run failed (one line says why), 2 wrong usage.",
    )
    parser.add_argument("--version", action="version", version=f"storm {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in COMMANDS:
        module.add_parser(commands)
    return parser
