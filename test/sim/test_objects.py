"""Procedural objects: closed, outward, textured, metric, seeded."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

from storm_ros.core.errors import InputError
from storm_ros.core.types import Mesh
from storm_ros.sim import primitives as shapes
from storm_ros.sim.objects import KINDS, held_board, load_objects, make_object, printed_box, random_object
from storm_ros.sim.scene import random_objects
from storm_ros.sim.textures import PATTERNS, noise_field, random_palette, random_texture


def as_solids(mesh: Mesh) -> list[trimesh.Trimesh]:
    """The parts of a mesh, with the vertices along texture seams welded."""
    welded = trimesh.Trimesh(np.round(mesh.vertices.astype(np.float64), 6), mesh.faces, process=False)
    welded.merge_vertices(merge_tex=True, merge_norm=True)
    welded.update_faces(welded.nondegenerate_faces())
    return welded.split(only_watertight=False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_object_is_closed_outward_and_of_household_size(kind: str, seed: int) -> None:
    mesh = make_object(kind, seed, seed + 50)
    for part in as_solids(mesh):
        assert part.is_watertight
        assert part.is_winding_consistent
        assert part.volume > 0
    assert shapes.volume(mesh) > 1e-6
    assert np.allclose(mesh.center, 0, atol=1e-6)
    assert 0.03 < np.ptp(mesh.bounds, axis=0).max() < 0.25
    assert mesh.uv is not None
    assert mesh.uv.min() >= 0
    assert mesh.uv.max() <= 1
    assert mesh.texture is not None
    assert mesh.texture.dtype == np.uint8
    assert mesh.texture.shape[2] == 3


def test_occluder_and_printed_box_are_outward() -> None:
    assert shapes.volume(held_board(np.random.default_rng(0))) > 0
    box = printed_box(np.random.default_rng(0), np.array([0.1, 0.06, 0.12]))
    assert np.allclose(np.ptp(box.bounds, axis=0), [0.1, 0.06, 0.12], atol=1e-6)


@pytest.mark.parametrize(
    ("mesh", "expected"),
    [
        (shapes.box([0.1, 0.2, 0.3]), 0.006),
        (shapes.revolution([[0, 0], [0.05, 0], [0.05, 0.1], [0, 0.1]], 400), np.pi * 0.05**2 * 0.1),
        (shapes.superquadric([0.1, 0.1, 0.1], segments=200, rings=100), 4 / 3 * np.pi * 0.1**3),
        (shapes.prism([[0, 0], [0.1, 0], [0, 0.1]], 0.2), 0.001),
        (shapes.tube([[0, 0, 0], [0, 0, 0.1], [0, 0, 0.2]], 0.02, 400), np.pi * 0.02**2 * 0.2),
    ],
    ids=["box", "cylinder", "sphere", "wedge", "rod"],
)
def test_volume_is_that_of_geometry(mesh: Mesh, expected: float) -> None:
    assert shapes.volume(mesh) == pytest.approx(expected, rel=2e-3)


def test_rounded_box_keeps_its_size_and_loses_its_corners() -> None:
    size, radius = np.array([0.1, 0.06, 0.08]), 0.01
    mesh = shapes.box(size, radius, 8)
    assert np.allclose(np.ptp(mesh.bounds, axis=0), size, atol=1e-6)
    corner = np.linalg.norm(np.abs(mesh.vertices) - size / 2, axis=1).min()
    assert corner == pytest.approx(radius * (np.sqrt(3) - 1), rel=0.02)


def test_mug_is_hollow() -> None:
    mesh = make_object("mug", 3, 3)
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    hull = solid.convex_hull.volume
    assert shapes.volume(mesh) < 0.5 * hull


def test_same_seed_same_object_other_seed_another() -> None:
    a, b, c = make_object("bottle", 1, 2), make_object("bottle", 1, 2), make_object("bottle", 1, 3)
    assert np.array_equal(a.vertices, b.vertices)
    assert np.array_equal(a.texture, b.texture)
    assert np.array_equal(a.vertices, c.vertices)
    assert not np.array_equal(a.texture, c.texture)
    d = random_object(np.random.default_rng(4))
    e = random_object(np.random.default_rng(4))
    assert d.name == e.name
    assert np.array_equal(d.vertices, e.vertices)


def test_look_alikes_share_shape_or_colours() -> None:
    meshes = random_objects(np.random.default_rng(1), 4, distractors="both")
    assert meshes[1].name != meshes[0].name
    assert np.array_equal(meshes[2].vertices, meshes[0].vertices)
    assert not np.array_equal(meshes[2].texture, meshes[0].texture)
    with pytest.raises(InputError, match="must be one of"):
        random_objects(np.random.default_rng(1), 2, distractors="size")


def test_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="'teapot' is unknown: use one of box"):
        make_object("teapot", 0, 0)


def test_joined_meshes_keep_their_textures_apart() -> None:
    red, blue = np.full((8, 8, 3), (200, 0, 0), np.uint8), np.full((16, 4, 3), (0, 0, 200), np.uint8)
    parts = [shapes.replace(shapes.box([0.1, 0.1, 0.1]), texture=t) for t in (red, blue)]
    mesh = shapes.join(parts)
    rows = np.clip(((1 - mesh.uv[:, 1]) * len(mesh.texture)).astype(int), 0, len(mesh.texture) - 1)
    first = len(parts[0].vertices)
    assert (rows[:first] < 8).all()
    assert (rows[first:] >= 8).all()
    with pytest.raises(InputError, match="no texture"):
        shapes.join([shapes.box([0.1, 0.1, 0.1])])


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_pattern_fills_its_image_and_is_seeded(pattern: str) -> None:
    images = [random_texture(np.random.default_rng(s), 96, 70, pattern=pattern) for s in (5, 5, 6)]
    assert images[0].shape == (70, 96, 3)
    assert images[0].dtype == np.uint8
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


@pytest.mark.parametrize("size", [(2, 2), (5, 300), (300, 5), (24, 24)])
def test_textures_of_odd_sizes(size: tuple[int, int]) -> None:
    for seed in range(12):
        assert random_texture(np.random.default_rng(seed), *size).shape == (size[1], size[0], 3)


def test_noise_field_spans_its_range() -> None:
    field = noise_field(np.random.default_rng(0), 120, 80)
    assert field.shape == (80, 120)
    assert field.min() == 0
    assert field.max() == 1
    assert random_palette(np.random.default_rng(0)).shape == (4, 3)


def test_empty_folder_of_scans(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \.glb file"):
        load_objects(tmp_path)
