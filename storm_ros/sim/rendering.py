"""Pictures of a scene: colour as light, true depth, which object is where, and how much of each is hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.core import se3
from storm_ros.core.types import Camera, Mask, Pose
from storm_ros.render import RayCaster, SceneRendering
from storm_ros.sim.panels import PanelRenderer
from storm_ros.sim.scene import Scene
from storm_ros.sim.shading import shade
from storm_ros.sim.shadows import EXTENT_M, hull_points, shadow_maps

Floats = npt.NDArray[np.float32]

NOTHING = -1
"""In an instance map: neither an object nor an occluder."""


@dataclass(frozen=True, eq=False)
class Shot:
    """A scene as it truly is, seen from one place at one time.

    Attributes:
        radiance: (H, W, 3) float32 linear light.
        depth_m: (H, W) float32 true depth; 0 where nothing is hit.
        instance: (H, W) int32 index into the scene's instances, -1 elsewhere.
        cosine: (H, W) float32 of the angle between view ray and normal.
        flow: (H, W, 2) float32, pixels moved while the shutter was open; None without motion.
    """

    radiance: Floats
    depth_m: Floats
    instance: npt.NDArray[np.int32]
    cosine: Floats
    flow: Floats | None

    def mask(self, index: int) -> Mask:
        """(H, W) bool, where an instance is visible."""
        return self.instance == index


class SceneRenderer:
    """Renders one scene; keeps its meshes on the device."""

    def __init__(self, scene: Scene, device: str = "cpu", supersample: int = 1) -> None:
        """Put the scene on the device.

        Args:
            scene: what there is.
            device: of the ray caster.
            supersample: colour is rendered this many times finer and averaged; 1 for speed.
        """
        self.scene = scene
        self.supersample = supersample
        self._caster = RayCaster(device)
        self._surroundings = PanelRenderer(scene.surroundings, device)
        self._meshes = [self._caster.upload(i.mesh, smooth_normals=True) for i in scene.instances]
        self._hulls = [hull_points(i.mesh) for i in scene.instances]
        self._shine = np.array([0.0] + [i.shine for i in scene.instances], dtype=np.float32)

    def shoot(
        self,
        camera: Camera,
        world_T_cam: Pose,
        poses: Sequence[Pose] | None = None,
        opened: tuple[Pose, Sequence[Pose]] | None = None,
    ) -> Shot:
        """Render the scene.

        Args:
            camera: intrinsics.
            world_T_cam: (4, 4) where it stands.
            poses: world_T_obj of every instance; those of the scene by default.
            opened: the camera's and the instances' poses when the shutter opened, for the flow; no motion by default.
        """
        poses = [i.world_T_obj for i in self.scene.instances] if poses is None else list(poses)
        shadows = shadow_maps(self.scene.lights, self._hulls, poses)
        shot = self._cast(camera, world_T_cam, poses, opened, shadows)
        if self.supersample == 1:
            return shot
        fine = self._cast(camera.scaled(self.supersample), world_T_cam, poses, opened, shadows)
        radiance = cv2.resize(fine.radiance, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
        return Shot(radiance.astype(np.float32), shot.depth_m, shot.instance, shot.cosine, shot.flow)

    def _cast(
        self,
        camera: Camera,
        world_T_cam: Pose,
        poses: Sequence[Pose],
        before: tuple[Pose, Sequence[Pose]] | None,
        shadows: Floats,
    ) -> Shot:
        seen = self._seen(camera, world_T_cam, poses)
        motion = None
        if before is not None:
            then = se3.inverse(before[0])
            motion = np.stack([then @ world_T_cam] + [
                then @ old @ se3.inverse(new) @ world_T_cam for old, new in zip(before[1], poses, strict=True)
            ])  # fmt: skip
        lit = shade(seen, camera, world_T_cam, self.scene.lights, self.scene.ambient, self._shine, shadows, EXTENT_M,
                    motion, self._caster.device)  # fmt: skip
        return Shot(lit.radiance, seen.depth_m, seen.instance, lit.cosine, lit.flow)

    def _seen(self, camera: Camera, world_T_cam: Pose, poses: Sequence[Pose]) -> SceneRendering:
        """Panels first, then every body in the window it lies in."""
        depth, normals, rgb = self._surroundings.render(camera, world_T_cam)
        instance = np.full(depth.shape, NOTHING, np.int32)
        cam_T_world = se3.inverse(world_T_cam)
        for index, (mesh, hull, pose) in enumerate(zip(self._meshes, self._hulls, poses, strict=True)):
            cam_T_obj = cam_T_world @ pose
            rect = _window(camera, se3.apply(cam_T_obj, hull))
            if rect is None:
                continue
            x0, y0, x1, y1 = rect
            part = self._caster.render(mesh, cam_T_obj, camera.window(x0, y0, x1 - x0, y1 - y0, x1 - x0, y1 - y0))
            there = (slice(y0, y1), slice(x0, x1))
            in_front = (part.depth_m[0] > 0) & ((part.depth_m[0] < depth[there]) | (depth[there] <= 0))
            for whole, piece in ((depth, part.depth_m), (normals, part.normals), (rgb, part.rgb)):
                np.copyto(whole[there], piece[0], where=in_front if piece.ndim == 3 else in_front[..., None])
            instance[there][in_front] = index
        return SceneRendering(depth, normals, rgb, instance)

    def whole_pixels(self, camera: Camera, index: int, cam_T_obj: Pose, limit_px: int = 320) -> float:
        """How many pixels an instance would cover with nothing in front of it and no end to the image.

        Args:
            camera: intrinsics; the pixels are its pixels.
            index: of the instance.
            cam_T_obj: (4, 4).
            limit_px: a larger instance is rendered coarser.
        """
        points = se3.apply(cam_T_obj, self._hulls[index])
        if points[:, 2].min() < 0.02:
            return 0.0
        pixels = camera.project(points)
        low, high = np.floor(pixels.min(0)) - 1, np.ceil(pixels.max(0)) + 1
        width, height = high - low + 1
        scale = min(1.0, limit_px / max(width, height))
        out_w, out_h = max(1, round(width * scale)), max(1, round(height * scale))
        window = camera.window(low[0], low[1], width, height, out_w, out_h)
        hit = self._caster.render(self._meshes[index], cam_T_obj, window).depth_m[0] > 0
        return float(hit.sum()) * (width / out_w) * (height / out_h)


def _window(camera: Camera, points: npt.NDArray[np.float64]) -> tuple[int, int, int, int] | None:
    """Columns and rows (x0, y0, x1, y1) that may see points (N, 3) in the camera frame; None if none does."""
    if points[:, 2].max() <= 0:
        return None
    if points[:, 2].min() < 0.02:
        return 0, 0, camera.width, camera.height
    pixels = camera.project(points)
    x0, y0 = (int(v) for v in np.maximum(np.floor(pixels.min(0)), 0))
    x1, y1 = (int(v) for v in np.minimum(np.ceil(pixels.max(0)) + 1, [camera.width, camera.height]))
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None
