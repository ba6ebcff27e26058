"""The real recordings, and the same through both kinds of bag."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from storm_ros.io import convert, open_recording

pytestmark = pytest.mark.data


@pytest.mark.parametrize(
    ("name", "frames", "objects", "scene_id", "fx"),
    [("desk", 99, (1, 2), 1, 607.18), ("ycbv", 10, (8, 14, 21), 0, 1066.78), ("kitchen", 500, (1,), 1, 525.0)],
)
def test_scene(data_dir: Path, name: str, frames: int, objects: tuple[int, ...], scene_id: int, fx: float) -> None:
    with open_recording(data_dir / name) as recording:
        assert len(recording.numbers) == frames
        assert recording.scene_id == scene_id
        assert recording.camera.fx == pytest.approx(fx, abs=0.01)
        assert recording.ground_truth.object_ids == objects
        assert recording.warnings == []
        frame = recording.read(recording.numbers[-1])
        assert frame.rgb.shape == (480, 640, 3)
        assert 0.3 < np.median(frame.depth_m[frame.depth_m > 0]) < 4.0


@pytest.mark.parametrize(("name", "obj_id"), [("desk", 1), ("desk", 2), ("ycbv", 8), ("ycbv", 14), ("ycbv", 21)])
def test_truth_agrees_with_depth(data_dir: Path, name: str, obj_id: int) -> None:
    recording = open_recording(data_dir / name)
    truth, number = recording.ground_truth, recording.numbers[0]
    mask, pose, mesh = truth.mask(number, obj_id), truth.pose(number, obj_id), truth.mesh(obj_id)
    distance = np.linalg.norm(pose[:3, :3] @ mesh.center + pose[:3, 3])
    frame = recording.read(number)
    points = frame.camera.backproject(frame.depth_m)[mask & (frame.depth_m > 0)]
    assert abs(np.linalg.norm(points.mean(0)) - distance) < mesh.diameter / 2
    assert 0.04 < mesh.diameter < 0.4


def test_kitchen_has_one_mask_and_frames_without_the_mug(data_dir: Path) -> None:
    truth = open_recording(data_dir / "kitchen").ground_truth
    assert truth.mask(111, 1).sum() > 1000
    np.testing.assert_allclose(truth.pose(111, 1)[:3, :3], np.eye(3), atol=1e-6)
    assert truth.mask(112, 1) is None
    assert truth.pose(70, 1) is None
    assert truth.visible_fraction(70, 1) is None
    assert truth.mesh(1) is None


@pytest.mark.parametrize(("scene", "name"), [("desk", "a.mcap"), ("desk", "a.db3"), ("ycbv", "a.mcap")])
def test_bag_gives_the_very_same_frames(data_dir: Path, tmp_path: Path, scene: str, name: str) -> None:
    source = open_recording(data_dir / scene)
    numbers = source.numbers[::20] if scene == "desk" else source.numbers[:3]
    convert(source, tmp_path / name, numbers=numbers)
    with open_recording(tmp_path / name) as bag:
        assert len(bag.numbers) == len(numbers)
        for mine, number in zip(bag.numbers, numbers, strict=True):
            got, want = bag.read(mine), source.read(number)
            assert np.array_equal(got.rgb, want.rgb)
            assert np.array_equal(got.depth_m, want.depth_m)
            assert (got.camera, got.stamp_ns) == (want.camera, want.stamp_ns)
