"""Keeps the tracked objects in MoveIt's planning scene: adds them once, moves them on change, removes them on loss."""
# pyright: reportMissingImports=false

from __future__ import annotations

import sys
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from rclpy.time import Time
from tf2_ros import Buffer, TransformException, TransformListener
from visualization_msgs.msg import Marker

from storm_ros.core.errors import ConfigError
from storm_ros.core.types import Pose
from storm_ros.io.bag_writer import topic_name
from storm_ros.ros.conversions import fill_pose, fill_time, stamp_ns
from storm_ros.ros.moveit import MoveIt, pose_of, transform_of
from storm_ros.ros.parameter_kinds import choice, fixed, number
from storm_ros.ros.planning_scene import ObjectInScene, Operation, Rules, attach, elapse, forget, observe, vertices_of
from storm_ros.ros.program import run

SHAPES = ("mesh", "hull", "box")

_EVERY_S = 0.05
_PENDING = 60
"""Poses that wait for the transform of their stamp; TF comes a little later than the image's pose."""

PARAMETERS: tuple[tuple[str, Any, Any], ...] = (
    ("tracker", "/storm", fixed("Name of the tracker node whose objects are taken.")),
    ("planning_frame", "world", fixed("MoveIt's planning frame, one that does not move with the camera.")),
    ("shape", "mesh", choice("Shape in the scene: the surface seen, its convex hull or its bounding box.", SHAPES)),
    ("prefix", "", fixed("Put before the object's name to make the id in the scene.")),
    ("stable_ms", 300.0, number("A pose is told once the object rested so long, ms; 0: at once.", 0.0, 1e4, live=True)),
    ("stable_m", 0.005, number("It rests while it moves by no more than this, m.", 0.0, 1.0, live=True)),
    ("stable_rad", 0.06, number("And turns by no more than this, rad.", 0.0, 3.2, live=True)),
    ("move_m", 0.005, number("A smaller change of place is not told, m.", 0.0, 1.0, live=True)),
    ("move_rad", 0.03, number("Nor a smaller turn, rad.", 0.0, 3.2, live=True)),
    ("remove_after", 3.0, number("An object that was lost so long is removed, s; 0: never.", 0.0, 3600.0, live=True)),
)  # fmt: skip


@dataclass
class _Tracked:
    """One object: what the scene knows, its surface, and what listens to it."""

    corners: Any
    subscription: Any
    publisher: Any
    known: ObjectInScene = field(default_factory=ObjectInScene)
    pending: deque[PoseStamped] = field(default_factory=lambda: deque(maxlen=_PENDING))


class ScenePublisher(Node):
    """Follows a tracker's markers (the meshes) and poses, and tells MoveIt."""

    def __init__(self, **kwargs: Any) -> None:
        """Subscribe to the tracker and to MoveIt's scene.

        Raises:
            BackendUnavailableError: moveit_msgs is not installed.
            ConfigError: an unknown shape.
        """
        super().__init__("scene_publisher", **kwargs)
        for name, value, descriptor in PARAMETERS:
            self.declare_parameter(name, value, descriptor)
        if self._value("shape") not in SHAPES:
            raise ConfigError(f"shape = {self._value('shape')!r}: one of {', '.join(SHAPES)} is needed")
        self._objects: dict[str, _Tracked] = {}
        self._tracker = "/" + self._value("tracker").strip("/")
        self._tf = Buffer()
        self._listener = TransformListener(self._tf, self)
        self._moveit = MoveIt(self, self._value("planning_frame"), self._when_attached)
        self._latched = QoSProfile(
            depth=32, reliability=QoSReliabilityPolicy.RELIABLE, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL
        )
        self.create_subscription(Marker, f"{self._tracker}/marker", self._when_marker, self._latched)
        self._heard = False
        self.create_timer(_EVERY_S, self._work)

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _rules(self) -> Rules:
        names = ("stable_m", "stable_rad", "move_m", "move_rad")
        values = {name: float(self._value(name)) for name in names}
        return Rules(
            stable_s=self._value("stable_ms") / 1000.0, remove_after_s=float(self._value("remove_after")), **values
        )

    def _when_marker(self, marker: Marker) -> None:
        """A mesh: an object has come, or another surface of it; or it was cleared."""
        name = marker.ns
        if marker.action != Marker.ADD:
            self._drop(name)
            return
        corners = np.array([(p.x, p.y, p.z) for p in marker.points], np.float64)
        if name in self._objects:
            self._objects[name].corners = corners
            self._objects[name].known = forget(self._objects[name].known)  # with its new shape it is added anew
            return
        topic = topic_name(name)
        self._objects[name] = _Tracked(
            corners,
            self.create_subscription(PoseStamped, f"{self._tracker}/{topic}/pose", self._taker(name), 10),
            self.create_publisher(PoseStamped, f"~/{topic}/stable_pose", self._latched),
        )

    def _taker(self, name: str) -> Any:
        def take(message: PoseStamped) -> None:
            self._objects[name].pending.append(message)

        return take

    def _drop(self, name: str) -> None:
        tracked = self._objects.pop(name, None)
        if tracked is None:
            return
        if tracked.known.present and not tracked.known.attached:
            self._moveit.remove(self._id(name))
        self.destroy_subscription(tracked.subscription)
        self.destroy_publisher(tracked.publisher)

    def _when_attached(self, scene_id: str, attached: bool) -> None:
        """The robot took an object or let it go."""
        for name, tracked in self._objects.items():
            if self._id(name) == scene_id and tracked.known.attached != attached:
                self.get_logger().info(
                    f"{scene_id} is {'attached: left alone' if attached else 'released: followed again'}"
                )
                tracked.known = attach(tracked.known, attached)

    def _work(self) -> None:
        """Take in the poses whose transform has come, and let time pass."""
        if not self._listened():
            return
        rules = self._rules()
        now_s = self.get_clock().now().nanoseconds * 1e-9
        for name, tracked in self._objects.items():
            while tracked.pending:
                world_T_obj = self._in_world(tracked.pending[0])
                if world_T_obj is None:
                    break
                time_s = stamp_ns(tracked.pending.popleft().header.stamp) * 1e-9
                tracked.known, operation = observe(rules, tracked.known, time_s, world_T_obj)
                self._tell(name, tracked, operation, time_s)
            tracked.known, operation = elapse(rules, tracked.known, now_s)
            self._tell(name, tracked, operation, now_s)

    def _listened(self) -> bool:
        """Whether a planning scene listens; one that has just come knows nothing yet."""
        heard = self._moveit.heard
        if heard != self._heard:
            self._heard = heard
            for tracked in self._objects.values():
                tracked.known = forget(tracked.known)
            text = "a planning scene listens" if heard else "no planning scene listens: start MoveIt's move_group"
            self.get_logger().info(text)
        if not heard:
            for tracked in self._objects.values():
                tracked.pending.clear()
        return heard

    def _in_world(self, message: PoseStamped) -> Pose | None:
        """The pose in the planning frame; None while the transform of its stamp is not there."""
        frame, cam_T_obj = self._value("planning_frame"), pose_of(message.pose)
        if message.header.frame_id == frame:
            return cam_T_obj
        try:
            found = self._tf.lookup_transform(frame, message.header.frame_id, Time.from_msg(message.header.stamp))
        except TransformException as error:
            self.get_logger().warning(
                f"no pose of {message.header.frame_id} in {frame} yet: {error}; is the planning_frame right, and does "
                "somebody publish the camera's TF?", throttle_duration_sec=5.0, skip_first=True,
            )  # fmt: skip
            return None
        return transform_of(found.transform) @ cam_T_obj

    def _tell(self, name: str, tracked: _Tracked, operation: Operation | None, time_s: float) -> None:
        if operation is None:
            return
        scene_id = self._id(name)
        if operation is Operation.REMOVE:
            self._moveit.remove(scene_id)
        else:
            pose, stamp = tracked.known.told, round(time_s * 1e9)
            assert pose is not None
            if operation is Operation.ADD:
                vertices, faces = vertices_of(tracked.corners)
                self._moveit.add(scene_id, pose, stamp, vertices, faces, self._value("shape"))
            else:
                self._moveit.move(scene_id, pose, stamp)
            told = PoseStamped()
            told.header.frame_id = self._value("planning_frame")
            fill_time(told.header.stamp, stamp)
            fill_pose(told.pose, pose)
            tracked.publisher.publish(told)
        self.get_logger().info(f"{scene_id}: {operation.value}")

    def _id(self, name: str) -> str:
        return f"{self._value('prefix')}{name}"


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted."""
    return run("scene_publisher", ScenePublisher, args=args)


if __name__ == "__main__":
    sys.exit(main())
