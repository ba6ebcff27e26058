"""A node under test in this process, a drawn camera before it, and everything it publishes. Needs rclpy."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
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
from storm_ros.ros.entities import spin
from storm_ros.ros.node import StormNode
from storm_ros.ros.program import fill
from storm_ros.ros.runtime import steady_memory

BOX = [126.0, 86.0, 68.0, 68.0]
LIMIT_S = 120.0
"""What is waited for comes within a second; on a machine with much else to do it may take longer."""

PATIENT = {"input.stale_after": 30.0, "search.max_gap_s": 120.0}
"""Parameters with which a machine that stood still for a moment is not taken for a camera that has stopped."""

SERVICES = {
    "set_reference": SetReference,
    "clear_reference": ClearReference,
    "relocalize": Relocalize,
    "save_reference": SaveReference,
    "load_reference": LoadReference,
}
LATCHED = QoSProfile(depth=32, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def image_stamp(message: Any) -> int:
    """Nanoseconds of the image that a message, also one of /tf, belongs to."""
    header = message.transforms[0].header if hasattr(message, "transforms") else message.header
    return stamp_ns(header.stamp)


def wait_until(condition: Callable[[], Any], seconds: float = LIMIT_S, what: str = "it") -> Any:
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
        self.spoiled: list[int] = []
        self.newest_ns = 0
        self.count = 0
        self._frames: dict[int, Any] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def messages(self, stamp: int, shift: int) -> tuple[Any, Any, Any]:
        """Image, depth and camera_info of the box at a place."""
        if shift not in self._frames:
            self._frames[shift] = box_frame(shift)[0]
        frame = self._frames[shift]
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
        self.newest_ns = stamp  # before it is read what to show, so that what is set now is in all later ones
        spoil = self.spoil
        shift = self.shift
        image, depth, info = self.messages(stamp, shift)
        if spoil is not None:
            spoil(image, depth, info)
        stamp_sent = stamp_ns(image.header.stamp)
        self.sent[stamp_sent] = shift
        if spoil is not None:
            self.spoiled.append(stamp_sent)
        self.info.publish(info)
        self.depth.publish(depth)
        self.image.publish(image)
        self.count += 1

    def wait(self, frames: int) -> None:
        """Wait until so many more frames were sent."""
        enough = self.count + frames
        wait_until(lambda: self.count >= enough, what="the camera")

    def shows(self, stamp: int) -> bool:
        """Whether a frame was sent as what is set now, and well."""
        return self.sent.get(stamp) == self.shift and stamp not in self.spoiled

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
        fill(self.executor._executor, 6)
        self.closing = False
        self.spinner = threading.Thread(target=self._spin, daemon=True)
        self.spinner.start()

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            spin(self.executor, lambda: not self.closing)  # ends with what a callback raised

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

    def call(self, name: str, seconds: float = LIMIT_S, **fields: Any) -> Any:
        """Call a service of the node and return its answer."""
        return self.answer(self.ask(name, **fields), seconds)

    def ask(self, name: str, **fields: Any) -> Any:
        """Call a service of the node without waiting."""
        client = self.clients[name]
        assert client.wait_for_service(LIMIT_S), f"no service {name}"
        return client.call_async(SERVICES[name].Request(**fields))

    def answer(self, future: Any, seconds: float = LIMIT_S) -> Any:
        """Wait for a service's answer."""
        wait_until(future.done, seconds, "an answer")
        return future.result()

    def point(self, object_id: str = "object", **fields: Any) -> Any:
        """Point at the box in an image that shows what the camera is set to show."""

        def shown() -> bool:
            last = self.node.session.snapshot
            return last is not None and self.camera.shows(last.frame.stamp_ns)

        wait_until(shown, what="an image")
        return self.call("set_reference", object_id=object_id, kind="box", box=BOX, **fields)

    def expect(self, topic: str, count: int = 1, seconds: float = LIMIT_S) -> list[Any]:
        """Wait for some messages."""
        wait_until(lambda: len(self.got[topic]) >= count, seconds, f"{count} on {topic}")
        return list(self.got[topic])

    def expect_one(self, topic: str, condition: Callable[[Any], Any], seconds: float = LIMIT_S) -> Any:
        """Wait for a message of a kind."""
        return wait_until(lambda: next(filter(condition, list(self.got[topic])), None), seconds, f"one on {topic}")

    def expect_status(self, condition: Callable[[Any], Any], seconds: float = LIMIT_S) -> Any:
        """Wait for the newest status to be of a kind."""

        def newest() -> Any:
            return next((m for m in reversed(self.got["storm/status"][-3:]) if condition(m)), None)

        return wait_until(newest, seconds, "a status")

    def fresh(self, topic: str, count: int = 1, since_ns: int | None = None) -> list[Any]:
        """Wait for some messages of images that are sent from now on, or after a stamp."""
        newest = self.camera.newest_ns if since_ns is None else since_ns

        def found() -> list[Any]:
            return [m for m in list(self.got[topic]) if image_stamp(m) > newest]

        wait_until(lambda: len(found()) >= count, what=f"{count} of new images on {topic}")
        return found()

    def silent(self, *topics: str, frames: int = 15) -> None:
        """While the camera sends so many frames nothing is published that belongs to them."""
        newest = self.camera.newest_ns
        self.camera.wait(frames)
        time.sleep(0.3)
        for topic in topics:
            assert [image_stamp(m) for m in list(self.got[topic]) if image_stamp(m) > newest] == [], topic

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
