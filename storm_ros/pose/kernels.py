"""Warp kernels of the geometric estimator: model samples, their reference colours, and Gauss-Newton itself.

A block of threads works on one pose and sums by tile reductions, without atomics, so that results are the same in
every run; on a CPU a block is one thread and the sums are plain loops.
"""

# Warp reads the kernels' annotations at run time: no `from __future__ import annotations` in this module.
import warp as wp

from storm_ros.render.raycast import texel

wp.set_module_options({"enable_backward": False})  # no gradients are taken: half the compile time

VIEW_FLOATS = 22
"""Floats that describe one view: a row-major pose (16), then fx, fy, cx, cy of a grid, or gain and offset."""

IN_VIEW, WITH_DEPTH, INLIERS, IN_FRONT, DEPTH_COST, DEPTH_WEIGHT = range(6)
COLOURED, COLOUR_COST, COLOUR_WEIGHT, TOTAL = range(6, 10)
SUM_I, SUM_R, SUM_II, SUM_RR, SUM_IR, ITERATIONS = range(10, 16)
STATS = 16
"""How many sums `gauss_newton` gives for each view; the names before are their places."""

_GAUSS_NEWTON_DAMPING = wp.constant(1.0e-3)
_STEP_LIMIT_RAD = wp.constant(0.35)
_LUMA = wp.constant(wp.vec3(0.299 / 255.0, 0.587 / 255.0, 0.114 / 255.0))


@wp.func
def view_pose(views: wp.array2d(dtype=float), i: int):
    """Pose of a view, as a matrix."""
    return wp.mat44(
        views[i, 0], views[i, 1], views[i, 2], views[i, 3],
        views[i, 4], views[i, 5], views[i, 6], views[i, 7],
        views[i, 8], views[i, 9], views[i, 10], views[i, 11],
        0.0, 0.0, 0.0, 1.0,
    )  # fmt: skip


@wp.kernel
def sample_surface(
    mesh_id: wp.uint64,
    views: wp.array2d(dtype=float),
    width: int,
    height: int,
    one_sided: int,
    vertex_colors: wp.array(dtype=wp.vec3),
    uv: wp.array(dtype=wp.vec2),
    texture: wp.array2d(dtype=wp.vec3),
    points: wp.array2d(dtype=wp.vec3),
    normals: wp.array2d(dtype=wp.vec3),
    intensity: wp.array2d(dtype=float),
):
    """Ray-cast a grid of pixels for each view: points and normals in the object's frame (zero normal: a miss).

    The pose of a view is obj_T_cam here, and the four numbers after it are the grid's intrinsics.
    """
    view, pixel = wp.tid()
    row = pixel // width
    col = pixel - row * width
    pose = view_pose(views, view)
    origin = wp.vec3(pose[0, 3], pose[1, 3], pose[2, 3])
    in_camera = wp.vec3(
        (float(col) - views[view, 18]) / views[view, 16], (float(row) - views[view, 19]) / views[view, 17], 1.0
    )
    ray = wp.transform_vector(pose, in_camera)
    hit = wp.mesh_query_ray(mesh_id, origin, ray, 1000.0)
    normal = wp.vec3(0.0, 0.0, 0.0)
    value = float(-1.0)
    if hit.result:
        side = wp.dot(hit.normal, ray)
        if side < 0.0:
            normal = hit.normal
        elif one_sided == 0:
            normal = -hit.normal
        if texture.shape[0] > 0 or vertex_colors.shape[0] > 0:
            mesh = wp.mesh_get(mesh_id)
            i = mesh.indices[3 * hit.face]
            j = mesh.indices[3 * hit.face + 1]
            k = mesh.indices[3 * hit.face + 2]
            w = 1.0 - hit.u - hit.v
            colour = wp.vec3(0.0, 0.0, 0.0)
            if texture.shape[0] > 0:
                colour = texel(texture, uv[i] * hit.u + uv[j] * hit.v + uv[k] * w)
            else:
                colour = vertex_colors[i] * hit.u + vertex_colors[j] * hit.v + vertex_colors[k] * w
            value = wp.dot(colour, _LUMA)
    points[view, pixel] = origin + ray * hit.t
    normals[view, pixel] = normal
    intensity[view, pixel] = value


@wp.func
def bilinear(image: wp.array2d(dtype=wp.uint8), x: float, y: float):
    """Intensity in [0, 1] at a position that lies inside the image by one pixel at least."""
    x0 = int(wp.floor(x))
    y0 = int(wp.floor(y))
    ax = x - float(x0)
    ay = y - float(y0)
    top = float(image[y0, x0]) * (1.0 - ax) + float(image[y0, x0 + 1]) * ax
    bottom = float(image[y0 + 1, x0]) * (1.0 - ax) + float(image[y0 + 1, x0 + 1]) * ax
    return (top * (1.0 - ay) + bottom * ay) / 255.0


@wp.func
def bilinear_gradient(image: wp.array2d(dtype=wp.uint8), x: float, y: float):
    """Intensity in [0, 1] and its derivatives along x and y per pixel, from the same four pixels."""
    x0 = int(wp.floor(x))
    y0 = int(wp.floor(y))
    ax = x - float(x0)
    ay = y - float(y0)
    i00 = float(image[y0, x0])
    i01 = float(image[y0, x0 + 1])
    i10 = float(image[y0 + 1, x0])
    i11 = float(image[y0 + 1, x0 + 1])
    top = i00 + (i01 - i00) * ax
    bottom = i10 + (i11 - i10) * ax
    dx = (i01 - i00) * (1.0 - ay) + (i11 - i10) * ay
    return wp.vec3(top + (bottom - top) * ay, dx, bottom - top) / 255.0


@wp.func
def keyframe_pixel(
    point: wp.vec3,
    normal: wp.vec3,
    key_T_obj: wp.mat44,
    k: wp.vec4,
    depth: wp.array2d(dtype=float),
    mask: wp.array2d(dtype=wp.uint8),
    tolerance: float,
):
    """Where a keyframe shows a surface point, in pixels; (-1, -1) where it does not."""
    nowhere = wp.vec2(-1.0, -1.0)
    p = wp.transform_point(key_T_obj, point)
    n = wp.transform_vector(key_T_obj, normal)
    if p[2] <= 0.01 or wp.dot(n, p) > -0.2 * wp.length(p):
        return nowhere
    u = k[0] * p[0] / p[2] + k[2]
    v = k[1] * p[1] / p[2] + k[3]
    col = int(wp.floor(u + 0.5))
    row = int(wp.floor(v + 0.5))
    if col < 0 or row < 0 or col >= depth.shape[1] or row >= depth.shape[0]:
        return nowhere
    if mask[row, col] == wp.uint8(0):
        return nowhere
    seen = depth[row, col]
    if seen > 0.0 and wp.abs(seen - p[2]) > tolerance * p[2]:
        return nowhere
    return wp.vec2(wp.max(u, 0.0), wp.max(v, 0.0))


@wp.kernel
def look_up_reference(
    points: wp.array2d(dtype=wp.vec3),
    normals: wp.array2d(dtype=wp.vec3),
    key_T_obj: wp.mat44,
    k: wp.vec4,
    scale: float,
    depth: wp.array2d(dtype=float),
    mask: wp.array2d(dtype=wp.uint8),
    image: wp.array2d(dtype=wp.uint8),
    tolerance: float,
    intensity: wp.array2d(dtype=float),
):
    """Intensity of surface points in a keyframe; left as it is where the keyframe does not see them."""
    view, index = wp.tid()
    normal = normals[view, index]
    if wp.length_sq(normal) == 0.0:
        return
    place = keyframe_pixel(points[view, index], normal, key_T_obj, k, depth, mask, tolerance)
    if place[0] < 0.0:
        return
    x = (place[0] + 0.5) * scale - 0.5
    y = (place[1] + 0.5) * scale - 0.5
    if x < 0.0 or y < 0.0 or x >= float(image.shape[1] - 1) or y >= float(image.shape[0] - 1):
        return
    intensity[view, index] = bilinear(image, x, y)


@wp.func
def block_sum(value: float, threads: int):
    """Sum of a value over the threads of the block, the same in each of them.

    A single thread uses no tile: on a CPU the memory of tiles is shared by all launches, also of other Python threads.
    """
    total = value
    if threads > 1:
        total = wp.tile_sum(wp.tile(value))[0]
    return total


@wp.func
def solve(h: wp.spatial_matrix, g: wp.spatial_vector):
    """Minus the solution of the damped 6x6 system, by Cholesky decomposition."""
    low = wp.spatial_matrix()
    y = wp.spatial_vector()
    x = wp.spatial_vector()
    largest = float(0.0)
    for i in range(6):
        largest = wp.max(largest, h[i, i])
    for i in range(6):
        for j in range(i + 1):
            s = h[i, j]
            if i == j:
                s += _GAUSS_NEWTON_DAMPING * h[i, i] + 1.0e-6 * largest + 1.0e-9
            for m in range(j):
                s -= low[i, m] * low[j, m]
            if i == j:
                low[i, i] = wp.sqrt(wp.max(s, 1.0e-12))
            else:
                low[i, j] = s / low[j, j]
    for i in range(6):
        s = g[i]
        for m in range(i):
            s -= low[i, m] * y[m]
        y[i] = s / low[i, i]
    for r in range(6):
        i = 5 - r
        s = y[i]
        for m in range(i + 1, 6):
            s -= low[m, i] * x[m]
        x[i] = s / low[i, i]
    return -x


@wp.func
def fit_light(gain: wp.vec2, n: float, sum_i: float, sum_r: float, sum_ii: float, sum_rr: float, sum_ir: float):
    """Gain and offset that map the reference's intensities onto the frame's; trusted as far as the two correlate."""
    out = gain
    if n >= 30.0:
        mean_i = sum_i / n
        mean_r = sum_r / n
        var_i = wp.max(sum_ii / n - mean_i * mean_i, 1.0e-6)
        var_r = wp.max(sum_rr / n - mean_r * mean_r, 1.0e-6)
        trust = float(0.0)
        if var_r > 1.0e-3:
            correlation = wp.clamp((sum_ir / n - mean_i * mean_r) / wp.sqrt(var_i * var_r), 0.0, 1.0)
            trust = correlation * correlation
        slope = 1.0 + trust * (wp.clamp(wp.sqrt(var_i / var_r), 0.6, 1.6) - 1.0)
        out = wp.vec2(slope, wp.clamp(mean_i - slope * mean_r, -0.3, 0.3))
    return out


@wp.kernel
def gauss_newton(
    points: wp.array2d(dtype=wp.vec3),
    normals: wp.array2d(dtype=wp.vec3),
    reference: wp.array2d(dtype=float),
    views: wp.array2d(dtype=float),
    set_of_view: wp.array(dtype=int),
    k: wp.vec4,
    scale: float,
    depth: wp.array2d(dtype=float),
    image: wp.array2d(dtype=wp.uint8),
    depth_sigma: float,
    depth_gate: float,
    colour_sigma: float,
    colour_weight: float,
    iterations: int,
    threads: int,
    out_views: wp.array2d(dtype=float),
    out_stats: wp.array2d(dtype=float),
    out_hessian: wp.array(dtype=wp.spatial_matrix),
):
    """Minimise point-to-plane and photometric residuals over each view's pose; zero iterations only evaluate.

    The step is (rotation, translation) about the object's origin in the camera's axes. Depth residuals are weighted by
    Tukey's biweight with support `depth_gate`, photometric ones by Cauchy's function. The pose of a view is cam_T_obj
    here, and the two numbers after it are gain and offset. Sums and Hessian belong to the last evaluation; the Hessian
    of zero iterations is zero.
    """
    view, lane = wp.tid()
    member = view
    if set_of_view.shape[0] > 0:
        member = set_of_view[view]
    pose = view_pose(views, view)
    gain = wp.vec2(views[view, 16], views[view, 17])
    done = int(0)
    iteration = int(0)
    while done == 0:
        origin = wp.vec3(pose[0, 3], pose[1, 3], pose[2, 3])
        h = wp.spatial_matrix()
        g = wp.spatial_vector()
        in_view = float(0.0)
        with_depth = float(0.0)
        inliers = float(0.0)
        in_front = float(0.0)
        depth_cost = float(0.0)
        depth_weight = float(0.0)
        coloured = float(0.0)
        colour_cost = float(0.0)
        colour_weights = float(0.0)
        sum_i = float(0.0)
        sum_r = float(0.0)
        sum_ii = float(0.0)
        sum_rr = float(0.0)
        sum_ir = float(0.0)
        total = float(0.0)
        index = lane
        while index < points.shape[1]:
            normal = normals[member, index]
            here = index
            index += threads
            if wp.length_sq(normal) == 0.0:
                continue
            total += 1.0
            p = wp.transform_point(pose, points[member, here])
            if p[2] < 0.05:
                continue
            u = k[0] * p[0] / p[2] + k[2]
            v = k[1] * p[1] / p[2] + k[3]
            col = int(wp.floor(u + 0.5))
            row = int(wp.floor(v + 0.5))
            if col < 0 or row < 0 or col >= depth.shape[1] or row >= depth.shape[0]:
                continue
            in_view += 1.0
            arm = p - origin
            n = wp.transform_vector(pose, normal)
            sigma = depth_sigma * wp.max(p[2] * p[2], 0.25)
            gate = wp.max(depth_gate, 3.0 * sigma)
            seen = depth[row, col]
            usable = int(1)
            if seen > 0.0:
                with_depth += 1.0
                q = wp.vec3((float(col) - k[2]) / k[0] * seen, (float(row) - k[3]) / k[1] * seen, seen)
                r = wp.dot(n, q - p)
                if seen < p[2] - gate:
                    in_front += 1.0
                    usable = 0
                elif wp.abs(r) < gate and wp.abs(seen - p[2]) < 4.0 * gate:
                    ratio = r / gate
                    biweight = (1.0 - ratio * ratio) * (1.0 - ratio * ratio)
                    w = biweight / (sigma * sigma)
                    if iterations > 0:
                        j = wp.spatial_vector(-wp.cross(arm, n), -n)
                        jw = j * w
                        h += wp.outer(jw, j)
                        g += jw * r
                    inliers += 1.0
                    depth_cost += biweight * r * r
                    depth_weight += biweight
                else:
                    usable = 0
            ref = reference[member, here]
            if ref >= 0.0 and usable == 1 and colour_weight > 0.0:
                x = (u + 0.5) * scale - 0.5
                y = (v + 0.5) * scale - 0.5
                if x >= 1.0 and y >= 1.0 and x < float(image.shape[1] - 2) and y < float(image.shape[0] - 2):
                    patch = bilinear_gradient(image, x, y)
                    value = patch[0]
                    gx = patch[1] * scale
                    gy = patch[2] * scale
                    e = value - (gain[0] * ref + gain[1])
                    s = e / colour_sigma
                    wc = 1.0 / (1.0 + s * s)
                    coloured += 1.0
                    colour_cost += wp.abs(e)
                    colour_weights += wc
                    sum_i += value
                    sum_r += ref
                    sum_ii += value * value
                    sum_rr += ref * ref
                    sum_ir += value * ref
                    if iterations > 0:
                        dx = gx * k[0] / p[2]
                        dy = gy * k[1] / p[2]
                        d = wp.vec3(dx, dy, -(dx * p[0] + dy * p[1]) / p[2])
                        jc = wp.spatial_vector(wp.cross(arm, d), d)
                        jcw = jc * (wc * colour_weight / (colour_sigma * colour_sigma))
                        h += wp.outer(jcw, jc)
                        g += jcw * e
        for i in range(6):
            g[i] = block_sum(g[i], threads)
            for m in range(i + 1):
                h[i, m] = block_sum(h[i, m], threads)
        coloured = block_sum(coloured, threads)
        sum_i = block_sum(sum_i, threads)
        sum_r = block_sum(sum_r, threads)
        sum_ii = block_sum(sum_ii, threads)
        sum_rr = block_sum(sum_rr, threads)
        sum_ir = block_sum(sum_ir, threads)
        if iteration >= iterations:
            done = 1
            in_view = block_sum(in_view, threads)
            with_depth = block_sum(with_depth, threads)
            inliers = block_sum(inliers, threads)
            in_front = block_sum(in_front, threads)
            depth_cost = block_sum(depth_cost, threads)
            depth_weight = block_sum(depth_weight, threads)
            colour_cost = block_sum(colour_cost, threads)
            colour_weights = block_sum(colour_weights, threads)
            total = block_sum(total, threads)
            if lane == 0:
                for i in range(12):
                    out_views[view, i] = pose[i // 4, i - 4 * (i // 4)]
                out_views[view, 16] = gain[0]
                out_views[view, 17] = gain[1]
                out_hessian[view] = h
                out_stats[view, 0] = in_view
                out_stats[view, 1] = with_depth
                out_stats[view, 2] = inliers
                out_stats[view, 3] = in_front
                out_stats[view, 4] = depth_cost
                out_stats[view, 5] = depth_weight
                out_stats[view, 6] = coloured
                out_stats[view, 7] = colour_cost
                out_stats[view, 8] = colour_weights
                out_stats[view, 9] = total
                out_stats[view, 10] = sum_i
                out_stats[view, 11] = sum_r
                out_stats[view, 12] = sum_ii
                out_stats[view, 13] = sum_rr
                out_stats[view, 14] = sum_ir
                out_stats[view, 15] = float(iteration)
        else:
            delta = solve(h, g)
            turn = wp.spatial_top(delta)
            move = wp.spatial_bottom(delta)
            angle = wp.length(turn)
            if angle > _STEP_LIMIT_RAD:
                turn = turn * (_STEP_LIMIT_RAD / angle)
                move = move * (_STEP_LIMIT_RAD / angle)
                angle = _STEP_LIMIT_RAD
            axis = wp.vec3(1.0, 0.0, 0.0)
            if angle > 1.0e-9:
                axis = turn / angle
            rotation = wp.quat_to_matrix(wp.quat_from_axis_angle(axis, angle))
            old = wp.mat33(
                pose[0, 0], pose[0, 1], pose[0, 2],
                pose[1, 0], pose[1, 1], pose[1, 2],
                pose[2, 0], pose[2, 1], pose[2, 2],
            )  # fmt: skip
            r3 = rotation * old
            pose = wp.mat44(
                r3[0, 0], r3[0, 1], r3[0, 2], origin[0] + move[0],
                r3[1, 0], r3[1, 1], r3[1, 2], origin[1] + move[1],
                r3[2, 0], r3[2, 1], r3[2, 2], origin[2] + move[2],
                0.0, 0.0, 0.0, 1.0,
            )  # fmt: skip
            gain = fit_light(gain, coloured, sum_i, sum_r, sum_ii, sum_rr, sum_ir)
            iteration += 1
            if angle < 1.0e-4 and wp.length(move) < 5.0e-5:
                iteration = iterations
