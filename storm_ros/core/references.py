"""From a mask in an image to what the loop needs to know of an object."""

from __future__ import annotations

import numpy as np

from storm_ros.core.errors import InputError
from storm_ros.core.state import Parts
from storm_ros.core.types import MIN_MASK_PIXELS, Mask, Mesh, Reference, RgbdFrame, View


def make_reference(
    parts: Parts, frame: RgbdFrame, mask: Mask, object_id: str = "object", mesh: Mesh | None = None
) -> Reference:
    """A reference from one view.

    Args:
        parts: whose mesh builder, or pose estimator when a mesh is given, is used.
        frame: the image.
        mask: (H, W) bool, the object's visible pixels.
        object_id: its name.
        mesh: a model in metres; without one the surface is lifted from the depth under the mask.

    Raises:
        InputError: the mask has another type or size than the image, or too few pixels.
        NoDepthError: too little depth under the mask.
    """
    mask = checked_mask(frame, mask)
    if mesh is None:
        mesh, pose = parts.mesh_builder.build(frame, mask)
    else:
        model = parts.pose.prepare(Reference(object_id, (), mesh))
        pose = parts.pose.register(frame, mask, model).best.cam_T_obj
    return Reference(object_id, (View(frame, mask, pose),), mesh)


def checked_mask(frame: RgbdFrame, mask: Mask) -> Mask:
    """The mask as (H, W) bool.

    Raises:
        InputError: another type or size than the image, or too few pixels.
    """
    mask = np.asarray(mask)
    if mask.shape != frame.shape:
        raise InputError(
            f"mask has shape {mask.shape} but the image is {frame.shape[1]}x{frame.shape[0]}: make them equal"
        )
    if mask.dtype != np.bool_ and not (np.issubdtype(mask.dtype, np.integer) and mask.min() >= 0):
        raise InputError(f"mask is of type {mask.dtype}: bool is needed (or integers, non-zero on the object)")
    mask = mask.astype(bool)
    if int(mask.sum()) < MIN_MASK_PIXELS:
        raise InputError(
            f"mask has {int(mask.sum())} pixels: at least {MIN_MASK_PIXELS} are needed; point at the object again"
        )
    return mask


def same_image(a: RgbdFrame, b: RgbdFrame) -> bool:
    """Whether two frames are one image, perhaps read twice, whatever their stamps."""
    if a is b:
        return True
    if a.shape != b.shape or not np.array_equal(a.rgb[::16, ::16], b.rgb[::16, ::16]):
        return False
    return np.array_equal(a.rgb, b.rgb) and np.array_equal(a.depth_m, b.depth_m)
