"""Light on surfaces: Lambert and a mild highlight under a few lamps, shadow maps on the table; one Warp kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import warp as wp

from storm_ros.core import se3
from storm_ros.core.types import Camera, Pose
from storm_ros.render import SceneRendering
from storm_ros.sim.kernels import RUN_PX, shade_pixels

Floats = npt.NDArray[np.float32]

TABLE_CONTACT_M = 0.012
"""Surfaces lower than this over the table's top receive the shadows cast on it."""


@dataclass(frozen=True)
class Light:
    """A lamp, or the sky through a window.

    Attributes:
        position: (3,) world metres; of a distant light the direction it comes from.
        color: (3,) irradiance it gives to a surface at the world's origin that faces it.
        distant: whether it is infinitely far away.
    """

    position: tuple[float, float, float]
    color: tuple[float, float, float]
    distant: bool = False

    def towards(self, point: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Unit vector (3,) from a world point to the light."""
        way = np.asarray(self.position, dtype=np.float64)
        way = way if self.distant else way - np.asarray(point, dtype=np.float64)
        return way / np.linalg.norm(way)


@dataclass(frozen=True, eq=False)
class Shaded:
    """Light that reaches the camera.

    Attributes:
        radiance: (H, W, 3) float32, linear; 1 is a white sheet on a table in full light.
        cosine: (H, W) float32, of the angle between view ray and normal; 0 where nothing is hit.
        flow: (H, W, 2) float32, pixels moved since the shutter opened; None without motion.
    """

    radiance: Floats
    cosine: Floats
    flow: Floats | None


def shade(
    seen: SceneRendering,
    camera: Camera,
    world_T_cam: Pose,
    lights: Sequence[Light],
    ambient: npt.ArrayLike,
    shine: npt.ArrayLike,
    shadows: Floats,
    shadow_extent_m: float,
    opened_T_now: npt.NDArray[np.float64] | None,
    device: str,
) -> Shaded:
    """Light a rendered scene.

    Args:
        seen: what the rays hit; colours are taken as gamma 2.
        camera: of that rendering.
        world_T_cam: (4, 4) where it stands; world z is up and the table's top at 0.
        lights: at least one.
        ambient: (3,) light from everywhere.
        shine: (M + 1,) strength of the highlight of the surroundings and of the M instances.
        shadows: (lights + 1, S, S) share of each light, and last of the ambient one, that reaches the table.
        shadow_extent_m: half the side of the square these maps cover, about the world's origin.
        opened_T_now: (M + 1, 4, 4) motion of the same bodies, in the camera's frame, back to when the shutter
            opened; None for no motion.
        device: Warp device.
    """
    cam_T_world = se3.inverse(world_T_cam)
    places = np.zeros((len(lights), 4), np.float32)
    for i, light in enumerate(lights):
        at = np.asarray(light.position, dtype=np.float64)
        if light.distant:
            places[i, :3] = cam_T_world[:3, :3] @ light.towards([0, 0, 0])
        else:
            places[i] = [*se3.apply(cam_T_world, at[None])[0], at @ at]
    height, width = seen.depth_m.shape

    def array(values: npt.ArrayLike, dtype: type) -> wp.array:
        return wp.array(np.ascontiguousarray(values), dtype=dtype, device=device, copy=False)

    moves = np.zeros((0, 4, 4)) if opened_T_now is None else opened_T_now
    radiance = wp.zeros((height, width), dtype=wp.vec3, device=device)
    cosine = wp.zeros((height, width), dtype=float, device=device)
    flow = wp.zeros((height, width) if len(moves) else (0, 0), dtype=wp.vec2, device=device)
    wp.launch(
        shade_pixels,
        dim=(height, -(-width // RUN_PX)),
        inputs=[
            array(seen.depth_m, float),
            array(seen.normals, wp.vec3),
            array(seen.rgb, wp.uint8),
            array(seen.instance, int),
            wp.vec4(1 / camera.fx, 1 / camera.fy, -camera.cx / camera.fx, -camera.cy / camera.fy),
            wp.mat44(*np.asarray(world_T_cam, dtype=np.float64).ravel().tolist()),
            array(moves.astype(np.float32), wp.mat44),
            array(np.asarray(shine, dtype=np.float32), float),
            array(places, wp.vec4),
            array(np.array([light.color for light in lights], dtype=np.float32), wp.vec3),
            wp.vec3(*np.asarray(ambient, dtype=np.float64).tolist()),
            array(shadows, float),
            0.5 * shadows.shape[1] / shadow_extent_m,
            TABLE_CONTACT_M,
        ],
        outputs=[radiance, cosine, flow],
        device=device,
    )
    return Shaded(
        np.asarray(radiance.numpy(), dtype=np.float32),
        np.asarray(cosine.numpy(), dtype=np.float32),
        np.asarray(flow.numpy(), dtype=np.float32) if len(moves) else None,
    )
