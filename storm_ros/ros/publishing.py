"""The node's publishers: every message carries the stamp and the frame of its image."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportPrivateImportUsage=false
from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, TransformStamped
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import Marker

from storm_ros.core.types import EventType, Mesh, ObjectResult, TrackEvent
from storm_ros.io.bag_writer import topic_name
from storm_ros.io.overlay import draw_result, index_mask
from storm_ros.msg import Relocalized, TrackerStatus
from storm_ros.ros.conversions import fill_image, fill_pose, fill_transform, fill_vector
from storm_ros.ros.entities import make_publisher, reliable
from storm_ros.ros.marker import mesh_marker, no_marker
from storm_ros.ros.parameters import Settings, object_frame
from storm_ros.ros.snapshot import Snapshot


class Publishers:
    """Creates the publishers of a node, publishes results, and destroys them; publish from one thread at a time."""

    def __init__(self, node: Any, settings: Settings) -> None:
        self.settings = settings
        self._node = node
        self._all: list[Any] = []
        self._pose = self._create(PoseStamped, "~/pose", reliable(10))
        self._tf = self._create(TFMessage, "/tf", reliable(100))
        self._mask = self._create(Image, "~/mask", reliable(1))
        self._overlay = self._create(Image, "~/overlay", reliable(1))
        self._relocalized = self._create(Relocalized, "~/relocalized", reliable(10))
        self._status = self._create(TrackerStatus, "~/status", reliable(1, latched=True))
        self._marker = self._create(Marker, "~/marker", reliable(32, latched=True))
        self._diagnostics = self._create(DiagnosticArray, "/diagnostics", reliable(10))
        self._detections = self._vision_publisher()
        self._poses: dict[str, Any] = {}
        self._frames: dict[str, str] = {}

    def frame_of(self, object_id: str) -> str:
        """TF frame of an object."""
        return object_frame(self.settings.node.object_frame, object_id)

    def close(self) -> None:
        """Destroy every publisher; twice does no harm."""
        for publisher in [*self._all, *self._poses.values()]:
            self._node.destroy_publisher(publisher)
        self._all.clear()
        self._poses.clear()

    def add_object(self, object_id: str) -> None:
        """Begin to publish an object's pose on a topic of its own."""
        topic = topic_name(object_id)
        if topic not in self._poses:
            self._poses[topic] = make_publisher(self._node, PoseStamped, f"~/{topic}/pose", reliable(10))

    def remove_object(self, object_id: str) -> None:
        """End what `add_object` and `show_mesh` began."""
        publisher = self._poses.pop(topic_name(object_id), None)
        if publisher is not None:
            self._node.destroy_publisher(publisher)
        frame = self._frames.pop(object_id, None)
        if frame is not None:
            self._marker.publish(no_marker(frame, object_id))

    def show_mesh(self, object_id: str, mesh: Mesh) -> None:
        """Publish an object's mesh as a marker."""
        if self.settings.node.publish.marker:
            frame = self._frames[object_id] = self.frame_of(object_id)
            self._marker.publish(mesh_marker(frame, object_id, mesh))

    def publish(self, snapshot: Snapshot, in_time: Callable[[], bool]) -> None:
        """Publish all of a frame: poses and TF first, pictures last.

        Args:
            snapshot: the frame.
            in_time: whether the frame is young enough still. It is asked right before each thing that tells where an
                object is now, once the message is ready; the event that one was found again goes out at any age.
        """
        found = {name: obj for name, obj in snapshot.result.objects.items() if obj.cam_T_obj is not None}
        if found:
            self._publish_poses(snapshot, found, in_time)
        for event in snapshot.result.events:
            if event.type is EventType.RELOCALIZED and event.object_id in found:
                message = _relocalized(snapshot.header, event, found[event.object_id])
                self._relocalized.publish(message)
        choice = self.settings.node.publish
        if self._detections is not None and choice.detections and self._detections.get_subscription_count():
            message = _detections(snapshot, found)
            if in_time():
                self._detections.publish(message)
        if choice.mask and self._mask.get_subscription_count():
            message = fill_image(Image(), snapshot.header, mask_image(snapshot), "mono8")
            if in_time():
                self._mask.publish(message)
        if choice.overlay and self._overlay.get_subscription_count() and in_time():
            axes = {name: 0.5 * reference.mesh.diameter for name, reference in snapshot.references.items()}
            message = fill_image(Image(), snapshot.header, draw_result(snapshot.frame, snapshot.result, axes), "rgb8")
            if in_time():
                self._overlay.publish(message)

    def publish_status(self, message: Any) -> None:
        """Publish a TrackerStatus."""
        self._status.publish(message)

    def publish_diagnostics(self, message: Any) -> None:
        """Publish a DiagnosticArray."""
        self._diagnostics.publish(message)

    def _publish_poses(self, snapshot: Snapshot, found: dict[str, ObjectResult], in_time: Callable[[], bool]) -> None:
        first = next(iter(snapshot.references), None)
        poses, transforms = [], []
        for name, obj in found.items():
            assert obj.cam_T_obj is not None
            message = PoseStamped(header=snapshot.header)
            fill_pose(message.pose, obj.cam_T_obj)
            publishers = [self._pose if name == first else None, self._poses.get(topic_name(name))]
            poses += [(publisher, message) for publisher in publishers if publisher is not None]
            if self.settings.node.publish.tf and snapshot.header.frame_id:
                transform = TransformStamped(header=snapshot.header, child_frame_id=self.frame_of(name))
                fill_transform(transform.transform, obj.cam_T_obj)
                transforms.append(transform)
        if not in_time():
            return
        for publisher, message in poses:
            publisher.publish(message)
        if transforms:
            self._tf.publish(TFMessage(transforms=transforms))

    def _create(self, kind: Any, topic: str, qos: QoSProfile) -> Any:
        publisher = make_publisher(self._node, kind, topic, qos)
        self._all.append(publisher)
        return publisher

    def _vision_publisher(self) -> Any:
        if importlib.util.find_spec("vision_msgs") is None:
            return None
        from vision_msgs.msg import Detection3DArray

        return self._create(Detection3DArray, "~/detections", reliable(10))


def mask_image(snapshot: Snapshot) -> np.ndarray:
    """All masks in one image (H, W) uint8: 255 of the only object, or each with its value."""
    names = list(snapshot.references)
    masks = {name: obj.mask for name, obj in snapshot.result.objects.items() if obj.mask is not None}
    return index_mask(snapshot.frame.shape, masks, names, several=len(names) > 1)


def _relocalized(header: Any, event: TrackEvent, found: ObjectResult) -> Any:
    message = Relocalized(header=header, object_id=event.object_id, cause=event.cause.value if event.cause else "")
    message.frames_lost = event.frames_lost or 0
    message.seconds_lost = float(event.seconds_lost or 0.0)
    message.energy, message.threshold = _number(event.energy), _number(event.threshold)
    message.score = _number(event.score)
    message.jump_m, message.jump_rad = _number(event.jump_m), _number(event.jump_rad)
    fill_pose(message.pose, found.cam_T_obj)  # pyright: ignore[reportArgumentType]
    return message


def _detections(snapshot: Snapshot, found: dict[str, ObjectResult]) -> Any:
    from vision_msgs.msg import Detection3D, Detection3DArray, ObjectHypothesisWithPose

    array = Detection3DArray(header=snapshot.header)
    for name, obj in found.items():
        assert obj.cam_T_obj is not None
        guess = ObjectHypothesisWithPose()
        guess.hypothesis.class_id, guess.hypothesis.score = name, float(obj.probability)
        fill_pose(guess.pose.pose, obj.cam_T_obj)
        if obj.covariance is not None:
            guess.pose.covariance = np.asarray(obj.covariance, dtype=np.float64).reshape(36)
        detection = Detection3D(header=snapshot.header, results=[guess], id=name)
        mesh = snapshot.references[name].mesh
        cam_T_box = obj.cam_T_obj.copy()
        cam_T_box[:3, 3] += cam_T_box[:3, :3] @ mesh.center
        fill_pose(detection.bbox.center, cam_T_box)
        fill_vector(detection.bbox.size, mesh.bounds[1] - mesh.bounds[0])
        array.detections.append(detection)
    return array


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
