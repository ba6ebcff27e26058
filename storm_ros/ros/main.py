"""Runs the node as a program."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Sequence

import rclpy
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor

from storm_ros.ros.entities import spin
from storm_ros.ros.node import StormNode
from storm_ros.ros.runtime import steady_memory

_THREADS = 4
"""Inputs, watch, services and transitions can wait for each other without a stand-still."""


def main(args: Sequence[str] | None = None) -> int:
    """Spin the node until it is shut down; its transitions come from outside (launch, ros2 lifecycle)."""
    steady_memory()
    rclpy.init(args=None if args is None else list(args))
    node = StormNode()
    executor = MultiThreadedExecutor(num_threads=_THREADS)
    executor.add_node(node)
    try:
        spin(executor, rclpy.ok)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.release()
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0
