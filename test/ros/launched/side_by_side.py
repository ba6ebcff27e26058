"""What `launch_test` runs: a bag with /clock that begins again and again, and two trackers on it side by side."""

import tempfile
import time
import unittest
from pathlib import Path

import launch_testing
import numpy as np
import rclpy
from ament_index_python.packages import get_package_share_directory
from geometry_msgs.msg import PoseStamped
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launching import assert_ended_cleanly, tested
from rclpy.executors import SingleThreadedExecutor
from rosgraph_msgs.msg import Clock
from storm_ros.msg import TrackerStatus
from storm_ros.srv import SetReference
from tf2_msgs.msg import TFMessage

from storm_ros.io import convert
from storm_ros.sim import turntable_sequence

FOLDER = tempfile.TemporaryDirectory()
SIDES = ("left", "right")
LIMIT_S = 400.0


def recorded():
    """A bag of an object that turns a little, and where it is in the first image."""
    path = Path(FOLDER.name) / "turn.mcap"
    with turntable_sequence(10.0, 1, frames=50, width=320, height=240) as recording:
        convert(recording, path)
        rows, columns = np.nonzero(recording.ground_truth.mask(0, 1))
    corner = (columns.min(), rows.min())
    return path, [float(v) for v in (*corner, *(columns.max() + 1 - corner[0], rows.max() + 1 - corner[1]))]


BAG, BOX = recorded()


def generate_test_description():
    share = Path(get_package_share_directory("storm_ros"))

    def included(name, side, **arguments):
        source = PythonLaunchDescriptionSource(str(share / "launch" / name))
        given = {"namespace": side, "object_id": "cup", "object_frame": f"{side}/{{object_id}}", "device": "cpu"}
        return GroupAction([IncludeLaunchDescription(source, launch_arguments={**given, **arguments}.items())])

    box = ",".join(f"{v:g}" for v in BOX)
    left = included("replay.launch.py", "left", bag=str(BAG), box=box, clock="true", loop="true", rate="0.25")
    right = included("tracker.launch.py", "right", use_sim_time="true")
    return tested(left, right)


def seconds(stamp):
    return stamp.sec + stamp.nanosec * 1e-9


class TestSideBySide(unittest.TestCase):
    def setUp(self):
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("watcher", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.poses = {side: [] for side in SIDES}
        self.states, self.clocks, self.frames = {}, [], set()
        for side in SIDES:
            self.node.create_subscription(PoseStamped, f"/{side}/storm/pose", self.poses[side].append, 100)
            keep = lambda m, side=side: self.states.update({side: m})  # noqa: E731
            self.node.create_subscription(TrackerStatus, f"/{side}/storm/status", keep, 10)
        self.node.create_subscription(Clock, "/clock", lambda m: self.clocks.append(seconds(m.clock)), 100)
        self.node.create_subscription(
            TFMessage, "/tf", lambda m: self.frames.update(t.child_frame_id for t in m.transforms), 100
        )

    def tearDown(self):
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def until(self, condition, what):
        end = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < end, f"waited in vain for {what}; states {self.states}"
            self.executor.spin_once(timeout_sec=0.1)

    def test_both_in_the_time_of_the_bag(self):
        self.until(lambda: self.poses["left"], "a pose of the left one")
        assert not self.poses["right"], "nobody has pointed at anything there"
        self.until(lambda: "right" in self.states and self.states["right"].state == "WAITING", "the right one")
        client = self.node.create_client(SetReference, "/right/storm/set_reference")
        self.until(client.service_is_ready, "its service")
        for _ in range(20):  # an image of a moment ago may be missing on a busy machine
            future = client.call_async(SetReference.Request(kind="box", box=BOX))
            self.until(future.done, "an answer")
            if future.result().success:
                break
        assert future.result().success, future.result().message

        for side in SIDES:
            self.poses[side].clear()
        self.until(lambda: all(self.poses.values()), "poses of both")
        self.until(lambda: {"left/cup", "right/cup"} <= self.frames, "TF of both, which comes after the first pose")
        for side in SIDES:
            stamp = seconds(self.poses[side][-1].header.stamp)
            assert min(self.clocks) - 1.0 <= stamp <= max(self.clocks) + 1.0, "stamps are the recorded ones"
            self.until(lambda side=side: self.states[side].latency_ms < 10_000.0, "a node whose clock is /clock")
        assert abs(time.time() - stamp) > 1e6
        places = [self.poses[side][-1].pose.position for side in SIDES]
        assert np.linalg.norm([places[0].x - places[1].x, places[0].z - places[1].z]) < 0.02

        begins = len(self.clocks)
        self.until(lambda: (np.diff(self.clocks[begins:]) < -1.0).any(), "the bag to begin again")
        earlier = max(self.clocks[begins:]) - 1.0  # the bag has 1.7 s

        def again(side):
            return [p for p in self.poses[side][-5:] if seconds(p.header.stamp) < earlier]

        for side in SIDES:
            self.poses[side].clear()
        self.until(lambda: all(again(side) for side in SIDES), "poses of both after the clock was set back")


@launch_testing.post_shutdown_test()
class TestEnd(unittest.TestCase):
    def test_ended_cleanly(self, proc_info, proc_output):
        assert_ended_cleanly(proc_info, proc_output)
        FOLDER.cleanup()
