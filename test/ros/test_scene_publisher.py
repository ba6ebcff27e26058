"""The planning scene for real: a tracker and a MoveIt that are played by the test, the node between them."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytestmark = pytest.mark.ros


class Stage:
    """The scene_publisher, and a node that plays the tracker and MoveIt."""

    def __init__(self, domain: int) -> None:
        import rclpy
        from geometry_msgs.msg import PoseStamped
        from moveit_msgs.msg import AttachedCollisionObject, CollisionObject, PlanningScene
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.parameter import Parameter
        from rclpy.qos import DurabilityPolicy, QoSProfile
        from visualization_msgs.msg import Marker

        from storm_ros.ros.scene_publisher import ScenePublisher

        self.rclpy = rclpy
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        overrides = {"planning_frame": "camera", "shape": "hull", "stable_ms": 200.0, "remove_after": 3.0}
        self.publisher = ScenePublisher(
            context=self.context, parameter_overrides=[Parameter(name, value=v) for name, v in overrides.items()]
        )
        self.node = rclpy.create_node("played", context=self.context)
        latched = QoSProfile(depth=8, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.marker = self.node.create_publisher(Marker, "/storm/marker", latched)
        self.pose = self.node.create_publisher(PoseStamped, "/storm/cup/pose", 10)
        self.attached = self.node.create_publisher(AttachedCollisionObject, "/attached_collision_object", 10)
        self.scene = self.node.create_publisher(PlanningScene, "/monitored_planning_scene", 10)
        self.told: list = []
        self.rests: list = []
        self.node.create_subscription(CollisionObject, "/collision_object", self.told.append, 32)
        self.node.create_subscription(PoseStamped, "/scene_publisher/cup/stable_pose", self.rests.append, latched)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.publisher)
        self.executor.add_node(self.node)

    def operations(self) -> list[int]:
        return [int.from_bytes(m.operation, "little") for m in self.told]

    def show_mesh(self) -> None:
        from geometry_msgs.msg import Point
        from visualization_msgs.msg import Marker

        marker = Marker(ns="cup", type=Marker.TRIANGLE_LIST, action=Marker.ADD)
        corners = [(0, 0, 0), (0.1, 0, 0), (0, 0.1, 0), (0, 0, 0), (0.1, 0, 0), (0, 0, 0.1)]
        marker.points = [Point(x=float(x), y=float(y), z=float(z)) for x, y, z in corners]
        self.marker.publish(marker)

    def rest(self, x: float, seconds: float) -> None:
        """Publish poses at one place."""
        from geometry_msgs.msg import PoseStamped

        end = time.monotonic() + seconds
        while time.monotonic() < end:
            message = PoseStamped()
            message.header.frame_id = "camera"
            message.header.stamp = self.node.get_clock().now().to_msg()
            message.pose.position.x, message.pose.position.z = x, 0.6
            message.pose.orientation.w = 1.0
            self.pose.publish(message)
            self.spin(0.03)

    def spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.01)

    def tell(self, publisher, message) -> None:
        """Publish something that the scene_publisher has to hear of."""
        assert self.until(lambda: publisher.get_subscription_count() > 0)
        publisher.publish(message)
        self.spin(1.0)

    def until(self, condition, limit_s: float = 90.0, x: float | None = None) -> bool:
        end = time.monotonic() + limit_s
        while not condition() and time.monotonic() < end:
            if x is None:
                self.spin(0.05)
            else:
                self.rest(x, 0.1)
        return condition()

    def close(self) -> None:
        self.executor.shutdown()
        self.publisher.destroy_node()
        self.node.destroy_node()
        self.rclpy.shutdown(context=self.context)


@pytest.fixture
def stage(ros_domain):
    pytest.importorskip("moveit_msgs", reason="moveit_msgs is not installed")
    stage = Stage(ros_domain())
    yield stage
    stage.close()


ADD, REMOVE, MOVE = 0, 1, 3


def test_added_moved_held_released_and_removed(stage) -> None:
    from moveit_msgs.msg import AttachedCollisionObject, CollisionObject, PlanningScene

    stage.show_mesh()
    assert stage.until(lambda: len(stage.told) >= 1, x=0.0), "never added"
    added = stage.told[0]
    assert (stage.operations()[0], added.id, added.header.frame_id) == (ADD, "cup", "camera")
    assert (added.pose.position.x, added.pose.position.z) == (0.0, 0.6)
    vertices = np.array([(v.x, v.y, v.z) for v in added.meshes[0].vertices])
    assert len(vertices) == 4
    assert len(added.meshes[0].triangles) == 4, "the hull of a corner is a tetrahedron"
    assert stage.until(lambda: len(stage.rests) >= 1)
    assert stage.rests[0].pose.position.z == 0.6

    assert stage.until(lambda: len(stage.told) >= 2, x=0.1), "never moved"
    assert stage.operations() == [ADD, MOVE]
    assert stage.told[1].pose.position.x == pytest.approx(0.1)
    assert len(stage.told[1].meshes) == 0, "MoveIt wants moves without a shape"

    taken = AttachedCollisionObject(link_name="hand")
    taken.object.id, taken.object.operation = "cup", CollisionObject.ADD
    stage.tell(stage.attached, taken)
    stage.rest(0.3, 0.8)
    stage.spin(3.5)
    assert stage.operations() == [ADD, MOVE], "left alone while it is held, even when it is out of sight"

    stage.tell(stage.scene, PlanningScene())  # a whole scene in which nothing is attached
    assert stage.until(lambda: len(stage.told) >= 3, x=0.3), "not followed after it was let go"
    assert stage.operations() == [ADD, MOVE, MOVE]

    assert stage.until(lambda: len(stage.told) >= 4), "not removed though it was lost"
    assert stage.operations() == [ADD, MOVE, MOVE, REMOVE]
    assert stage.told[3].id == "cup"


def test_cleared_object_is_removed(stage) -> None:
    from visualization_msgs.msg import Marker

    stage.show_mesh()
    assert stage.until(lambda: len(stage.told) >= 1, x=0.0)
    stage.tell(stage.marker, Marker(ns="cup", action=Marker.DELETE))
    assert stage.until(lambda: len(stage.told) >= 2)
    assert stage.operations() == [ADD, REMOVE]


def test_unknown_shape_is_refused(ros_domain) -> None:
    pytest.importorskip("moveit_msgs", reason="moveit_msgs is not installed")
    import rclpy
    from rclpy.parameter import Parameter

    from storm_ros.core.errors import ConfigError
    from storm_ros.ros.scene_publisher import ScenePublisher

    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros_domain())
    try:
        with pytest.raises(ConfigError, match="one of mesh, hull, box"):
            ScenePublisher(context=context, parameter_overrides=[Parameter("shape", value="ball")])
    finally:
        rclpy.shutdown(context=context)
