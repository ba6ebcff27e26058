"""The kinds of procedural objects: each made from a source of shape, a source of looks and a palette."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from storm_ros.core import se3
from storm_ros.core.types import Mesh
from storm_ros.sim import primitives as shapes
from storm_ros.sim.textures import Image, Palette, flat, noise_field, random_texture

TEXEL_M = 0.0008
"""Size of a texture pixel on the surface: print finer than a camera at half a metre resolves only flickers."""

Rng = np.random.Generator
Maker = Callable[[Rng, Rng, Palette], Mesh]


def texture_pixels(length_m: float) -> int:
    """Pixels of a texture that covers a length in metres."""
    return int(np.clip(length_m / TEXEL_M, 24, 640))


def _box_texture(look: Rng, palette: Palette, size: np.ndarray) -> Image:
    """Six tiles (see `primitives.BOX_FACES`): print on the four sides, plainer lids."""
    tile_w, tile_h = texture_pixels(max(size[0], size[1])), texture_pixels(size[2])
    tile_h = max(tile_h, texture_pixels(size[1]) // 2)
    tiles = []
    for axis, _ in shapes.BOX_FACES:
        lid = axis == 2 and look.random() < 0.5
        tiles.append(random_texture(look, tile_w, tile_h, palette, "logo" if lid else None))
    if look.random() < 0.6:  # a package: opposite sides look alike
        tiles[1], tiles[3] = tiles[0], tiles[2]
    return np.concatenate([np.concatenate(tiles[:3], axis=1), np.concatenate(tiles[3:], axis=1)])


def painted_box(look: Rng, palette: Palette, size: np.ndarray, bevel: float) -> Mesh:
    """A printed box of a given size (3,) and edge radius in metres."""
    return replace(shapes.box(size, bevel), texture=_box_texture(look, palette, np.asarray(size)))


def _make_box(shape: Rng, look: Rng, palette: Palette) -> Mesh:
    size = np.sort(shape.uniform([0.03, 0.05, 0.06], [0.08, 0.12, 0.2]))
    size = size[shape.permutation(3)] if shape.random() < 0.6 else size[[1, 0, 2]]
    return painted_box(look, palette, size, shape.choice([0.001, 0.003, 0.008]))


def _make_cube(shape: Rng, look: Rng, palette: Palette) -> Mesh:
    edge = shape.uniform(0.05, 0.1)
    return painted_box(look, palette, np.full(3, edge), shape.uniform(0.0005, 0.006))


def _banded(look: Rng, palette: Palette, profile: np.ndarray, bands: list[tuple[float, float, Image]]) -> Image:
    """Texture of a surface of revolution: an even ground, and pictures between given places of the profile."""
    around = texture_pixels(2 * np.pi * float(profile[:, 0].max()))
    along = texture_pixels(float(np.linalg.norm(np.diff(profile, axis=0), axis=1).sum()))
    image = flat(look, around, along, palette)
    for low, high, picture in bands:
        top, bottom = round((1 - high) * along), round((1 - low) * along)
        if bottom - top > 2:
            image[top:bottom] = _resized(picture, around, bottom - top)
    return image


def _resized(image: Image, width: int, height: int) -> Image:
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _make_can(shape: Rng, look: Rng, palette: Palette) -> Mesh:
    r, h = shape.uniform(0.025, 0.045), shape.uniform(0.06, 0.15)
    rim = 0.06 * r
    profile = np.array([
        [0, 0.08 * r], [0.82 * r, 0.08 * r], [0.86 * r, 0], [0.94 * r, 0], [r, 2 * rim], [r, h - 2 * rim],
        [0.96 * r, h - 0.5 * rim], [0.96 * r, h], [0.88 * r, h], [0.86 * r, h - 1.5 * rim], [0, h - 1.5 * rim],
    ])  # fmt: skip
    at = shapes.profile_coordinate(profile)
    pattern = str(look.choice(["label", "label", "panels", "logo"]))
    wrap = random_texture(look, texture_pixels(2 * np.pi * r), texture_pixels(h), palette, pattern)
    metal = np.tile(np.uint8(look.integers(150, 200)), (4, 3))
    texture = _banded(look, metal, profile, [(at[4], at[5], wrap)])
    return replace(shapes.revolution(profile, 48), texture=texture, name="can")


def _mug_profile(r: float, h: float, wall: float, flare: float) -> np.ndarray:
    up = np.linspace(0, 1, 9)
    outer = np.stack([r * (1 - flare * (1 - up) ** 2), 0.004 + up * (h - 0.006)], -1)
    inner = outer[::-1] - [wall, 0]
    inner[:, 1] = np.maximum(inner[:, 1], 0.004 + wall)
    lip = [[outer[-1, 0] - 0.15 * wall, h], [inner[0, 0] + 0.15 * wall, h]]
    return np.concatenate([[[0, 0.0]], [[outer[0, 0] * 0.92, 0.0]], outer, lip, inner[:-1], [[0, 0.004 + wall]]])


def _make_mug(shape: Rng, look: Rng, palette: Palette) -> Mesh:
    r, h = shape.uniform(0.035, 0.048), shape.uniform(0.075, 0.11)
    profile = _mug_profile(r, h, shape.uniform(0.003, 0.005), shape.uniform(0.0, 0.15))
    at = shapes.profile_coordinate(profile)
    picture = random_texture(look, texture_pixels(2 * np.pi * r), texture_pixels(h), palette,
                             str(look.choice(["flat", "flat", "logo", "label", "stripes", "speckle"])))  # fmt: skip
    body = replace(shapes.revolution(profile, 48), texture=_banded(look, palette, profile, [(at[3], at[10], picture)]))
    turn = np.linspace(-0.5 * np.pi, 0.5 * np.pi, 14)
    reach, tall = shape.uniform(0.022, 0.032), shape.uniform(0.26, 0.36) * h
    start = r * 0.96 - 0.001
    path = np.stack([start + reach * np.cos(turn), np.zeros(14), 0.53 * h + tall * np.sin(turn)], -1)
    handle = shapes.tube(path, shape.uniform(0.004, 0.0065), 12)
    mug = shapes.join([body, replace(handle, texture=flat(look, 32, 32, palette))], "mug")
    return shapes.moved(mug, se3.exp([0, 0, 0, 0, 0, shape.uniform(0, 2 * np.pi)]))


def _make_bottle(shape: Rng, look: Rng, palette: Palette) -> Mesh:
    h, r = shape.uniform(0.11, 0.2), shape.uniform(0.022, 0.042)
    neck, shoulder = shape.uniform(0.3, 0.5) * r, shape.uniform(0.5, 0.72) * h
    t = np.linspace(0, 1, 8)
    smooth = t * t * (3 - 2 * t)
    slope = np.stack([r + (neck - r) * smooth, shoulder + t * (0.86 * h - shoulder)], -1)
    cap = neck * shape.uniform(1.1, 1.35)
    profile = np.concatenate([
        [[0, 0], [0.9 * r, 0], [r, 0.05 * r]], slope, [[cap, 0.86 * h], [cap, h], [0, h]],
    ])  # fmt: skip
    at = shapes.profile_coordinate(profile)
    pattern = str(look.choice(["label", "logo", "panels"]))
    wrap = random_texture(look, texture_pixels(2 * np.pi * r), texture_pixels(shoulder), palette, pattern)
    lid = random_texture(look, 64, 32, palette[[3, 2, 1, 0]], "flat")
    texture = _banded(look, palette, profile, [(at[2] + 0.05, at[3] - 0.03, wrap), (at[11], 1.0, lid)])
    return replace(shapes.revolution(profile, 44), texture=texture, name="bottle")


def _make_vase(shape: Rng, look: Rng, palette: Palette) -> Mesh:
    h, mean = shape.uniform(0.08, 0.18), shape.uniform(0.025, 0.045)
    t = np.linspace(0, 1, 24)
    bulge = sum(shape.normal(0, 0.35 / k) * np.sin(k * np.pi * t + shape.uniform(0, 2 * np.pi)) for k in (1, 2, 3))
    radius = np.clip(mean * (1 + 0.6 * bulge), 0.014, 0.065)
    wall = 0.0035
    outer, inner = np.stack([radius, t * h], -1), np.stack([radius - wall, t * h], -1)[::-1][:-2]
    profile = np.concatenate([[[0, 0]], outer, inner, [[0, inner[-1, 1]]]])
    at = shapes.profile_coordinate(profile)
    wrap = random_texture(look, texture_pixels(2 * np.pi * float(radius.max())), texture_pixels(h), palette,
                          str(look.choice(["clouds", "stripes", "speckle", "logo", "flat"])))  # fmt: skip
    texture = _banded(look, palette, profile, [(at[1], at[24], wrap)])
    return replace(shapes.revolution(profile, 44), texture=texture, name="vase")


def _make_ellipsoid(shape: Rng, look: Rng, palette: Palette) -> Mesh:
    radii = shape.uniform(0.028, 0.05) * (np.ones(3) if shape.random() < 0.5 else shape.uniform(0.7, 1.4, 3))
    return _wrapped(shapes.superquadric(radii), look, palette, "ellipsoid")


def _make_superquadric(shape: Rng, look: Rng, palette: Palette) -> Mesh:
    e1, e2 = shape.uniform(0.25, 1.3, 2)
    return _wrapped(shapes.superquadric(shape.uniform(0.025, 0.075, 3), e1, e2), look, palette, "superquadric")


def _wrapped(mesh: Mesh, look: Rng, palette: Palette, name: str, pattern: str | None = None) -> Mesh:
    extent = np.ptp(mesh.bounds, axis=0)
    width, height = texture_pixels(np.pi * max(extent[0], extent[1])), texture_pixels(1.5 * extent[2])
    return replace(mesh, texture=random_texture(look, width, height, palette, pattern), name=name)


def _make_prism(shape: Rng, look: Rng, palette: Palette) -> Mesh:
    corners, r, h = int(shape.integers(3, 9)), shape.uniform(0.03, 0.055), shape.uniform(0.04, 0.16)
    turn = np.sort((np.arange(corners) + shape.uniform(-0.25, 0.25, corners)) * 2 * np.pi / corners)
    mesh = shapes.prism(r * np.stack([np.cos(turn), np.sin(turn)], -1), h)
    return replace(
        mesh, texture=random_texture(look, texture_pixels(5 * r), texture_pixels(2 * h), palette), name="prism"
    )


def _make_tool(shape: Rng, look: Rng, palette: Palette) -> Mesh:
    """A hammer, a screwdriver or a brush: a grip and a head, lying along x."""
    length, grip = shape.uniform(0.11, 0.19), shape.uniform(0.008, 0.014)
    s = np.linspace(0, 1, 16)
    swell = grip * (0.85 + 0.15 * np.cos(2 * np.pi * s * shape.uniform(1, 2)))
    swell *= np.clip(12 * np.minimum(s, 1 - s), 0.3, 1)
    path = np.stack([s * length * 0.62, np.zeros(16), np.zeros(16)], -1)
    pattern = str(look.choice(["flat", "stripes", "logo"]))
    handle = _wrapped(shapes.tube(path, swell, 20), look, palette, "grip", pattern)
    steel = np.tile(np.uint8(look.integers(90, 170)), (4, 3))
    reach = length * 0.6
    shaft = shapes.tube([[reach, 0, 0], [0.8 * length, 0, 0], [length, 0, 0]], 0.4 * grip, 14)
    parts = [handle, replace(shaft, texture=flat(look, 32, 32, steel))]
    if shape.random() < 0.7:
        size = [shape.uniform(0.018, 0.03), shape.uniform(0.03, 0.09), shape.uniform(0.015, 0.025)]
        colours = steel if look.random() < 0.6 else palette[[2, 3, 1, 0]]
        head = replace(shapes.box(size, 0.002), texture=flat(look, 96, 64, colours))
        parts.append(shapes.moved(head, se3.exp([length, 0, 0, 0, 0, shape.uniform(-0.2, 0.2)])))
    return shapes.join(parts, "tool")


def _bumps(shape: Rng, points: np.ndarray, scale: float, waves: int = 24) -> np.ndarray:
    """Smooth random field on points (N, 3) of unit size: a sum of plane waves, standard deviation about 1."""
    directions = shape.normal(size=(waves, 3)) * scale
    phases = shape.uniform(0, 2 * np.pi, waves)
    return np.sin(points @ directions.T + phases).sum(1) * np.sqrt(2 / waves)


def _make_blob(shape: Rng, look: Rng, palette: Palette) -> Mesh:
    radius = shape.uniform(0.035, 0.055)
    mesh = shapes.superquadric(radius * shape.uniform(0.75, 1.3, 3), segments=80, rings=44)
    unit = mesh.vertices / radius
    bumps = 0.1 * _bumps(shape, unit, 2.5) + 0.035 * _bumps(shape, unit, 8)
    mesh = shapes.displaced(mesh, radius * np.clip(bumps, -0.35, 0.45))
    return _wrapped(mesh, look, palette, "blob", str(look.choice(["clouds", "flat", "speckle"])))


def _make_dragon(shape: Rng, look: Rng, palette: Palette) -> Mesh:
    """A coiled body with a head, legs and a comb of spikes, of one colour with darker hollows."""
    s = np.linspace(0, 1, 60)
    length, coils = shape.uniform(0.1, 0.15), shape.uniform(1.2, 2.0)
    lift = 0.02 * np.sin(coils * 2 * np.pi * s + shape.uniform(0, 6))
    sway = shape.uniform(0.005, 0.02) * np.sin(3 * np.pi * s)
    path = np.stack([length * (s - 0.5), sway, 0.035 + lift + 0.02 * s], -1)
    thick = 0.014 * np.sin(np.pi * np.clip(s * 0.93 + 0.05, 0, 1)) ** 0.6 * (1 + 0.12 * np.sin(60 * s))
    parts = [shapes.tube(path, thick, 24)]
    head = shapes.superquadric(np.array([0.021, 0.014, 0.014]), segments=36, rings=20)
    head = shapes.displaced(head, 0.0025 * _bumps(shape, head.vertices / 0.015, 3))
    parts.append(shapes.moved(head, se3.exp([*path[-1], 0, shape.uniform(-0.4, 0.4), 0])))
    for k in np.linspace(6, 54, 9).astype(int):
        tip = path[k] + np.array([-0.003, 0, thick[k] + 0.011])
        parts.append(shapes.tube([path[k], tip], [0.005, 0.0008], 8))
    for k, side in ((16, 1), (16, -1), (44, 1), (44, -1)):
        foot = np.array([path[k, 0] + 0.008, path[k, 1] + 0.018 * side, 0.0])
        knee = (path[k] + foot) / 2 + np.array([0.006, 0.006 * side, 0])
        parts.append(shapes.tube([path[k], knee, foot], [0.008, 0.006, 0.005], 10))
    ground = palette[int(np.argmax(palette.max(1) - palette.min(1)))].astype(np.float32)
    painted = []
    for part in parts:
        field = noise_field(look, 96, 96, 8, 3)
        shade = np.clip(ground * (0.75 + 0.3 * field[..., None]), 0, 255).astype(np.uint8)
        painted.append(replace(part, texture=shade))
    return shapes.join(painted, "dragon")


MAKERS: dict[str, Maker] = {
    "box": _make_box, "cube": _make_cube, "can": _make_can, "mug": _make_mug, "bottle": _make_bottle,
    "vase": _make_vase, "ellipsoid": _make_ellipsoid, "superquadric": _make_superquadric, "prism": _make_prism,
    "tool": _make_tool, "blob": _make_blob, "dragon": _make_dragon,
}  # fmt: skip
"""By name."""
