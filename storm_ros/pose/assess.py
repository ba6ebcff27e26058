"""What speaks for a pose: depth and colour agreement, occlusion, visibility, and the mask it predicts."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.core.types import Camera, Mask, Pose, PoseEstimate
from storm_ros.pose.images import FrameImages
from storm_ros.pose.samples import PoseModel, best_keyframe, take_samples
from storm_ros.render import RayCaster

_COLOUR_TOLERANCE = 0.16
_MIN_COLOURED, _COLOUR_POINTS = 25, 600
_UNSEEN_AGREEMENT = 0.5
_OPEN_SHARE = 0.35
_TOLERANCE_RADII = 0.25
_PLAIN_SPREAD, _RICH_SPREAD = 0.05, 0.12
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
    height, width = frame.shape
    samples = take_samples(model, cam_T_obj, frame.camera, cells, 0, caster)
    points, normals, window = samples.points.numpy(), samples.normals.numpy(), samples.windows[0]
    hit = normals[0].any(1)
    if window is None or hit.sum() < 8:
        return _nothing(frame.shape, cam_T_obj, covariance, with_mask)
    rotation = cam_T_obj[:3, :3].astype(np.float32)
    in_camera = points[0][hit] @ rotation.T + cam_T_obj[:3, 3].astype(np.float32)
    camera = frame.camera
    u = camera.fx * in_camera[:, 0] / in_camera[:, 2] + camera.cx
    v = camera.fy * in_camera[:, 1] / in_camera[:, 2] + camera.cy
    col, row = np.rint(u).astype(np.intp), np.rint(v).astype(np.intp)
    inside = (col >= 0) & (row >= 0) & (col < width) & (row < height)
    in_view = float(inside.mean())
    if inside.sum() < 8:
        return _nothing(frame.shape, cam_T_obj, covariance, with_mask)
    points_in, cam_in = points[0][hit][inside], in_camera[inside]
    normals_in = normals[0][hit][inside] @ rotation.T
    col, row = col[inside], row[inside]
    seen = frame.depth_m[row, col]
    has_depth = seen > 0
    tolerance = np.minimum(tolerance_m * np.maximum(cam_in[:, 2] ** 2, 0.35), _TOLERANCE_RADII * model.radius_m)
    along_ray = seen - cam_in[:, 2]
    cosine = np.abs((normals_in * cam_in).sum(1)) / np.linalg.norm(cam_in, axis=1)
    to_plane = along_ray * cosine
    front = has_depth & (along_ray < -np.maximum(2.5 * tolerance, 0.02))
    agrees = has_depth & ~front & (np.abs(to_plane) < tolerance) & (np.abs(along_ray) < 4.0 * tolerance)
    open_to_view = has_depth & ~front
    inlier_ratio = float(agrees.sum() / max(open_to_view.sum(), 1))
    residual = float(np.sqrt(np.mean(to_plane[agrees] ** 2))) if agrees.any() else float("inf")
    colour, likeness = _compare_colours(
        images, model, cam_T_obj, points_in[~front], normals_in[~front] @ rotation, col[~front], row[~front]
    )
    coverage = float(has_depth.mean())
    occluded = float(front.sum() / max(has_depth.sum(), 1))
    mask = None
    if with_mask:
        grid = np.zeros(cells * cells, dtype=np.uint8)
        grid[np.flatnonzero(hit)[inside][~front]] = 255
        mask = _mask(frame.shape, window, frame.camera, grid.reshape(cells, cells))
    unknown = 1.0 if not model.keyframes else _UNSEEN_AGREEMENT
    agreement = unknown if np.isnan(colour) else likeness * float(np.exp(-((colour / _COLOUR_TOLERANCE) ** 2)))
    evidence = min(1.0, 2.0 * coverage) * min(1.0, 2.0 * (1.0 - occluded)) * min(1.0, 2.0 * in_view)
    if model.open_surface:  # seen from its side or its back, a lifted surface has next to nothing to compare
        shown = surface_shown(in_camera[:, 2], window)
        evidence *= min(1.0, shown / (_OPEN_SHARE * max(model.reference_area, 1e-9)))
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


def _compare_colours(
    images: FrameImages,
    model: PoseModel,
    pose: Pose,
    points: npt.NDArray[np.float32],
    normals: npt.NDArray[np.float32],
    col: npt.NDArray[np.intp],
    row: npt.NDArray[np.intp],
) -> tuple[float, float]:
    """Compare the colours of surface points with a keyframe's.

    Returns:
        Median difference after one common gain (NaN when too few points are known), and how alike the patterns are, in
        [0, 1]: their correlation, as far as the keyframe has a pattern.
    """
    key = best_keyframe(model, pose)
    if key is None:
        return float("nan"), 1.0
    if len(points) > _COLOUR_POINTS:
        few = np.linspace(0, len(points) - 1, _COLOUR_POINTS).astype(np.intp)
        points, normals, col, row = points[few], normals[few], col[few], row[few]
    frame = key.images.frame
    rotation = key.cam_T_obj[:3, :3].astype(np.float32)
    p = points @ rotation.T + key.cam_T_obj[:3, 3].astype(np.float32)
    facing = ((normals @ rotation.T) * p).sum(1) < -0.2 * np.linalg.norm(p, axis=1)
    z = np.maximum(p[:, 2], 1e-6)
    x = np.rint(frame.camera.fx * p[:, 0] / z + frame.camera.cx).astype(np.intp)
    y = np.rint(frame.camera.fy * p[:, 1] / z + frame.camera.cy).astype(np.intp)
    known = facing & (p[:, 2] > 0.01) & (x >= 0) & (y >= 0) & (x < frame.camera.width) & (y < frame.camera.height)
    x, y = x[known], y[known]
    depth = frame.depth_m[y, x]
    shown = (key.host_mask[y, x]) & ((depth == 0) | (np.abs(depth - z[known]) < 0.03 * z[known]))
    if shown.sum() < _MIN_COLOURED:
        return float("nan"), 1.0
    was = frame.rgb[y[shown], x[shown]].astype(np.float32) / 255.0
    now = images.frame.rgb[row[known][shown], col[known][shown]].astype(np.float32) / 255.0
    gain = np.clip((np.median(now.mean(1)) + 0.02) / (np.median(was.mean(1)) + 0.02), 0.7, 1.4)
    error = float(np.median(np.abs(now - gain * was).mean(1)))
    was -= was.mean(0)
    now -= now.mean(0)
    spread = float(np.sqrt((was**2).mean()))
    correlation = float((was * now).sum() / max(np.sqrt((was**2).sum() * (now**2).sum()), 1e-9))
    patterned = float(np.clip((spread - _PLAIN_SPREAD) / (_RICH_SPREAD - _PLAIN_SPREAD), 0.0, 1.0))
    return error, 1.0 - patterned * (1.0 - float(np.clip(correlation / _ALIKE_CORRELATION, 0.0, 1.0)))


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
