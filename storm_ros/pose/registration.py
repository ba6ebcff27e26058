"""Registration: an object's pose from a mask and depth alone, out of view hypotheses compared with each other."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import warp as wp

from storm_ros.core.config import PoseConfig
from storm_ros.core.errors import InputError, NoDepthError
from storm_ros.core.types import Mask, Registration
from storm_ros.pose import hypotheses, kernels
from storm_ros.pose.assess import assess
from storm_ros.pose.images import FrameImages
from storm_ros.pose.samples import PoseModel, Samples, take_samples
from storm_ros.pose.solver import Fit, Terms, fit
from storm_ros.pose.surroundings import set_off
from storm_ros.render import RayCaster

MIN_DEPTH_PIXELS = 64
_OPEN_SURFACE_VIEWS_RAD = np.deg2rad(75.0)
_DISTINCT_RAD = np.deg2rad(20.0)
_COARSE_CELLS, _FINE_CELLS = 14, 28


@dataclass(frozen=True, eq=False)
class _Target:
    """What the hypotheses are compared with.

    Attributes:
        images: the frame with its depth kept under the mask only.
        full: the frame as it is.
        centroid: (3,) mean of the object's depth points, camera frame.
        pixels: how many there are.
    """

    images: FrameImages
    full: FrameImages
    centroid: npt.NDArray[np.float64]
    pixels: int


def register(images: FrameImages, mask: Mask, model: PoseModel, config: PoseConfig, caster: RayCaster) -> Registration:
    """Find the pose from nothing but the frame and the mask.

    Viewpoints of an icosphere, each turned in the image plane, are placed so that the visible surface's centroid meets
    that of the masked depth; all are scored in one launch, the best distinct ones refined together, and the winner is
    chosen by depth, silhouette and colour.

    Args:
        images: the frame on the device.
        mask: (H, W) bool, the object's visible pixels.
        model: the object.
        config: numbers of hypotheses and noise levels.
        caster: ray caster.

    Returns:
        The best pose and the runners-up.

    Raises:
        InputError: mask of another size than the frame.
        NoDepthError: fewer than 64 valid depth pixels under the mask.
    """
    target = _target(images, mask, model, caster)
    poses, quality = _hypotheses(target, model, config, caster)
    poses = poses[_distinct(poses, quality, config.refined)]
    light: npt.NDArray[np.float64] | None = None
    for gate, level in ((0.03, 2), (0.02, 1), (0.01, 1)):
        terms = Terms(level, config.depth_sigma_m, gate, 2.0 * config.colour_sigma, _colour_weight(model, config))
        samples = _samples(model, poses, images, _FINE_CELLS, level, caster)
        refined = fit(target.images, samples, poses, terms, 4, caster, light=light)
        poses, light = refined.poses, refined.light
    terms = Terms(1, config.depth_sigma_m, 0.012, 2.0 * config.colour_sigma, _colour_weight(model, config))
    samples = _samples(model, poses, images, _FINE_CELLS, 1, caster)
    fitted = fit(target.images, samples, poses, terms, 0, caster, light=light)
    quality = _quality(target, samples, fitted)
    judged = [
        (
            float(quality[i]),
            set_off(images.frame, model, assess(images, model, poses[i], caster, tolerance_m=config.agreement_m)),
        )
        for i in _distinct(poses, quality, 3)
    ]
    judged.sort(key=lambda pair: -pair[0] * (0.2 + pair[1].score))
    best, *others = (estimate for _, estimate in judged)
    return Registration(best, tuple(others))


def _target(images: FrameImages, mask: Mask, model: PoseModel, caster: RayCaster) -> _Target:
    frame = images.frame
    if mask.shape != frame.shape:
        raise InputError(
            f"mask is {mask.shape[1]}x{mask.shape[0]} but the image is {frame.shape[1]}x{frame.shape[0]}: "
            "a mask of the image's size is needed"
        )
    valid = mask & (frame.depth_m > 0)
    if int(valid.sum()) < MIN_DEPTH_PIXELS:
        raise NoDepthError(
            f"{int(valid.sum())} of the mask's {int(mask.sum())} pixels have depth: at least {MIN_DEPTH_PIXELS} are "
            "needed to find a pose; move the camera so that the object is within the sensor's range"
        )
    median = float(np.median(frame.depth_m[valid]))
    valid &= np.abs(frame.depth_m - median) < 2.0 * model.radius_m
    row, col = np.nonzero(valid)
    z = frame.depth_m[row, col].astype(np.float64)
    camera = frame.camera
    centroid = np.array(
        [((col - camera.cx) / camera.fx * z).mean(), ((row - camera.cy) / camera.fy * z).mean(), z.mean()]
    )
    depth = np.where(valid, frame.depth_m, np.float32(0.0))
    masked = replace(images, depth=wp.array(depth, dtype=wp.float32, device=caster.device))
    return _Target(masked, images, centroid, len(z))


def _hypotheses(
    target: _Target, model: PoseModel, config: PoseConfig, caster: RayCaster
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """All start poses (N, 4, 4) with their quality (N,)."""
    directions = hypotheses.icosphere_directions(config.hypotheses_views)
    references = np.array([key.direction for key in model.keyframes[: model.references]])
    if model.open_surface and len(references):
        known = references if model.fused is None else np.concatenate([references, model.fused.directions])
        near = (directions @ known.T).max(1) > np.cos(_OPEN_SURFACE_VIEWS_RAD)
        directions = np.concatenate([references, directions[near]])
    views = hypotheses.view_rotations(directions)
    if model.open_surface and len(references):
        for i, key in enumerate(model.keyframes[: model.references]):
            ray = key.cam_T_obj[:3, 3]
            views[i] = hypotheses.towards(ray).T @ key.cam_T_obj[:3, :3]
    look = hypotheses.towards(target.centroid)
    starts = np.tile(np.eye(4), (len(views), 1, 1))
    starts[:, :3, :3] = look @ views
    starts[:, :3, 3] = target.centroid - starts[:, :3, :3] @ model.center
    samples = _samples(model, starts, target.full, _COARSE_CELLS, 2, caster)
    hits = samples.normals.numpy().any(2)
    means = np.stack(
        [p[h].mean(0) if h.any() else model.center for p, h in zip(samples.points.numpy(), hits, strict=True)]
    )
    rotations = look @ hypotheses.turned(views, config.hypotheses_turns)
    poses = np.tile(np.eye(4), (*rotations.shape[:2], 1, 1))
    poses[..., :3, :3] = rotations
    poses[..., :3, 3] = target.centroid - np.einsum("ntij,nj->nti", rotations, means)
    poses = poses.reshape(-1, 4, 4)
    sets = np.repeat(np.arange(len(views)), config.hypotheses_turns)
    terms = Terms(2, config.depth_sigma_m, max(0.015, 0.25 * model.radius_m), 0.25, 1.0)
    scored = fit(target.images, samples, poses, terms, 0, caster, set_of_view=sets)
    return poses, _quality(target, samples, scored, sets)


def _colour_weight(model: PoseModel, config: PoseConfig) -> float:
    """A scan's own colours are a hint only; a keyframe's are the camera's."""
    return min(config.colour_weight, 4.0 if model.keyframes else 0.6)


def _samples(
    model: PoseModel, poses: npt.NDArray[np.float64], images: FrameImages, cells: int, level: int, caster: RayCaster
) -> Samples:
    keyframe = model.keyframes[0] if model.keyframes else None
    return take_samples(model, poses, images.frame.camera, cells, level, caster, keyframe=keyframe, mesh_colours=True)


def _quality(
    target: _Target, samples: Samples, fitted: Fit, sets: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.float64]:
    """(N,) intersection over union of model and masked depth, counting agreeing samples only, times colour."""
    s = fitted.stats
    area = samples.cell_area(target.full.frame.camera)
    area = np.maximum(area if sets is None else area[sets], 1e-6)
    expected = target.pixels / area
    union = s[:, kernels.TOTAL] + np.maximum(expected - s[:, kernels.WITH_DEPTH], 0.0)
    colour = (s[:, kernels.COLOUR_WEIGHT] + 5.0) / (s[:, kernels.COLOURED] + 5.0)
    return s[:, kernels.INLIERS] / np.maximum(union, 1.0) * colour


def _distinct(poses: npt.NDArray[np.float64], quality: npt.NDArray[np.float64], count: int) -> list[int]:
    """Indices of the best poses whose rotations differ from each other."""
    chosen: list[int] = []
    for i in np.argsort(-quality):
        if chosen:
            cosine = (np.einsum("nij,ij->n", poses[chosen, :3, :3], poses[i, :3, :3]) - 1.0) / 2.0
            if np.arccos(np.clip(cosine, -1.0, 1.0)).min() < _DISTINCT_RAD:
                continue
        chosen.append(int(i))
        if len(chosen) == count:
            break
    return chosen
