"""poses.csv in the format of the BOP challenge."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.core.errors import InputError, OutputError
from storm_ros.io import PosesWriter

POSE = se3.transform([[0, -1, 0], [1, 0, 0], [0, 0, 1]], [0.1, -0.02, 0.5])


def test_known_line(tmp_path: Path) -> None:
    with PosesWriter(tmp_path / "out" / "poses.csv") as writer:
        writer.write(3, 17, 5, 0.75, POSE, 0.012)
    assert (tmp_path / "out" / "poses.csv").read_text() == (
        "scene_id,im_id,obj_id,score,R,t,time\n3,17,5,0.75,0 -1 0 1 0 0 0 0 1,100 -20 500,0.012\n"
    )


def test_every_line_is_there_at_once(tmp_path: Path) -> None:
    writer = PosesWriter(tmp_path / "poses.csv")
    for number in range(3):
        writer.write(1, number, 1, 1.0, POSE, -1)
        assert len((tmp_path / "poses.csv").read_text().splitlines()) == number + 2
    writer.close()


def test_rotation_survives_the_text(tmp_path: Path) -> None:
    pose = se3.exp([0.1234567, -0.7654321, 1.5, 0.3, -1.1, 0.7])
    with PosesWriter(tmp_path / "poses.csv") as writer:
        writer.write(1, 2, 3, 0.5, pose, -1)
    fields = (tmp_path / "poses.csv").read_text().splitlines()[1].split(",")
    np.testing.assert_allclose(np.array(fields[4].split(), float).reshape(3, 3), pose[:3, :3], atol=1e-9)
    np.testing.assert_allclose(np.array(fields[5].split(), float), pose[:3, 3] * 1000, atol=1e-5)


@pytest.mark.parametrize("pose", [np.full((4, 4), np.nan), np.eye(3)], ids=["nan", "3x3"])
def test_bad_pose(tmp_path: Path, pose: np.ndarray) -> None:
    with PosesWriter(tmp_path / "poses.csv") as writer, pytest.raises(InputError, match="pose of frame 2"):
        writer.write(1, 2, 3, 0.5, pose, -1)


def test_closed(tmp_path: Path) -> None:
    writer = PosesWriter(tmp_path / "poses.csv")
    writer.close()
    writer.close()
    with pytest.raises(OutputError, match="closed already"):
        writer.write(1, 2, 3, 0.5, POSE, -1)


def test_place_that_is_a_file_or_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "poses.csv", tmp_path):
        with pytest.raises(OutputError, match=r"cannot write .*choose another place"):
            PosesWriter(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_is_not_writable(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(OutputError, match="Permission denied"):
        PosesWriter(tmp_path / "poses.csv")
