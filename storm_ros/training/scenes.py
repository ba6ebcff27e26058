"""Training scenes: references in one arrangement of some objects, query images in another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.core import se3
from storm_ros.core.types import Camera, Pose
from storm_ros.sim import ColourCamera, develop, kinect, random_camera, random_sensor, realsense, sense_depth
from storm_ros.training.settings import SceneConfig
from storm_ros.training.studio import Body, Picture, Rng, Stage, Studio, covering_rect, in_image

Arrays = dict[str, npt.NDArray[np.generic]]

ABSENT = 0
"""In an owner map: no object."""

SENSORS = (kinect(), realsense())

_DEPTH_STEP_M = 0.0005


@dataclass(frozen=True)
class Eye:
    """The camera of a scene: where it may be, and how its pictures differ.

    Attributes:
        azimuth_rad: direction the table is looked at from.
        spread_rad: how far it strays from there.
        camera: exposure and white balance on the whole.
    """

    azimuth_rad: float
    spread_rad: float
    camera: ColourCamera


def make_scene(studio: Studio, config: SceneConfig, rng: Rng) -> Arrays:
    """One scene.

    Returns:
        Arrays of Q query images, N objects and R references each:
        rgb (Q, H, W, 3) uint8; depth (Q, H, W) uint16 in units of 0.5 mm; owner (Q, H, W) uint8, object + 1;
        focal (Q,) and centre (Q, 2) pixels; visible, whole (Q, N) pixels; angle_deg (Q, N, R) between the views of
        query and reference; ref_rgb (N, R, S, S, 3), ref_depth (N, R, S, S), ref_mask (N, R, S, S) bool, ref_focal
        (N, R), ref_centre (N, R, 2), ref_visible (N, R) share not hidden; cam_T_obj (Q, N, 4, 4) and ref_cam_T_obj
        (N, R, 4, 4) float32.
    """
    bodies = _cast_of(studio, config.objects, rng)
    turns = [_attitude(rng) for _ in bodies]
    eye = Eye(float(rng.uniform(0, 2 * np.pi)), float(np.radians(rng.uniform(10, 35))), random_camera(rng))
    spread = float(rng.uniform(0.12, 0.24))
    first = studio.stage(rng, bodies, _placed(rng, bodies, turns, spread))
    out = _reference_arrays(studio, config, rng, first, eye)
    shown = np.sort(rng.permutation(len(bodies))[: config.shown])
    jitter = [se3.so3_exp([0, 0, rng.normal(0, 0.25)]) @ turns[i] for i in shown]
    some = [bodies[i] for i in shown]
    second = studio.stage(rng, some, _placed(rng, some, jitter, float(rng.uniform(0.1, 0.24))))
    out.update(_query_arrays(studio, config, rng, second, shown, eye))
    out["angle_deg"] = angles_deg(out["cam_T_obj"], out["ref_cam_T_obj"])
    return out


def _cast_of(studio: Studio, count: int, rng: Rng) -> list[Body]:
    """Bodies of a scene; about half of them have a relative among the others."""
    order = list(rng.permutation(len(studio.bodies)))
    chosen: list[int] = []
    while len(chosen) < count:
        index = order.pop()
        if index in chosen:
            continue
        chosen.append(index)
        family = studio.bodies[index].family
        kin = [i for i in order if studio.bodies[i].family == family and i not in chosen]
        if kin and len(chosen) < count and rng.random() < 0.5:
            chosen.append(int(kin[rng.integers(len(kin))]))
    bodies = [studio.bodies[i] for i in chosen]
    return [bodies[i] for i in rng.permutation(count)]


def _attitude(rng: Rng) -> npt.NDArray[np.float64]:
    """Rotation (3, 3) of something put down: mostly upright."""
    tilt = rng.choice([0.0, np.pi / 2, -np.pi / 2, np.pi], p=[0.7, 0.12, 0.12, 0.06])
    return se3.so3_exp([0, 0, rng.uniform(0, 2 * np.pi)]) @ se3.so3_exp([tilt, 0, 0])


def _placed(rng: Rng, bodies: Sequence[Body], turns: Sequence[npt.NDArray[np.float64]], spread: float) -> list[Pose]:
    """world_T_obj of bodies at rest on the table, with little overlap seen from above."""
    taken: list[tuple[float, float, float]] = []
    poses = []
    for body, turn in zip(bodies, turns, strict=True):
        points = body.hull @ turn.T
        radius = 0.85 * float(np.linalg.norm(points[:, :2], axis=1).max())
        reach = spread
        for _ in range(60):
            x, y = rng.uniform(-reach, reach, 2)
            if all(np.hypot(x - a, y - b) > radius + r for a, b, r in taken):
                break
            reach *= 1.03
        taken.append((float(x), float(y), radius))
        poses.append(se3.transform(turn, [x, y, -points[:, 2].min()]))
    return poses


def _looking(rng: Rng, eye: Eye, target: npt.NDArray[np.float64], near: float, far: float) -> Pose:
    """world_T_cam (4, 4) of a hand-held camera that looks about at a point."""
    azimuth = eye.azimuth_rad + rng.uniform(-1, 1) * eye.spread_rad
    height = np.radians(rng.uniform(15, 68))
    distance = np.exp(rng.uniform(np.log(near), np.log(far)))
    way = np.array([np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height)])
    z = -way
    x = np.cross(z, [0, 0, 1.0])
    x /= np.linalg.norm(x)
    rotation = np.stack([x, np.cross(z, x), z], 1) @ se3.so3_exp([0, 0, rng.normal(0, 0.12)])
    return se3.transform(rotation, target + distance * way)


def _reference_arrays(studio: Studio, config: SceneConfig, rng: Rng, stage: Stage, eye: Eye) -> Arrays:
    n, r, side = len(stage.bodies), config.references, config.reference_px
    out: Arrays = {
        "ref_rgb": np.zeros((n, r, side, side, 3), np.uint8),
        "ref_depth": np.zeros((n, r, side, side), np.uint16),
        "ref_mask": np.zeros((n, r, side, side), bool),
        "ref_focal": np.zeros((n, r), np.float32),
        "ref_centre": np.zeros((n, r, 2), np.float32),
        "ref_visible": np.zeros((n, r), np.float32),
        "ref_cam_T_obj": np.tile(np.eye(4, dtype=np.float32), (n, r, 1, 1)),
    }
    for i in range(n):
        for j in range(r):
            world_T_cam = _looking(rng, eye, stage.poses[i][:3, 3] + rng.normal(0, 0.02, 3), 0.4, 1.3)
            cam_T_obj = se3.inverse(world_T_cam) @ stage.poses[i]
            window = _window_around(_whole_camera(rng), se3.apply(cam_T_obj, stage.bodies[i].hull), rng, 1.2, 1.7, 1.0)
            out["ref_cam_T_obj"][i, j] = cam_T_obj
            if window is None:
                continue
            camera, native = _resized(window, side, side)
            picture = studio.shoot(stage, camera, world_T_cam)
            own = picture.owner == i
            out["ref_rgb"][i, j], out["ref_depth"][i, j] = _taken(
                rng, picture, camera, _setting(rng, eye, config), native, blur_px=0.0
            )
            out["ref_mask"][i, j] = own
            out["ref_focal"][i, j] = camera.fx
            out["ref_centre"][i, j] = camera.cx, camera.cy
            out["ref_visible"][i, j] = own.sum() / max(int(picture.whole[i]), 1)
    return out


def _query_arrays(
    studio: Studio, config: SceneConfig, rng: Rng, stage: Stage, numbers: npt.NDArray[np.int64], eye: Eye
) -> Arrays:
    q, n, h, w = config.queries, config.objects, config.height, config.width
    out: Arrays = {
        "rgb": np.zeros((q, h, w, 3), np.uint8),
        "depth": np.zeros((q, h, w), np.uint16),
        "owner": np.zeros((q, h, w), np.uint8),
        "focal": np.zeros(q, np.float32),
        "centre": np.zeros((q, 2), np.float32),
        "visible": np.zeros((q, n), np.int32),
        "whole": np.zeros((q, n), np.int32),
        "cam_T_obj": np.tile(np.eye(4, dtype=np.float32), (q, n, 1, 1)),
    }
    names = np.concatenate([[ABSENT], numbers + 1]).astype(np.uint8)
    for k in range(q):
        index = int(rng.integers(len(stage.bodies)))
        target = stage.poses[index][:3, 3] * rng.uniform(0.3, 1.0) + rng.normal(0, 0.08, 3) * [1, 1, 0.3]
        world_T_cam = _looking(rng, eye, target, 0.45, 1.7)
        cam_T_world = se3.inverse(world_T_cam)
        camera = _whole_camera(rng)
        if rng.random() < config.close_share:
            points = se3.apply(cam_T_world @ stage.poses[index], stage.bodies[index].hull)
            camera = _window_around(camera, points, rng, 1.6, 4.0, w / h) or camera
        camera, native = _resized(camera, w, h)
        picture = studio.shoot(stage, camera, world_T_cam)
        blur = float(rng.uniform(2, 9)) if rng.random() < 0.15 else 0.0
        out["rgb"][k], out["depth"][k] = _taken(rng, picture, camera, _setting(rng, eye, config), native, blur_px=blur)
        out["owner"][k] = names[picture.owner + 1]
        out["focal"][k] = camera.fx
        out["centre"][k] = camera.cx, camera.cy
        out["visible"][k] = np.bincount(out["owner"][k].ravel(), minlength=n + 1)[1 : n + 1]
        out["whole"][k, numbers] = picture.whole
        for place, number in enumerate(numbers):
            out["cam_T_obj"][k, number] = cam_T_world @ stage.poses[place]
    return out


def _whole_camera(rng: Rng) -> Camera:
    focal = float(rng.uniform(480, 640))
    return Camera(640, 480, focal, focal, 319.5, 239.5)


def _window_around(
    camera: Camera, points_cam: npt.NDArray[np.float64], rng: Rng, low: float, high: float, aspect: float
) -> Camera | None:
    """Camera of a window of the image about the object; None if the object is not in it."""
    rect = in_image(camera, covering_rect(camera, points_cam))
    if rect is None:
        return None
    x0, y0, x1, y1 = rect
    size = max(x1 - x0, y1 - y0, 12) * float(np.exp(rng.uniform(np.log(low), np.log(high))))
    width, height = size * max(aspect, 1.0), size
    middle = np.array([x0 + x1, y0 + y1]) / 2 + rng.normal(0, 0.06, 2) * size
    x, y = middle - [width / 2, height / 2]
    return camera.window(x, y, width, height, round(width), round(height))


def _resized(camera: Camera, width: int, height: int) -> tuple[Camera, float]:
    """The camera at (width, height) pixels, and how much of that resolution its image really has, in (0, 1]."""
    out = camera.window(0, 0, camera.width, camera.height, width, height)
    return out, min(1.0, camera.width / width)


def _setting(rng: Rng, eye: Eye, config: SceneConfig) -> ColourCamera:
    """The camera's exposure and white balance for one picture; noise, sharpness and compression are anew."""
    exposure = eye.camera.exposure * float(np.exp(rng.normal(0, config.exposure_spread)))
    red, blue = np.exp(rng.normal(0, config.balance_spread, 2))
    balance = eye.camera.white_balance[0] * float(red), 1.0, eye.camera.white_balance[2] * float(blue)
    return replace(random_camera(rng), exposure=exposure, white_balance=balance)


def _taken(
    rng: Rng, picture: Picture, camera: Camera, setting: ColourCamera, native: float, blur_px: float
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint16]]:
    """Colour and depth as real cameras deliver them."""
    height, width = picture.depth_m.shape
    flow, radiance = None, picture.radiance
    if native < 0.95:  # enlarged from fewer pixels
        few = max(4, round(width * native)), max(4, round(height * native))
        small = cv2.resize(radiance, few, interpolation=cv2.INTER_AREA)
        radiance = np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    if blur_px > 0:
        turn = rng.uniform(0, 2 * np.pi)
        flow = np.tile(np.float32(blur_px) * np.array([np.cos(turn), np.sin(turn)], np.float32), (height, width, 1))
    rgb = develop(radiance, setting, rng, flow)
    luminance = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0
    # fields of noise are stored by size and radius: the same few radii keep them few
    base = SENSORS[rng.integers(len(SENSORS))]
    varied = random_sensor(rng)
    sensor = replace(varied, correlation_px=base.correlation_px, hole_size_px=base.hole_size_px)
    depth = sense_depth(picture.depth_m, sensor, rng, cosine=picture.cosine, luminance=luminance**2)
    if rng.random() < 0.4:  # depth that was registered badly
        reach = 3.0 * camera.fx / 560.0
        move = np.array([[1, 0, rng.normal(0, reach / 2)], [0, 1, rng.normal(0, reach / 2)]], np.float32)
        depth = cv2.warpAffine(depth, move, (width, height), flags=cv2.INTER_NEAREST)
    units = np.clip(np.rint(depth / _DEPTH_STEP_M), 0, 65535).astype(np.uint16)
    return rgb, units


def angles_deg(cam_T_obj: npt.NDArray[np.generic], ref_cam_T_obj: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Degrees (Q, N, R) between the directions from the object to the two cameras, in the object's frame."""

    def towards(pose: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        way = -np.einsum("...ji,...j->...i", pose[..., :3, :3], pose[..., :3, 3])
        return way / np.maximum(np.linalg.norm(way, axis=-1, keepdims=True), 1e-9)

    ours, theirs = towards(cam_T_obj.astype(np.float64)), towards(ref_cam_T_obj.astype(np.float64))
    cosine = np.einsum("qnc,nrc->qnr", ours, theirs)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1))).astype(np.float32)
