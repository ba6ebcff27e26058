"""Meshes from files and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from storm_ros.core.errors import InputError, OutputError
from storm_ros.core.types import Mesh
from storm_ros.mesh import load_mesh, save_mesh
from storm_ros.mesh.texture import sample_texture

QUAD = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
QUAD_FACES = [[0, 1, 2], [0, 2, 3]]
QUAD_UV = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)


def box(size_m: float = 0.1) -> trimesh.Trimesh:
    return trimesh.creation.box((size_m, 2 * size_m, 3 * size_m))


def textured_quad(texture: np.ndarray, size_m: float = 0.1) -> trimesh.Trimesh:
    material = PBRMaterial(baseColorTexture=Image.fromarray(texture))
    return trimesh.Trimesh(QUAD * size_m, QUAD_FACES, visual=TextureVisuals(uv=QUAD_UV, material=material))


def random_texture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".glb", ".stl"])
def test_every_format_gives_the_same_box(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"box{suffix}"
    box().export(path)
    mesh = load_mesh(path)
    assert (len(mesh.vertices), len(mesh.faces)) == (8, 12)
    assert np.allclose(np.ptp(mesh.bounds, axis=0), [0.1, 0.2, 0.3], atol=1e-6)
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(float) for i in range(3))
    assert np.einsum("ij,ij->", a, np.cross(b, c)) / 6 == pytest.approx(0.1 * 0.2 * 0.3, rel=1e-5)  # turned outwards
    assert (mesh.name, mesh.open_surface) == (path.name, False)


def test_transforms_of_a_scene_are_applied(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    scene.add_geometry(box())
    moved = np.diag([1.0, 1.0, -1.0, 1.0])  # mirrored and moved
    moved[:3, 3] = [0.5, 0.0, 0.0]
    scene.add_geometry(box(), transform=moved)
    scene.export(tmp_path / "two.glb")
    mesh = load_mesh(tmp_path / "two.glb")
    assert len(mesh.faces) == 24
    assert np.allclose(mesh.bounds, [[-0.05, -0.1, -0.15], [0.55, 0.1, 0.15]], atol=1e-6)
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(float) for i in range(3))
    assert np.einsum("ij,ij->", a, np.cross(b, c)) / 6 == pytest.approx(2 * 0.006, rel=1e-5)


def test_centre_moves_the_origin_to_the_middle_of_the_box(tmp_path: Path) -> None:
    box().apply_translation([1.0, 2.0, 3.0]).export(tmp_path / "off.ply")
    assert np.allclose(load_mesh(tmp_path / "off.ply").center, [1, 2, 3], atol=1e-6)
    assert np.allclose(load_mesh(tmp_path / "off.ply", center=True).center, 0, atol=1e-6)


def test_vertex_colours_survive(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (8, 3), dtype=np.uint8)
    solid = box()
    solid.visual.vertex_colors = colours  # type: ignore[union-attr]
    solid.export(tmp_path / "c.ply")
    assert np.array_equal(load_mesh(tmp_path / "c.ply").colors, colours)


def test_material_colour_becomes_vertex_colour(tmp_path: Path) -> None:
    material = PBRMaterial(baseColorFactor=[255, 0, 51, 255])
    solid = trimesh.Trimesh(QUAD * 0.1, QUAD_FACES, visual=TextureVisuals(uv=QUAD_UV, material=material))
    solid.export(tmp_path / "m.glb")
    assert np.array_equal(load_mesh(tmp_path / "m.glb").colors, np.tile([[255, 0, 51]], (4, 1)))


def test_plain_mesh_has_no_colours(tmp_path: Path) -> None:
    box().export(tmp_path / "plain.ply")
    mesh = load_mesh(tmp_path / "plain.ply")
    assert (mesh.colors, mesh.uv, mesh.texture) == (None, None, None)


def test_texture_stays_a_texture(tmp_path: Path) -> None:
    texture = random_texture(0)
    textured_quad(texture).export(tmp_path / "t.glb")
    mesh = load_mesh(tmp_path / "t.glb")
    assert np.array_equal(mesh.texture, texture)
    assert mesh.uv is not None
    assert np.allclose(mesh.uv, QUAD_UV)  # v = 0 is the bottom of the image, though glTF has it at the top


def test_several_textures_become_vertex_colours(tmp_path: Path) -> None:
    red, blue = np.full((4, 4, 3), [255, 0, 0], np.uint8), np.full((4, 4, 3), [0, 0, 255], np.uint8)
    scene = trimesh.Scene([textured_quad(red), textured_quad(blue).apply_translation([0.5, 0, 0])])
    scene.export(tmp_path / "two.glb")
    mesh = load_mesh(tmp_path / "two.glb")
    assert mesh.texture is None
    assert mesh.colors is not None
    left = mesh.vertices[:, 0] < 0.3
    assert np.array_equal(mesh.colors[left], np.tile([[255, 0, 0]], (4, 1)))
    assert np.array_equal(mesh.colors[~left], np.tile([[0, 0, 255]], (4, 1)))


def test_one_texture_shared_by_two_parts_stays(tmp_path: Path) -> None:
    texture = random_texture(1)
    scene = trimesh.Scene([textured_quad(texture), textured_quad(texture).apply_translation([0.5, 0, 0])])
    scene.export(tmp_path / "two.glb")
    mesh = load_mesh(tmp_path / "two.glb")
    assert np.array_equal(mesh.texture, texture)
    assert mesh.uv is not None
    assert len(mesh.uv) == len(mesh.vertices) == 8


def test_texture_lookup_is_bilinear_from_the_bottom_left() -> None:
    texture = np.zeros((2, 2, 3), np.uint8)
    texture[1, 0] = 200  # bottom left
    texture[0, 1] = 100  # top right
    uv = np.array([[0.25, 0.25], [0.75, 0.75], [0.25, 0.75], [0.5, 0.5], [1.25, -0.75], [np.nan, 0.25]])
    assert sample_texture(texture, uv)[:, 0].tolist() == [200, 100, 0, 75, 200, 100]


@pytest.mark.parametrize(
    ("size_m", "scale", "text"),
    [
        pytest.param(85 / 3.7417, 1.0, r"is 85 m across: it looks like millimetres; pass scale 0.001", id="mm as m"),
        pytest.param(
            0.1 / 3.7417, 0.001, r"0.1 mm across at scale 0.001: .*pass scale 1 \(--mesh-scale 1\)", id="m as mm"
        ),
        pytest.param(
            100 / 3.7417, 1e-6, r"0.1 mm across at scale 1e-06: .*millimetres; pass scale 0.001 \(", id="mm as um"
        ),
        pytest.param(100 / 3.7417, 1.0, r"100 m across: .* pass scale 0.001 \(--mesh-scale 0.001\)", id="10 cm in mm"),
        pytest.param(8 / 3.7417, 1.0, r"looks like centimetres; pass scale 0.01 ", id="cm as m"),
        pytest.param(1e6 / 3.7417, 1.0, r"needed; pass the metres per unit .* 1e\+06 across", id="no unit fits"),
    ],
)
def test_size_that_makes_no_sense_names_the_scale(tmp_path: Path, size_m: float, scale: float, text: str) -> None:
    box(size_m).export(tmp_path / "box.ply")
    with pytest.raises(InputError, match=text):
        load_mesh(tmp_path / "box.ply", scale=scale)


def test_scale_turns_millimetres_into_metres(tmp_path: Path) -> None:
    box(85.0).export(tmp_path / "box.ply")
    assert np.allclose(np.ptp(load_mesh(tmp_path / "box.ply", scale=0.001).bounds, axis=0), [0.085, 0.17, 0.255])


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_scale_must_be_positive(tmp_path: Path, scale: float) -> None:
    with pytest.raises(InputError, match="mesh scale is"):
        load_mesh(tmp_path / "box.ply", scale=scale)


def obj(text: str) -> bytes:
    return text.encode()


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        pytest.param("a.ply", None, "does not exist", id="missing"),
        pytest.param("a.step", b"x", "of no known kind: one of .ply", id="other kind"),
        pytest.param("a.ply", b"", "cannot be read|no faces", id="empty file"),
        pytest.param("a.ply", b"this is no mesh", "cannot be read", id="text"),
        pytest.param("a.glb", b"glTF" + bytes(40), "cannot be read", id="broken glb"),
        pytest.param("a.stl", bytes(84), "no faces|cannot be read", id="stl without faces"),
        pytest.param("a.obj", obj("v 0 0 0\nv 1 0 0\nv 0 1 0\n"), "no faces|cannot be read", id="points only"),
        pytest.param("a.obj", obj("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n"), "cannot be read|outside its", id="index"),
        pytest.param("a.obj", obj("v 0 0 0\nv 1 0 0\nv nan 1 0\nf 1 2 3\n"), "1 vertices that are not", id="nan"),
        pytest.param("a.obj", obj("v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n"), "faces without area", id="degenerate"),
    ],
)
def test_broken_files_say_why_in_one_line(tmp_path: Path, name: str, data: bytes | None, text: str) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=text) as caught:
        load_mesh(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


@pytest.mark.parametrize("suffix", [".ply", ".glb", ".stl"])
def test_truncated_files_never_escape_as_other_errors(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"whole{suffix}"
    trimesh.creation.icosphere(radius=0.1).export(whole)
    data = whole.read_bytes()
    assert load_mesh(whole).diameter == pytest.approx(0.2, rel=0.02)
    for cut in np.linspace(1, len(data) - 1, 25).astype(int):
        (tmp_path / f"cut{suffix}").write_bytes(data[:cut])
        with pytest.raises(InputError):
            load_mesh(tmp_path / f"cut{suffix}")


def test_unused_vertices_and_empty_faces_are_dropped(tmp_path: Path) -> None:
    text = "v 0 0 0\nv 0.1 0 0\nv 0 0.1 0\nv 9 9 9\nf 1 2 3\nf 1 2 2\n"
    (tmp_path / "a.obj").write_text(text)
    mesh = load_mesh(tmp_path / "a.obj")
    assert (len(mesh.vertices), len(mesh.faces)) == (3, 1)


def make_mesh(*, colors: bool = False, texture: bool = False) -> Mesh:
    rng = np.random.default_rng(3)
    return Mesh(
        vertices=(QUAD * 0.1).astype(np.float32),
        faces=np.array(QUAD_FACES, np.int32),
        colors=rng.integers(0, 256, (4, 3), dtype=np.uint8) if colors else None,
        uv=QUAD_UV.astype(np.float32) if texture else None,
        texture=random_texture(2) if texture else None,
    )


@pytest.mark.parametrize("colors", [False, True])
@pytest.mark.parametrize("suffix", [".ply", ".glb"])
def test_written_mesh_comes_back(tmp_path: Path, suffix: str, colors: bool) -> None:
    mesh = make_mesh(colors=colors)
    again = load_mesh(save_mesh(tmp_path / f"m{suffix}", mesh))
    assert np.array_equal(again.vertices, mesh.vertices)
    assert np.array_equal(again.faces, mesh.faces)
    assert (again.colors is None) is (not colors)
    assert not colors or np.array_equal(again.colors, mesh.colors)  # type: ignore[arg-type]


def test_suffix_follows_the_looks(tmp_path: Path) -> None:
    assert save_mesh(tmp_path / "m", make_mesh(colors=True)).name == "m.ply"
    path = save_mesh(tmp_path / "m", make_mesh(texture=True))
    assert path.name == "m.glb"
    assert np.array_equal(load_mesh(path).texture, random_texture(2))


def test_textured_mesh_as_ply_has_vertex_colours(tmp_path: Path) -> None:
    mesh = make_mesh(texture=True)
    again = load_mesh(save_mesh(tmp_path / "m.ply", mesh))
    assert np.array_equal(again.colors, sample_texture(random_texture(2), QUAD_UV))


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"mesh .*m.ply cannot be written: No such file"):
        save_mesh(tmp_path / "absent" / "m.ply", make_mesh())
    (tmp_path / "m.ply").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        save_mesh(tmp_path / "m.ply", make_mesh())
    assert [p.name for p in tmp_path.iterdir()] == ["m.ply"]
    with pytest.raises(InputError, match=r"\.ply or \.glb is needed"):
        save_mesh(tmp_path / "m.obj", make_mesh())


@pytest.mark.data
def test_real_models_load(data_dir: Path) -> None:
    scans = sorted((data_dir / "household").glob("*.glb"))[:5]
    assert len(scans) == 5
    for path in scans:
        mesh = load_mesh(path)
        assert mesh.texture is not None
        assert 0.02 < mesh.diameter < 0.6
    with pytest.raises(InputError, match=r"mesh obj_000001\.ply is 147 m across: it looks like mill"):
        load_mesh(data_dir / "desk/models/obj_000001.ply")
    assert load_mesh(data_dir / "ycbv/models/obj_000008.ply", scale=0.001).colors is not None
