"""``storm config``: prints every setting with its help text, range and value as a parameter file."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from storm_ros.cli import options
from storm_ros.core.config import to_yaml


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "config",
        help="print every setting",
        description="Print every setting with its help text, range and value; the output is a file for --config.",
    )
    options.add_settings(parser)
    parser.set_defaults(run=run_command)


def run_command(args: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        ConfigError: an unknown key, or a value that does not fit.
    """
    sys.stdout.write(to_yaml(options.config_of(args)))
    sys.stdout.flush()
    return 0
