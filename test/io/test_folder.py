"""Folders with rgb/, depth/ and camera.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storm_ros.core.errors import RecordingError
from storm_ros.io import Recording, open_folder, open_recording

MATRIX = {"fx": 50.0, "fy": 51.0, "cx": 23.5, "cy": 15.5}


@pytest.fixture
def folder(scene: Path, tmp_path: Path) -> Path:
    """The images of the BOP scene as a plain folder."""
    root = tmp_path / "plain"
    root.mkdir()
    for name in ("rgb", "depth"):
        (scene / name).rename(root / name)
    (root / "camera.json").write_text(json.dumps(MATRIX))
    return root


def settings(folder: Path, **more: Any) -> None:
    (folder / "camera.json").write_text(json.dumps(MATRIX | more))


def test_numbers_come_from_the_names(folder: Path) -> None:
    for part in ("rgb", "depth"):
        (folder / part / "000000.png").rename(folder / part / "000010.png")
    with open_recording(folder) as recording:
        assert isinstance(recording, Recording)
        assert recording.numbers == (1, 2, 3, 10)
        assert recording.ground_truth is None
        frame = recording.read(10)
        assert frame.stamp_ns == 333_333_333
        assert (frame.camera.width, frame.camera.height, frame.camera.fy) == (48, 32, 51.0)
        assert 0.4 <= frame.depth_m[frame.depth_m > 0].min() < 0.5


def test_other_names_are_counted(folder: Path) -> None:
    for part in ("rgb", "depth"):
        (folder / part / "000003.png").rename(folder / part / "a3.png")
    assert open_folder(folder).numbers == (0, 1, 2, 3)


def test_images_without_a_partner_are_left_out_with_a_warning(folder: Path) -> None:
    (folder / "depth" / "000001.png").unlink()
    recording = open_folder(folder)
    assert recording.numbers == (0, 2, 3)
    assert "1 images" in recording.warnings[0]


def test_matrix_scale_rate(folder: Path) -> None:
    k = [70, 0, 1, 0, 71, 2, 0, 0, 1]
    (folder / "camera.json").write_text(json.dumps({"cam_K": k, "depth_scale": 0.25, "rate_hz": 10}))
    recording = open_folder(folder)
    frame = recording.read(2)
    assert (frame.camera.fx, frame.camera.cy, recording.rate_hz) == (70.0, 2.0, 10.0)
    assert frame.stamp_ns == 200_000_000
    assert 0.1 <= frame.depth_m[frame.depth_m > 0].min() < 0.125


@pytest.mark.parametrize(
    "stamps",
    [
        {"stamps": [1.5, 1.6, 1.7, 1.8]},
        {"stamps": {"000000": 1.5, "000001": 1.6, "000002": 1.7, "000003": 1.8}},
        {"stamps_ns": [1_500_000_000, 1_600_000_000, 1_700_000_000, 1_800_000_000]},
    ],
    ids=["list", "by name", "nanoseconds"],
)
def test_stamps(folder: Path, stamps: Any) -> None:
    settings(folder, **stamps)
    recording = open_folder(folder)
    assert [recording.read(n).stamp_ns for n in recording.numbers] == [1_500_000_000 + n * 10**8 for n in range(4)]
    assert recording.rate_hz == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"fx": 0}, "fx=0.0"),
        ({"fx": "wide"}, r"^fx in \S*camera\.json is 'wide': a number is needed$"),
        ({"cam_K": "abc"}, r"^cam_K in \S*camera\.json is 'abc': 9 numbers are needed$"),
        ({"cam_K": [1, 2]}, "cam_K .* has 2 numbers: 9 are needed"),
        ({"cam_K": [{}] * 9}, "9 numbers are needed"),
        ({"width": "wide", "height": 3}, "width in .* is 'wide': a number is needed"),
        ({"depth_scale": 0}, "depth_scale .* is 0: a positive number"),
        ({"stamps": [1.0]}, "1 stamps for 4 frames"),
        ({"stamps": {"000000": 1.0}}, "no entry for frame '000001'"),
        ({"focal": 3}, "unknown entries focal"),
    ],
    ids=lambda v: str(v)[:20],
)
def test_bad_camera_json(folder: Path, change: Any, text: str) -> None:
    settings(folder, **change)
    with pytest.raises(RecordingError, match=text):
        open_folder(folder)


def test_camera_of_another_size_than_the_images(folder: Path) -> None:
    settings(folder, width=640, height=480)
    with pytest.raises(RecordingError, match="640x480 but the image is 48x32"):
        open_folder(folder).read(0)


def test_missing_parts_are_named(folder: Path) -> None:
    settings_file = folder / "camera.json"
    settings_file.write_text("{}")
    with pytest.raises(RecordingError, match="no 'fx'"):
        open_folder(folder)
    settings_file.write_text("[1]")
    with pytest.raises(RecordingError, match="is a list"):
        open_folder(folder)
    settings_file.write_text("{")
    with pytest.raises(RecordingError, match="not valid JSON"):
        open_folder(folder)
    settings(folder)
    (folder / "depth").rename(folder / "other")
    with pytest.raises(RecordingError, match="depth is missing"):
        open_folder(folder)
    settings_file.unlink()
    (folder / "other").rename(folder / "depth")
    with pytest.raises(RecordingError, match=r"no camera\.json"):
        open_recording(folder)


def test_no_partners_at_all(folder: Path) -> None:
    for path in list((folder / "depth").iterdir()):
        path.rename(path.with_name("d" + path.name))
    with pytest.raises(RecordingError, match="none of the 4 images in rgb/"):
        open_folder(folder)


def test_damaged_image_in_the_middle(folder: Path) -> None:
    path = folder / "rgb" / "000001.png"
    path.write_bytes(path.read_bytes()[:200])
    recording = open_folder(folder)
    with pytest.raises(RecordingError, match="frame 1 of"):
        recording.read(1)
    assert np.array_equal(recording.read(2).rgb.shape, (32, 48, 3))


def test_depth_that_is_too_far_names_the_entry_to_change(folder: Path) -> None:
    settings(folder, depth_scale=1000)
    with pytest.raises(
        RecordingError, match=r"median depth is \d+ m: depth_scale in .*camera\.json is 1000; set it to"
    ):
        open_folder(folder).read(0)
