"""A simulated RGB-D camera that shows the demo: an object that moves, is hidden and jumps. Publishes the truth too."""
# pyright: reportMissingImports=false

from __future__ import annotations

import sys
import threading
from typing import Any

from geometry_msgs.msg import PoseStamped, TransformStamped
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage

from storm_ros.core.errors import StormError
from storm_ros.ros.conversions import fill_pose, fill_transform
from storm_ros.ros.parameter_kinds import fixed, live, number, whole
from storm_ros.ros.pointing import Pointer
from storm_ros.ros.program import run
from storm_ros.ros.rgbd_publisher import RgbdPublisher
from storm_ros.sim.rendered import Rendered, first_frame, render_demo, there_and_back

PARAMETERS: tuple[tuple[str, Any, ParameterDescriptor], ...] = (
    ("play", True, live("False: the scene stands still.")),
    ("frames", 240, whole("Length of the show, which then runs backwards.", 40, 3000)),
    ("seed", 0, whole("Of everything in the scene.", 0, 2**31 - 1)),
    ("width", 640, whole("Of the images, px.", 160, 1920)),
    ("height", 480, whole("Of the images, px.", 120, 1080)),
    ("target", "box", fixed("Kind of the object that moves: box, can, mug, bottle or dragon.")),
    ("rate", 30.0, number("Frames per second.", 1.0, 120.0)),
    ("hold", 1.0, number("The scene starts to move this long after the first subscriber came, s.", 0.0, 3600.0)),
    ("frame_id", "camera_color_optical_frame", fixed("The camera's optical frame.")),
    ("truth_frame", "simulated_object", fixed("TF frame of the object's true pose; empty: none.")),
    ("point_at", "", fixed("Service to point at the object with once there are images; empty: somebody else does.")),
    ("workers", 2, whole("Processes that render, the first time.", 1, 64)),
)


class SimulatedCamera(Node):
    """Plays a pre-rendered demo there and back; until it is rendered, and until told to play, shows its first frame."""

    def __init__(self, **kwargs: Any) -> None:
        """Declare the parameters, render one frame, start publishing, render the others aside.

        Raises:
            StormError: parameters that make no demo.
        """
        super().__init__("simulated_camera", **kwargs)
        for name, value, descriptor in PARAMETERS:
            self.declare_parameter(name, value, descriptor)
        self._settings = {name: self._value(name) for name in ("frames", "seed", "width", "height", "target")}
        self._show: Rendered = first_frame(self._settings)
        self._rgbd = RgbdPublisher(self, self._value("frame_id"))
        latched = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
        self._phase_publisher = self.create_publisher(String, "~/phase", latched)
        self._truth_publisher = self.create_publisher(PoseStamped, "~/truth", 10)
        self._tf_publisher = self.create_publisher(TFMessage, "/tf", 100)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._since_ns: int | None = None
        self._step, self._phase = 0, ""
        self._pointer: Pointer | None = None
        self._pointed = not self._value("point_at")
        if not self._pointed:
            self._pointer = Pointer(
                self,
                self._value("point_at"),
                lambda: self._show.box,
                self._when_pointed,
                ready=lambda: self._rgbd.watched,
            )
        self._ended = threading.Event()
        self._renderer = threading.Thread(target=self._render, name="rendering", daemon=True)
        self._renderer.start()
        self.create_timer(1.0 / self._value("rate"), self._publish, clock=self._steady)

    def destroy_node(self) -> None:
        """Stop rendering, then everything else."""
        self._ended.set()
        self._renderer.join()
        super().destroy_node()

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _render(self) -> None:
        """Render (or load) the whole show, beside the publishing of its first frame."""
        told = 0.0

        def progress(share: float) -> None:
            nonlocal told
            if (share >= told + 0.2 or share == 1.0) and not self._ended.is_set():
                told = share
                self.get_logger().info(f"rendering the demo, kept for the next time: {share:.0%}")

        try:
            self._show = render_demo(
                self._settings, workers=self._value("workers"), progress=progress, cancelled=self._ended.is_set
            )
        except StormError as error:
            if not self._ended.is_set():
                self.get_logger().error(f"{error}; the scene stays as it is")

    def _when_pointed(self) -> None:
        self._pointed, self._since_ns = True, self._steady.now().nanoseconds

    def _publish(self) -> None:
        """One frame with its truth, all of one stamp."""
        show = self._show
        self._step = self._step + 1 if self._plays(show) else self._step
        frame = there_and_back(self._step, len(show))
        stamp_ns = self.get_clock().now().nanoseconds
        self._rgbd.publish(show.rgb[frame], show.depth_mm[frame], show.camera, stamp_ns)
        self._publish_truth(show, frame, stamp_ns)

    def _plays(self, show: Rendered) -> bool:
        """Whether the scene moves on: all is rendered, somebody has looked for a while, and nobody said stop."""
        now = self._steady.now().nanoseconds
        if self._since_ns is None and self._rgbd.watched:
            self._since_ns = now
        looked = self._since_ns is not None and now - self._since_ns >= self._value("hold") * 1e9
        return len(show) > 1 and looked and self._pointed and self._value("play")

    def _publish_truth(self, show: Rendered, frame: int, stamp_ns: int) -> None:
        header, cam_T_obj = self._rgbd.header(stamp_ns), show.cam_T_obj[frame]
        truth = PoseStamped(header=header)
        fill_pose(truth.pose, cam_T_obj)
        self._truth_publisher.publish(truth)
        if self._value("truth_frame"):
            transform = TransformStamped(header=header, child_frame_id=self._value("truth_frame"))
            fill_transform(transform.transform, cam_T_obj)
            self._tf_publisher.publish(TFMessage(transforms=[transform]))
        phase = show.phase(frame)
        if phase != self._phase:
            self._phase = phase
            self._phase_publisher.publish(String(data=phase))


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted."""
    return run("simulated_camera", SimulatedCamera, args=args)


if __name__ == "__main__":
    sys.exit(main())
