"""Picks a tracked object from above with a suction cup: pose and TF of storm_ros, motions by MoveIt's move_group.

python3 pick.py --ros-args -p object_id:=cup -p planning_frame:=base_link -p group:=manipulator -p tool:=tool0
"""
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import rclpy
from geometry_msgs.msg import Pose, PoseStamped
from moveit_msgs.action import MoveGroup
from moveit_msgs.msg import (
    AttachedCollisionObject,
    CollisionObject,
    Constraints,
    MoveItErrorCodes,
    OrientationConstraint,
    PositionConstraint,
)
from rclpy.action import ActionClient
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from scipy.spatial.transform import Rotation
from shape_msgs.msg import SolidPrimitive
from tf2_ros import Buffer, TransformException, TransformListener
from visualization_msgs.msg import Marker

LATCHED = QoSProfile(depth=8, durability=DurabilityPolicy.TRANSIENT_LOCAL)
FRESH = Duration(seconds=0.5)
PARAMETERS = {
    "object_id": "object",
    "planning_frame": "base_link",
    "tracker": "/storm",
    "group": "manipulator",  # MoveIt's planning group
    "tool": "tool0",  # link of the suction cup, whose z axis points out of it
    "clearance": 0.005,  # between cup and object before it is drawn in, m
    "approach": 0.10,  # height above the object from which it is approached, and to which it is lifted, m
    "still": 0.02,  # it may have moved by so much since it rested, m
}


class PickError(RuntimeError):
    """The pick cannot go on; the text says why."""


class Pick(Node):
    """One pick, step by step, in `run`."""

    def __init__(self) -> None:
        """Listen to the tracker and to the scene_publisher."""
        super().__init__("pick")
        for name, value in PARAMETERS.items():
            self.declare_parameter(name, value)
        name = self.value("object_id")
        self.rest: PoseStamped | None = None
        self.mesh: npt.NDArray[np.float64] | None = None
        self.create_subscription(PoseStamped, f"/scene_publisher/{name}/stable_pose", self.when_rest, LATCHED)
        self.create_subscription(Marker, f"{self.value('tracker')}/marker", self.when_marker, LATCHED)
        self.attached = self.create_publisher(AttachedCollisionObject, "attached_collision_object", 1)
        self.tf = Buffer()
        self.listener = TransformListener(self.tf, self)
        self.move_group = ActionClient(self, MoveGroup, "move_action")

    def value(self, name: str) -> Any:
        """Of a parameter."""
        return self.get_parameter(name).value

    def when_rest(self, pose: PoseStamped) -> None:
        """The object rests, in the planning frame."""
        self.rest = pose

    def when_marker(self, marker: Marker) -> None:
        """Its surface: corners (N, 3) of triangles in its own frame, metres."""
        if marker.ns == self.value("object_id") and marker.action == Marker.ADD:
            self.mesh = np.array([(p.x, p.y, p.z) for p in marker.points])

    def until(self, look: Callable[[], Any], seconds: float, complaint: str) -> Any:
        """Spin until something is there, and return it."""
        end = self.get_clock().now() + Duration(seconds=seconds)
        while (found := look()) is None or found is False:
            if self.get_clock().now() > end:
                raise PickError(complaint)
            rclpy.spin_once(self, timeout_sec=0.1)
        return found

    def run(self) -> None:
        """Wait until it rests, look again, approach, take, lift."""
        name = self.value("object_id")
        self.until(lambda: self.mesh, 60.0, f"the tracker knows no {name}: call set_reference")
        rest = self.until(lambda: self.rest, 60.0, f"{name} does not rest in sight").pose.position
        frame_T_obj = self.until(self.seen, 5.0, f"{name} is not tracked now: see /storm/relocalized")
        moved = np.linalg.norm(frame_T_obj[:3, 3] - (rest.x, rest.y, rest.z))
        if moved > self.value("still"):
            raise PickError(f"{name} has moved by {moved:.3f} m since it rested: try again")
        above, at = self.grasps(frame_T_obj)
        self.move(above, "above it")
        self.move(at, "to it")
        # switch the suction on here
        self.attach(CollisionObject.ADD)  # from now on the scene_publisher leaves it alone
        self.move(above, "up with it")

    def seen(self) -> npt.NDArray[np.float64] | None:
        """frame_T_obj (4, 4) by TF if it is of now: it is gone when the object is lost."""
        frame = f"storm/{self.value('object_id')}"
        try:
            found = self.tf.lookup_transform(self.value("planning_frame"), frame, Time())
        except TransformException:
            return None
        if self.get_clock().now() - Time.from_msg(found.header.stamp) > FRESH:
            return None
        q, t = found.transform.rotation, found.transform.translation
        frame_T_obj = np.eye(4)
        frame_T_obj[:3, :3] = Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix()
        frame_T_obj[:3, 3] = t.x, t.y, t.z
        return frame_T_obj

    def grasps(self, frame_T_obj: npt.NDArray[np.float64]) -> list[Pose]:
        """Poses of the tool above the object and at the middle of its top, looking down, turned with the object."""
        assert self.mesh is not None  # `run` waited for it
        points = self.mesh @ frame_T_obj[:3, :3].T + frame_T_obj[:3, 3]
        low, high = points.min(axis=0), points.max(axis=0)
        x_axis = frame_T_obj[:3, 0]
        yaw = np.arctan2(x_axis[1], x_axis[0])
        down = Rotation.from_euler("zx", [yaw, np.pi]).as_quat()
        poses = []
        for height in (self.value("approach"), self.value("clearance")):
            pose = Pose()
            pose.position.x, pose.position.y = (float(v) for v in (low + high)[:2] / 2)
            pose.position.z = float(high[2]) + height
            pose.orientation.x, pose.orientation.y, pose.orientation.z, pose.orientation.w = (float(v) for v in down)
            poses.append(pose)
        return poses

    def move(self, pose: Pose, where: str) -> None:
        """Let move_group plan and move the tool to a pose."""
        goal = MoveGroup.Goal()
        goal.request.group_name = self.value("group")
        goal.request.num_planning_attempts, goal.request.allowed_planning_time = 5, 5.0
        goal.request.max_velocity_scaling_factor = goal.request.max_acceleration_scaling_factor = 0.2
        goal.request.start_state.is_diff = True  # from where the robot is
        goal.request.goal_constraints = [self.constraints(pose)]
        self.get_logger().info(f"moving {where}")
        if not self.move_group.wait_for_server(10.0):
            raise PickError("no move_group answers on /move_action: start MoveIt")
        sent = self.move_group.send_goal_async(goal)
        self.until(sent.done, 10.0, "move_group does not take the goal")
        if not sent.result().accepted:
            raise PickError(f"move_group refuses to move {where}")
        done = sent.result().get_result_async()
        self.until(done.done, 120.0, f"moving {where} takes too long")
        code = done.result().result.error_code.val
        if code != MoveItErrorCodes.SUCCESS:
            raise PickError(f"moving {where} failed: MoveItErrorCodes {code}")

    def constraints(self, pose: Pose) -> Constraints:
        """The tool within 2 mm and 0.02 rad of a pose."""
        frame, tool = self.value("planning_frame"), self.value("tool")
        place = PositionConstraint(link_name=tool, weight=1.0)
        place.header.frame_id = frame
        place.constraint_region.primitives = [SolidPrimitive(type=SolidPrimitive.SPHERE, dimensions=[0.002])]
        place.constraint_region.primitive_poses = [pose]
        turn = OrientationConstraint(link_name=tool, weight=1.0, orientation=pose.orientation)
        turn.header.frame_id = frame
        turn.absolute_x_axis_tolerance = turn.absolute_y_axis_tolerance = turn.absolute_z_axis_tolerance = 0.02
        return Constraints(position_constraints=[place], orientation_constraints=[turn])

    def attach(self, operation: bytes) -> None:
        """Tell MoveIt that the tool holds the object (ADD), or lets it go (REMOVE)."""
        message = AttachedCollisionObject(link_name=self.value("tool"), touch_links=[self.value("tool")])
        message.object.id, message.object.operation = self.value("object_id"), operation
        self.attached.publish(message)


def main() -> int:
    """Pick once; 0 when it was done."""
    rclpy.init()
    pick = Pick()
    try:
        pick.run()
        pick.get_logger().info("picked")
        return 0
    except PickError as error:
        pick.get_logger().error(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        pick.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
