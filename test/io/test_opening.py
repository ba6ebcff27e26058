"""Which reader a path gets, and what is said where there is none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from storm_ros.core.errors import BackendUnavailableError, RecordingError
from storm_ros.io import convert, open_recording
from storm_ros.io.messages import typestore


def test_path_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"nope does not exist: give a BOP scene .* rosbag2 .* rgb/, depth/"):
        open_recording(tmp_path / "nope")


@pytest.mark.parametrize(
    ("name", "text"),
    [("movie.avi", r"unknown kind \(\.avi\)"), ("old.bag", "ROS 1 bag: convert it"), ("plain", "no ending")],
)
def test_file_of_another_kind(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(b"something")
    with pytest.raises(RecordingError, match=text):
        open_recording(tmp_path / name)


def test_folder_of_another_kind_names_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="holds nothing"):
        open_recording(tmp_path)
    for i in range(10):
        (tmp_path / f"file{i}.txt").touch()
    with pytest.raises(RecordingError, match=r"holds file0\.txt, .* and 2 more: give a BOP scene"):
        open_recording(tmp_path)


def test_bag_without_its_ending_is_known_by_its_content(recording: Any, tmp_path: Path) -> None:
    convert(recording, tmp_path / "a.mcap")
    (tmp_path / "a.mcap").rename(tmp_path / "a.data")
    assert len(open_recording(tmp_path / "a.data").numbers) == 6


def test_option_of_another_kind(scene: Path) -> None:
    with pytest.raises(RecordingError, match="is a BOP scene, which has no option slop_s: known are rate_hz"):
        open_recording(scene, slop_s=0.1)
    assert open_recording(scene, slop_s=None, rate_hz=15.0).rate_hz == 15.0


@pytest.mark.parametrize("rate_hz", [0.0, -1.0, float("nan")])
def test_rate_must_be_positive(scene: Path, rate_hz: float) -> None:
    with pytest.raises(RecordingError, match="it must be positive"):
        open_recording(scene, rate_hz=rate_hz)


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rosbags.typesys", None)
    with pytest.raises(BackendUnavailableError, match=r"pip install 'rosbags>=0\.11'"):
        typestore.__wrapped__()
