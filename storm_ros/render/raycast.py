"""Ray casting of triangle meshes with NVIDIA Warp: one code for the CPU and CUDA, many poses in one launch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import warp as wp

from storm_ros.core import se3
from storm_ros.core.errors import InputError
from storm_ros.core.types import Camera, Mesh, Pose
from storm_ros.render.device import resolve_device

wp.set_module_options({"enable_backward": False})  # no gradients are taken: half the compile time

MISS = -1
_FAR_M = 1000.0


@dataclass(frozen=True, eq=False)
class DeviceMesh:
    """A mesh on the device, ready to be hit by rays; made by `RayCaster.upload`."""

    mesh: Mesh
    accelerated: Any
    vertex_colors: Any
    uv: Any
    texture: Any
    normals: Any

    @property
    def id(self) -> int:
        """Warp's handle of the mesh."""
        return int(self.accelerated.id)


@dataclass(frozen=True, eq=False)
class Rendering:
    """What N poses of one mesh look like.

    Attributes:
        depth_m: (N, H, W) float32 along the optical axis, 0 where the ray misses.
        normals: (N, H, W, 3) float32 unit normals in the camera frame, facing the camera; 0 where the ray misses.
        coords: (N, H, W, 3) float32 hit points in the object's frame, metres; 0 where the ray misses.
        rgb: (N, H, W, 3) uint8 surface colour without shading; 128 where the mesh has none, 0 where the ray misses.
    """

    depth_m: npt.NDArray[np.float32]
    normals: npt.NDArray[np.float32]
    coords: npt.NDArray[np.float32]
    rgb: npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class SceneRendering:
    """What several meshes look like together from one camera.

    Attributes:
        depth_m: (H, W) float32 along the optical axis, 0 where no mesh is hit.
        normals: (H, W, 3) float32 unit normals in the camera frame, facing the camera.
        rgb: (H, W, 3) uint8 surface colour without shading.
        instance: (H, W) int32 index into the instances, -1 where no mesh is hit.
    """

    depth_m: npt.NDArray[np.float32]
    normals: npt.NDArray[np.float32]
    rgb: npt.NDArray[np.uint8]
    instance: npt.NDArray[np.int32]


@wp.kernel
def _cast(
    mesh_ids: wp.array(dtype=wp.uint64),
    obj_T_cam: wp.array2d(dtype=wp.mat44),
    intrinsics: wp.array(dtype=wp.vec4),
    width: int,
    height: int,
    far: float,
    depth: wp.array(dtype=float),
    instance: wp.array(dtype=int),
    face: wp.array(dtype=int),
    bary: wp.array(dtype=wp.vec2),
):
    tid = wp.tid()
    view = tid // (width * height)
    pixel = tid - view * width * height
    row = pixel // width
    col = pixel - row * width
    k = intrinsics[view]
    ray = wp.vec3((float(col) - k[2]) / k[0], (float(row) - k[3]) / k[1], 1.0)
    best = float(far)
    for m in range(mesh_ids.shape[0]):
        pose = obj_T_cam[view, m]
        origin = wp.vec3(pose[0, 3], pose[1, 3], pose[2, 3])
        direction = wp.transform_vector(pose, ray)
        hit = wp.mesh_query_ray(mesh_ids[m], origin, direction, best)
        if hit.result:
            best = hit.t
            depth[tid] = hit.t
            instance[tid] = m
            face[tid] = hit.face
            bary[tid] = wp.vec2(hit.u, hit.v)


@wp.func
def texel(texture: wp.array2d(dtype=wp.vec3), uv: wp.vec2):
    """Bilinear colour of a texture whose (0, 0) is its bottom left; it repeats."""
    rows = texture.shape[0]
    cols = texture.shape[1]
    x = (uv[0] - wp.floor(uv[0])) * float(cols) - 0.5
    y = (1.0 - (uv[1] - wp.floor(uv[1]))) * float(rows) - 0.5
    x0 = int(wp.floor(x))
    y0 = int(wp.floor(y))
    ax = x - float(x0)
    ay = y - float(y0)
    xa = wp.clamp(x0, 0, cols - 1)
    xb = wp.clamp(x0 + 1, 0, cols - 1)
    ya = wp.clamp(y0, 0, rows - 1)
    yb = wp.clamp(y0 + 1, 0, rows - 1)
    top = texture[ya, xa] * (1.0 - ax) + texture[ya, xb] * ax
    bottom = texture[yb, xa] * (1.0 - ax) + texture[yb, xb] * ax
    return top * (1.0 - ay) + bottom * ay


@wp.kernel
def _attributes(
    mesh_id: wp.uint64,
    member: int,
    cam_T_obj: wp.array2d(dtype=wp.mat44),
    pixels: int,
    instance: wp.array(dtype=int),
    face: wp.array(dtype=int),
    bary: wp.array(dtype=wp.vec2),
    vertex_normals: wp.array(dtype=wp.vec3),
    vertex_colors: wp.array(dtype=wp.vec3),
    uv: wp.array(dtype=wp.vec2),
    texture: wp.array2d(dtype=wp.vec3),
    normals: wp.array(dtype=wp.vec3),
    coords: wp.array(dtype=wp.vec3),
    rgb: wp.array2d(dtype=wp.uint8),
):
    tid = wp.tid()
    if instance[tid] != member:
        return
    mesh = wp.mesh_get(mesh_id)
    f = face[tid]
    i = mesh.indices[3 * f]
    j = mesh.indices[3 * f + 1]
    k = mesh.indices[3 * f + 2]
    b = bary[tid]
    wi = b[0]
    wj = b[1]
    wk = 1.0 - wi - wj
    pi = mesh.points[i]
    pj = mesh.points[j]
    pk = mesh.points[k]
    point = pi * wi + pj * wj + pk * wk
    pose = cam_T_obj[tid // pixels, member]
    normal = wp.normalize(wp.cross(pj - pi, pk - pi))
    away = wp.dot(wp.transform_vector(pose, normal), wp.transform_point(pose, point)) > 0.0
    if vertex_normals.shape[0] > 0:
        normal = wp.normalize(vertex_normals[i] * wi + vertex_normals[j] * wj + vertex_normals[k] * wk)
    in_camera = wp.transform_vector(pose, normal)
    if away:
        in_camera = -in_camera
    normals[tid] = in_camera
    coords[tid] = point
    colour = wp.vec3(128.0, 128.0, 128.0)
    if texture.shape[0] > 0:
        colour = texel(texture, uv[i] * wi + uv[j] * wj + uv[k] * wk)
    elif vertex_colors.shape[0] > 0:
        colour = vertex_colors[i] * wi + vertex_colors[j] * wj + vertex_colors[k] * wk
    for c in range(3):
        rgb[tid, c] = wp.uint8(wp.clamp(colour[c] + 0.5, 0.0, 255.0))


class RayCaster:
    """Renders meshes by casting rays; holds no state but the device it works on."""

    def __init__(self, device: str = "cpu") -> None:
        """Choose the device.

        Args:
            device: "cpu", "cuda", a CUDA device by number ("cuda:1"), or "auto".

        Raises:
            BackendUnavailableError: CUDA was asked for and there is none.
        """
        self.device = resolve_device(device)

    def upload(self, mesh: Mesh, *, smooth_normals: bool = False) -> DeviceMesh:
        """Put a mesh on the device and build its search tree.

        Args:
            mesh: metres, in its own frame.
            smooth_normals: interpolate the vertices' normals instead of taking the faces'.
        """
        textured = mesh.texture is not None and mesh.uv is not None
        return DeviceMesh(
            mesh,
            wp.Mesh(self.array(mesh.vertices, wp.vec3), self.array(mesh.faces.ravel(), wp.int32)),
            self._optional(None if textured else mesh.colors, wp.vec3, 1),
            self._optional(mesh.uv if textured else None, wp.vec2, 1),
            self._optional(mesh.texture if textured else None, wp.vec3, 2),
            self._optional(mesh.vertex_normals if smooth_normals else None, wp.vec3, 1),
        )

    def array(self, values: npt.ArrayLike, dtype: Any) -> Any:
        """A device array of the values (a copy)."""
        return wp.array(np.ascontiguousarray(values), dtype=dtype, device=self.device)

    def _optional(self, values: npt.NDArray[Any] | None, dtype: Any, ndim: int) -> Any:
        if values is None:
            return wp.empty((0,) * ndim, dtype=dtype, device=self.device)
        return self.array(np.asarray(values, dtype=np.float32), dtype)

    def render(self, mesh: DeviceMesh, cam_T_obj: npt.ArrayLike, camera: Camera | Sequence[Camera]) -> Rendering:
        """Render one mesh at N poses in one launch.

        Args:
            mesh: from `upload`.
            cam_T_obj: (N, 4, 4), or (4, 4) for one pose.
            camera: one for all poses (`Camera.window` cuts a crop), or one per pose, all of one size.

        Returns:
            Depth, normals, object coordinates and colours.

        Raises:
            InputError: poses of another shape, or cameras whose number or sizes do not fit.
        """
        poses = np.asarray(cam_T_obj, dtype=np.float64)
        poses = poses[None] if poses.ndim == 2 else poses
        if poses.ndim != 3 or poses.shape[1:] != (4, 4):
            raise InputError(f"poses have shape {np.shape(cam_T_obj)}: (4, 4) or (N, 4, 4) is needed")
        cameras = [camera] * len(poses) if isinstance(camera, Camera) else list(camera)
        if len(cameras) != len(poses) or len({(c.width, c.height) for c in cameras}) > 1:
            raise InputError(f"{len(cameras)} cameras for {len(poses)} poses: one per pose, all of one size, is needed")
        if not len(poses):
            raise InputError("no pose to render: at least one is needed")
        depth, _, normals, coords, rgb = self._render([mesh], poses[:, None], cameras)
        return Rendering(depth, normals, coords, rgb)

    def render_scene(self, instances: Sequence[tuple[DeviceMesh, Pose]], camera: Camera) -> SceneRendering:
        """Render several meshes together, the nearest surface in front.

        Args:
            instances: meshes with their poses cam_T_obj (4, 4).
            camera: what looks at them.
        """
        if not instances:
            raise InputError("no mesh to render: at least one instance is needed")
        poses = np.stack([np.asarray(pose, dtype=np.float64) for _, pose in instances])[None]
        depth, instance, normals, _, rgb = self._render([mesh for mesh, _ in instances], poses, [camera])
        return SceneRendering(depth[0], normals[0], rgb[0], instance[0])

    def _render(
        self, meshes: Sequence[DeviceMesh], poses: npt.NDArray[np.float64], cameras: Sequence[Camera]
    ) -> tuple[npt.NDArray[Any], ...]:
        width, height = cameras[0].width, cameras[0].height
        views, count = len(poses), len(poses) * width * height
        inverses = np.stack([[se3.inverse(p) for p in row] for row in poses])
        cam_T_obj = self.array(poses.astype(np.float32), wp.mat44)
        depth = wp.zeros(count, dtype=float, device=self.device)
        instance = wp.full(count, MISS, dtype=int, device=self.device)
        face = wp.zeros(count, dtype=int, device=self.device)
        bary = wp.zeros(count, dtype=wp.vec2, device=self.device)
        wp.launch(
            _cast,
            dim=count,
            inputs=[
                self.array(np.array([m.id for m in meshes], dtype=np.uint64), wp.uint64),
                self.array(inverses.astype(np.float32), wp.mat44),
                self.array(np.array([[c.fx, c.fy, c.cx, c.cy] for c in cameras], dtype=np.float32), wp.vec4),
                width,
                height,
                _FAR_M,
            ],
            outputs=[depth, instance, face, bary],
            device=self.device,
        )
        normals = wp.zeros(count, dtype=wp.vec3, device=self.device)
        coords = wp.zeros(count, dtype=wp.vec3, device=self.device)
        rgb = wp.zeros((count, 3), dtype=wp.uint8, device=self.device)
        for member, mesh in enumerate(meshes):
            wp.launch(
                _attributes,
                dim=count,
                inputs=[
                    wp.uint64(mesh.id),
                    member,
                    cam_T_obj,
                    width * height,
                    instance,
                    face,
                    bary,
                    mesh.normals,
                    mesh.vertex_colors,
                    mesh.uv,
                    mesh.texture,
                ],
                outputs=[normals, coords, rgb],
                device=self.device,
            )
        shape = (views, height, width)
        return (
            depth.numpy().reshape(shape),
            instance.numpy().reshape(shape),
            normals.numpy().reshape(*shape, 3),
            coords.numpy().reshape(*shape, 3),
            rgb.numpy().reshape(*shape, 3),
        )
