"""Options of ROS recordings, and conversions that are cut short."""

import os
import signal

import numpy as np
import pytest

from storm_ros.cli.main import main
from storm_ros.core.types import Camera
from storm_ros.io import open_recording
from storm_ros.io.bag_file import BagFile
from storm_ros.io.converting import DEPTH_TOPIC, IMAGE_TOPIC, INFO_TOPIC
from storm_ros.io.messages import camera_info_message, depth_message, header, image_message

CAMERA = Camera(64, 48, 60.0, 60.0, 31.5, 23.5)
LAG_NS = 30_000_000


@pytest.fixture
def bag(tmp_path):
    """Five frames whose depth comes 30 ms after the colour, 100 ms apart."""
    path = tmp_path / "late.mcap"
    with BagFile(path) as writer:
        for n in range(5):
            stamp = 10**9 + n * 10**8
            head, late = header(stamp, "cam"), header(stamp + LAG_NS, "cam")
            writer.write(INFO_TOPIC, camera_info_message(head, CAMERA), stamp)
            writer.write(IMAGE_TOPIC, image_message(head, np.full((48, 64, 3), 100, np.uint8), "rgb8"), stamp)
            writer.write(DEPTH_TOPIC, depth_message(late, np.full((48, 64), 0.5, np.float32)), stamp + LAG_NS)
    return path


@pytest.fixture
def scene(tmp_path):
    """The path of a BOP scene, as far as its kind is concerned."""
    folder = tmp_path / "scene"
    folder.mkdir()
    (folder / "scene_camera.json").write_text("{}")
    return folder


def test_slop_pairs_late_depth_and_the_error_names_it(bag, tmp_path, capsys):
    out = tmp_path / "out.mcap"
    assert main(["convert", str(bag), str(out)]) == 1
    err = capsys.readouterr().err
    assert "0.030 s apart; raise slop_s (--slop SECONDS)" in err
    assert err.count("\n") == 1
    assert main(["convert", str(bag), str(out), "--slop", "0.04"]) == 0
    assert len(open_recording(out).numbers) == 5


@pytest.mark.parametrize("slop", ["0", "-1", "inf", "soon"])
def test_slop_must_be_positive(bag, tmp_path, slop, capsys):
    assert main(["convert", str(bag), str(tmp_path / "out.mcap"), f"--slop={slop}"]) == 2
    assert f"argument --slop: {slop!r} must be a positive number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--topics", "image=/a,depth=/b"], "--topics"),
        (["--slop", "0.1"], "--slop"),
        (["--topics", "info=/a", "--slop", "1"], "--topics and --slop"),
    ],
)
def test_options_of_ros_recordings_are_refused_elsewhere(scene, tmp_path, options, named, capsys):
    track = ["track", str(scene), "--reference", "frame=0,gt=1", "--out", str(tmp_path / "out")]
    for command in (track, ["convert", str(scene), str(tmp_path / "out.mcap")]):
        assert main([*command, *options]) == 2
        expected = f"storm: error: {named}: only for ROS recordings, and {scene} is a BOP scene\n"
        assert capsys.readouterr().err == expected


def test_a_conversion_cut_short_says_how_many_frames_there_are(bag, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out.mcap"
    plain_write, images = BagFile.write, []

    def write(writer, topic, message, log_ns, **rest):
        plain_write(writer, topic, message, log_ns, **rest)
        if topic == IMAGE_TOPIC:
            images.append(log_ns)
            if len(images) == 3:
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(BagFile, "write", write)
    assert main(["convert", str(bag), str(out), "--slop", "0.04"]) == 1
    shown = capsys.readouterr()
    assert shown.err == f"storm: interrupted: the 3 frames so far, of 5, are in {out}\n"
    assert "frames of" not in shown.out
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert len(open_recording(out).numbers) == 3
