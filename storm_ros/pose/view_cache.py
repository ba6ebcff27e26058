"""Samples of the model by viewpoint: looking from nearly the same side again costs no ray.

Which surface points are visible changes little within a few degrees, so samples are cast from the middle of the
viewpoint's bin and kept. The outcome is a function of the pose alone, whatever was asked before.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np

from storm_ros.core.types import Camera, Pose
from storm_ros.pose.hypotheses import view_rotations
from storm_ros.pose.samples import PoseModel, Samples, best_keyframe, take_samples
from storm_ros.render import RayCaster

_BIN_RAD = np.deg2rad(5.0)
_DISTANCE_RATIO = 1.2
_LIMIT = 96
_VIRTUAL_CAMERA = Camera(1000, 1000, 1000.0, 1000.0, 499.5, 499.5)

ViewCache = OrderedDict[tuple[Any, ...], Samples]


def view_samples(
    model: PoseModel, cam_T_obj: Pose, cells: int, level: int, caster: RayCaster, cache: ViewCache
) -> Samples | None:
    """Samples as seen from the viewpoint of a pose; None when the object is not before the camera.

    Args:
        model: the object.
        cam_T_obj: (4, 4) pose.
        cells: grid cells along a side of the window around the object.
        level: pyramid level of the reference intensities.
        caster: ray caster.
        cache: of this model, kept by whoever asks; at most 96 views stay in it.
    """
    to_camera = -cam_T_obj[:3, :3].T @ cam_T_obj[:3, 3] - model.center
    distance = float(np.linalg.norm(to_camera))
    if not np.isfinite(distance) or distance < 1.05 * model.radius_m or cam_T_obj[2, 3] <= 0.0:
        return None
    elevation = np.arcsin(np.clip(to_camera[2] / distance, -1.0, 1.0))
    row = round(float(elevation / _BIN_RAD))
    around = max(1, round(float(2.0 * np.pi * np.cos(row * _BIN_RAD) / _BIN_RAD)))
    azimuth = np.arctan2(to_camera[1], to_camera[0])
    column = round(float(azimuth / (2.0 * np.pi) * around)) % around
    ring = round(float(np.log(distance) / np.log(_DISTANCE_RATIO)))
    keyframe = best_keyframe(model, cam_T_obj)
    key = (row, column, ring, cells, level, None if keyframe is None else keyframe.serial)
    if key in cache:
        cache.move_to_end(key)
        return cache[key]
    middle_azimuth, middle_elevation = column * 2.0 * np.pi / around, row * _BIN_RAD
    flat = np.cos(middle_elevation)
    direction = np.array([flat * np.cos(middle_azimuth), flat * np.sin(middle_azimuth), np.sin(middle_elevation)])
    pose = np.eye(4)
    pose[:3, :3] = view_rotations(direction[None])[0]
    reach = max(_DISTANCE_RATIO**ring, 1.1 * model.radius_m)
    pose[:3, 3] = np.array([0.0, 0.0, reach]) - pose[:3, :3] @ model.center
    samples = take_samples(model, pose, _VIRTUAL_CAMERA, cells, level, caster, keyframe=keyframe)
    cache[key] = samples
    while len(cache) > _LIMIT:
        cache.popitem(last=False)
    return samples
