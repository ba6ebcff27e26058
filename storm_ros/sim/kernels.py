"""Warp kernels of the simulator, compiled for the CPU or CUDA."""
# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportIndexIssue=false, reportAttributeAccessIssue=false, reportReturnType=false, reportGeneralTypeIssues=false
# pyright: reportAssignmentType=false
# (these annotations are Warp's own language, not Python types)

import warp as wp

RUN_PX = wp.constant(16)
"""Pixels a thread works on: on a CPU the start of a thread costs as much as a pixel."""

wp.set_module_options({"enable_backward": False, "fast_math": True})


@wp.func
def _unit(v: wp.vec3) -> wp.vec3:
    return v * (1.0 / wp.sqrt(wp.dot(v, v)))


@wp.func
def _shadow(maps: wp.array3d(dtype=float), layer: int, x: float, y: float) -> float:
    size = maps.shape[1]
    x0 = int(wp.floor(x))
    y0 = int(wp.floor(y))
    if x0 < 0 or y0 < 0 or x0 >= size - 1 or y0 >= size - 1:
        return 1.0
    ax = x - float(x0)
    ay = y - float(y0)
    top = maps[layer, y0, x0] * (1.0 - ax) + maps[layer, y0, x0 + 1] * ax
    low = maps[layer, y0 + 1, x0] * (1.0 - ax) + maps[layer, y0 + 1, x0 + 1] * ax
    return top * (1.0 - ay) + low * ay


@wp.kernel
def shade_pixels(
    depth: wp.array2d(dtype=float),
    normals: wp.array2d(dtype=wp.vec3),
    rgb: wp.array3d(dtype=wp.uint8),
    instance: wp.array2d(dtype=int),
    rays: wp.vec4,
    world_T_cam: wp.mat44,
    opened_T_now: wp.array(dtype=wp.mat44),
    shine: wp.array(dtype=float),
    light_places: wp.array(dtype=wp.vec4),
    light_colors: wp.array(dtype=wp.vec3),
    ambient: wp.vec3,
    shadows: wp.array3d(dtype=float),
    cells_per_m: float,
    contact: float,
    radiance: wp.array2d(dtype=wp.vec3),
    cosine: wp.array2d(dtype=float),
    flow: wp.array2d(dtype=wp.vec2),
) -> None:
    """Light every pixel; see `shading.shade`."""
    row, run = wp.tid()
    for col in range(run * RUN_PX, wp.min(run * RUN_PX + RUN_PX, depth.shape[1])):
        z = depth[row, col]
        if z <= 0.0:
            continue
        p = wp.vec3(float(col) * rays[0] + rays[2], float(row) * rays[1] + rays[3], 1.0) * z
        view = -_unit(p)
        n = normals[row, col]
        cosine[row, col] = wp.abs(wp.dot(n, view))
        point = wp.transform_point(world_T_cam, p)
        up = wp.vec3(world_T_cam[2, 0], world_T_cam[2, 1], world_T_cam[2, 2])
        member = instance[row, col] + 1
        lights = light_places.shape[0]
        on_table = point[2] < contact and point[2] > -contact
        open_sky = wp.float32(1.0)
        middle = 0.5 * float(shadows.shape[1]) - 0.5
        x = point[0] * cells_per_m + middle
        y = point[1] * cells_per_m + middle
        if on_table:
            open_sky = _shadow(shadows, lights, x, y)
        light = ambient * ((0.7 + 0.3 * wp.dot(n, up)) * open_sky)
        gloss = wp.vec3(0.0, 0.0, 0.0)
        for i in range(lights):
            place = light_places[i]
            way = wp.vec3(place[0], place[1], place[2])
            strength = wp.float32(1.0)
            if place[3] > 0.0:
                way = way - p
                inverse = 1.0 / wp.max(wp.dot(way, way), 0.04)
                strength = place[3] * inverse
                way = way * wp.sqrt(inverse)
            facing = wp.dot(n, way)
            if facing > 0.0:
                if on_table:
                    strength = strength * _shadow(shadows, i, x, y)
                light = light + light_colors[i] * (strength * facing)
                if shine[member] > 0.0:
                    half = wp.max(wp.dot(n, _unit(way + view)), 0.0)
                    half = half * half
                    half = half * half
                    half = half * half
                    half = half * half
                    gloss = gloss + light_colors[i] * (strength * half * half * shine[member])
        c = wp.vec3(float(rgb[row, col, 0]), float(rgb[row, col, 1]), float(rgb[row, col, 2])) * 0.00392157
        radiance[row, col] = wp.cw_mul(wp.cw_mul(c, c), light) + gloss
        if opened_T_now.shape[0] == 0:
            continue
        before = wp.transform_point(opened_T_now[member], p)
        if before[2] > 0.01:
            before_x = (before[0] / before[2] - rays[2]) / rays[0]
            before_y = (before[1] / before[2] - rays[3]) / rays[1]
            flow[row, col] = wp.vec2(float(col) - before_x, float(row) - before_y)


@wp.kernel
def nearest_panel(
    maps: wp.array(dtype=wp.mat33),
    width: int,
    nearness: wp.array2d(dtype=float),
    owner: wp.array2d(dtype=int),
) -> None:
    """For every pixel of a row: the nearest panel and its inverse depth."""
    row = wp.tid()
    y = float(row)
    for k in range(maps.shape[0]):
        m = maps[k]
        a0 = m[0, 1] * y + m[0, 2]
        b0 = m[1, 1] * y + m[1, 2]
        w0 = m[2, 1] * y + m[2, 2]
        low = wp.float32(0.0)
        high = wp.float32(width - 1)
        for side in range(5):  # each edge of the panel, and the plane of the camera, bounds the columns it covers
            start = w0
            slope = m[2, 0]
            if side == 0:
                start = a0
                slope = m[0, 0]
            elif side == 1:
                start = b0
                slope = m[1, 0]
            elif side == 2:
                start = w0 - a0
                slope = m[2, 0] - m[0, 0]
            elif side == 3:
                start = w0 - b0
                slope = m[2, 0] - m[1, 0]
            if slope > 0.0:
                low = wp.max(low, -start / slope)
            elif slope < 0.0:
                high = wp.min(high, -start / slope)
            elif start < 0.0:
                high = -1.0
        first = int(wp.ceil(wp.min(low, float(width))))
        last = int(wp.floor(wp.max(high, -1.0)))
        for col in range(first, last + 1):
            w = w0 + m[2, 0] * float(col)
            if w > nearness[row, col]:
                nearness[row, col] = w
                owner[row, col] = k


@wp.kernel
def panel_surface(
    maps: wp.array(dtype=wp.mat33),
    facing: wp.array(dtype=wp.vec3),
    spans: wp.array(dtype=wp.vec4),
    owner: wp.array2d(dtype=int),
    nearness: wp.array2d(dtype=float),
    depth: wp.array2d(dtype=float),
    normals: wp.array2d(dtype=wp.vec3),
    column: wp.array2d(dtype=float),
    line: wp.array2d(dtype=float),
) -> None:
    """Depth, normal and place in the texture of what `nearest_panel` found."""
    row, run = wp.tid()
    for col in range(run * RUN_PX, wp.min(run * RUN_PX + RUN_PX, depth.shape[1])):
        k = owner[row, col]
        if k < 0:
            continue
        m = maps[k]
        x = float(col)
        y = float(row)
        z = 1.0 / nearness[row, col]
        a = (m[0, 0] * x + m[0, 1] * y + m[0, 2]) * z
        b = (m[1, 0] * x + m[1, 1] * y + m[1, 2]) * z
        span = spans[k]
        depth[row, col] = z
        normals[row, col] = facing[k]
        column[row, col] = span[1] * a
        line[row, col] = span[2] + span[3] * (1.0 - b)
