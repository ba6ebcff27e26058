"""The ROS node: latency, rate and overhead over the bare loop, and what configure-to-cleanup cycles leave behind.

Needs a sourced ROS 2 with the package built. The camera plays the recording `desk` from this process; the node runs in
a process of its own, as `ros2 run` starts it.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import timing
from common.figures import Figure, Outcome, console, main, parser
from common.recorded import DESK_OBJECTS, seen
from common.runs import new_tracker, open_data, read_all

from storm_ros.core.errors import StormError
from storm_ros.core.types import Mask, RgbdFrame
from storm_ros.io.images import to_millimetres

CUBE = 1
KINDS = ("latency", "cycles", "traffic")
NODE = Path(__file__).resolve().parents[1] / "scripts" / "storm_node"
CONFIGURE, ACTIVATE, DEACTIVATE, CLEANUP = 1, 3, 4, 2


def run(args: argparse.Namespace, outcome: Outcome) -> None:
    """Measure what was asked for."""
    try:
        import rclpy
    except ImportError:
        raise StormError("rclpy is missing: source a ROS 2 and this package's workspace first") from None
    os.environ.setdefault("ROS_DOMAIN_ID", str(20 + os.getpid() % 60))
    with open_data(args.data, "desk") as recording:
        frames = read_all(recording, recording.numbers[: args.frames])
        mask = seen(recording, frames[0].index, CUBE)
    rclpy.init()
    try:
        if "latency" in args.only:
            _latency(args, outcome, frames, mask)
        for name, traffic in (("cycles", False), ("traffic", True)):
            if name in args.only:
                _cycles(args, outcome, frames, mask, traffic=traffic)
    finally:
        rclpy.try_shutdown()
    outcome.machine["load_at_end"] = round(timing.load(), 2)


class Client:
    """This process's side: the camera, the node's services, and what it publishes."""

    def __init__(self) -> None:
        import rclpy
        from geometry_msgs.msg import PoseStamped
        from lifecycle_msgs.srv import ChangeState
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import DurabilityPolicy, QoSProfile
        from storm_ros.msg import TrackerStatus
        from storm_ros.srv import SetReference

        from storm_ros.ros.rgbd_publisher import RgbdPublisher

        self.node = rclpy.create_node("bench")
        self.camera = RgbdPublisher(self.node, "camera_color_optical_frame")
        self.poses: list[tuple[int, int]] = []
        self.status: list[Any] = []
        self.node.create_subscription(PoseStamped, "/storm/pose", self._on_pose, 50)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.node.create_subscription(TrackerStatus, "/storm/status", self.status.append, latched)
        self.change = self.node.create_client(ChangeState, "/storm/change_state")
        self.point = self.node.create_client(SetReference, "/storm/set_reference")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin, daemon=True)
        self.thread.start()

    def _on_pose(self, message: Any) -> None:
        stamp = message.header.stamp
        self.poses.append((stamp.sec * 10**9 + stamp.nanosec, time.time_ns()))

    def call(self, client: Any, request: Any, seconds: float = 60.0) -> Any:
        """A service's answer."""
        if not client.wait_for_service(seconds):
            raise StormError(f"the node offers no {client.srv_name}: did it start?")
        future = client.call_async(request)
        end = time.monotonic() + seconds
        while not future.done():
            if time.monotonic() > end:
                raise StormError(f"no answer of {client.srv_name} within {seconds:g} s")
            time.sleep(0.002)
        return future.result()

    def transition(self, number: int) -> None:
        """Change the node's state."""
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState

        answer = self.call(self.change, ChangeState.Request(transition=Transition(id=number)))
        if not answer.success:
            raise StormError(f"transition {number} failed: see the node's log above")

    def show(self, frame: RgbdFrame) -> None:
        """Publish a frame as taken now."""
        raw = to_millimetres(frame.depth_m)
        depth = frame.depth_m if raw is None else raw
        self.camera.publish(frame.rgb, depth, frame.camera, time.time_ns())

    def play(self, frames: Sequence[RgbdFrame], rate_hz: float, stop: threading.Event) -> None:
        """Show frames at a rate, there and back, until told to stop."""
        order = [*frames, *frames[-2:0:-1]]
        due, i = time.monotonic(), 0
        while not stop.is_set():
            self.show(order[i % len(order)])
            i += 1
            due = max(due + 1.0 / rate_hz, time.monotonic())
            stop.wait(max(0.0, due - time.monotonic()))

    def set_reference(self, mask: Mask) -> Any:
        """Point at what a mask shows in the current image."""
        from sensor_msgs.msg import Image
        from std_msgs.msg import Header
        from storm_ros.srv import SetReference

        from storm_ros.ros.conversions import fill_image

        image = fill_image(Image(), Header(), mask.astype(np.uint8) * 255, "mono8")
        answer = self.call(self.point, SetReference.Request(kind="mask", masks=[image]))
        if not answer.success:
            raise StormError(f"set_reference refused: {answer.message}")
        return answer

    def close(self) -> None:
        """Stop to listen."""
        self.executor.shutdown()
        self.thread.join(5.0)
        self.node.destroy_node()


@contextlib.contextmanager
def started(args: argparse.Namespace) -> Iterator[subprocess.Popen[bytes]]:
    """The node as a program of its own."""
    given = [f"device.name={args.device}", *args.assignments]
    parameters = [text for one in given for text in ("-p", one.replace("=", ":=", 1))]
    command = [sys.executable, str(NODE), "--ros-args", *parameters, "--log-level", "warn"]
    with subprocess.Popen(command) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _latency(args: argparse.Namespace, outcome: Outcome, frames: Sequence[RgbdFrame], mask: Mask) -> None:
    bare = _bare_ms(args, frames, mask)
    client = Client()
    with started(args) as process:
        client.transition(CONFIGURE)
        client.transition(ACTIVATE)
        held = threading.Event()
        camera = threading.Thread(target=client.play, args=(frames[:1], args.rate, held))
        camera.start()  # the scene stands still while it is pointed at
        time.sleep(2.0)
        answer = client.set_reference(mask)
        held.set()
        camera.join()
        stop = threading.Event()
        camera = threading.Thread(target=client.play, args=(frames, args.rate, stop))
        camera.start()
        time.sleep(3.0)
        client.poses.clear()
        began, cpu_began = time.monotonic(), _cpu_s(process.pid)
        time.sleep(args.seconds)
        seconds, cpu_s = time.monotonic() - began, _cpu_s(process.pid) - cpu_began
        poses, status = list(client.poses), client.status[-1]
        stop.set()
        camera.join()
        client.transition(DEACTIVATE)
        client.transition(CLEANUP)
    client.close()
    latency = np.array([(received - stamp) * 1e-6 for stamp, received in poses])
    stages = dict(zip(status.stage_names, status.stage_ms, strict=True))
    console.print(f"stages of the last frame, ms: { ({k: round(v, 2) for k, v in stages.items()}) }", highlight=False)
    console.print(f"frames {status.frames}, dropped {status.dropped_frames}", highlight=False)
    cpu_ms = cpu_s / max(len(poses), 1) * 1e3
    outcome.figures += [
        Figure("image stamp to pose received, p50", float(np.percentile(latency, 50)), "ms", 40.0),
        Figure("image stamp to pose received, p95", float(np.percentile(latency, 95)), "ms", 70.0),
        Figure("image stamp to pose received, worst", float(latency.max()), "ms", 150.0),
        Figure(f"poses per second at {args.rate:g} Hz", len(poses) / seconds, "Hz", 25.0, at_least=True),
        Figure("bare loop, wall time p50", bare.p50, "ms", note=f"CPU time p50 {bare.cpu_p50:.1f} ms"),
        Figure("CPU time of the node per pose", cpu_ms, "ms", note="all its threads"),
        Figure("CPU time of the node over the bare loop", cpu_ms - bare.cpu_p50, "ms"),
        Figure("overhead: convert + publish of the last frame", stages["convert"] + stages["publish"], "ms", 5.0),
        Figure("set_reference (mask)", answer.seconds, "s", 3.0),
    ]


def _bare_ms(args: argparse.Namespace, frames: Sequence[RgbdFrame], mask: Mask) -> timing.Timing:
    """The loop without ROS on the same frames, with as many threads as the node takes."""

    def looped() -> list[tuple[float, float]]:
        tracker = new_tracker(args)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)
        tracker.set_reference(frames[0], mask, object_id=DESK_OBJECTS[CUBE])
        tracker.step(frames[0])
        fresh = [dataclasses.replace(frame) for frame in frames[1:]]
        return [timing.timed(lambda frame=frame: tracker.step(frame)) for frame in fresh]

    return timing.best_of(2, looped)


def _cycles(
    args: argparse.Namespace, outcome: Outcome, frames: Sequence[RgbdFrame], mask: Mask, *, traffic: bool
) -> None:
    """Configure, activate, deactivate, clean up; with traffic the camera sends, and every tenth time tracks an object.

    A cycle in traffic ends while images are on their way and, every tenth time, while one is being worked on.
    """
    client = Client()
    stop = threading.Event()
    camera = threading.Thread(target=client.play, args=(frames[:1], args.rate, stop))
    rows: list[dict[str, Any]] = []
    with started(args) as process:
        if traffic:
            camera.start()
        for cycle in range(args.cycles):
            client.transition(CONFIGURE)
            client.transition(ACTIVATE)
            if traffic and cycle % 10 == 0:
                time.sleep(1.0)
                client.set_reference(mask)
                time.sleep(0.5)
            else:
                time.sleep(0.1)
            client.transition(DEACTIVATE)
            client.transition(CLEANUP)
            if cycle % 10 == 9 or cycle + 1 == args.cycles:
                rows.append({"cycle": cycle + 1, **_held(process.pid)})
        if traffic:
            stop.set()
            camera.join()
    client.close()
    where = "in traffic" if traffic else "without images"
    outcome.details[f"what the node's process holds after a cleanup, {where}"] = rows
    console.print(f"{where}: {rows}", highlight=False)
    settled = rows[min(1, len(rows) - 1)]
    for key, unit in (("memory_mb", "MB"), ("threads", ""), ("files", "")):
        grown = rows[-1][key] - settled[key]
        name = f"{where}: growth of {key} from cycle {settled['cycle']} to {rows[-1]['cycle']}"
        outcome.figures.append(Figure(name, grown, unit))


def _held(pid: int) -> dict[str, float]:
    folder = Path("/proc") / str(pid)
    pages = int((folder / "statm").read_text().split()[1])
    return {
        "memory_mb": round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1),
        "threads": len(list((folder / "task").iterdir())),
        "files": len(list((folder / "fd").iterdir())),
    }


def _cpu_s(pid: int) -> float:
    fields = (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], dest="assignments", help="one setting; repeatable"
    )
    options.add_argument("--only", nargs="+", choices=KINDS, default=KINDS)
    options.add_argument("--frames", type=int, default=99, help="frames of desk (default: 99)")
    options.add_argument("--rate", type=float, default=30.0, help="of the camera, Hz (default: 30)")
    options.add_argument("--seconds", type=float, default=20.0, help="measured time (default: 20)")
    options.add_argument("--cycles", type=int, default=100, help="transitions there and back (default: 100)")
    sys.exit(main(run, options.parse_args(), "ros_node"))
