"""Runs the node as a program."""

# pyright: reportMissingImports=false
from __future__ import annotations

from collections.abc import Sequence

from storm_ros.ros.node import StormNode
from storm_ros.ros.program import run
from storm_ros.ros.runtime import steady_memory

_THREADS = 4
"""Inputs, watch, services and transitions can wait for each other without a stand-still."""


def main(args: Sequence[str] | None = None) -> int:
    """Spin the node until it is shut down; its transitions come from outside (launch, ros2 lifecycle)."""
    steady_memory()
    return run("storm", StormNode, threads=_THREADS, args=args)
