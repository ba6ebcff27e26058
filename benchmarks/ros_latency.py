"""How old a pose is when it arrives: the demo camera and the node as two processes, stamps against arrival.

In a sourced workspace that has the package built:
    python benchmarks/ros_latency.py [--seconds 30] [--json latency.json] [name:=value ...]
The arguments in the form name:=value go to demo.launch.py.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import CameraInfo
from storm_ros.msg import Relocalized, TrackerStatus

START_S = 180.0


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


def measure(meter: Meter, seconds: float) -> dict:
    """Figures of so many seconds of tracking."""
    meter.clear()
    meter.spin(seconds)
    if not meter.poses:
        raise SystemExit("no pose came: see the messages of the launch above")
    ages_ms = np.array([1e3 * (arrived - stamp) for stamp, arrived in meter.poses])
    tracked = np.array([stamp for stamp, _ in meter.poses])
    steps = np.diff(tracked)
    first, last = meter.statuses[0], meter.statuses[-1]
    stages: dict[str, list[float]] = {}
    for status in meter.statuses:
        for name, value in zip(status.stage_names, status.stage_ms, strict=True):
            stages.setdefault(name, []).append(value)
    return {
        "seconds": seconds,
        "images": len(meter.images),
        "poses": len(meter.poses),
        "latency_ms": {"p50": _at(ages_ms, 50), "p95": _at(ages_ms, 95), "max": float(ages_ms.max())},
        "pose_rate_hz_while_tracked": float(1 / np.median(steps)) if len(steps) else float("nan"),
        "pose_rate_hz_mean_without_gaps": float(1 / steps[steps < 0.5].mean()) if (steps < 0.5).any() else float("nan"),
        "dropped_frames": int(last.dropped_frames - first.dropped_frames),
        "processed_frames": int(last.frames - first.frames),
        "relocalized": len(meter.returns),
        "stages_ms_p50": {name: _at(np.array(values), 50) for name, values in stages.items()},
        "load_average": os.getloadavg()[0],
    }


def _at(values: np.ndarray, percent: float) -> float:
    return float(np.percentile(values, percent))


def main() -> int:
    """Launch the demo, wait for the first poses, measure, end it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--json", default="", help="file to write the figures to")
    options, arguments = parser.parse_known_args()
    rclpy.init()
    meter = Meter()
    # Python children take SIGINT; those of a shell's background job would ignore it
    launch = subprocess.Popen(
        ["ros2", "launch", "storm_ros", "demo.launch.py", *arguments],
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        end = time.monotonic() + START_S
        while len(meter.poses) < 30:
            meter.spin(0.5)
            if time.monotonic() > end or launch.poll() is not None:
                raise SystemExit("the demo gave no poses: see its messages above")
        figures = measure(meter, options.seconds)
    finally:
        launch.send_signal(signal.SIGINT)
        launch.wait(30)
        meter.node.destroy_node()
        rclpy.try_shutdown()
    text = json.dumps(figures, indent=2)
    sys.stdout.write(f"{text}\n")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            file.write(f"{text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
