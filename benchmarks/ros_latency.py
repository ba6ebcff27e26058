"""How old a pose is when it arrives: the demo camera and the node as two processes, stamps against arrival.

In a sourced workspace that has the package built:
    python benchmarks/ros_latency.py [--seconds 30] [--json latency.json] [name:=value ...]
The arguments in the form name:=value go to demo.launch.py. It keeps back results that are too old: max_age:=0 lets them
be seen here. Camera and node need two cores that nobody else uses.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from common.figures import Figure, Outcome, main
from geometry_msgs.msg import PoseStamped
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import CameraInfo
from storm_ros.msg import Relocalized, TrackerStatus

from storm_ros.core.errors import StormError

START_S = 180.0
MOST_MS = 150.0
"""Nothing older is meant to be received."""
HIDDEN_S = 0.5
"""Poses further apart have a loss between them."""


class Meter:
    """Takes what the camera and the tracker publish, with the time of arrival."""

    def __init__(self) -> None:
        self.node = rclpy.create_node("latency_meter")
        self.poses: list[tuple[float, float]] = []
        self.images: list[float] = []
        self.statuses: list[TrackerStatus] = []
        self.returns: list[Relocalized] = []
        self.node.create_subscription(PoseStamped, "/storm/pose", self._pose, 100)
        self.node.create_subscription(CameraInfo, "/camera/camera/color/camera_info", self._image, 100)
        self.node.create_subscription(TrackerStatus, "/storm/status", self.statuses.append, 10)
        self.node.create_subscription(Relocalized, "/storm/relocalized", self.returns.append, 10)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)

    def _now_s(self) -> float:
        return self.node.get_clock().now().nanoseconds * 1e-9

    def _pose(self, message: PoseStamped) -> None:
        self.poses.append((_seconds(message.header.stamp), self._now_s()))

    def _image(self, message: CameraInfo) -> None:
        self.images.append(_seconds(message.header.stamp))

    def spin(self, seconds: float) -> None:
        """Take in messages for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.1)

    def clear(self) -> None:
        """Forget what came so far."""
        for values in (self.poses, self.images, self.statuses, self.returns):
            values.clear()


def _seconds(stamp: Time) -> float:
    return stamp.sec + stamp.nanosec * 1e-9


def measure(meter: Meter, seconds: float, outcome: Outcome) -> None:
    """Figures of so many seconds of the demo, in which the object is hidden, lost and found again.

    Raises:
        StormError: no pose came.
    """
    meter.clear()
    meter.spin(seconds)
    if len(meter.poses) < 2 or len(meter.statuses) < 2:
        raise StormError("no poses came: see the messages of the launch above")
    ages_ms = np.array([1e3 * (arrived - stamp) for stamp, arrived in meter.poses])
    p50, p95 = np.percentile(ages_ms, (50, 95))
    steps = np.diff([stamp for stamp, _ in meter.poses])
    tracked_s = steps[steps < HIDDEN_S].sum()
    first, last = meter.statuses[0], meter.statuses[-1]
    outcome.figures += [
        Figure("image stamp to pose received, p50", float(p50), "ms", 40.0),
        Figure("image stamp to pose received, p95", float(p95), "ms", 70.0),
        Figure("image stamp to pose received, largest", float(ages_ms.max()), "ms", MOST_MS, note=f"of {len(ages_ms)}"),
        Figure(f"poses older than {MOST_MS:g} ms", float((ages_ms > MOST_MS).sum()), "", 0.0),
        Figure("poses per second while it is tracked", float((steps < HIDDEN_S).sum() / tracked_s), "Hz", 25.0, True),
        Figure("images per second", len(meter.images) / seconds, "Hz"),
        Figure("images dropped", float(last.dropped_frames - first.dropped_frames), "", note=f"of {len(meter.images)}"),
        Figure("lost and found again", float(len(meter.returns)), ""),
    ]
    outcome.details["stages of a frame, ms"] = [
        {"stage": name, **{f"p{percent}": float(np.percentile(values, percent)) for percent in (50, 95)}}
        for name, values in _stages(meter.statuses).items()
    ]


def _stages(statuses: list[TrackerStatus]) -> dict[str, list[float]]:
    """Milliseconds by stage, of the statuses in which the object had a pose."""
    found: dict[str, list[float]] = {}
    for status in statuses:
        if any(item.has_pose for item in status.objects):
            for name, value in zip(status.stage_names, status.stage_ms, strict=True):
                found.setdefault(name, []).append(value)
    return found


def run(args: argparse.Namespace, outcome: Outcome) -> None:
    """Launch the demo, wait for the first poses, measure, end it."""
    rclpy.init()
    meter = Meter()
    # Python children take SIGINT; those of a shell's background job would ignore it
    launch = subprocess.Popen(
        ["ros2", "launch", "storm_ros", "demo.launch.py", *args.arguments],
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        end = time.monotonic() + START_S
        while len(meter.poses) < 30:
            meter.spin(0.5)
            if time.monotonic() > end or launch.poll() is not None:
                raise StormError("the demo gave no poses: see its messages above")
        measure(meter, args.seconds, outcome)
    finally:
        launch.send_signal(signal.SIGINT)
        launch.wait(30)
        meter.node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=30.0, help="measured time (default: 30)")
    options.add_argument("--json", type=Path, help="also write the figures there")
    options.add_argument("arguments", nargs="*", metavar="name:=value", help="for demo.launch.py")
    sys.exit(main(run, options.parse_args(), "ros_latency"))
