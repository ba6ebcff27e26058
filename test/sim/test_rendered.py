"""The demo rendered into files: the same frames, kept, made anew when something changed."""

from __future__ import annotations

import numpy as np
import pytest

from storm_ros.core.errors import InputError, OutputError
from storm_ros.sim.rendered import first_frame, open_demo, render_demo, there_and_back

SETTINGS = {"frames": 40, "seed": 3, "width": 160, "height": 120}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demos")


@pytest.fixture(scope="module")
def shares():
    return []


@pytest.fixture(scope="module")
def show(folder, shares):
    return render_demo(SETTINGS, folder, workers=1, progress=shares.append)


def test_the_frames_are_those_of_the_recording(show) -> None:
    assert len(show) == 40
    with open_demo(SETTINGS) as recording:
        for number in (0, 25, 39):
            frame = recording.read(number)
            assert np.array_equal(show.rgb[number], frame.rgb)
            assert np.abs(show.depth_mm[number] / 1000.0 - frame.depth_m).max() <= 0.0005 + 1e-6
            assert np.allclose(show.cam_T_obj[number], recording.ground_truth.pose(number, recording.target_id))


def test_the_box_holds_the_target(show) -> None:
    x, y, width, height = show.box
    with open_demo(SETTINGS) as recording:
        mask = recording.ground_truth.mask(0, recording.target_id)
    assert mask[y : y + height, x : x + width].sum() == mask.sum()
    assert mask[y, x : x + width].any()
    assert mask[y : y + height, x + width - 1].any()


def test_phases(show) -> None:
    names = [show.phase(number) for number in range(len(show))]
    assert names[0] == "slow"
    assert {"occluded", "jump"} <= set(names)


def test_progress_ends_at_one(show, shares) -> None:
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_rendered_once(show, folder) -> None:
    told = []
    again = render_demo(SETTINGS, folder, progress=told.append)
    assert told == []
    assert np.array_equal(again.rgb[7], show.rgb[7])


def test_no_unfinished_folder_is_left(show, folder) -> None:
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_first_frame_alone(show) -> None:
    first = first_frame(SETTINGS)
    assert len(first) == 1
    assert np.array_equal(first.rgb[0], show.rgb[0])
    assert np.array_equal(first.depth_mm[0], show.depth_mm[0])
    assert first.box == show.box


def test_there_and_back_without_a_cut() -> None:
    numbers = [there_and_back(step, 5) for step in range(17)]
    assert numbers == [0, 1, 2, 3, 4, 3, 2, 1, 0, 1, 2, 3, 4, 3, 2, 1, 0]
    assert there_and_back(7, 1) == 0


def test_a_demo_that_cannot_be(tmp_path) -> None:
    with pytest.raises(InputError, match="too short"):
        render_demo({**SETTINGS, "frames": 5}, tmp_path)


def test_a_cache_that_cannot_be_written(tmp_path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(OutputError, match="XDG_CACHE_HOME"):
        render_demo(SETTINGS, blocked / "demos")
