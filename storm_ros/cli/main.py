"""Entry point of ``storm``: parses the command line, runs a command, turns errors into one line and an exit code.

It imports next to nothing by itself, so that Ctrl-C while the rest is loaded ends it as quietly as later.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

DONE, FAILED, WRONG_USAGE = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: arguments without the program's name; those of the process by default.

    Returns:
        0 done, 1 the run failed or was interrupted, 2 wrong usage.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        from storm_ros.cli.commands import parse

        parsed = parse(given)
        return parsed if isinstance(parsed, int) else _run(parsed)
    except KeyboardInterrupt as stop:
        sys.stderr.write(f"storm: interrupted{f': {stop}' if str(stop) else ''}\n")
        return FAILED


def _run(args: argparse.Namespace) -> int:
    import contextlib
    import os

    from storm_ros.cli.errors import UsageError
    from storm_ros.core.errors import ConfigError, StormError

    try:
        return args.run(args)
    except (UsageError, ConfigError) as error:
        return _complain(error, WRONG_USAGE)
    except StormError as error:
        return _complain(error, FAILED)
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


if __name__ == "__main__":
    sys.exit(main())
