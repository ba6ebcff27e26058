"""A node under test in this process, a drawn camera before it, and everything it publishes. Needs rclpy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rclpy.exceptions import InvalidHandle
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from ros_messages import box_frame
from sensor_msgs.msg import CameraInfo, Image
from storm_ros.msg import Relocalized, TrackerStatus
from storm_ros.srv import ClearReference, LoadReference, Relocalize, SaveReference, SetReference
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import Marker

from storm_ros.ros.conversions import fill_image, fill_time, stamp_ns
from storm_ros.ros.node import StormNode
from storm_ros.ros.runtime import steady_memory

BOX = [126.0, 86.0, 68.0, 68.0]
SERVICES = {
    "set_reference": SetReference,
    "clear_reference": ClearReference,
    "relocalize": Relocalize,
    "save_reference": SaveReference,
    "load_reference": LoadReference,
}
LATCHED = QoSProfile(depth=32, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def wait_until(condition: Callable[[], Any], seconds: float = 20.0, what: str = "it") -> Any:
    """Wait for a condition to hold, and return what it returned."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.01)


class Camera:
    """Publishes drawn frames; what is wrong with them is set from outside while it runs."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.image = node.create_publisher(Image, "image", qos_profile_sensor_data)
        self.depth = node.create_publisher(Image, "depth", qos_profile_sensor_data)
        self.info = node.create_publisher(CameraInfo, "camera_info", qos_profile_sensor_data)
        self.rate_hz = 30.0
        self.spoil: Callable[[Any, Any, Any], None] | None = None
        self.shift = 0
        self.offset_ns = 0
        self.sent: dict[int, int] = {}
        self.spoiled: set[int] = set()
        self.newest_ns = 0
        self._frames: dict[int, Any] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def messages(self, stamp: int) -> tuple[Any, Any, Any]:
        """Image, depth and camera_info of now."""
        if self.shift not in self._frames:
            self._frames[self.shift] = box_frame(self.shift)[0]
        frame = self._frames[self.shift]
        raw = np.round(frame.depth_m * 1000).astype(np.uint16)
        info = CameraInfo(width=frame.camera.width, height=frame.camera.height, k=frame.camera.k.ravel().tolist())
        image, depth = fill_image(Image(), info.header, frame.rgb, "rgb8"), Image()
        fill_image(depth, type(info.header)(), raw, "16UC1")
        image.header = type(info.header)()
        for message in (image, depth, info):
            message.header.frame_id = "cam"
            fill_time(message.header.stamp, stamp)
        return image, depth, info

    def send(self, stamp: int | None = None) -> None:
        """Publish one frame."""
        stamp = time.time_ns() + self.offset_ns if stamp is None else stamp
        image, depth, info = self.messages(stamp)
        if self.spoil is not None:
            self.spoil(image, depth, info)
        stamp_sent = stamp_ns(image.header.stamp)
        self.sent[stamp_sent] = self.shift
        if self.spoil is not None:
            self.spoiled.add(stamp_sent)
        self.newest_ns = stamp
        self.info.publish(info)
        self.depth.publish(depth)
        self.image.publish(image)

    def start(self) -> None:
        """Publish at the rate."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Publish no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._thread = None

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            self.send()
            due = max(due + 1.0 / self.rate_hz, time.monotonic())
            self._stop.wait(max(0.0, due - time.monotonic()))


class Bench:
    """A StormNode, a camera, and lists of what was published."""

    def __init__(self, domain: int, namespace: str = "", **parameters: Any) -> None:
        steady_memory()
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        options = {"context": self.context, "namespace": namespace}
        self.node = StormNode(parameter_overrides=overrides, **options)
        self.helper = Node("bench", **options)
        self.camera = Camera(self.helper)
        self.got: dict[str, list[Any]] = {}
        self.at: dict[str, list[float]] = {}
        for topic, kind in {
            "storm/pose": PoseStamped,
            "storm/mask": Image,
            "storm/overlay": Image,
            "storm/relocalized": Relocalized,
            "/tf": TFMessage,
            "/diagnostics": DiagnosticArray,
        }.items():
            self.listen(topic, kind, 50)
        self.listen("storm/status", TrackerStatus, LATCHED)
        self.listen("storm/marker", Marker, LATCHED)
        self.clients = {name: self.helper.create_client(kind, f"storm/{name}") for name, kind in SERVICES.items()}
        self.executor = MultiThreadedExecutor(num_threads=6, context=self.context)
        self.executor.add_node(self.node)
        self.executor.add_node(self.helper)
        self.closing = False
        self.spinner = threading.Thread(target=self._spin, daemon=True)
        self.spinner.start()

    def _spin(self) -> None:
        try:
            self.executor.spin()  # ends with what a callback or the executor raised
        except ExternalShutdownException:
            pass
        except InvalidHandle:  # rclpy: a callback that ends just while its executor is being shut down
            if not self.closing:
                raise

    def listen(self, topic: str, kind: Any, qos: Any) -> None:
        """Keep what comes on a topic."""
        self.got[topic], self.at[topic] = [], []

        def keep(message: Any) -> None:
            self.at[topic].append(time.monotonic())
            self.got[topic].append(message)

        self.helper.create_subscription(kind, topic, keep, qos)

    def forget(self) -> None:
        """Empty the lists."""
        for topic in self.got:
            self.got[topic].clear()
            self.at[topic].clear()

    def call(self, name: str, seconds: float = 30.0, **fields: Any) -> Any:
        """Call a service of the node and return its answer."""
        return self.answer(self.ask(name, **fields), seconds)

    def ask(self, name: str, **fields: Any) -> Any:
        """Call a service of the node without waiting."""
        client = self.clients[name]
        assert client.wait_for_service(10.0), f"no service {name}"
        return client.call_async(SERVICES[name].Request(**fields))

    def answer(self, future: Any, seconds: float = 30.0) -> Any:
        """Wait for a service's answer."""
        wait_until(future.done, seconds, "an answer")
        return future.result()

    def point(self, object_id: str = "object", **fields: Any) -> Any:
        """Point at the box in the current image."""
        wait_until(lambda: self.node.session.snapshot is not None, what="an image")
        return self.call("set_reference", object_id=object_id, kind="box", box=BOX, **fields)

    def expect(self, topic: str, count: int = 1, seconds: float = 20.0) -> list[Any]:
        """Wait for some messages."""
        wait_until(lambda: len(self.got[topic]) >= count, seconds, f"{count} on {topic}")
        return list(self.got[topic])

    def expect_status(self, condition: Callable[[Any], Any], seconds: float = 20.0) -> Any:
        """Wait for a status of a kind."""

        def newest() -> Any:
            return next((m for m in reversed(self.got["storm/status"][-3:]) if condition(m)), None)

        return wait_until(newest, seconds, "a status")

    def close(self) -> None:
        """Take everything down."""
        self.closing = True
        self.camera.stop()
        self.node.release()
        self.executor.shutdown()
        self.node.destroy_node()
        self.helper.destroy_node()
        rclpy.try_shutdown(context=self.context)
        self.spinner.join(10)
