"""A stock of objects and rooms on the device, and pictures of scenes put together from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.core import se3
from storm_ros.core.types import Camera, Mesh, Pose
from storm_ros.render import DeviceMesh, RayCaster, SceneRendering
from storm_ros.sim import KINDS, Light, furnished, make_object
from storm_ros.sim.panels import PanelRenderer
from storm_ros.sim.scene import random_lights
from storm_ros.sim.shading import shade
from storm_ros.sim.shadows import EXTENT_M, hull_points, shadow_maps
from storm_ros.sim.textures import random_palette
from storm_ros.training.settings import SceneConfig

Floats = npt.NDArray[np.float32]
Rng = np.random.Generator
Rect = tuple[int, int, int, int]

_COARSE_PX = 64  # longer side at which what the image cuts off is counted
_TEXTURE_PX = 256  # finer print than this only flickers at the sizes that are rendered


@dataclass(frozen=True, eq=False)
class Body:
    """An object of the stock.

    Attributes:
        mesh: on the device.
        hull: (N, 3) points of its hull, metres.
        family: bodies of one family share shape or colours.
        shine: strength of its highlight.
    """

    mesh: DeviceMesh
    hull: npt.NDArray[np.float64]
    family: int
    shine: float


@dataclass(frozen=True, eq=False)
class Stage:
    """Bodies at rest in a room under some light.

    Attributes:
        bodies: in the order of their numbers.
        poses: world_T_obj of each.
        room: table, walls and clutter.
        lights: one to three.
        ambient: (3,) light from everywhere.
        shadows: what reaches the table.
    """

    bodies: Sequence[Body]
    poses: Sequence[Pose]
    room: PanelRenderer
    lights: Sequence[Light]
    ambient: tuple[float, float, float]
    shadows: Floats


@dataclass(frozen=True, eq=False)
class Picture:
    """What a camera sees of a stage.

    Attributes:
        radiance: (H, W, 3) linear light.
        depth_m: (H, W) true depth.
        cosine: (H, W) of the angle between view ray and normal.
        owner: (H, W) int32 index of the body, -1 elsewhere.
        whole: (bodies,) pixels each would cover with nothing in front of it, those beyond the image's border
            included; 0 where nothing of it lies in the image.
    """

    radiance: Floats
    depth_m: Floats
    cosine: Floats
    owner: npt.NDArray[np.int32]
    whole: npt.NDArray[np.int64]


def scanned(config: SceneConfig, *, held_out: bool) -> list[Mesh]:
    """The scanned objects for training, or those held out of it; none where the folder is absent."""
    from storm_ros.mesh import load_mesh

    kept_out = {name.strip() for name in config.held_out.split(",") if name.strip()}
    files = sorted(Path(config.household).glob("*.glb"))
    return [_softened(load_mesh(f, center=True)) for f in files if (f.stem in kept_out) == held_out]


class Studio:
    """Bodies and rooms of one shard; the same configuration and number give the same stock."""

    def __init__(self, config: SceneConfig, shard: int, scans: Sequence[Mesh], device: str = "cpu") -> None:
        """Make the stock.

        Args:
            config: sizes and the seed.
            shard: its number.
            scans: scanned objects to choose from.
            device: of the ray caster.
        """
        self._caster = RayCaster(device)
        rng = np.random.default_rng([config.seed, shard, 1])
        meshes = _procedural(rng, config.stock)
        if 0 < config.scan_models < len(scans):
            scans = [scans[i] for i in rng.choice(len(scans), config.scan_models, replace=False)]
        meshes += _recoloured(rng, scans, config.scans)
        self.bodies = [
            Body(self._caster.upload(m, smooth_normals=True), hull_points(m), family, float(rng.uniform(0.0, 0.2)))
            for family, m in meshes
        ]
        self.rooms = [
            PanelRenderer(furnished(rng, (), int(rng.integers(2, 11))).surroundings, device)
            for _ in range(config.rooms)
        ]

    def stage(self, rng: Rng, bodies: Sequence[Body], poses: Sequence[Pose]) -> Stage:
        """Bodies in a random room under random light."""
        lights, ambient = random_lights(rng)
        room = self.rooms[rng.integers(len(self.rooms))]
        return Stage(bodies, poses, room, lights, ambient, shadow_maps(lights, [b.hull for b in bodies], poses))

    def shoot(self, stage: Stage, camera: Camera, world_T_cam: Pose) -> Picture:
        """Take a picture of a stage from world_T_cam (4, 4)."""
        depth, normals, rgb = stage.room.render(camera, world_T_cam)
        owner = np.full(depth.shape, -1, np.int32)
        whole = np.zeros(len(stage.bodies), np.int64)
        cam_T_world = se3.inverse(world_T_cam)
        for index, (body, pose) in enumerate(zip(stage.bodies, stage.poses, strict=True)):
            cam_T_obj = cam_T_world @ pose
            covered = covering_rect(camera, se3.apply(cam_T_obj, body.hull))
            rect = in_image(camera, covered)
            if covered is None or rect is None:
                continue
            x0, y0, x1, y1 = rect
            window = camera.window(x0, y0, x1 - x0, y1 - y0, x1 - x0, y1 - y0)
            part = self._caster.render(body.mesh, cam_T_obj, window)
            there = (slice(y0, y1), slice(x0, x1))
            hit = part.depth_m[0] > 0
            whole[index] = int(hit.sum())
            if rect != covered:
                whole[index] = max(whole[index], self._whole(body, cam_T_obj, camera, covered))
            front = hit & ((part.depth_m[0] < depth[there]) | (depth[there] <= 0))
            depth[there][front] = part.depth_m[0][front]
            normals[there][front] = part.normals[0][front]
            rgb[there][front] = part.rgb[0][front]
            owner[there][front] = index
        seen = SceneRendering(depth, normals, rgb, owner)
        shine = np.array([0.0, *(b.shine for b in stage.bodies)], np.float32)
        lit = shade(seen, camera, world_T_cam, stage.lights, stage.ambient, shine, stage.shadows, EXTENT_M, None,
                    self._caster.device)  # fmt: skip
        return Picture(lit.radiance, depth, lit.cosine, owner, whole)

    def _whole(self, body: Body, cam_T_obj: Pose, camera: Camera, rect: Rect) -> int:
        """Pixels that a body covers in a rectangle that may reach beyond the image, counted coarsely."""
        width, height = float(rect[2] - rect[0]), float(rect[3] - rect[1])
        step = max(1.0, max(width, height) / _COARSE_PX)
        columns, rows = max(1, round(width / step)), max(1, round(height / step))
        coarse = self._caster.render(
            body.mesh, cam_T_obj, camera.window(rect[0], rect[1], width, height, columns, rows)
        )
        share = np.count_nonzero(coarse.depth_m[0] > 0) / (columns * rows)
        return round(share * width * height)


def covering_rect(camera: Camera, points_cam: npt.NDArray[np.float64]) -> Rect | None:
    """Columns and rows (x0, y0, x1, y1), of the image or beyond it, around points (N, 3); None if one is too near."""
    if points_cam[:, 2].min() < 0.03:
        return None
    pixels = camera.project(points_cam)
    x0, y0 = (int(v) for v in np.floor(pixels.min(0)))
    x1, y1 = (int(v) for v in np.ceil(pixels.max(0)) + 1)
    return x0, y0, x1, y1


def in_image(camera: Camera, rect: Rect | None) -> Rect | None:
    """The part of a rectangle that lies in the image; None if none does."""
    if rect is None:
        return None
    x0, y0, x1, y1 = max(rect[0], 0), max(rect[1], 0), min(rect[2], camera.width), min(rect[3], camera.height)
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def _procedural(rng: Rng, count: int) -> list[tuple[int, Mesh]]:
    """Objects in families of three: one, another of its colours, and another of its shape."""
    out: list[tuple[int, Mesh]] = []
    for family in range(-(-count // 3)):
        kind, other = (str(k) for k in rng.choice(np.array(KINDS), 2, replace=False))
        shape, look, shape2, look2 = (int(s) for s in rng.integers(2**31, size=4))
        palette = random_palette(np.random.default_rng(look))
        if rng.random() < 0.3:  # plain things: white mugs, black boxes
            level, spread = rng.uniform(20, 235), rng.uniform(0, 25)
            palette = np.clip(level + rng.normal(0, 1, (4, 3)) * spread, 0, 255).astype(np.uint8)
        out.append((family, make_object(kind, shape, look, palette)))
        out.append((family, make_object(other, shape2, look2, palette)))
        out.append((family, make_object(kind, shape, look2)))
    return [(family, _softened(mesh)) for family, mesh in out[:count]]


def _recoloured(rng: Rng, scans: Sequence[Mesh], count: int) -> list[tuple[int, Mesh]]:
    """Scanned objects, half of them in other colours and proportions."""
    out = []
    plain: set[int] = set()
    for _ in range(count if scans else 0):
        index = int(rng.integers(len(scans)))
        mesh = scans[index]
        if rng.random() < 0.5 and index not in plain:
            plain.add(index)  # once only: two objects that look the same have no answer
        else:
            mesh = replace(mesh, vertices=mesh.vertices * rng.uniform(0.8, 1.3, 3).astype(np.float32))
            mesh = replace(
                mesh,
                texture=None if mesh.texture is None else _tinted(rng, mesh.texture),
                colors=None if mesh.colors is None else _tinted(rng, mesh.colors[None])[0],
            )
        out.append((10_000 + index, mesh))
    return out


def _tinted(rng: Rng, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    hsv = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + rng.uniform(0, 180)) % 180
    hsv[..., 1] = np.clip(hsv[..., 1] * rng.uniform(0.5, 1.5), 0, 255)
    hsv[..., 2] = 255 * (hsv[..., 2] / 255) ** np.float32(rng.uniform(0.6, 1.7))
    return np.asarray(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB), dtype=np.uint8)


def _softened(mesh: Mesh) -> Mesh:
    if mesh.texture is None or max(mesh.texture.shape[:2]) <= _TEXTURE_PX:
        return mesh
    scale = _TEXTURE_PX / max(mesh.texture.shape[:2])
    small = cv2.resize(mesh.texture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return replace(mesh, texture=np.asarray(small, dtype=np.uint8))
