"""Publishes images as an RGB-D camera driver does: colour, depth registered to it, and camera_info."""
# pyright: reportMissingImports=false

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Time
from rclpy.node import Node
from rclpy.qos import QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from storm_ros.core.types import Camera
from storm_ros.ros.conversions import fill_image, fill_time

_DEPTH = 5


class RgbdPublisher:
    """Topics `image`, `depth` and `camera_info` of a node."""

    def __init__(self, node: Node, frame_id: str) -> None:
        """Create the publishers.

        Args:
            node: theirs.
            frame_id: the camera's optical frame.
        """
        qos = QoSProfile(
            history=QoSHistoryPolicy.KEEP_LAST, depth=_DEPTH, reliability=QoSReliabilityPolicy.RELIABLE
        )  # reliable ones serve both kinds of subscribers
        kinds = {"image": Image, "depth": Image, "camera_info": CameraInfo}
        self._publishers = {
            topic: node.create_publisher(
                kind, topic, qos, qos_overriding_options=QoSOverridingOptions.with_default_policies()
            )
            for topic, kind in kinds.items()
        }
        self.frame_id = frame_id

    @property
    def watched(self) -> bool:
        """Whether somebody subscribes to the colour images."""
        return self._publishers["image"].get_subscription_count() > 0

    def header(self, stamp_ns: int) -> Header:
        """A header in the camera's frame."""
        return Header(stamp=fill_time(Time(), stamp_ns), frame_id=self.frame_id)

    def publish(self, rgb: npt.NDArray[np.uint8], depth: npt.NDArray[Any], camera: Camera, stamp_ns: int) -> None:
        """Publish one frame.

        Args:
            rgb: (H, W, 3) uint8.
            depth: (H, W), uint16 millimetres (0 invalid) or float32 metres (0 invalid).
            camera: intrinsics of both.
            stamp_ns: of all three messages, nanoseconds.
        """
        header = self.header(stamp_ns)
        if depth.dtype == np.uint16:
            encoding = "16UC1"
        else:
            encoding, depth = "32FC1", np.where(depth > 0, depth, np.float32(np.nan)).astype(np.float32)
        depth_message = fill_image(Image(), header, np.ascontiguousarray(depth).view(np.uint8), encoding)
        depth_message.width = int(depth.shape[1])  # of pixels, not of bytes
        self._publishers["camera_info"].publish(camera_info(header, camera))
        self._publishers["depth"].publish(depth_message)
        self._publishers["image"].publish(fill_image(Image(), header, rgb, "rgb8"))


def camera_info(header: Header, camera: Camera) -> CameraInfo:
    """A CameraInfo without distortion."""
    k = camera.k
    return CameraInfo(
        header=header,
        width=camera.width,
        height=camera.height,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=k.ravel().tolist(),
        r=np.eye(3).ravel().tolist(),
        p=np.hstack([k, np.zeros((3, 1))]).ravel().tolist(),
    )
