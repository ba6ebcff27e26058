"""A frame's images on the device, as the estimator's kernels read them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import warp as wp

from storm_ros.core.types import Camera, Mask, Pose, RgbdFrame

LEVELS = 3
_PLAIN_SPREAD, _RICH_SPREAD = 0.05, 0.12
_PLAIN_DETAIL, _DETAIL_RANGE = 0.015, 0.03
_PLAIN_CHROMA, _CHROMA_RANGE = 0.012, 0.04
_MIN_TEXTURE_PIXELS = 50
_serials = itertools.count()


@dataclass(frozen=True, eq=False)
class FrameImages:
    """Depth and a grey pyramid of one frame, on the device.

    Attributes:
        frame: what they were made of.
        k: fx, fy, cx, cy of the full image.
        depth: (H, W) float32 device array.
        rgb: (H, W, 3) uint8 device array.
        grey: device arrays (H, W), (H/2, W/2), (H/4, W/4) uint8, blurred a little more at each level.
    """

    frame: RgbdFrame
    k: Any
    depth: Any
    rgb: Any
    grey: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Keyframe:
    """A view whose colours later views are compared with.

    Attributes:
        images: of that view.
        mask: (H, W) uint8 device array, non-zero on the object.
        matrix: the pose as the kernels take it.
        cam_T_obj: (4, 4) pose of the object there.
        direction: (3,) unit vector from the object to the camera, in the object's frame.
        texture: in [0, 1], how much print or paint it shows; what varies on a plain object is its shading.
        serial: different for every keyframe of the program.
    """

    images: FrameImages
    mask: Any
    matrix: Any
    cam_T_obj: Pose
    direction: npt.NDArray[np.float64]
    texture: float
    serial: int


def upload_frame(frame: RgbdFrame, device: str) -> FrameImages:
    """Put a frame on the device; on a CPU its images are shared, not copied."""
    grey = cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY)
    pyramid = [cv2.GaussianBlur(grey, (3, 3), 0.8)]
    for _ in range(LEVELS - 1):
        pyramid.append(cv2.pyrDown(pyramid[-1]))
    return FrameImages(
        frame,
        camera_vector(frame.camera),
        _share(frame.depth_m, wp.float32, device),
        _share(frame.rgb, wp.uint8, device),
        tuple(_share(level, wp.uint8, device) for level in pyramid),
    )


def make_keyframe(images: FrameImages, mask: Mask, cam_T_obj: Pose, device: str) -> Keyframe:
    """A keyframe from a frame already on the device."""
    return Keyframe(
        images,
        _share(np.ascontiguousarray(mask, dtype=np.uint8), wp.uint8, device),
        wp.mat44(np.asarray(cam_T_obj, dtype=np.float32)),
        np.array(cam_T_obj, dtype=np.float64),
        view_direction(cam_T_obj),
        texture(images.frame.rgb, mask),
        next(_serials),
    )


def view_direction(cam_T_obj: Pose) -> npt.NDArray[np.float64]:
    """Unit vector (3,) from the object to the camera, in the object's frame."""
    to_camera = -cam_T_obj[:3, :3].T @ cam_T_obj[:3, 3]
    return to_camera / max(float(np.linalg.norm(to_camera)), 1e-9)


def texture(rgb: npt.NDArray[np.uint8], mask: Mask) -> float:
    """How much print or paint a surface shows: 0 for a plain one, whatever its shading, 1 for a printed one.

    Fine brightness detail (without what varies as smoothly as shading does) or the spread of chromaticity, whichever
    is stronger, away from the mask's rim.

    Args:
        rgb: (H, W, 3) uint8.
        mask: (H, W) bool, the object's visible pixels.
    """
    rows, cols = np.nonzero(mask)
    if len(rows) < _MIN_TEXTURE_PIXELS:
        return 0.0
    radius = float(np.sqrt(len(rows) / np.pi))
    crop = np.s_[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1]
    covered = np.pad(mask[crop].astype(np.uint8), 1)[1:-1, 1:-1]
    rim = 2 * max(1, round(0.08 * radius)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (rim, rim))
    inner = cv2.erode(covered, disc, borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
    if int(inner.sum()) < _MIN_TEXTURE_PIXELS:
        return 0.0
    fine = cv2.GaussianBlur(rgb[crop].astype(np.float32) / 255.0, (0, 0), 1.0)
    weight = covered.astype(np.float32)
    reach = max(1.5, 0.12 * radius)
    smooth = cv2.GaussianBlur(fine * weight[..., None], (0, 0), reach)
    smooth /= cv2.GaussianBlur(weight, (0, 0), reach)[..., None] + 1e-6
    detail = float(np.median(np.abs(fine - smooth)[inner].mean(1)))
    chroma = (fine / (fine.sum(2, keepdims=True) + 0.15))[inner]
    paint = float(np.sqrt(((chroma - chroma.mean(0)) ** 2).mean()))
    strongest = max((detail - _PLAIN_DETAIL) / _DETAIL_RANGE, (paint - _PLAIN_CHROMA) / _CHROMA_RANGE)
    return float(np.clip(strongest, 0.0, 1.0))


def patterned(colours: npt.NDArray[np.floating]) -> float:
    """How much colours (n, 3) in [0, 1] vary: 0 for plain surfaces, 1 for printed ones."""
    if not len(colours):
        return 0.0
    spread = float(np.sqrt(((colours - colours.mean(0)) ** 2).mean()))
    return float(np.clip((spread - _PLAIN_SPREAD) / (_RICH_SPREAD - _PLAIN_SPREAD), 0.0, 1.0))


def camera_vector(camera: Camera) -> Any:
    """The intrinsics as the kernels take them."""
    return wp.vec4(camera.fx, camera.fy, camera.cx, camera.cy)


def _share(values: npt.NDArray[Any], dtype: Any, device: str) -> Any:
    return wp.array(values, dtype=dtype, device=device, copy=device != "cpu")
