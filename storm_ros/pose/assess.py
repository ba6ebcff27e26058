"""What speaks for a pose: depth and colour agreement, occlusion, visibility, and the mask it predicts."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import warp as wp

from storm_ros.core.types import Camera, Mask, Pose, PoseEstimate
from storm_ros.pose import judging
from storm_ros.pose.images import FrameImages, patterned
from storm_ros.pose.samples import (
    KEYFRAME_DEPTH_TOLERANCE,
    PoseModel,
    best_keyframe,
    grid_view,
    take_samples,
    view_window,
)
from storm_ros.render import RayCaster

_COLOUR_TOLERANCE = 0.16
_MIN_COLOURED, _COLOUR_POINTS, _MIN_RAYS = 25, 400, 8
_UNSEEN_AGREEMENT = 0.5
_OPEN_SHARE = 0.35
_TOLERANCE_RADII = 0.25
_ALIKE_CORRELATION = 0.55


def assess(
    images: FrameImages,
    model: PoseModel,
    cam_T_obj: Pose,
    caster: RayCaster,
    *,
    tolerance_m: float,
    cells: int = 44,
    with_mask: bool = True,
    covariance: npt.NDArray[np.float64] | None = None,
) -> PoseEstimate:
    """Judge a pose against a frame.

    Args:
        images: the frame.
        model: the object.
        cam_T_obj: (4, 4) pose to judge.
        caster: ray caster.
        tolerance_m: depth difference at 1 m that still agrees; it grows with the depth squared.
        cells: grid cells along a side of the window around the object.
        with_mask: also make the mask of visible pixels.
        covariance: handed on into the result.
    """
    frame = images.frame
    window = view_window(model, cam_T_obj, frame.camera, cells)
    if window is None:
        return _nothing(frame.shape, cam_T_obj, covariance, with_mask)
    records = _cast(images, model, cam_T_obj, window, caster, tolerance_m, cells)
    category = records[:, judging.CATEGORY].astype(np.uint8)
    count = np.bincount(category, minlength=6)
    hits = len(category) - count[judging.MISS]
    inside = hits - count[judging.OUTSIDE]
    if inside < _MIN_RAYS:
        return _nothing(frame.shape, cam_T_obj, covariance, with_mask)
    with_depth = inside - count[judging.NO_DEPTH]
    agreeing = records[category == judging.AGREES]
    inlier_ratio = len(agreeing) / max(len(agreeing) + count[judging.DIFFERS], 1)
    residual = float(np.sqrt(np.mean(agreeing[:, judging.TO_PLANE] ** 2))) if len(agreeing) else float("inf")
    in_view, coverage = float(inside / hits), float(with_depth / inside)
    occluded = float(count[judging.IN_FRONT] / max(with_depth, 1))
    colour, alike = _compare_colours(records)
    unknown = 1.0 if not model.keyframes else _UNSEEN_AGREEMENT
    agreement = unknown if np.isnan(colour) else alike * float(np.exp(-((colour / _COLOUR_TOLERANCE) ** 2)))
    evidence = min(1.0, 2.0 * coverage) * min(1.0, 2.0 * (1.0 - occluded)) * min(1.0, 2.0 * in_view)
    if model.open_surface:  # seen from its side or its back, a lifted surface has next to nothing to compare
        shown = surface_shown(records[category != judging.MISS, judging.Z], window)
        evidence *= min(1.0, shown / (_OPEN_SHARE * max(model.reference_area, 1e-9)))
    mask = None
    if with_mask:
        visible = (category >= judging.NO_DEPTH) & (category <= judging.DIFFERS)
        mask = _mask(
            frame.shape, window, frame.camera, np.where(visible, 255, 0).astype(np.uint8).reshape(cells, cells)
        )
    return PoseEstimate(
        cam_T_obj=np.array(cam_T_obj, dtype=np.float64),
        score=inlier_ratio * agreement * evidence,
        inlier_ratio=inlier_ratio,
        residual_m=residual,
        colour_error=colour,
        in_view=in_view,
        depth_coverage=coverage,
        occluded=occluded,
        covariance=covariance,
        mask=mask,
    )


def shown_area(model: PoseModel, cam_T_obj: Pose, camera: Camera, caster: RayCaster) -> float:
    """Projected area in square metres of the mesh as a pose shows it."""
    samples = take_samples(model, cam_T_obj, camera, 64, 0, caster)
    window = samples.windows[0]
    if window is None:
        return 0.0
    hit = samples.normals.numpy()[0].any(1)
    return surface_shown((samples.points.numpy()[0][hit] @ cam_T_obj[2, :3]) + cam_T_obj[2, 3], window)


def surface_shown(depth_m: npt.NDArray[np.floating], window: Camera) -> float:
    """Area in square metres, as projected, of the hits of a grid of rays: depths (n,) of a window's camera."""
    return float((depth_m**2).sum()) / (window.fx * window.fy)


def _cast(
    images: FrameImages,
    model: PoseModel,
    pose: Pose,
    window: Camera,
    caster: RayCaster,
    tolerance_m: float,
    cells: int,
) -> npt.NDArray[np.float32]:
    """One record per ray of the window's grid."""
    records = wp.zeros((cells * cells, judging.RECORD), dtype=wp.float32, device=caster.device)
    key = best_keyframe(model, pose)
    shown = images if key is None else key.images
    matrix = wp.mat44(pose.astype(np.float32))
    wp.launch(
        judging.judge_rays,
        dim=cells * cells,
        inputs=[
            wp.uint64(model.mesh.id),
            caster.array(grid_view(pose, window)[None], wp.float32),
            cells,
            int(model.open_surface),
            matrix,
            images.k,
            images.depth,
            images.rgb,
            tolerance_m,
            _TOLERANCE_RADII * model.radius_m,
            0 if key is None else 1,
            matrix if key is None else key.matrix,
            shown.k,
            shown.depth,
            images.grey[0] if key is None else key.mask,
            shown.rgb,
            KEYFRAME_DEPTH_TOLERANCE,
        ],
        outputs=[records],
        device=caster.device,
    )
    return records.numpy()


def _compare_colours(records: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Compare the colours of the rays' hits with the keyframe's.

    Returns:
        Median difference after one common gain (NaN when too few points are known), and how alike the patterns are, in
        [0, 1]: their correlation, as far as the keyframe has a pattern.
    """
    known = (records[:, 3] >= 0.0) & (records[:, judging.CATEGORY] >= judging.NO_DEPTH)
    chosen = records[known]
    chosen = chosen[:: max(1, len(chosen) // _COLOUR_POINTS)]
    was, now = chosen[:, judging.WAS], chosen[:, judging.NOW]
    if len(was) < _MIN_COLOURED:
        return float("nan"), 1.0
    gain = np.clip((np.median(now.mean(1)) + 0.02) / (np.median(was.mean(1)) + 0.02), 0.7, 1.4)
    error = float(np.median(np.abs(now - gain * was).mean(1)))
    pattern = patterned(was)
    was = was - was.mean(0)
    now = now - now.mean(0)
    correlation = float((was * now).sum() / max(np.sqrt((was**2).sum() * (now**2).sum()), 1e-9))
    return error, likeness(correlation, pattern)


def likeness(correlation: float, pattern: float) -> float:
    """How alike two views are, in [0, 1], from the correlation of their colours, as far as there is a pattern."""
    return 1.0 - pattern * (1.0 - float(np.clip(correlation / _ALIKE_CORRELATION, 0.0, 1.0)))


def _mask(shape: tuple[int, int], window: Camera, camera: Camera, visible: npt.NDArray[np.uint8]) -> Mask:
    """Visible pixels (H, W) from the window's grid of cells (0 or 255), scaled up to where the window lies."""
    height, width = shape
    cells = visible.shape[0]
    scale_x, scale_y = window.fx / camera.fx, window.fy / camera.fy
    shift_x, shift_y = window.cx - camera.cx * scale_x, window.cy - camera.cy * scale_y
    x0, x1 = np.clip([np.floor(-shift_x / scale_x) - 1, np.ceil((cells - shift_x) / scale_x) + 1], 0, width).astype(int)
    y0, y1 = np.clip([np.floor(-shift_y / scale_y) - 1, np.ceil((cells - shift_y) / scale_y) + 1], 0, height).astype(
        int
    )
    mask = np.zeros(shape, dtype=bool)
    if x1 <= x0 or y1 <= y0:
        return mask
    to_grid = np.array([[scale_x, 0, shift_x + x0 * scale_x], [0, scale_y, shift_y + y0 * scale_y]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    part = cv2.warpAffine(visible, to_grid, (int(x1 - x0), int(y1 - y0)), flags=flags)
    mask[y0:y1, x0:x1] = part > 127
    return mask


def _nothing(
    shape: tuple[int, int], pose: Pose, covariance: npt.NDArray[np.float64] | None, with_mask: bool
) -> PoseEstimate:
    return PoseEstimate(
        cam_T_obj=np.array(pose, dtype=np.float64),
        score=0.0,
        inlier_ratio=0.0,
        residual_m=float("inf"),
        colour_error=float("nan"),
        in_view=0.0,
        depth_coverage=0.0,
        occluded=0.0,
        covariance=covariance,
        mask=np.zeros(shape, dtype=bool) if with_mask else None,
    )
