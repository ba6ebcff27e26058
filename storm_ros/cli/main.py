"""Entry point of ``storm``: parses the command line, runs a command, turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import sys
from collections.abc import Sequence
from typing import NoReturn

from storm_ros import __version__
from storm_ros.cli import config_command, convert, demo, doctor, evaluate, track, train, weights_command
from storm_ros.cli.errors import UsageError
from storm_ros.core.errors import ConfigError, StormError

DONE, FAILED, WRONG_USAGE = 0, 1, 2

COMMANDS = (demo, track, convert, doctor, train, evaluate, weights_command, config_command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: arguments without the program's name; those of the process by default.

    Returns:
        0 done, 1 the run failed, 2 wrong usage.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    try:
        args = parser.parse_args(given)
    except SystemExit as leave:  # argparse has already said why
        return int(leave.code or 0)
    args.command_line = shlex.join(["storm", *given])
    try:
        return args.run(args)
    except (UsageError, ConfigError) as error:
        return _complain(error, WRONG_USAGE)
    except StormError as error:
        return _complain(error, FAILED)
    except KeyboardInterrupt as stop:
        sys.stderr.write(f"storm: interrupted{f': {stop}' if str(stop) else ''}\n")
        return FAILED
    except BrokenPipeError:  # the reader of our output went away, as in `storm config | head`
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _complain(f"{where}{error.strerror or error}", FAILED)


def _complain(error: object, code: int) -> int:
    sys.stderr.write(f"storm: error: {' '.join(str(error).split())}\n")
    return code


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, as all other errors do, instead of repeating the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USAGE, f"{self.prog}: error: {message}; see {self.prog} --help\n")


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


if __name__ == "__main__":
    sys.exit(main())
