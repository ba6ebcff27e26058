"""What `launch_test` runs: the pick example before the demo; only the robot and its planner are played by the test."""

import contextlib
import os
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

import launch_testing
import numpy as np
import rclpy
from ament_index_python.packages import get_package_share_directory
from geometry_msgs.msg import PoseStamped, TransformStamped
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launching import assert_ended_cleanly, tested
from moveit_msgs.action import MoveGroup
from moveit_msgs.msg import AttachedCollisionObject, CollisionObject, MoveItErrorCodes
from rclpy.action import ActionServer
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile
from scipy.spatial.transform import Rotation
from tf2_msgs.msg import TFMessage

from storm_ros.core import se3
from storm_ros.ros.conversions import fill_transform
from storm_ros.ros.moveit import pose_of

EXAMPLE = Path(get_package_share_directory("storm_ros")) / "examples" / "pick"
CAMERA = "camera_color_optical_frame"
BASE_T_CAM = se3.transform(Rotation.from_euler("x", -120, degrees=True).as_matrix(), [0.5, 0.0, 0.8])


def generate_test_description():
    arguments = {"demo": "true", "planning_frame": "base_link", "object_id": "cup", "device": "cpu", "play": "false"}
    arguments |= {"frames": "90", "width": "320", "height": "240", "rate": "6.0"}
    arguments["max_age"] = "0"  # a slow machine passes, too
    source = PythonLaunchDescriptionSource(str(EXAMPLE / "pick.launch.py"))
    pick = IncludeLaunchDescription(source, launch_arguments=arguments.items())
    return tested(pick)


class Robot:
    """Where the camera is mounted, a planner that reaches every goal, and a scene that is told of objects."""

    def __init__(self):
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("robot", context=self.context)
        self.goals, self.scene, self.held, self.truths = [], [], [], []
        self.server = ActionServer(self.node, MoveGroup, "move_action", self.reach)
        self.node.create_subscription(CollisionObject, "collision_object", self.scene.append, 10)
        self.node.create_subscription(AttachedCollisionObject, "attached_collision_object", self.held.append, 10)
        self.node.create_subscription(PoseStamped, "/simulated_camera/truth", self.truths.append, 1)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.tf = self.node.create_publisher(TFMessage, "/tf_static", latched)
        mounted = TransformStamped(child_frame_id=CAMERA)
        mounted.header.frame_id = "base_link"
        fill_transform(mounted.transform, BASE_T_CAM)
        self.tf.publish(TFMessage(transforms=[mounted]))
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.spin, daemon=True)
        self.thread.start()

    def spin(self):
        with contextlib.suppress(ExternalShutdownException):
            self.executor.spin()

    def reach(self, handle):
        self.goals.append(handle.request.request)
        handle.succeed()
        result = MoveGroup.Result()
        result.error_code.val = MoveItErrorCodes.SUCCESS
        return result

    def close(self):
        rclpy.shutdown(context=self.context)
        self.thread.join()


class TestPick(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.robot = Robot()

    @classmethod
    def tearDownClass(cls):
        cls.robot.close()

    def test_picked(self):
        robot = self.robot
        end = time.monotonic() + 480.0
        while not robot.scene:
            assert time.monotonic() < end, "the object never came into the planning scene"
            time.sleep(0.2)
        command = [sys.executable, str(EXAMPLE / "pick.py"), "--ros-args", "-p", "object_id:=cup", "-p", "tool:=cup0"]
        done = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=400, check=False)
        assert done.returncode == 0, done.stderr[-3000:]

        added = robot.scene[0]
        assert (added.id, added.header.frame_id, added.operation) == ("cup", "base_link", CollisionObject.ADD)
        assert len(added.meshes[0].triangles) >= 4
        goals = [goal.goal_constraints[0] for goal in robot.goals]
        poses = [pose_of(g.position_constraints[0].constraint_region.primitive_poses[0]) for g in goals]
        above, at, lifted = poses
        assert goals[0].position_constraints[0].header.frame_id == "base_link"
        assert goals[0].position_constraints[0].link_name == "cup0"
        assert np.allclose(above, lifted)
        assert np.allclose(at[:3, 2], [0, 0, -1], atol=1e-6), "the tool looks down"
        truth = (BASE_T_CAM @ pose_of(robot.truths[-1].pose))[:3, 3]
        assert np.linalg.norm(at[:2, 3] - truth[:2]) < 0.06, "over the object, of which the surface seen is known"
        assert 0.0 < at[2, 3] - truth[2] < 0.15, "at its top"
        assert abs(above[2, 3] - at[2, 3] - 0.095) < 1e-9, "10 cm and 5 mm above it"
        assert [(held.object.id, held.link_name) for held in robot.held] == [("cup", "cup0")]
        told = len(robot.scene)
        time.sleep(2.0)
        assert len(robot.scene) == told, "what is held is left alone"


@launch_testing.post_shutdown_test()
class TestEnd(unittest.TestCase):
    def test_ended_cleanly(self, proc_info, proc_output):
        assert_ended_cleanly(proc_info, proc_output)
