"""The kernel that enters one view into a volume of truncated signed distances."""

# Warp reads the kernels' annotations at run time: no `from __future__ import annotations` in this module.
import warp as wp

wp.set_module_options({"enable_backward": False})  # no gradients are taken: half the compile time

_FREE_WEIGHT = wp.constant(0.3)
_FREE_SHARE = wp.constant(1.5)
_FREE_BEFORE = wp.constant(0.3)


@wp.kernel
def integrate_view(
    origin: wp.vec3,
    voxel_m: float,
    truncation_m: float,
    weight_limit: float,
    cam_T_obj: wp.mat44,
    k: wp.vec4,
    depth: wp.array2d(dtype=float),
    normals: wp.array2d(dtype=wp.vec3),
    weights: wp.array2d(dtype=float),
    rgb: wp.array3d(dtype=wp.uint8),
    distance: wp.array3d(dtype=float),
    weight: wp.array3d(dtype=float),
    colour: wp.array3d(dtype=wp.vec3h),
):
    """Average a view into the volume in place (Curless and Levoy, 1996).

    The distance of a voxel is that to the tangent plane at the pixel it falls on. Pixels of weight 0 are not the
    object's: they only tell that what lies well before them is empty. Of space that was seen to be empty, no view from
    the other side says that it lies behind a surface, so that thin walls stay.
    """
    i, j = wp.tid()
    p = wp.transform_point(cam_T_obj, origin + voxel_m * wp.vec3(float(i), float(j), -1.0))
    step = wp.transform_vector(cam_T_obj, wp.vec3(0.0, 0.0, voxel_m))
    for n in range(distance.shape[2]):
        p += step
        if p[2] < 0.05:
            continue
        col = int(wp.floor(k[0] * p[0] / p[2] + k[2] + 0.5))
        row = int(wp.floor(k[1] * p[1] / p[2] + k[3] + 0.5))
        if col < 0 or row < 0 or col >= depth.shape[1] or row >= depth.shape[0]:
            continue
        z = depth[row, col]
        w = weights[row, col]
        if z <= 0.0 or z - p[2] < -_FREE_SHARE * truncation_m:
            continue
        d = float(1.0)
        if w > 0.0:
            q = wp.vec3((float(col) - k[2]) / k[0] * z, (float(row) - k[3]) / k[1] * z, z)
            d = wp.dot(normals[row, col], p - q) / truncation_m
        elif z - p[2] > _FREE_SHARE * truncation_m:
            w = _FREE_WEIGHT
        if w == 0.0 or d < -1.0:
            continue
        old = weight[i, j, n]
        was = distance[i, j, n]
        if d < 0.0:
            if old > _FREE_WEIGHT and was > _FREE_BEFORE and d < -_FREE_BEFORE:
                continue
            w = w * (1.0 + 0.9 * d)
        elif d >= 1.0:
            w = wp.min(w, _FREE_WEIGHT)
            d = 1.0
        total = old + w
        distance[i, j, n] = (was * old + d * w) / total
        weight[i, j, n] = wp.min(total, weight_limit)
        if d < 1.0:
            seen = wp.vec3(float(rgb[row, col, 0]), float(rgb[row, col, 1]), float(rgb[row, col, 2]))
            kept = colour[i, j, n]
            mean = wp.vec3(float(kept[0]), float(kept[1]), float(kept[2]))
            if mean[0] < 0.0:
                mean = seen
            mean += (seen - mean) * (w / total)
            colour[i, j, n] = wp.vec3h(wp.float16(mean[0]), wp.float16(mean[1]), wp.float16(mean[2]))
