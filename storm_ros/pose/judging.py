"""The kernel that compares a pose with a frame, ray by ray."""

# Warp reads the kernels' annotations at run time: no `from __future__ import annotations` in this module.
import warp as wp

from storm_ros.pose.kernels import keyframe_pixel, view_pose

wp.set_module_options({"enable_backward": False})  # no gradients are taken: half the compile time

MISS, OUTSIDE, NO_DEPTH, AGREES, DIFFERS, IN_FRONT = range(6)
"""What a ray says: it misses the model, leaves the image, meets no depth, or depth that agrees, differs or hides."""

RECORD = 9
CATEGORY, TO_PLANE, Z = range(3)
WAS, NOW = slice(3, 6), slice(6, 9)
"""Places in a ray's record; the colours lie in [0, 1], and WAS is negative where no keyframe shows the point."""


@wp.func
def pixel(image: wp.array3d(dtype=wp.uint8), row: int, col: int):
    """Colour in [0, 1]."""
    return wp.vec3(float(image[row, col, 0]), float(image[row, col, 1]), float(image[row, col, 2])) / 255.0


@wp.kernel
def judge_rays(
    mesh_id: wp.uint64,
    views: wp.array2d(dtype=float),
    cells: int,
    one_sided: int,
    cam_T_obj: wp.mat44,
    k: wp.vec4,
    depth: wp.array2d(dtype=float),
    rgb: wp.array3d(dtype=wp.uint8),
    tolerance_at_1m: float,
    tolerance_limit: float,
    compare: int,
    key_T_obj: wp.mat44,
    key_k: wp.vec4,
    key_depth: wp.array2d(dtype=float),
    key_mask: wp.array2d(dtype=wp.uint8),
    key_rgb: wp.array3d(dtype=wp.uint8),
    key_tolerance: float,
    records: wp.array2d(dtype=float),
):
    """Cast a grid of rays over the object and say of each what the frame shows where it meets the model."""
    tid = wp.tid()
    grid_row = tid // cells
    grid_col = tid - grid_row * cells
    obj_T_cam = view_pose(views, 0)
    origin = wp.vec3(obj_T_cam[0, 3], obj_T_cam[1, 3], obj_T_cam[2, 3])
    ray = wp.transform_vector(
        obj_T_cam,
        wp.vec3((float(grid_col) - views[0, 18]) / views[0, 16], (float(grid_row) - views[0, 19]) / views[0, 17], 1.0),
    )
    category = int(0)
    hit = wp.mesh_query_ray(mesh_id, origin, ray, 1000.0)
    facing = wp.dot(hit.normal, ray)
    if hit.result and (facing < 0.0 or one_sided == 0):
        point = origin + ray * hit.t
        normal = hit.normal
        if facing > 0.0:
            normal = -hit.normal
        p = wp.transform_point(cam_T_obj, point)
        records[tid, 2] = p[2]
        category = 1
        col = int(wp.floor(k[0] * p[0] / p[2] + k[2] + 0.5))
        row = int(wp.floor(k[1] * p[1] / p[2] + k[3] + 0.5))
        if col >= 0 and row >= 0 and col < depth.shape[1] and row < depth.shape[0]:
            category = 2
            tolerance = wp.min(tolerance_at_1m * wp.max(p[2] * p[2], 0.35), tolerance_limit)
            seen = depth[row, col]
            if seen > 0.0:
                n = wp.transform_vector(cam_T_obj, normal)
                along = seen - p[2]
                to_plane = along * wp.abs(wp.dot(n, p)) / wp.length(p)
                records[tid, 1] = to_plane
                category = 4
                if along < -wp.max(2.5 * tolerance, 0.02):
                    category = 5
                elif wp.abs(to_plane) < tolerance and wp.abs(along) < 4.0 * tolerance:
                    category = 3
            was = wp.vec3(-1.0, -1.0, -1.0)
            if compare == 1 and category != 5:
                place = keyframe_pixel(point, normal, key_T_obj, key_k, key_depth, key_mask, key_tolerance)
                if place[0] >= 0.0:
                    was = pixel(key_rgb, int(wp.floor(place[1] + 0.5)), int(wp.floor(place[0] + 0.5)))
                    now = pixel(rgb, row, col)
                    for c in range(3):
                        records[tid, 6 + c] = now[c]
            for c in range(3):
                records[tid, 3 + c] = was[c]
    records[tid, 0] = float(category)
