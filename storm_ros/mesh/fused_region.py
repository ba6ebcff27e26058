"""Which depth of a new view belongs to a tracked object: what grows out of its known surface, inside its hull."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.core import se3
from storm_ros.core.types import Camera, Mask, Pose, RgbdFrame, View
from storm_ros.mesh.plane import Plane, fit_plane, tolerance_m

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]

_CONE_MARGIN = 0.04  # of the object's size: how far its silhouette may lie beside that of the reference
_FRONT_MARGIN = 0.06
_RING = 0.35  # width of the surroundings in which the support is looked for, of the object's size
_REACH = 0.25  # how far new surface may lie beside the known one, of the object's size
_SPECK_PX = 12
_NORMAL_PX = 2
_MIN_SEEDS = 64
_PAD_PX, _MIN_WINDOW = 8.0, 16


@dataclass(frozen=True, eq=False)
class Hull:
    """Where the object can be, in its own frame: in the reference's silhouette, not before what was seen there.

    Attributes:
        low: (3,) corner of the box that holds it, metres.
        high: (3,) the opposite corner.
        cam_T_obj: (4, 4) pose in the reference view.
        camera: of that view.
        silhouette: (H, W) bool, the reference's mask with a margin.
        nearest_m: (H, W) float32, what is nearer is empty; 0 where nothing is known.
        size_m: largest extent of the reference's surface.
    """

    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    cam_T_obj: Pose
    camera: Camera
    silhouette: Mask
    nearest_m: Floats
    size_m: float

    def holds(self, points: npt.NDArray[np.floating]) -> Bools:
        """Whether points (N, 3) of the object's frame can belong to it."""
        low, high = self.low.astype(np.float32), self.high.astype(np.float32)
        place = np.flatnonzero(((points > low) & (points < high)).all(-1))
        pose = self.cam_T_obj.astype(np.float32)
        x, y, z = pose[:3, :3] @ points[place].T + pose[:3, 3:]
        place, x, y, z = (values[z > 0.05] for values in (place, x, y, z))
        col = np.floor(self.camera.fx * x / z + (self.camera.cx + 0.5)).astype(np.int32)
        row = np.floor(self.camera.fy * y / z + (self.camera.cy + 0.5)).astype(np.int32)
        shown = (col >= 0) & (row >= 0) & (col < self.camera.width) & (row < self.camera.height)
        at = row[shown], col[shown]
        held = self.silhouette[at] & (z[shown] > self.nearest_m[at])
        inside = np.zeros(len(points), dtype=bool)
        inside[place[shown][held]] = True
        return inside


@dataclass(frozen=True, eq=False)
class ObjectView:
    """A view cut down to the object.

    Attributes:
        camera: of the cut.
        depth_m: (h, w) float32.
        normals: (h, w, 3) float32, towards the camera, camera frame; 0 where there is none.
        weights: (h, w) float32, 0 off the object; less at grazing angles and from afar.
        rgb: (h, w, 3) uint8.
    """

    camera: Camera
    depth_m: Floats
    normals: Floats
    weights: Floats
    rgb: npt.NDArray[np.uint8]


def reference_hull(view: View, vertices: npt.NDArray[np.floating]) -> Hull:
    """The hull of an object of which one view is known.

    Args:
        view: the reference.
        vertices: (V, 3) of the surface lifted from it, object frame.
    """
    p = se3.apply(view.cam_T_obj, vertices)
    near, far = p[:, 2].min(), p[:, 2].max()
    size = float(max(np.ptp(p[:, 0]), np.ptp(p[:, 1]), far - near))
    depth = max(1.5 * size, 2.0 * (far - near))  # what lies behind what was seen
    margin = _CONE_MARGIN * size
    back = near + depth
    rays = np.stack([p[:, 0] / p[:, 2], p[:, 1] / p[:, 2]], -1)
    corners = np.concatenate([np.c_[rays * z, np.full(len(rays), z)] for z in (near - margin, back)])
    corners = se3.apply(se3.inverse(view.cam_T_obj), corners)
    width_px = max(1, round(margin * view.frame.camera.fx / float(np.median(p[:, 2]))))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width_px + 1, 2 * width_px + 1))
    silhouette = cv2.dilate(view.mask.astype(np.uint8), disc) > 0
    depth_m = np.where(view.mask, view.frame.depth_m, np.float32(0.0))
    nearest = np.where(depth_m > 0, depth_m - np.float32(_FRONT_MARGIN * size), np.float32(0.0))
    low, high = corners.min(0) - margin, corners.max(0) + margin
    return Hull(low, high, view.cam_T_obj, view.frame.camera, silhouette, nearest.astype(np.float32), size)


def object_view(
    frame: RgbdFrame, known: Mask, cam_T_obj: Pose, hull: Hull, *, max_jump: float, max_grazing_deg: float
) -> ObjectView | None:
    """Cut a view down to the depth that belongs to the object.

    Seeds are pixels on which the known surface is seen. From there the object goes on as far as the depth does without
    a jump, but not onto the plane around it, not out of its hull, not far beyond what is known in one view, and not
    towards a surface that goes on outside of the hull, such as a hand.

    Args:
        frame: the image.
        known: (H, W) bool, where the known surface is visible.
        cam_T_obj: (4, 4) pose in this frame.
        hull: where the object can be.
        max_jump: depth step relative to the depth that parts two surfaces.
        max_grazing_deg: angle between view ray and normal from which on depth is not used.

    Returns:
        The cut, or None when next to nothing of the object has depth here.
    """
    window = _window(hull, known, cam_T_obj, frame)
    if window is None:
        return None
    rows, columns = window
    camera, shape = frame.camera, (rows.stop - rows.start, columns.stop - columns.start)
    camera = camera.window(columns.start, rows.start, shape[1], shape[0], shape[1], shape[0])
    depth, seeds = frame.depth_m[window], known[window]
    rays = camera.backproject(np.ones(shape, np.float32))
    points = rays * depth[..., None]
    valid = depth > 0
    obj_T_cam = se3.inverse(cam_T_obj).astype(np.float32)
    inside = np.zeros(shape, dtype=bool)
    inside[valid] = hull.holds(points[valid] @ obj_T_cam[:3, :3].T + obj_T_cam[:3, 3])
    size_px = hull.size_m * camera.fx / float(cam_T_obj[2, 3])
    plane = _support(points, valid & ~inside, seeds, size_px)
    off_plane = valid
    if plane is not None:
        height = points @ plane.normal.astype(np.float32) - np.float32(plane.offset_m)
        off_plane = valid & (height > tolerance_m(depth))
    smooth = _continuous(depth, off_plane, max_jump)
    labels = cv2.connectedComponents(smooth.astype(np.uint8), connectivity=4)[1]
    seeds = cv2.erode(seeds.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool) & smooth & inside
    if int(seeds.sum()) < _MIN_SEEDS:
        return None
    held = np.bincount(labels[seeds], minlength=int(labels.max()) + 1) >= _SPECK_PX
    held[0] = False
    grown = held[labels]
    from_seed = _distance_px(~seeds)
    beyond = cv2.morphologyEx((grown & ~inside).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    chosen = grown & inside & (from_seed <= max(4.0, _REACH * size_px))
    if int(beyond.sum()) >= _SPECK_PX:
        chosen &= (from_seed < 1.0) | (from_seed < _distance_px(~beyond))
    normals, cosine = _normals(rays, depth, smooth)
    limit = np.cos(np.radians(max_grazing_deg))
    distance = np.maximum(depth, np.float32(0.1))
    weights = np.where(chosen & (cosine > limit), (cosine / distance) ** 2, 0.0).astype(np.float32)
    if int((weights > 0).sum()) < _MIN_SEEDS:
        return None
    return ObjectView(camera, np.ascontiguousarray(depth), normals, weights, np.ascontiguousarray(frame.rgb[window]))


def _window(hull: Hull, known: Mask, cam_T_obj: Pose, frame: RgbdFrame) -> tuple[slice, slice] | None:
    """Rows and columns of the known surface and its surroundings, as far as the hull's box reaches."""
    box = np.stack(np.meshgrid(*np.stack([hull.low, hull.high], -1), indexing="ij"), -1).reshape(-1, 3)
    p = se3.apply(cam_T_obj, box)
    rows, columns = np.flatnonzero(known.any(1)), np.flatnonzero(known.any(0))
    if p[:, 2].min() < 0.05 or not len(rows):
        return None
    pixels = frame.camera.project(p)
    around = _RING * hull.size_m * frame.camera.fx / float(cam_T_obj[2, 3])
    low = np.maximum(pixels.min(0) - _PAD_PX, [columns[0] - around, rows[0] - around])
    high = np.minimum(pixels.max(0) + _PAD_PX, [columns[-1] + around + 1, rows[-1] + around + 1])
    left, top = np.maximum(np.floor(low), 0).astype(int).tolist()
    right, bottom = np.minimum(np.ceil(high), [frame.shape[1], frame.shape[0]]).astype(int).tolist()
    return None if right - left < _MIN_WINDOW or bottom - top < _MIN_WINDOW else np.s_[top:bottom, left:right]


def _support(points: Floats, outside: Bools, seeds: Bools, size_px: float) -> Plane | None:
    """The plane around the object, where there is one, from what is certainly not the object's."""
    near = _distance_px(~seeds) <= max(16.0, _RING * size_px)
    return fit_plane(points[near & outside])


def _continuous(depth: Floats, valid: Bools, max_jump: float) -> Bools:
    """Valid pixels without a depth jump to one of their neighbours."""
    kernel = np.ones((3, 3), np.uint8)
    low = cv2.erode(np.where(valid, depth, np.float32(1e3)), kernel)
    high = cv2.dilate(np.where(valid, depth, np.float32(0.0)), kernel)
    return valid & (high - low <= max_jump * depth)


def _normals(rays: Floats, depth: Floats, smooth: Bools) -> tuple[Floats, Floats]:
    """Normals (h, w, 3) towards the camera and the cosine (h, w) of the angle to the view ray; 0 where unknown.

    Args:
        rays: (h, w, 3) points at a depth of 1.
        depth: (h, w) metres.
        smooth: (h, w) bool, where depth is to be used.
    """
    weight = cv2.GaussianBlur(smooth.astype(np.float32), (0, 0), 1.5)
    mean = cv2.GaussianBlur(np.where(smooth, depth, np.float32(0.0)), (0, 0), 1.5)
    x, y, z = cv2.split(rays * (mean / np.maximum(weight, np.float32(1e-6)))[..., None])
    d = _NORMAL_PX
    ax, ay, az = (v[d:-d, 2 * d :] - v[d:-d, : -2 * d] for v in (x, y, z))
    bx, by, bz = (v[2 * d :, d:-d] - v[: -2 * d, d:-d] for v in (x, y, z))
    normal = cv2.merge([by * az - bz * ay, bz * ax - bx * az, bx * ay - by * ax])
    ends = smooth[d:-d, 2 * d :] & smooth[d:-d, : -2 * d] & smooth[2 * d :, d:-d] & smooth[: -2 * d, d:-d]
    length = np.sqrt(np.einsum("ijk,ijk->ij", normal, normal))
    scale = np.where(ends & smooth[d:-d, d:-d], 1.0 / np.maximum(length, np.float32(1e-12)), 0.0).astype(np.float32)
    normals = np.zeros_like(rays)
    normals[d:-d, d:-d] = normal * scale[..., None]
    cosine = -np.einsum("ijk,ijk->ij", normals, rays) / np.sqrt(np.einsum("ijk,ijk->ij", rays, rays))
    return normals, np.maximum(cosine, np.float32(0.0)).astype(np.float32)


def _distance_px(mask: Bools) -> Floats:
    """Distance of each pixel (h, w) inside a mask to what is outside of it."""
    return np.asarray(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3), dtype=np.float32)
