"""Every wrong input gets its own complaint that names the fix; it blocks what cannot be used and goes when mended."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from ros_messages import CAMERA, HEIGHT, STAMP_NS, WIDTH, image, info, raw_image

from storm_ros.ros.complaints import Publisher, backward, repeated, unusable, without_depth
from storm_ros.ros.doctor import DEPTH, IMAGE, INFO, TYPES, Doctor

TOPICS = {IMAGE: "/cam/color", DEPTH: "/cam/depth", INFO: "/cam/info"}
RGB = np.full((HEIGHT, WIDTH, 3), 9, np.uint8)
RAW = np.full((HEIGHT, WIDTH), 900, np.uint16)
MS = 1_000_000


class Camera:
    """Shows a doctor images 30 times a second, on a clock of its own."""

    def __init__(self) -> None:
        self.doctor = Doctor(TOPICS, slop_s=0.03, stale_after_s=1.0)
        self.now_s = 50.0
        self.doctor.start(self.now_s)
        self.stamp_ns = STAMP_NS

    def run(self, seconds, *, rgb=None, depth=None, camera=None, apart_s=0.0, without=()):
        """Send good images, or others where given."""
        for _ in range(round(seconds * 30)):
            self.now_s += 1 / 30
            self.stamp_ns += 33 * MS
            if IMAGE not in without:
                self.doctor.saw_image(rgb or image(RGB, "rgb8"), self.stamp_ns, self.now_s)
            if DEPTH not in without:
                stamp = self.stamp_ns + round(apart_s * 1e9)
                self.doctor.saw_depth(depth or image(RAW, "16UC1"), stamp, self.now_s)
            if INFO not in without:
                self.doctor.saw_info(camera or info(), self.now_s)
            if not without and abs(apart_s) < 0.03:
                self.doctor.saw_pair(self.now_s)

    def problems(self, graph=None):
        return self.doctor.problems(self.now_s, graph)


@pytest.fixture
def camera():
    return Camera()


def zero_k():
    return dataclasses.replace(info(), k=np.zeros(9))


def with_distortion():
    return dataclasses.replace(info(), d=np.array([0.1, -0.2, 0, 0, 0]))


def test_good_input_has_no_problem(camera):
    camera.run(3.0)
    assert camera.problems() == []
    assert camera.doctor.usable()
    assert not camera.doctor.stale(camera.now_s)


@pytest.mark.parametrize(
    ("wrong", "key", "words"),
    [
        ({"camera": info(CAMERA.scaled(2))}, "info_size", ["128x96", "64x48", "remap 'camera_info'"]),
        ({"camera": zero_k()}, "info_k", ["all zero", "calibrate"]),
        (
            {"depth": image(RAW[:24, :32], "16UC1")},
            "depth_size",
            ["32x24", "64x48", "align_depth.enable:=true"],
        ),
        ({"rgb": image(RGB, "yuv422_yuy2")}, "image_encoding", ["yuv422_yuy2", "rgb8", "colour format"]),
        ({"rgb": image(RGB[..., 0], "bayer_rggb8")}, "image_encoding", ["bayer_rggb8", "debayer"]),
        ({"rgb": image(RAW, "16UC1")}, "image_encoding", ["depth image", "remap 'image'"]),
        ({"depth": image(RGB, "rgb8")}, "depth_encoding", ["colour image", "remap 'depth'"]),
        ({"depth": image(RAW, "64FC1")}, "depth_encoding", ["16UC1 (millimetres) or 32FC1 (metres)"]),
        (
            {"rgb": raw_image(WIDTH, HEIGHT, "rgb8", WIDTH * 3, np.zeros(50, np.uint8))},
            "image_bytes",
            ["50 bytes", "fix its publisher"],
        ),
        ({"depth": raw_image(WIDTH, HEIGHT, "16UC1", 3, np.zeros(9999, np.uint8))}, "depth_bytes", ["rows of 3"]),
    ],
)
def test_wrong_fields_block_and_name_the_fix_and_heal(camera, wrong, key, words):
    camera.run(0.5)
    camera.run(0.2, **wrong)
    found = camera.problems()
    assert [p.key for p in found] == [key]
    assert found[0].blocks
    assert not camera.doctor.usable()
    assert all(word in found[0].text for word in [*words, "/cam/"])
    camera.run(0.1)
    assert camera.problems() == []
    assert camera.doctor.usable()


@pytest.mark.parametrize(
    ("odd", "key", "words"),
    [
        ({"camera": with_distortion()}, "info_distorted", "rectified"),
        ({"rgb": image(RGB, "rgb8", frame_id="")}, "image_frame", "frame_id"),
        ({"depth": image(RAW, "16UC1", frame_id="other")}, "depth_frame", "aligned depth"),
    ],
)
def test_doubtful_input_is_used_with_a_warning(camera, odd, key, words):
    camera.run(0.5, **odd)
    found = camera.problems()
    assert [p.key for p in found] == [key]
    assert not found[0].blocks
    assert words in found[0].text
    assert camera.doctor.usable()


@pytest.mark.parametrize("missing", [IMAGE, DEPTH, INFO])
def test_input_that_never_comes_is_named_within_two_seconds(camera, missing):
    camera.run(0.9, without=(missing,))
    assert camera.problems() == []
    camera.run(0.6, without=(missing,))
    (found,) = camera.problems(lambda key: [])
    assert TOPICS[missing] in found.text
    assert f"remap '{missing}'" in found.text
    assert "no publisher" in found.text
    camera.run(0.2)
    assert camera.problems() == []


@pytest.mark.parametrize(
    ("publisher", "words"),
    [
        (Publisher("/driver", "sensor_msgs/msg/CompressedImage"), "ros2 run image_transport republish"),
        (Publisher("/driver", "std_msgs/msg/String"), "remap 'image' to the right topic"),
        (Publisher("/driver", TYPES[IMAGE], compatible=False), "qos_overrides./cam/color.subscription.reliability"),
        (Publisher("/driver", TYPES[IMAGE]), "ros2 topic hz"),
    ],
    ids=["compressed", "other type", "quality of service", "sends nothing"],
)
def test_silent_topic_with_a_publisher_says_why(camera, publisher, words):
    camera.run(1.5, without=(IMAGE,))
    (found,) = camera.problems(lambda key: [publisher])
    assert words in found.text
    assert "/driver" in found.text


def test_camera_that_stops_is_stale_and_comes_back(camera):
    camera.run(1.0)
    camera.now_s += 1.4
    assert camera.doctor.stale(camera.now_s)
    found = camera.problems(lambda key: [Publisher("/driver", TYPES[key])])
    assert [p.key for p in found] == ["silent_image", "silent_depth"], "each is told and logged"
    assert "has stopped" in found[0].text
    assert "1.4 s" in found[0].text
    gone = camera.problems(lambda key: [])
    assert "no publisher any more" in gone[0].text
    camera.run(0.1)
    assert not camera.doctor.stale(camera.now_s)
    assert camera.problems() == []


def test_camera_info_that_came_once_is_enough(camera):
    camera.run(0.1)
    camera.run(5.0, without=(INFO,))
    camera.doctor.saw_pair(camera.now_s)
    assert camera.problems() == []


def test_stamps_that_never_meet(camera):
    camera.run(2.0, apart_s=0.25)
    (found,) = camera.problems()
    assert found.key == "unpaired"
    assert "sync.slop is 0.03 s" in found.text
    camera.doctor.slop_s = 0.5
    camera.run(0.1)
    assert camera.problems() == []


@pytest.mark.parametrize(
    ("note", "words"),
    [
        (backward("/cam/color", 0.5), "second publisher"),
        (repeated("/cam/color"), "header.stamp"),
        (unusable("median depth is 900 m"), "900 m"),
        (without_depth("/cam/depth"), "emitter"),
    ],
)
def test_notes_fade_when_they_are_not_repeated(camera, note, words):
    camera.run(0.5)
    for _ in range(3):
        camera.doctor.note(note, camera.now_s)
        camera.run(1.0)
    (found,) = camera.problems()
    assert words in found.text
    camera.run(1.0)
    assert camera.problems() == []


def test_start_forgets_everything(camera):
    camera.run(1.0, camera=zero_k())
    camera.doctor.start(camera.now_s)
    assert camera.doctor.usable()
    assert camera.problems() == []
