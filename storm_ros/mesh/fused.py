"""A surface that grows while the object is tracked: views fused into a volume of truncated signed distances.

The lifted reference view stays as it is; what other views show of the object is averaged in a volume about it (Curless
and Levoy, 1996; KinectFusion, 2011) and its surface is added where the reference saw nothing. The object's frame is
the reference's and never moves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import warp as wp

from storm_ros.core import se3
from storm_ros.core.config import MeshConfig
from storm_ros.core.types import Mesh, Pose, PoseEstimate, Reference, RgbdFrame, View
from storm_ros.mesh import fused_kernels
from storm_ros.mesh.fused_region import Hull, ObjectView, object_view, reference_hull
from storm_ros.mesh.fused_surface import compact, surface

_TRUNCATION_VOXELS = 3.0
_DEPTH_ERROR = 0.008  # of the truncation: depth error at 1 m that it must hold, growing with the distance squared
_WEIGHT_LIMIT = 60.0
_MIN_WEIGHT = 0.8
_MIN_SCORE, _MIN_INLIERS, _MAX_OCCLUDED, _MIN_IN_VIEW = 0.7, 0.8, 0.1, 0.98
_MAX_RESIDUAL_M = 0.005
_STEEP_COSINE = 0.25
_COVERED = 1.5
_ROLL_BACK = 3
_LIFTED_SERVES_RAD = np.radians(20.0)


@dataclass(frozen=True, eq=False)
class Volume:
    """A grid of truncated signed distances on the device; a new one is made for every change.

    Attributes:
        origin: (3,) of the first voxel, object frame, metres.
        voxel_m: distance between voxels.
        truncation_m: distance that counts as 1.
        distance: (X, Y, Z) device array, in units of the truncation, positive outside.
        weight: (X, Y, Z) device array, how much was seen.
        colour: (X, Y, Z) device array of half-precision RGB in 0 to 255, negative where unknown.
    """

    origin: npt.NDArray[np.float64]
    voxel_m: float
    truncation_m: float
    distance: Any
    weight: Any
    colour: Any

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        return int(self.distance.capacity + self.weight.capacity + self.colour.capacity)


@dataclass(frozen=True, eq=False)
class Fused:
    """What was fused of one object.

    Attributes:
        lifted: surface of the reference view.
        reference: that view.
        lifted_m: (H, W) float32, depth of the lifted surface in that view, 0 elsewhere.
        hull: where the object can be.
        volume: what all fused views say.
        directions: (N, 3) unit vectors from the object to the camera, of the fused views; the reference's is first.
        stale: whether the mesh is worth making anew; up to 20 degrees from the reference the lifted one serves best.
        earlier: the two states of some views ago that `forgotten` can go back to, the older first.
    """

    lifted: Mesh
    reference: View
    lifted_m: npt.NDArray[np.float32]
    hull: Hull
    volume: Volume
    directions: npt.NDArray[np.float64]
    stale: bool = False
    earlier: tuple[Fused, ...] = ()

    @property
    def nbytes(self) -> int:
        """Memory that the volumes take."""
        return self.volume.nbytes + sum(e.volume.nbytes for e in self.earlier)


class SurfaceFuser:
    """Fuses good views of a tracked object into its surface; keeps nothing between calls."""

    def __init__(self, config: MeshConfig, device: str = "cpu") -> None:
        """Take the knobs `fused_*` and the device of the volumes, as Warp names it; compiles the kernel."""
        self.config, self.device = config, device
        wp.load_module(fused_kernels, device=device)

    def start(self, reference: Reference) -> Fused | None:
        """What is known at the start: the reference view; None where its mesh has a back already, or has no view."""
        if not reference.mesh.open_surface or not reference.views:
            return None
        view = reference.views[0]
        hull = reference_hull(view, reference.mesh.vertices)
        near = _lifted_depth(reference.mesh, view, self.config.stride)
        start = Fused(reference.mesh, view, near, hull, self._empty(hull, view), direction_of(view.cam_T_obj)[None])
        seen = self._seen(view.frame, view.mask, view.cam_T_obj, hull)
        return start if seen is None else replace(start, volume=self._integrated(start.volume, seen, view.cam_T_obj))

    def due(self, fused: Fused, estimate: PoseEstimate) -> bool:
        """Whether a view shows the object from a new side, and well enough to be believed."""
        good = (
            estimate.mask is not None
            and estimate.score >= _MIN_SCORE
            and estimate.inlier_ratio >= _MIN_INLIERS
            and estimate.occluded <= _MAX_OCCLUDED
            and estimate.in_view >= _MIN_IN_VIEW
            and estimate.residual_m <= _MAX_RESIDUAL_M * max(1.0, float(estimate.cam_T_obj[2, 3]) ** 2)
        )
        nearest = float((fused.directions @ direction_of(estimate.cam_T_obj)).max())
        return good and nearest < np.cos(np.radians(self.config.fused_step_deg))

    def fuse(self, frame: RgbdFrame, fused: Fused, estimate: PoseEstimate) -> Fused:
        """Enter a view that is `due`.

        Args:
            frame: the image.
            fused: what is known; it stays as it is.
            estimate: the object's pose there, with its mask.

        Returns:
            What is known then; the same object when the view shows too little.
        """
        pose = estimate.cam_T_obj
        seen = None if estimate.mask is None else self._seen(frame, estimate.mask, pose, fused.hull)
        if seen is None:
            return fused
        count, earlier = len(fused.directions), fused.earlier
        if (count - 1) % _ROLL_BACK == 0:
            earlier = (*earlier[-1:], replace(fused, earlier=()))
        directions = np.concatenate([fused.directions, direction_of(pose)[None]])
        volume = self._integrated(fused.volume, seen, pose)
        return replace(
            fused, volume=volume, directions=directions, stale=_turned_away(directions[-1:], fused), earlier=earlier
        )

    def forgotten(self, fused: Fused) -> Fused:
        """What was known three to five fused views earlier: a track that went wrong may have entered the last ones.

        Older views stay: each was good, and so were the ones after it.
        """
        return fused.earlier[0] if fused.earlier else fused

    def shown(self, fused: Fused, direction: npt.NDArray[np.float64]) -> bool:
        """Whether a fused view shows the object from about a direction (3,), of unit length."""
        return float((fused.directions @ direction).max()) > np.cos(np.radians(1.5 * self.config.fused_step_deg))

    def mesh(self, fused: Fused) -> Mesh:
        """The lifted surface, and the fused one where the reference saw nothing; the former alone up to 20 degrees."""
        volume = fused.volume
        if not _turned_away(fused.directions, fused):
            return fused.lifted
        raw = volume.colour.numpy()
        grown = surface(
            volume.distance.numpy(),
            volume.weight.numpy(),
            raw.reshape(*raw.shape[:3], 3),
            volume.origin,
            volume.voxel_m,
            min_weight=_MIN_WEIGHT,
        )
        grown = None if grown is None else _unseen_by(fused, grown)
        return fused.lifted if grown is None else _joined(fused.lifted, grown)

    def _seen(self, frame: RgbdFrame, mask: npt.NDArray[np.bool_], pose: Pose, hull: Hull) -> ObjectView | None:
        c = self.config
        grazing = min(c.max_grazing_deg, 75.0)
        return object_view(frame, mask, pose, hull, max_jump=c.max_jump, max_grazing_deg=grazing)

    def _empty(self, hull: Hull, view: View) -> Volume:
        extent = hull.high - hull.low
        voxel = float(extent.max()) / (self.config.fused_voxels - 1)
        shape = tuple(int(n) for n in np.ceil(extent / voxel).astype(int) + 1)
        distance = float(view.cam_T_obj[2, 3])
        truncation = max(_TRUNCATION_VOXELS * voxel, _DEPTH_ERROR * distance**2)
        return Volume(
            hull.low,
            voxel,
            truncation,
            wp.zeros(shape, dtype=wp.float32, device=self.device),
            wp.zeros(shape, dtype=wp.float32, device=self.device),
            wp.full(shape, wp.vec3h(-1.0, -1.0, -1.0), dtype=wp.vec3h, device=self.device),
        )

    def _integrated(self, volume: Volume, seen: ObjectView, cam_T_obj: Pose) -> Volume:
        after = replace(
            volume, distance=wp.clone(volume.distance), weight=wp.clone(volume.weight), colour=wp.clone(volume.colour)
        )
        device, camera = self.device, seen.camera
        wp.launch(
            fused_kernels.integrate_view,
            dim=after.distance.shape[:2],
            inputs=[
                wp.vec3(*volume.origin),
                volume.voxel_m,
                volume.truncation_m,
                _WEIGHT_LIMIT,
                wp.mat44(np.asarray(cam_T_obj, dtype=np.float32)),
                wp.vec4(camera.fx, camera.fy, camera.cx, camera.cy),
                wp.array(seen.depth_m, dtype=wp.float32, device=device),
                wp.array(seen.normals, dtype=wp.vec3, device=device),
                wp.array(seen.weights, dtype=wp.float32, device=device),
                wp.array(seen.rgb, dtype=wp.uint8, device=device),
            ],
            outputs=[after.distance, after.weight, after.colour],
            device=device,
        )
        return after


def direction_of(cam_T_obj: Pose) -> npt.NDArray[np.float64]:
    """Unit vector (3,) from the object to the camera, in the object's frame."""
    to_camera = -cam_T_obj[:3, :3].T @ cam_T_obj[:3, 3]
    return to_camera / max(float(np.linalg.norm(to_camera)), 1e-9)


def _turned_away(directions: npt.NDArray[np.float64], fused: Fused) -> bool:
    """Whether one of the directions (N, 3) is farther from the reference's than its surface serves."""
    return float((directions @ fused.directions[0]).min()) < np.cos(_LIFTED_SERVES_RAD)


def _unseen_by(fused: Fused, grown: Mesh) -> Mesh | None:
    """The faces that do not lie on the reference's own surface."""
    camera = fused.reference.frame.camera
    vertices = se3.apply(fused.reference.cam_T_obj, grown.vertices)
    a, b, c = (vertices[grown.faces[:, i]] for i in range(3))
    p, normal = (a + b + c) / 3.0, np.cross(b - a, c - a)
    lengths = np.einsum("ij,ij->i", normal, normal) * np.einsum("ij,ij->i", p, p)
    facing = -np.einsum("ij,ij->i", normal, p) > _STEEP_COSINE * np.sqrt(lengths)
    pixel = np.floor(camera.project(p) + 0.5).astype(np.intp)
    col, row = pixel[:, 0].clip(0, camera.width - 1), pixel[:, 1].clip(0, camera.height - 1)
    covered = facing & (np.abs(fused.lifted_m[row, col] - p[:, 2]) < _COVERED * fused.volume.truncation_m)
    colors = grown.colors
    assert colors is not None
    return compact(grown.vertices, grown.faces[~covered], colors)


def _lifted_depth(lifted: Mesh, view: View, stride: int) -> npt.NDArray[np.float32]:
    """Depth (H, W) of the lifted vertices in the reference view, spread over the pixels between them; 0 elsewhere."""
    camera = view.frame.camera
    p = se3.apply(view.cam_T_obj, lifted.vertices)
    pixel = np.floor(camera.project(p) + 0.5).astype(np.intp)
    depth = np.zeros((camera.height, camera.width), np.float32)
    inside = ((pixel >= 0) & (pixel < [camera.width, camera.height])).all(1)
    depth[pixel[inside, 1], pixel[inside, 0]] = p[inside, 2]
    spread = cv2.dilate(depth, np.ones((2 * stride + 1, 2 * stride + 1), np.uint8))
    return np.where(depth > 0, depth, spread).astype(np.float32)


def _joined(lifted: Mesh, grown: Mesh) -> Mesh:
    a, b = lifted.colors, grown.colors
    grey = np.full((len(lifted.vertices), 3), 128, np.uint8)
    assert b is not None
    return Mesh(
        np.concatenate([lifted.vertices, grown.vertices]),
        np.concatenate([lifted.faces, grown.faces + len(lifted.vertices)]),
        np.concatenate([grey if a is None else a, b]),
        open_surface=True,
        name="fused",
    )
