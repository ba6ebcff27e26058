"""Writes what the tracker found as the ROS node would publish it, for Foxglove, RViz and ``ros2 bag play``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from storm_ros.core.errors import InputError
from storm_ros.core.types import Camera, Mesh, ObjectResult, Reference, RgbdFrame, TrackEvent, TrackResult, TrackStatus
from storm_ros.io.bag_file import BagFile
from storm_ros.io.converting import write_frame
from storm_ros.io.messages import header, image_message, make, transform_parts
from storm_ros.io.overlay import draw_result, index_mask

if TYPE_CHECKING:
    from typing_extensions import Self

_OK, _WARN, _ERROR = 0, 1, 2
_LEVELS = {TrackStatus.TRACKING: _OK, TrackStatus.LOST: _ERROR}
_TRIANGLE_LIST, _ADD = 11, 0
_PLAIN_COLOR = (0.2, 0.8, 0.3)


class BagWriter:
    """Records the tracker's topics, each message with the image's stamp and frame.

    ===================  ================================  =======================================================
    topic                type                              content
    ===================  ================================  =======================================================
    ``/storm/pose``      geometry_msgs/PoseStamped         only with a pose; with several objects
                                                           ``/storm/<object_id>/pose``
    ``/tf``              tf2_msgs/TFMessage                camera optical frame to object frame, with a pose
    ``/storm/mask``      sensor_msgs/Image, mono8          255 = object; several objects: their index from 1
    ``/storm/overlay``   sensor_msgs/Image, rgb8           the image with the objects' contours
    ``/diagnostics``     diagnostic_msgs/DiagnosticArray   status, energies and events of every object
    ``/storm/marker``    visualization_msgs/Marker         mesh of every reference, once, latched
    ``/camera/…``        Image, CameraInfo                 colour, aligned depth and camera_info
    ===================  ================================  =======================================================

    ``result.mcap`` is one file that Foxglove opens and ``ros2 bag play result.mcap`` plays; see
    `storm_ros.io.bag_file` for other names and for what an interruption leaves.

    Args:
        path: where to write.
        camera: intrinsics that every frame must have the size of.
        frame_id: the camera's optical frame; empty takes each image's own.
        object_frames: TF frame by object id; ``storm/<object_id>`` where it is not named. Their order is the order of
            the mask's indices.
        references: objects whose meshes are written as markers.
        include_images: also the colour and depth images, their camera_info and the overlay.
        compress: zstd for the file's chunks.

    Raises:
        OutputError: the place cannot be written.
        BackendUnavailableError: `rosbags` is missing.
    """

    def __init__(
        self,
        path: str | Path,
        camera: Camera,
        frame_id: str,
        object_frames: Mapping[str, str],
        *,
        references: Mapping[str, Reference] | None = None,
        include_images: bool = True,
        compress: bool = True,
    ) -> None:
        self._camera = camera
        self._frame_id = frame_id
        self._object_frames = dict(object_frames)
        self._references = dict(references or {})
        self._include_images = include_images
        self._ids: list[str] = list(self._object_frames)
        self._several: bool | None = None
        self._bag = BagFile(path, compress=compress)

    def write(self, frame: RgbdFrame, result: TrackResult) -> None:
        """Append everything of one frame.

        Raises:
            InputError: the image has another size than the camera.
            OutputError: closed already, or the disk is full.
        """
        if frame.shape != (self._camera.height, self._camera.width):
            raise InputError(
                f"image is {frame.shape[1]}x{frame.shape[0]} but the bag's camera is "
                f"{self._camera.width}x{self._camera.height}: start another bag for another camera"
            )
        self._ids.extend(i for i in result.objects if i not in self._ids)
        if self._several is None:
            self._several = len(self._ids) > 1
            self._write_markers(frame.stamp_ns)
        head = header(frame.stamp_ns, self._frame_id or frame.frame_id)
        stamp_ns = frame.stamp_ns
        masks = {i: r.mask for i, r in result.objects.items() if r.mask is not None}
        if self._include_images:
            write_frame(self._bag, frame, head)
            overlay = draw_result(frame, result)
            self._bag.write("/storm/overlay", image_message(head, overlay, "rgb8"), stamp_ns)
        mask = index_mask(frame.shape, masks, self._ids, several=len(self._ids) > 1)
        self._bag.write("/storm/mask", image_message(head, mask, "mono8"), stamp_ns)
        self._write_poses(head, stamp_ns, result)
        status = [_status(r, [e for e in result.events if e.object_id == i]) for i, r in result.objects.items()]
        timing = make(
            "diagnostic_msgs/msg/DiagnosticStatus",
            level=_OK,
            name="storm: stages",
            message="milliseconds by stage",
            hardware_id="",
            values=_values({key: f"{value:.3f}" for key, value in result.timing_ms.items()}),
        )
        array = make("diagnostic_msgs/msg/DiagnosticArray", header=head, status=[*status, timing])
        self._bag.write("/diagnostics", array, stamp_ns)

    def close(self) -> None:
        """Complete the bag; twice does no harm.

        Raises:
            OutputError: the disk is full, or the place cannot be written.
        """
        self._bag.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _object_frame(self, object_id: str) -> str:
        return self._object_frames.get(object_id, f"storm/{object_id}")

    def _write_poses(self, head: Any, stamp_ns: int, result: TrackResult) -> None:
        transforms = []
        for object_id, found in result.objects.items():
            if found.cam_T_obj is None:
                continue
            (x, y, z), (qx, qy, qz, qw) = transform_parts(found.cam_T_obj)
            rotation = make("geometry_msgs/msg/Quaternion", x=qx, y=qy, z=qz, w=qw)
            point = make("geometry_msgs/msg/Point", x=x, y=y, z=z)
            pose = make("geometry_msgs/msg/Pose", position=point, orientation=rotation)
            topic = f"/storm/{topic_name(object_id)}/pose" if self._several else "/storm/pose"
            self._bag.write(topic, make("geometry_msgs/msg/PoseStamped", header=head, pose=pose), stamp_ns)
            vector = make("geometry_msgs/msg/Vector3", x=x, y=y, z=z)
            transform = make("geometry_msgs/msg/Transform", translation=vector, rotation=rotation)
            child = self._object_frame(object_id)
            transforms.append(
                make("geometry_msgs/msg/TransformStamped", header=head, child_frame_id=child, transform=transform)
            )
        if transforms:
            self._bag.write("/tf", make("tf2_msgs/msg/TFMessage", transforms=transforms), stamp_ns)

    def _write_markers(self, stamp_ns: int) -> None:
        for number, (object_id, reference) in enumerate(self._references.items()):
            head = header(stamp_ns, self._object_frame(object_id))
            marker = _marker(head, object_id, number, reference.mesh)
            self._bag.write("/storm/marker", marker, stamp_ns, latched=True)


def topic_name(object_id: str) -> str:
    """An object's id as a part of a topic's name: letters, digits and underscores, no digit in front."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", object_id)
    return name if name[:1].isalpha() else f"object_{name}"


def _values(pairs: Mapping[str, str]) -> list:
    return [make("diagnostic_msgs/msg/KeyValue", key=key, value=value) for key, value in pairs.items()]


def _status(found: ObjectResult, events: list[TrackEvent]) -> Any:
    values = {
        "status": found.status.value,
        "score": f"{found.score:.4f}",
        "energy": f"{found.energy:.4f}",
        "smoothed_energy": f"{found.smoothed_energy:.4f}",
        "threshold": f"{found.threshold:.4f}",
        "probability": f"{found.probability:.4f}",
        "memory": str(found.memory),
    }
    if found.cause is not None:
        values["cause"] = found.cause.value
    for event in events:
        cause = f" ({event.cause.value})" if event.cause else ""
        lost = f", {event.frames_lost} frames lost" if event.frames_lost is not None else ""
        values[f"event {event.type.value}"] = f"frame {event.frame}{cause}{lost}"
    return make(
        "diagnostic_msgs/msg/DiagnosticStatus",
        level=_LEVELS.get(found.status, _WARN),
        name=f"storm: {found.object_id}",
        message=found.status.value,
        hardware_id="",
        values=_values(values),
    )


def _marker(head: Any, object_id: str, number: int, mesh: Mesh) -> Any:
    """The mesh as a TRIANGLE_LIST that moves with the object's frame; colours as in the mesh where it has any."""
    corners = mesh.faces.ravel()
    points = [make("geometry_msgs/msg/Point", x=x, y=y, z=z) for x, y, z in mesh.vertices.astype(np.float64).tolist()]
    colors = []
    if mesh.colors is not None:
        shades = [_color(*rgb) for rgb in (mesh.colors / 255.0).tolist()]
        colors = [shades[i] for i in corners]
    zero = {"x": 0.0, "y": 0.0, "z": 0.0}
    origin = make(
        "geometry_msgs/msg/Pose",
        position=make("geometry_msgs/msg/Point", **zero),
        orientation=make("geometry_msgs/msg/Quaternion", **zero, w=1.0),
    )
    no_time = make("builtin_interfaces/msg/Time", sec=0, nanosec=0)
    no_header = make("std_msgs/msg/Header", stamp=no_time, frame_id="")
    nothing = np.zeros(0, np.uint8)
    return make(
        "visualization_msgs/msg/Marker",
        header=head,
        ns=object_id,
        id=number,
        type=_TRIANGLE_LIST,
        action=_ADD,
        pose=origin,
        scale=make("geometry_msgs/msg/Vector3", x=1.0, y=1.0, z=1.0),
        color=_color(*_PLAIN_COLOR),
        lifetime=make("builtin_interfaces/msg/Duration", sec=0, nanosec=0),
        frame_locked=True,
        points=[points[i] for i in corners],
        colors=colors,
        texture_resource="",
        texture=make("sensor_msgs/msg/CompressedImage", header=no_header, format="", data=nothing),
        uv_coordinates=[],
        text="",
        mesh_resource="",
        mesh_file=make("visualization_msgs/msg/MeshFile", filename="", data=nothing),
        mesh_use_embedded_materials=False,
    )


def _color(r: float, g: float, b: float) -> Any:
    return make("std_msgs/msg/ColorRGBA", r=r, g=g, b=b, a=1.0)
