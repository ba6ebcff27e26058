"""Surface points of the model as a pose sees them: what a frame is compared with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import warp as wp

from storm_ros.core import se3
from storm_ros.core.types import Camera, Mesh, Pose, Reference
from storm_ros.mesh.fused import Fused
from storm_ros.pose import kernels
from storm_ros.pose.images import FrameImages, Keyframe, make_keyframe, view_direction
from storm_ros.render import DeviceMesh, RayCaster

MIN_DISTANCE_M = 0.05
KEYFRAME_DEPTH_TOLERANCE = 0.03
_REFERENCE_BONUS = 0.15


@dataclass(frozen=True, eq=False)
class PoseModel:
    """An object as the geometric estimator knows it.

    Attributes:
        mesh: on the device.
        center: (3,) centre of the mesh's bounding box in the object's frame.
        radius_m: of the sphere about `center` that holds the mesh.
        corners: (8, 3) of the mesh's bounding box in the object's frame.
        no_colours: empty device arrays in place of the mesh's colours.
        keyframes: views whose colours are known; the first come from the reference.
        references: how many of them do.
        reference_area: projected area in square metres of the mesh as the first reference view shows it.
        reference_goes_on: how much of the surface around the mask goes on there, see `surroundings`.
        fused: what later views added to the mesh; None where nothing may.
    """

    mesh: DeviceMesh
    center: npt.NDArray[np.float64]
    radius_m: float
    corners: npt.NDArray[np.float64]
    no_colours: tuple[Any, ...]
    keyframes: tuple[Keyframe, ...]
    references: int
    reference_area: float = 0.0
    reference_goes_on: float = float("nan")
    fused: Fused | None = None

    @property
    def open_surface(self) -> bool:
        """Whether the mesh is a surface without a back."""
        return self.mesh.mesh.open_surface


@dataclass(frozen=True, eq=False)
class Samples:
    """Surface points of N views of the model; a zero normal marks a grid cell whose ray misses.

    Attributes:
        points: (N, n) device array of vec3, object frame, metres.
        normals: (N, n) device array of vec3, object frame, towards the camera they were cast from.
        reference: (N, n) device array, intensity in [0, 1]; negative where unknown.
        windows: the grid's camera of each view; None where the object is not before the camera.
        cells: grid cells along a side: n is its square.
    """

    points: Any
    normals: Any
    reference: Any
    windows: tuple[Camera | None, ...]
    cells: int

    def cell_area(self, camera: Camera) -> npt.NDArray[np.float64]:
        """(N,) pixels of the full image that one cell covers."""
        return np.array([(camera.fx / w.fx) * (camera.fy / w.fy) if w else 0.0 for w in self.windows])


def make_model(reference: Reference, caster: RayCaster, images: list[FrameImages]) -> PoseModel:
    """Put a reference on the device.

    Args:
        reference: mesh and views.
        caster: whose device is used.
        images: of the reference's views, in their order.
    """
    keyframes = tuple(
        make_keyframe(image, view.mask, view.cam_T_obj, caster.device)
        for image, view in zip(images, reference.views, strict=True)
    )
    nothing = tuple(
        wp.empty((0,) * ndim, dtype=kind, device=caster.device)
        for kind, ndim in ((wp.vec3, 1), (wp.vec2, 1), (wp.vec3, 2))
    )
    return PoseModel(
        *_placed(reference.mesh, caster), no_colours=nothing, keyframes=keyframes, references=len(keyframes)
    )


def with_mesh(model: PoseModel, mesh: Mesh, caster: RayCaster) -> PoseModel:
    """The model with another mesh in the same frame."""
    on_device, center, radius_m, corners = _placed(mesh, caster)
    return replace(model, mesh=on_device, center=center, radius_m=radius_m, corners=corners)


def _placed(
    mesh: Mesh, caster: RayCaster
) -> tuple[DeviceMesh, npt.NDArray[np.float64], float, npt.NDArray[np.float64]]:
    """A mesh on the device, its centre (3,), the radius about that, and the corners (8, 3) of its bounding box."""
    reach = float(np.linalg.norm(mesh.vertices - mesh.center, axis=1).max())
    corners = np.stack(np.meshgrid(*mesh.bounds.T, indexing="ij"), -1).reshape(8, 3)
    return caster.upload(mesh), mesh.center, reach, corners


def view_window(model: PoseModel, cam_T_obj: Pose, camera: Camera, cells: int) -> Camera | None:
    """Camera of a cells x cells grid over the projected bounding box; None when that is not before the camera."""
    corners = model.corners @ cam_T_obj[:3, :3].T + cam_T_obj[:3, 3]
    z = corners[:, 2]
    if not np.isfinite(corners).all() or z.max() < MIN_DISTANCE_M:
        return None
    z = np.maximum(z, max(MIN_DISTANCE_M, 0.2 * float(z.max())))
    u = camera.fx * corners[:, 0] / z + camera.cx
    v = camera.fy * corners[:, 1] / z + camera.cy
    width, height = max(float(np.ptp(u)), 4.0), max(float(np.ptp(v)), 4.0)
    return camera.window(float(u.min()) + 0.5, float(v.min()) + 0.5, width, height, cells, cells)


def grid_view(cam_T_obj: Pose, window: Camera) -> npt.NDArray[np.float32]:
    """One view as the ray-casting kernels take it: obj_T_cam, then the grid's intrinsics."""
    view = np.zeros(kernels.VIEW_FLOATS, dtype=np.float32)
    view[:16] = se3.inverse(cam_T_obj).ravel()
    view[16:20] = window.fx, window.fy, window.cx, window.cy
    return view


def take_samples(
    model: PoseModel,
    cam_T_obj: npt.NDArray[np.float64],
    camera: Camera,
    cells: int,
    level: int,
    caster: RayCaster,
    *,
    keyframe: Keyframe | None = None,
    mesh_colours: bool = False,
) -> Samples:
    """Cast a grid of rays over the object for N poses, and look the hits' colours up in the keyframes.

    Args:
        model: the object.
        cam_T_obj: (4, 4) or (N, 4, 4) poses to look from.
        camera: of the full image.
        cells: grid cells along a side of the window around the object.
        level: pyramid level whose intensities are taken.
        caster: ray caster.
        keyframe: where colours are looked up; without one there are none but the mesh's.
        mesh_colours: also take the mesh's own colours, where the keyframe does not show the point. A scan's colours
            are not the camera's, so that tracking does without; a registration sees sides that no keyframe saw.
    """
    poses = np.asarray(cam_T_obj, dtype=np.float64).reshape(-1, 4, 4)
    windows = tuple(view_window(model, pose, camera, cells) for pose in poses)
    views = np.zeros((len(poses), kernels.VIEW_FLOATS), dtype=np.float32)
    for i, window in enumerate(windows):
        if window is None:
            views[i, :16] = se3.transform(np.eye(3), np.full(3, 1e6)).ravel()  # rays that meet nothing
            views[i, 16:18] = 1.0
        else:
            views[i] = grid_view(poses[i], window)
    device, mesh = caster.device, model.mesh
    shape = (len(poses), cells * cells)
    points = wp.empty(shape, dtype=wp.vec3, device=device)
    normals = wp.empty(shape, dtype=wp.vec3, device=device)
    reference = wp.empty(shape, dtype=wp.float32, device=device)
    wp.launch(
        kernels.sample_surface,
        dim=shape,
        inputs=[
            wp.uint64(mesh.id),
            caster.array(views, wp.float32),
            cells,
            cells,
            int(model.open_surface),
            *((mesh.vertex_colors, mesh.uv, mesh.texture) if mesh_colours else model.no_colours),
        ],
        outputs=[points, normals, reference],
        device=device,
    )
    if keyframe is not None:
        _paint(keyframe, points, normals, reference, level, device)
    return Samples(points, normals, reference, windows, cells)


def best_keyframe(model: PoseModel, cam_T_obj: Pose) -> Keyframe | None:
    """The keyframe that saw the object from the most similar side; the reference's are preferred a little."""
    if not model.keyframes:
        return None
    to_camera = view_direction(cam_T_obj)
    agreement = [
        float(key.direction @ to_camera) + (_REFERENCE_BONUS if i < model.references else 0.0)
        for i, key in enumerate(model.keyframes)
    ]
    return model.keyframes[int(np.argmax(agreement))]


def _paint(key: Keyframe, points: Any, normals: Any, reference: Any, level: int, device: str) -> None:
    wp.launch(
        kernels.look_up_reference,
        dim=points.shape,
        inputs=[
            points,
            normals,
            key.matrix,
            key.images.k,
            0.5**level,
            key.images.depth,
            key.mask,
            key.images.grey[level],
            KEYFRAME_DEPTH_TOLERANCE,
        ],
        outputs=[reference],
        device=device,
    )
