"""What MoveIt is told and what it tells: collision objects out, attached objects in."""
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from geometry_msgs.msg import Point
from geometry_msgs.msg import Pose as PoseMessage
from rclpy.node import Node
from shape_msgs.msg import Mesh, MeshTriangle, SolidPrimitive

from storm_ros.core import se3
from storm_ros.core.errors import BackendUnavailableError
from storm_ros.core.types import Pose
from storm_ros.ros.conversions import fill_pose, fill_time
from storm_ros.ros.planning_scene import hull_of

_THIN_M = 0.002
"""A planning scene can do nothing with a box without thickness."""


class MoveIt:
    """Publishes `collision_object`; hears `monitored_planning_scene` and `attached_collision_object`."""

    def __init__(self, node: Node, frame: str, attached: Callable[[str, bool], None]) -> None:
        """Create publisher and subscriptions.

        Args:
            node: theirs.
            frame: the planning frame.
            attached: told the id of an object that the robot took (True) or let go (False).

        Raises:
            BackendUnavailableError: moveit_msgs is not installed.
        """
        try:
            from moveit_msgs import msg
        except ImportError:
            raise BackendUnavailableError(
                "the scene_publisher needs moveit_msgs, which is not installed: apt install ros-$ROS_DISTRO-moveit-msgs"
            ) from None
        self._msg, self._frame, self._attached = msg, frame, attached
        self._held: set[str] = set()
        self._publisher = node.create_publisher(msg.CollisionObject, "collision_object", 32)
        node.create_subscription(msg.PlanningScene, "monitored_planning_scene", self._when_scene, 10)
        node.create_subscription(msg.AttachedCollisionObject, "attached_collision_object", self._when_attached, 10)

    @property
    def heard(self) -> bool:
        """Whether anybody listens."""
        return self._publisher.get_subscription_count() > 0

    def add(self, name: str, pose: Pose, stamp_ns: int, vertices: npt.NDArray, faces: npt.NDArray, shape: str) -> None:
        """Add an object.

        Args:
            name: its id.
            pose: (4, 4) in the planning frame, metres.
            stamp_ns: of the pose.
            vertices: (V, 3) in the object's frame, metres.
            faces: (M, 3) indices.
            shape: mesh, hull or box.
        """
        message = self._message(name, self._msg.CollisionObject.ADD, pose, stamp_ns)
        if shape == "box":
            low, high = vertices.min(axis=0), vertices.max(axis=0)
            size = np.maximum(high - low, _THIN_M)
            box = SolidPrimitive(type=SolidPrimitive.BOX, dimensions=size.tolist())
            message.primitives, message.primitive_poses = [box], [_at((low + high) / 2)]
        else:
            points, triangles = hull_of(vertices) if shape == "hull" else (vertices, faces)
            message.meshes, message.mesh_poses = [mesh_message(points, triangles)], [_at(np.zeros(3))]
        self._publisher.publish(message)

    def move(self, name: str, pose: Pose, stamp_ns: int) -> None:
        """Move an object that is there."""
        self._publisher.publish(self._message(name, self._msg.CollisionObject.MOVE, pose, stamp_ns))

    def remove(self, name: str) -> None:
        """Take an object away."""
        self._publisher.publish(self._message(name, self._msg.CollisionObject.REMOVE, np.eye(4), 0))

    def _message(self, name: str, operation: bytes, pose: Pose, stamp_ns: int) -> Any:
        message = self._msg.CollisionObject(id=name, operation=operation)
        message.header.frame_id = self._frame
        fill_time(message.header.stamp, stamp_ns)
        fill_pose(message.pose, pose)
        return message

    def _when_scene(self, scene: Any) -> None:
        """The robot's state says what it holds: all of it, or what has changed."""
        state = scene.robot_state
        if state.is_diff or scene.is_diff:
            for held in state.attached_collision_objects:
                self._when_attached(held)
            return
        held = {item.object.id for item in state.attached_collision_objects}
        for name in held - self._held:
            self._attached(name, True)
        for name in self._held - held:
            self._attached(name, False)
        self._held = held

    def _when_attached(self, item: Any) -> None:
        name, taken = item.object.id, item.object.operation != self._msg.CollisionObject.REMOVE
        names = [name] if name else sorted(self._held)
        for each in names:
            (self._held.add if taken else self._held.discard)(each)
            self._attached(each, taken)


def mesh_message(vertices: npt.NDArray, faces: npt.NDArray) -> Mesh:
    """A shape_msgs/Mesh of vertices (V, 3) in metres and triangles (M, 3)."""
    return Mesh(
        vertices=[Point(x=x, y=y, z=z) for x, y, z in np.asarray(vertices, np.float64).tolist()],
        triangles=[MeshTriangle(vertex_indices=face) for face in np.asarray(faces, np.uint32)],
    )


def pose_of(message: Any) -> Pose:
    """(4, 4) of a geometry_msgs/Pose."""
    return _pose(message.position, message.orientation)


def transform_of(message: Any) -> Pose:
    """(4, 4) of a geometry_msgs/Transform."""
    return _pose(message.translation, message.rotation)


def _pose(place: Any, turn: Any) -> Pose:
    from scipy.spatial.transform import Rotation

    rotation = Rotation.from_quat([turn.x, turn.y, turn.z, turn.w]).as_matrix()
    return se3.transform(rotation, [place.x, place.y, place.z])


def _at(place: npt.NDArray) -> PoseMessage:
    pose = np.eye(4)
    pose[:3, 3] = place
    return fill_pose(PoseMessage(), pose)
