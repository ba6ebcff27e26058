"""Saved references come back bit for bit, or with a clear error."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.core.errors import OutputError, RecordingError
from storm_ros.core.types import Mesh, Reference, RgbdFrame, View
from storm_ros.io import load_reference, save_reference

RNG = np.random.default_rng(11)


@pytest.fixture
def reference(frames: list[RgbdFrame]) -> Reference:
    mesh = Mesh(
        RNG.normal(size=(20, 3)).astype(np.float32),
        RNG.integers(0, 20, (30, 3)).astype(np.int32),
        colors=RNG.integers(0, 256, (20, 3)).astype(np.uint8),
        uv=RNG.random((20, 2)).astype(np.float32),
        texture=RNG.integers(0, 256, (8, 4, 3)).astype(np.uint8),
        open_surface=True,
        name="lifted",
    )
    depth = frames[1].depth_m * np.float32(1.2345)  # not whole millimetres
    fine = replace(frames[1], depth_m=depth)
    views = tuple(
        View(frame, RNG.random(frame.shape) > 0.5, se3.exp(RNG.normal(size=6))) for frame in (fine, frames[3])
    )
    return Reference("mug / blue", views, mesh)


def assert_same(a: Reference, b: Reference) -> None:
    assert a.object_id == b.object_id
    assert len(a.views) == len(b.views)
    for x, y in zip(a.views, b.views, strict=True):
        assert np.array_equal(x.frame.rgb, y.frame.rgb)
        assert np.array_equal(x.frame.depth_m, y.frame.depth_m)
        assert np.array_equal(x.mask, y.mask)
        assert np.array_equal(x.cam_T_obj, y.cam_T_obj)
        for name in ("camera", "stamp_ns", "index", "frame_id"):
            assert getattr(x.frame, name) == getattr(y.frame, name)
    for name in ("vertices", "faces", "colors", "uv", "texture"):
        left, right = getattr(a.mesh, name), getattr(b.mesh, name)
        assert (left is None and right is None) or (np.array_equal(left, right) and left.dtype == right.dtype)
    assert (a.mesh.name, a.mesh.open_surface) == (b.mesh.name, b.mesh.open_surface)


def test_everything_comes_back(reference: Reference, tmp_path: Path) -> None:
    save_reference(tmp_path / "ref", reference)
    assert_same(load_reference(tmp_path / "ref"), reference)
    assert [p.name for p in tmp_path.iterdir()] == ["ref"]


def test_mesh_without_colours(reference: Reference, tmp_path: Path) -> None:
    plain = replace(reference, mesh=Mesh(reference.mesh.vertices, reference.mesh.faces))
    save_reference(tmp_path / "ref", plain)
    assert_same(load_reference(tmp_path / "ref"), plain)


def test_mesh_opens_elsewhere(reference: Reference, tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    mesh = replace(reference.mesh, uv=None, texture=None)
    save_reference(tmp_path / "ref", replace(reference, mesh=mesh))
    other = trimesh.load(tmp_path / "ref" / "mesh.ply", process=False)
    np.testing.assert_array_equal(other.vertices.astype(np.float32), reference.mesh.vertices)
    np.testing.assert_array_equal(other.visual.vertex_colors[:, :3], reference.mesh.colors)


def test_older_reference_is_replaced(reference: Reference, tmp_path: Path) -> None:
    save_reference(tmp_path / "ref", reference)
    newer = replace(reference, object_id="other", views=reference.views[:1])
    save_reference(tmp_path / "ref", newer)
    assert_same(load_reference(tmp_path / "ref"), newer)
    assert not (tmp_path / "ref" / "view_001").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["ref"]


def test_failed_save_leaves_the_older_one(
    reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_reference(tmp_path / "ref", reference)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OutputError, match="No space left on device"):
        save_reference(tmp_path / "ref", replace(reference, object_id="other"))
    assert_same(load_reference(tmp_path / "ref"), reference)
    assert [p.name for p in tmp_path.iterdir()] == ["ref"]


def test_other_folders_are_not_overwritten(reference: Reference, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(OutputError, match="is not a saved reference"):
        save_reference(tmp_path, reference)
    (tmp_path / "empty").mkdir()
    save_reference(tmp_path / "empty", reference)
    assert_same(load_reference(tmp_path / "empty"), reference)


def test_place_below_a_file(reference: Reference, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        save_reference(tmp_path / "file" / "ref", reference)


def test_folder_without_a_reference(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"no reference\.json"):
        load_reference(tmp_path)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"version": 2}, r"has version 2, this software reads 1"),
        ({"views": []}, "has no view"),
        ({"views": [{}]}, "no entry 'folder'"),
        ({"mesh": {}}, "no entry 'texture'"),
        ({"mesh": None}, "cannot be used"),
    ],
    ids=["version", "no view", "empty view", "empty mesh", "no mesh"],
)
def test_damaged_index(reference: Reference, tmp_path: Path, change: Any, text: str) -> None:
    save_reference(tmp_path, reference)
    path = tmp_path / "reference.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(RecordingError, match=text):
        load_reference(tmp_path)


@pytest.mark.parametrize("name", ["view_001/rgb.png", "view_000/depth.npz", "view_000/mask.png", "mesh.ply"])
@pytest.mark.parametrize("how", ["cut", "absent"])
def test_damaged_file_is_named(reference: Reference, tmp_path: Path, name: str, how: str) -> None:
    save_reference(tmp_path, reference)
    path = tmp_path / name
    data = path.read_bytes()
    path.unlink()
    if how == "cut":
        path.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(RecordingError, match=path.name) as caught:
        load_reference(tmp_path)
    assert "\n" not in str(caught.value)


def test_pose_that_is_no_rotation(reference: Reference, tmp_path: Path) -> None:
    save_reference(tmp_path, reference)
    path = tmp_path / "reference.json"
    tree = json.loads(path.read_text())
    tree["views"][1]["cam_T_obj"][0][0] = 7.0
    path.write_text(json.dumps(tree))
    with pytest.raises(RecordingError, match="view_001 is not a rigid"):
        load_reference(tmp_path)
