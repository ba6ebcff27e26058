"""What `launch_test` runs: the demo, an object pointed at by the service, and what comes of it, against the truth."""

import time
import unittest
from pathlib import Path

import launch_testing
import numpy as np
import rclpy
from ament_index_python.packages import get_package_share_directory
from geometry_msgs.msg import PoseStamped
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launching import assert_ended_cleanly, tested
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.time import Time
from scipy.spatial.transform import Rotation
from std_msgs.msg import String
from storm_ros.msg import Relocalized, TrackerStatus
from storm_ros.srv import SetReference
from tf2_ros import Buffer, TransformListener

from storm_ros.core import se3
from storm_ros.sim.rendered import first_frame

SHOW = {"frames": 90, "seed": 0, "width": 320, "height": 240, "target": "box"}
RATE_HZ = 6.0  # far below what the tracker does, so that a slow machine passes too
CAMERA, OBJECT, TRUTH = "camera_color_optical_frame", "storm/cup", "simulated_object"
START_S, SHOW_S, SOON_S = 240.0, 900.0, 120.0  # most of it for rendering, on a slow machine


def seconds(stamp):
    return stamp.sec + stamp.nanosec * 1e-9


def generate_test_description():
    share = Path(get_package_share_directory("storm_ros"))
    arguments = {name: str(value) for name, value in SHOW.items()}
    arguments |= {"rate": str(RATE_HZ), "point": "false", "play": "false", "device": "cpu"}
    arguments["max_age"] = "0"  # a slow machine passes, too
    source = PythonLaunchDescriptionSource(str(share / "launch" / "demo.launch.py"))
    demo = IncludeLaunchDescription(source, launch_arguments=arguments.items())
    return tested(demo)


class Watcher:
    """A node that keeps what comes."""

    def __init__(self):
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("watcher", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.tf = Buffer(cache_time=Duration(seconds=3600))  # all of it is looked at in the end
        self.listener = TransformListener(self.tf, self.node)
        self.poses, self.events, self.phases = [], [], {}
        self.status = None
        latched = rclpy.qos.QoSProfile(depth=1, durability=rclpy.qos.DurabilityPolicy.TRANSIENT_LOCAL)
        self.node.create_subscription(PoseStamped, "/storm/pose", self.poses.append, 100)
        self.node.create_subscription(Relocalized, "/storm/relocalized", self.events.append, 10)
        self.node.create_subscription(TrackerStatus, "/storm/status", self.keep_status, latched)
        self.node.create_subscription(String, "/simulated_camera/phase", self.keep_phase, 10)

    def keep_status(self, message):
        self.status = message

    def keep_phase(self, message):
        self.phases.setdefault(message.data, self.node.get_clock().now().nanoseconds * 1e-9)

    def found_again(self):
        """The first return after the object was hidden; a slow machine may lose it before for want of images."""
        hidden_at = self.phases.get("occluded", np.inf)
        return next((e for e in self.events if seconds(e.header.stamp) > hidden_at), None)

    def until(self, condition, limit_s):
        """Spin until it holds; whether it did."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            if condition():
                return True
            self.executor.spin_once(timeout_sec=0.1)
        return False

    def call(self, kind, name, request, limit_s):
        client = self.node.create_client(kind, name)
        assert self.until(client.service_is_ready, limit_s), f"no service {name} within {limit_s} s"
        future = client.call_async(request)
        assert self.until(future.done, limit_s), f"no answer of {name} within {limit_s} s"
        self.node.destroy_client(client)
        return future.result()

    def play(self, on):
        value = ParameterValue(type=1, bool_value=on)
        request = SetParameters.Request(parameters=[Parameter(name="play", value=value)])
        return self.call(SetParameters, "/simulated_camera/set_parameters", request, SOON_S).results[0].successful

    def transform(self, frame, stamp):
        """cam_T_frame (4, 4) by TF at a stamp."""
        found = self.tf.lookup_transform(CAMERA, frame, Time.from_msg(stamp)).transform
        q, t = found.rotation, found.translation
        return se3.transform(Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix(), [t.x, t.y, t.z])

    def close(self):
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


class TestDemo(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.watcher = Watcher()

    @classmethod
    def tearDownClass(cls):
        cls.watcher.close()

    def test_pointed_at_tracked_hidden_and_found(self):
        w = self.watcher
        ready = w.until(lambda: w.status is not None and w.status.state == TrackerStatus.WAITING, START_S)
        assert ready, f"autostart did not bring the tracker to work on images: {w.status and w.status.state}"
        nothing = SetReference.Request(kind="box", box=[0.0, 0.0, 0.0, 0.0])
        assert not w.call(SetReference, "/storm/set_reference", nothing, SOON_S).success
        assert w.poses == [], "a bad request changes nothing"
        box = [float(v) for v in first_frame(SHOW).box]
        request = SetReference.Request(object_id="cup", kind="box", box=box)
        answer = w.call(SetReference, "/storm/set_reference", request, SOON_S)
        for _ in range(20):  # the first image may still be on its way
            if answer.success:
                break
            w.until(lambda: False, 1.0)
            answer = w.call(SetReference, "/storm/set_reference", request, SOON_S)
        assert answer.success, answer.message
        assert answer.object_id == "cup"
        assert (answer.preview.width, answer.preview.height) == (SHOW["width"], SHOW["height"])
        assert 0.02 < answer.mesh_size.x < 0.3, answer.mesh_size

        assert w.until(lambda: len(w.poses) >= 3, SOON_S), "no pose of the object at rest"
        first = w.poses[0]
        assert first.header.frame_id == CAMERA
        assert w.until(lambda: self.known(first.header.stamp), SOON_S), "no TF at the stamp of the first pose"
        # The object's frame is the middle of the surface seen: constant in the true one, as both move with the object.
        truth_T_obj = se3.inverse(w.transform(TRUTH, first.header.stamp)) @ w.transform(OBJECT, first.header.stamp)

        assert w.play(True)
        assert w.until(w.found_again, START_S + SHOW_S), f"never found again; phases seen: {w.phases}"
        event = w.found_again()
        after = len(w.poses)
        assert w.until(lambda: len(w.poses) > after + 3, SOON_S), "no pose after it was found"
        assert event.object_id == "cup"
        assert event.frames_lost > 0
        self.judge(event, [(seconds(p.header.stamp), self.error_m(p, truth_T_obj)) for p in w.poses])

    def judge(self, event, errors):
        """Poses within 10 mm of the truth before the loss and after the return, none in between."""
        errors = [(t, e) for t, e in errors if e is not None]
        found_at = seconds(event.header.stamp)
        lost_at = found_at - event.seconds_lost
        before = np.array([e for t, e in errors if t < lost_at])
        again = np.array([e for t, e in errors if t >= found_at])
        self.watcher.node.get_logger().info(
            f"figures: {len(before)} poses before, {len(again)} after; error median {1000 * np.median(before):.1f} mm "
            f"before, {1000 * np.median(again):.1f} mm after, 95 % {1000 * np.percentile(before, 95):.1f} mm before; "
            f"lost for {event.seconds_lost:.1f} s, cause {event.cause}"
        )
        assert len(before) >= 5
        assert len(again) >= 2
        assert np.median(before) < 0.010
        assert np.median(again) < 0.010
        assert np.mean(before > 0.010) < 0.2, "nearly every pose before it was hidden is within 10 mm"
        assert [t for t, _ in errors if lost_at < t < found_at] == [], "no TF while it is lost"

    def known(self, stamp):
        """Whether TF has both the estimated and the true pose at a stamp."""
        time_ = Time.from_msg(stamp)
        return all(self.watcher.tf.can_transform(CAMERA, frame, time_) for frame in (OBJECT, TRUTH))

    def error_m(self, pose, truth_T_obj):
        """Distance by TF between the object and where the truth says that it is, metres; None where TF is gone."""
        stamp = pose.header.stamp
        if not self.known(stamp):
            return None
        true = self.watcher.transform(TRUTH, stamp) @ truth_T_obj
        return float(se3.distance(self.watcher.transform(OBJECT, stamp), true))


@launch_testing.post_shutdown_test()
class TestEnd(unittest.TestCase):
    def test_ended_cleanly(self, proc_info, proc_output):
        assert_ended_cleanly(proc_info, proc_output)
