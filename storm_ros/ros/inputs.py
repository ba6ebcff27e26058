"""The node's subscriptions: colour and depth paired by their stamps, each message shown to the input doctor."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportPrivateImportUsage=false
from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from message_filters import ApproximateTimeSynchronizer, SimpleFilter
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image

from storm_ros.ros.complaints import Publisher, backward, repeated
from storm_ros.ros.conversions import stamp_ns
from storm_ros.ros.doctor import DEPTH, IMAGE, INFO, Doctor
from storm_ros.ros.entities import make_subscription
from storm_ros.ros.listening import Listener, NotByExecutors
from storm_ros.ros.settings import SyncConfig
from storm_ros.ros.timeline import Step, Timeline, advance


@dataclass(frozen=True, eq=False)
class Pair:
    """Messages of one moment.

    Attributes:
        image: sensor_msgs/Image, colour.
        depth: sensor_msgs/Image.
        info: the latest sensor_msgs/CameraInfo.
        arrived_s: when they were complete, by a steady clock.
    """

    image: Any
    depth: Any
    info: Any
    arrived_s: float


def topics(node: Any) -> dict[str, str]:
    """Full name of every input, after remapping."""
    return {key: node.resolve_topic_name(key) for key in (IMAGE, DEPTH, INFO)}


class Inputs:
    """Subscribes to the camera and delivers usable pairs; all its callbacks run on one thread of its own.

    Args:
        node: an rclpy node.
        doctor: is shown everything that comes.
        deliver: takes the pairs; it must return at once.
        failed: called with an exception that a message led to.
        sync: how images are paired.
    """

    def __init__(
        self,
        node: Any,
        doctor: Doctor,
        deliver: Callable[[Pair], None],
        failed: Callable[[Exception], None],
        sync: SyncConfig,
    ) -> None:
        self._node = node
        self._group = NotByExecutors()
        self._failed = failed
        self._listener: Listener | None = None
        self._doctor = doctor
        self._deliver = deliver
        self._topics = topics(node)
        self._subscriptions: dict[str, Any] = {}
        self.restart(sync)

    def restart(self, sync: SyncConfig) -> None:
        """Forget unpaired images, the stamps so far and the camera_info; pair by new settings."""
        self._timeline = Timeline()
        self._info: Any = None
        self.pair_by(sync)

    def pair_by(self, sync: SyncConfig) -> None:
        """Forget unpaired images, and pair by new settings."""
        images, depths = SimpleFilter(), SimpleFilter()
        synchronizer = ApproximateTimeSynchronizer([images, depths], sync.queue, sync.slop)
        synchronizer.registerCallback(self._on_pair)
        self._sync, self._images, self._depths = sync, images, depths

    def subscribe(self) -> None:
        """Begin to listen."""
        self._listen(INFO, CameraInfo, self._on_info)
        self._listen(IMAGE, Image, self._on_image)
        self._listen(DEPTH, Image, self._on_depth)
        self._listener = Listener(self._node.context, list(self._subscriptions.values()), self._failed)

    def close(self) -> None:
        """Stop to listen; twice does no harm."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def publishers(self, key: str) -> list[Publisher]:
        """Who publishes an input."""
        subscription = self._subscriptions.get(key)
        found = []
        for info in self._node.get_publishers_info_by_topic(self._topics[key]):
            fits = subscription is None or _fits(info.qos_profile, subscription.qos_profile)
            full = f"{info.node_namespace.rstrip('/')}/{info.node_name}"
            found.append(Publisher(full, info.topic_type, fits))
        return found

    def _listen(self, key: str, kind: Any, callback: Callable[[Any], None]) -> None:
        qos = QoSProfile(
            depth=qos_profile_sensor_data.depth,
            reliability=qos_profile_sensor_data.reliability,
            durability=qos_profile_sensor_data.durability,
        )
        self._subscriptions[key] = make_subscription(self._node, kind, key, callback, qos, self._group)

    def _on_image(self, message: Any) -> None:
        now_s, stamp = time.monotonic(), stamp_ns(message.header.stamp)
        self._doctor.saw_image(message, stamp, now_s)
        before_ns = self._timeline.last_ns or 0
        self._timeline, step = advance(self._timeline, stamp, now_s)
        if step is Step.REPEATED:
            self._doctor.note(repeated(self._topics[IMAGE]), now_s)
        elif step is Step.BACKWARD or stamp < 0:
            self._doctor.note(backward(self._topics[IMAGE], (before_ns - stamp) * 1e-9), now_s)
        else:
            if step is Step.RESET:
                self._node.get_logger().warning(
                    f"stamps on {self._topics[IMAGE]} went back by {(before_ns - stamp) * 1e-9:.1f} s (a recording "
                    "that starts again, or a clock that was set): pairing starts anew"
                )
                self.pair_by(self._sync)
            self._images.signalMessage(message)

    def _on_depth(self, message: Any) -> None:
        stamp = stamp_ns(message.header.stamp)
        self._doctor.saw_depth(message, stamp, time.monotonic())
        if stamp >= 0:
            self._depths.signalMessage(message)

    def _on_info(self, message: Any) -> None:
        self._doctor.saw_info(message, time.monotonic())
        self._info = message

    def _on_pair(self, image: Any, depth: Any) -> None:
        now_s = time.monotonic()
        self._doctor.saw_pair(now_s)
        if self._info is not None and self._doctor.usable():
            self._deliver(Pair(image, depth, self._info, now_s))


def _fits(publisher: QoSProfile, subscription: QoSProfile) -> bool:
    compatibility, _ = qos_check_compatible(publisher, subscription)
    return compatibility != QoSCompatibility.ERROR
