"""Draws a result into its image: mask contour, object axes, status in words and colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.core import se3
from storm_ros.core.types import Camera, Mask, ObjectResult, Pose, RgbdFrame, TrackResult, TrackStatus, View

Image = npt.NDArray[np.uint8]

STATUS_RGB = {
    TrackStatus.EMPTY: (140, 140, 140),
    TrackStatus.SEARCHING: (64, 140, 255),
    TrackStatus.TRACKING: (40, 200, 90),
    TrackStatus.SUSPECT: (255, 180, 0),
    TrackStatus.LOST: (240, 60, 60),
}
AXES_RGB = ((230, 50, 50), (60, 200, 60), (70, 110, 255))
PICTURE_WIDTH = 480
DEFAULT_AXIS_M = 0.05


def draw_result(frame: RgbdFrame, result: TrackResult, axis_m: Mapping[str, float] | None = None) -> Image:
    """A copy of the image with every object's contour, axes and status.

    Args:
        frame: the image.
        result: what the tracker said about it.
        axis_m: length of each object's axes in metres.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    image = frame.rgb.copy()
    for i, (object_id, obj) in enumerate(result.objects.items()):
        colour = STATUS_RGB[obj.status]
        if obj.mask is not None:
            draw_mask(image, obj.mask, colour)
        if obj.cam_T_obj is not None:
            draw_axes(image, obj.cam_T_obj, frame.camera, (axis_m or {}).get(object_id, DEFAULT_AXIS_M))
        draw_label(image, status_text(obj), colour, i)
    return image


def draw_reference(view: View, object_id: str, axis_m: float = DEFAULT_AXIS_M) -> Image:
    """A copy of a reference image (H, W, 3) uint8 with the mask and the object's frame."""
    image = view.frame.rgb.copy()
    draw_mask(image, view.mask, (255, 220, 0))
    draw_axes(image, view.cam_T_obj, view.frame.camera, axis_m)
    draw_label(image, f"{object_id}: reference", (255, 220, 0), 0)
    return image


def status_text(obj: ObjectResult) -> str:
    """One line on an object: name, status, score and energy."""
    text = f"{obj.object_id}: {obj.status.value}"
    if obj.cam_T_obj is not None:
        text += f"  score {obj.score:.2f}"
    if np.isfinite(obj.smoothed_energy):
        text += f"  energy {obj.smoothed_energy:.2f}"
    return text


def draw_mask(image: Image, mask: Mask, colour: tuple[int, int, int]) -> None:
    """Draw a mask's (H, W) outline, dark-rimmed so that it shows on any ground, into an image (H, W, 3)."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    width = _line(image)
    cv2.drawContours(image, outlines, -1, (0, 0, 0), width + 2, cv2.LINE_AA)
    cv2.drawContours(image, outlines, -1, colour, width, cv2.LINE_AA)


def draw_axes(image: Image, cam_T_obj: Pose, camera: Camera, length_m: float) -> None:
    """Draw the axes of an object's frame (x red, y green, z blue); nothing when they reach behind the camera."""
    points_cam = se3.apply(cam_T_obj, np.vstack([np.zeros(3), np.eye(3) * length_m]))
    if points_cam[:, 2].min() < 1e-3:
        return
    pixels = camera.project(points_cam)
    if np.abs(pixels).max() > 1e5:
        return
    origin, *ends = [(round(float(u)), round(float(v))) for u, v in pixels]
    width = _line(image) + 1
    for i in np.argsort(-points_cam[1:, 2]):  # the farthest first: the near axis is drawn over it
        cv2.line(image, origin, ends[i], (0, 0, 0), width + 2, cv2.LINE_AA)
        cv2.line(image, origin, ends[i], AXES_RGB[i], width, cv2.LINE_AA)


def draw_label(image: Image, text: str, colour: tuple[int, int, int], row: int) -> None:
    """Write a line into an image's top left corner, in rows from the top, on a dark ground."""
    scale = image.shape[1] / 640.0 * 0.75
    thickness = _line(image)
    (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    step = height + base + round(8 * scale)
    top = row * step
    ground = image[top : top + step, : width + height]
    ground[:] = (ground * 0.3).astype(np.uint8)
    where = (height // 2, top + height + round(4 * scale))
    cv2.putText(image, text, where, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thickness, cv2.LINE_AA)


def _line(image: Image) -> int:
    return max(1, round(image.shape[1] / 320))


def jpeg(image: Image, width: int = PICTURE_WIDTH, quality: int = 82) -> bytes:
    """Encode an image (H, W, 3) uint8 RGB, made smaller to a width at most, as JPEG."""
    if image.shape[1] > width:
        height = max(1, round(image.shape[0] * width / image.shape[1]))
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    ok, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok, "an 8-bit RGB image can always be encoded"
    return bytes(data)


def index_mask(
    shape: tuple[int, int], masks: Mapping[str, Mask], order: Sequence[str], *, several: bool
) -> npt.NDArray[np.uint8]:
    """All masks in one image.

    Args:
        shape: (height, width).
        masks: (H, W) bool by object id; later ones lie above earlier ones.
        order: object ids, by whose place the values are chosen.
        several: False marks the only object with 255, True each with its place, counted from 1.

    Returns:
        (H, W) uint8, 0 where there is no object.
    """
    out = np.zeros(shape, np.uint8)
    for object_id, mask in masks.items():
        out[mask] = min(order.index(object_id) + 1, 255) if several else 255
    return out
