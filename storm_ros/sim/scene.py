"""Scenes: objects at rest on a table in a furnished room, under random light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from storm_ros.core import se3
from storm_ros.core.errors import InputError
from storm_ros.core.types import Mesh, Pose
from storm_ros.sim.objects import KINDS, make_object
from storm_ros.sim.panels import Panel, box_panels
from storm_ros.sim.primitives import BOX_FACES
from storm_ros.sim.shading import Light
from storm_ros.sim.textures import Image, flat, noise_field, random_palette, random_texture

Rng = np.random.Generator

FLOOR_M = -0.74
DISTRACTORS = ("none", "colour", "shape", "both")
"""What other objects may share with the first one."""


@dataclass(frozen=True, eq=False)
class Instance:
    """A body that can move.

    Attributes:
        obj_id: 1 and up for objects; 0 for an occluder, which nobody looks for.
        mesh: metres, in its own frame.
        world_T_obj: where it stands at the beginning.
        shine: strength of its highlight.
    """

    obj_id: int
    mesh: Mesh
    world_T_obj: Pose
    shine: float = 0.08


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything there is to see. World: metres, z up, the origin in the middle of the table's top.

    Attributes:
        instances: objects and occluders.
        surroundings: table, room and clutter, which do not move.
        lights: one to three.
        ambient: (3,) light from everywhere.
        table_size_m: (2,) along x and y.
    """

    instances: tuple[Instance, ...]
    surroundings: tuple[Panel, ...]
    lights: tuple[Light, ...]
    ambient: tuple[float, float, float]
    table_size_m: tuple[float, float]

    @property
    def object_ids(self) -> tuple[int, ...]:
        """The objects' numbers, without occluders."""
        return tuple(i.obj_id for i in self.instances if i.obj_id > 0)

    def index_of(self, obj_id: int) -> int:
        """Place of an object among the instances.

        Raises:
            InputError: there is no such object.
        """
        for index, instance in enumerate(self.instances):
            if instance.obj_id == obj_id and obj_id > 0:
                return index
        raise InputError(f"object {obj_id} is not in the scene: it has {', '.join(map(str, self.object_ids))}")

    def with_instance(self, instance: Instance) -> Scene:
        """The scene with one more body."""
        return replace(self, instances=(*self.instances, instance))


def resting_pose(mesh: Mesh, x: float, y: float, yaw_rad: float, lying: bool = False) -> Pose:
    """world_T_obj of an object that stands on the table (or lies, turned a quarter about x) at (x, y) in metres."""
    rotation = se3.so3_exp([0, 0, yaw_rad]) @ se3.so3_exp([np.pi / 2 if lying else 0.0, 0, 0])
    lowest = float((mesh.vertices.astype(np.float64) @ rotation.T)[:, 2].min())
    return se3.transform(rotation, [x, y, -lowest])


def footprint_radius(mesh: Mesh, pose: Pose) -> float:
    """Radius in metres of the circle about the pose's origin that the object covers, seen from above."""
    reach = mesh.vertices.astype(np.float64) @ pose[:3, :3].T
    return float(np.linalg.norm(reach[:, :2], axis=1).max())


def place_on_table(
    rng: Rng,
    meshes: Sequence[Mesh],
    area: tuple[float, float, float, float],
    *,
    gap_m: float = 0.008,
    lie: float = 0.25,
    keep_free: Sequence[tuple[float, float, float]] = (),
) -> list[Pose]:
    """Resting poses without overlap.

    Args:
        rng: the source of randomness.
        meshes: the objects.
        area: lowest x, highest x, lowest y, highest y of their centres, metres.
        gap_m: least distance between two of them.
        lie: share of those that lie instead of standing.
        keep_free: circles (x, y, radius) in metres where none may stand.

    Returns:
        world_T_obj of each.

    Raises:
        InputError: they do not fit.
    """
    for _ in range(12):
        poses = _placed(rng, meshes, area, gap_m, lie, list(keep_free))
        if poses is not None:
            return poses
    room = f"{area[1] - area[0]:.2f} x {area[3] - area[2]:.2f} m"
    raise InputError(f"{len(meshes)} objects do not fit on {room} without overlap: ask for fewer")


def _placed(
    rng: Rng,
    meshes: Sequence[Mesh],
    area: tuple[float, float, float, float],
    gap_m: float,
    lie: float,
    taken: list[tuple[float, float, float]],
) -> list[Pose] | None:
    """One try to place all, the widest first; None if one of them finds no room."""
    poses: dict[int, Pose] = {}
    for index in sorted(range(len(meshes)), key=lambda i: -footprint_radius(meshes[i], np.eye(4))):
        mesh = meshes[index]
        for attempt in range(100):
            x, y = rng.uniform(area[0], area[1]), rng.uniform(area[2], area[3])
            lying = bool(rng.random() < lie) and attempt < 50
            pose = resting_pose(mesh, x, y, rng.uniform(0, 2 * np.pi), lying)
            radius = footprint_radius(mesh, pose)
            if all(np.hypot(x - a, y - b) > radius + r + gap_m for a, b, r in taken):
                poses[index] = pose
                taken.append((x, y, radius))
                break
        else:
            return None
    return [poses[i] for i in range(len(meshes))]


def random_objects(rng: Rng, count: int, kinds: Sequence[str] = KINDS, distractors: str = "none") -> list[Mesh]:
    """Objects, of which some may look like the first.

    Args:
        rng: the source of randomness.
        count: how many.
        kinds: to choose from.
        distractors: "colour": the second shares the first one's colours but not its shape; "shape": it has its
            shape but not its looks; "both": the second and third do so.

    Raises:
        InputError: an unknown kind of distractor.
    """
    if distractors not in DISTRACTORS:
        raise InputError(f"distractors = {distractors!r}: it must be one of {', '.join(DISTRACTORS)}")
    chosen = [str(k) for k in rng.choice(np.array(kinds), count)]
    seeds = rng.integers(2**31, size=(count, 2))
    meshes = [make_object(k, int(s), int(a)) for k, (s, a) in zip(chosen, seeds, strict=True)]
    twins = {"colour": ["colour"], "shape": ["shape"], "both": ["colour", "shape"]}.get(distractors, [])
    for place, shared in enumerate(twins[: count - 1], start=1):
        if shared == "shape":
            meshes[place] = make_object(chosen[0], int(seeds[0, 0]), int(seeds[place, 1]))
        else:
            other = str(rng.choice([k for k in KINDS if k != chosen[0]]))
            palette = random_palette(np.random.default_rng(int(seeds[0, 1])))
            meshes[place] = make_object(other, int(seeds[place, 0]), int(seeds[place, 1]), palette)
    return meshes


def random_scene(
    rng: Rng,
    *,
    count: int = 6,
    kinds: Sequence[str] = KINDS,
    distractors: str = "none",
    meshes: Sequence[Mesh] | None = None,
    clutter: int = 6,
) -> Scene:
    """A table with objects in a room.

    Args:
        rng: the source of randomness.
        count: number of objects, numbered from 1.
        kinds: kinds to choose from.
        distractors: see `random_objects`.
        meshes: use these objects instead.
        clutter: number of things on and behind the table that nobody looks for.
    """
    bodies = list(meshes) if meshes is not None else random_objects(rng, count, kinds, distractors)
    spread = 0.16 + 0.022 * len(bodies)
    poses = place_on_table(rng, bodies, (-1.3 * spread, 1.3 * spread, -spread, 0.8 * spread))
    instances = tuple(
        Instance(i + 1, mesh, pose, float(rng.uniform(0.0, 0.2)))
        for i, (mesh, pose) in enumerate(zip(bodies, poses, strict=True))
    )
    return furnished(rng, instances, clutter)


def furnished(rng: Rng, instances: tuple[Instance, ...], clutter: int = 6) -> Scene:
    """A scene of the given objects with a random table, room and light."""
    size = (float(rng.uniform(1.2, 1.7)), float(rng.uniform(0.8, 1.0)))
    panels = (*_room(rng), *_table(rng, size), *_clutter(rng, size, clutter))
    lights, ambient = random_lights(rng)
    return Scene(instances, panels, lights, ambient, size)


def random_lights(rng: Rng) -> tuple[tuple[Light, ...], tuple[float, float, float]]:
    """One to three lights and the ambient one; together they light a flat sheet at the origin with 1."""
    count = int(rng.integers(1, 4))
    weights = rng.dirichlet(np.full(count, 2.0)) * rng.uniform(0.45, 0.75)
    lights = []
    for k, weight in enumerate(weights):
        tint = 1 + rng.normal(0, 0.04) * np.array([1.0, 0.1, -1.0])
        azimuth = rng.uniform(0, 2 * np.pi)
        distant = bool(k == 1)
        height = rng.uniform(0.5, 1.2) if distant else rng.uniform(1.0, 1.7)
        reach = 1.0 if distant else rng.uniform(0.2, 0.9)
        position = np.array([reach * np.cos(azimuth), reach * np.sin(azimuth), height])
        facing = position[2] / np.linalg.norm(position)
        color = weight / facing * tint
        lights.append(Light(_triple(position), _triple(color), distant))
    rest = 1 - weights.sum()
    return tuple(lights), _triple(rest * (1 + rng.normal(0, 0.03) * np.array([-1.0, 0, 1.0])))


def _triple(values: npt.ArrayLike) -> tuple[float, float, float]:
    a, b, c = (float(v) for v in np.asarray(values))
    return a, b, c


def _room(rng: Rng) -> list[Panel]:
    """Four walls, floor and ceiling as the inside of one box; pictures and shelves are painted on."""
    size = np.array([rng.uniform(3.0, 5.0), rng.uniform(2.6, 4.5), 2.6])
    wall_palette = np.clip(random_palette(rng).astype(float) * 0.35 + rng.uniform(90, 155), 0, 255).astype(np.uint8)
    tiles = []
    for axis, sign in BOX_FACES:
        if axis == 2:
            tiles.append(_floor(rng) if sign < 0 else np.full((320, 420, 3), 200, np.uint8))
            continue
        wall = flat(rng, 420, 320, wall_palette)
        for _ in range(rng.integers(4, 10)):
            w, h = int(rng.integers(18, 110)), int(rng.integers(18, 90))
            x, y = int(rng.integers(0, 420 - w)), int(rng.integers(70, 320 - h))
            wall[y : y + h, x : x + w] = random_texture(rng, w, h)
        tiles.append(wall)
    middle = [0.3 * rng.normal(), 0.25 * size[1] * rng.uniform(-1, 0.2), FLOOR_M + 1.3]
    return box_panels(se3.exp([*middle, 0, 0, 0]), size, tiles, inside=True)


def _floor(rng: Rng) -> Image:
    if rng.random() < 0.4:
        return random_texture(rng, 420, 320, pattern="wood")
    dark = rng.uniform(40, 120)
    grain = noise_field(rng, 420, 320, 160, 2)
    return np.clip(dark * (0.7 + 0.6 * grain)[..., None] * (1 + rng.normal(0, 0.06, 3)), 0, 255).astype(np.uint8)


def _table(rng: Rng, size: tuple[float, float]) -> list[Panel]:
    """The table's top; its printed side is the upper one."""
    style = rng.choice(["wood", "white", "dark", "clouds"], p=[0.45, 0.25, 0.15, 0.15])
    width, height = 640, 420
    if style in ("wood", "clouds"):
        muted = np.clip(random_palette(rng) * 0.4 + 110, 0, 255).astype(np.uint8)
        top = random_texture(rng, width, height, muted, str(style))
    else:
        level = rng.uniform(200, 235) if style == "white" else rng.uniform(35, 70)
        grain = noise_field(rng, width, height, 200, 2) * 0.08 + noise_field(rng, width, height, 3, 2) * 0.05
        top = np.clip(level * (0.93 + grain)[..., None] * np.ones(3), 0, 255).astype(np.uint8)
    plain = np.full((8, 8, 3), top.reshape(-1, 3).mean(0) * 0.8, np.uint8)
    tiles = [plain, plain, plain, plain, top, plain]
    return box_panels(se3.exp([0, 0, -0.015, 0, 0, 0]), [size[0], size[1], 0.03], tiles)


def _clutter(rng: Rng, size: tuple[float, float], count: int) -> list[Panel]:
    """Sheets and magazines under the objects, and larger things at the back of the table and behind it."""
    parts: list[Panel] = []
    for _ in range(count // 2):
        sheet = np.array([0.21, 0.297, rng.uniform(0.0006, 0.004)])
        pattern = str(rng.choice(["page", "page", "panels", "label"]))
        top = random_texture(rng, 210, 297, pattern=pattern)
        parts.extend(_laid(rng, sheet, top, (-0.45, 0.45, -0.3, 0.3), 0.0))
    for _ in range(count - count // 2):
        body = np.array([rng.uniform(0.08, 0.4), rng.uniform(0.03, 0.12), rng.uniform(0.08, 0.4)])
        front = random_texture(rng, 240, 200)
        back = 0.5 * size[1]
        if rng.random() < 0.6:
            area, base = (-0.5 * size[0], 0.5 * size[0], back - 0.1, back - 0.05), 0.0
        else:
            body *= [2.0, 2.5, 2.5]
            area, base = (-1.3, 1.3, back + 0.25, back + 0.7), FLOOR_M
        parts.extend(_laid(rng, body, front, area, base, turn=0.35))
    return parts


def _laid(
    rng: Rng, size: np.ndarray, picture: Image, area: tuple[float, float, float, float], base: float, turn: float = 3.2
) -> list[Panel]:
    """A box with a picture on every face, laid down at random in an area on a level `base`."""
    place = [rng.uniform(*area[:2]), rng.uniform(*area[2:]), base + size[2] / 2 + 2e-4]
    return box_panels(se3.exp([*place, 0, 0, rng.uniform(-turn, turn)]), size, [picture])
