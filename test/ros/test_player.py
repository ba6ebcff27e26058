"""A recording played for real: every frame arrives as it was recorded, with its stamps and /clock if wanted."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from storm_ros.io import convert, open_recording
from storm_ros.sim import turntable_sequence

pytestmark = pytest.mark.ros

FRAMES = 8
SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "player"


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp("bag") / "turn.mcap"
    with turntable_sequence(10.0, 1, frames=FRAMES, width=160, height=120) as recording:
        convert(recording, path)
    return path


class Audience:
    """Keeps the images, depths, camera_infos and clocks of a domain."""

    def __init__(self, domain: int) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rosgraph_msgs.msg import Clock
        from sensor_msgs.msg import CameraInfo, Image

        self.rclpy, self.context = rclpy, rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node("audience", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.images, self.depths, self.infos, self.clocks = [], [], [], []
        for kind, topic, kept in (
            (Image, "image", self.images),
            (Image, "depth", self.depths),
            (CameraInfo, "camera_info", self.infos),
            (Clock, "clock", self.clocks),
        ):
            self.node.create_subscription(kind, topic, kept.append, 1000)

    def watch(self, process: subprocess.Popen, limit_s: float = 300.0) -> None:
        """Until the player has ended, as it should, and nothing more comes."""
        end = time.monotonic() + limit_s
        while process.poll() is None and time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.05)
        heard, count = time.monotonic(), 0
        while time.monotonic() < heard + 1.0:
            self.executor.spin_once(timeout_sec=0.05)
            if count != (count := sum(map(len, (self.images, self.depths, self.infos, self.clocks)))):
                heard = time.monotonic()
        _, text = process.communicate(timeout=30)
        assert process.returncode == 0, text

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self.rclpy.shutdown(context=self.context)


def play(domain: int, **parameters: object) -> subprocess.Popen:
    import os

    arguments = [text for name, value in parameters.items() for text in ("-p", f"{name}:={value}")]
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), "--ros-args", *arguments],
        env={**os.environ, "ROS_DOMAIN_ID": str(domain)},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def theatre(ros_domain):
    domain = ros_domain()
    audience = Audience(domain)
    yield domain, audience
    audience.close()


def nanoseconds(stamp) -> int:
    return stamp.sec * 10**9 + stamp.nanosec


def test_recorded_stamps_and_clock(theatre, bag) -> None:
    domain, audience = theatre
    process = play(domain, recording=bag, clock="true", rate=0.25, hold=0.5)
    audience.watch(process)
    stamps = [nanoseconds(m.header.stamp) for m in audience.images]
    assert stamps == sorted(stamps)
    clocks = [nanoseconds(m.clock) for m in audience.clocks]
    assert clocks == sorted(clocks)
    assert len(set(clocks)) > len(set(stamps)), "the clock runs on between the images"
    with open_recording(bag) as recording:
        steps = np.diff([recording.read(n).stamp_ns for n in recording.numbers])
        last = recording.read(recording.numbers[-1])
        wanted = np.asarray(last.rgb)
        assert np.diff(stamps)[-(FRAMES - 1) :].tolist() == steps.tolist(), "in the time of the recording"
        rgb = np.frombuffer(audience.images[-1].data, np.uint8).reshape(wanted.shape)
        assert np.array_equal(rgb, wanted)
        message = audience.depths[-1]
        assert (message.width, message.height, message.encoding) == (160, 120, "32FC1")
        depth = np.frombuffer(message.data, np.float32).reshape(120, 160)
        assert np.array_equal(np.nan_to_num(depth), np.asarray(last.depth_m))
        assert np.allclose(audience.infos[-1].k, last.camera.k.ravel())


def test_stamps_of_now(theatre, bag) -> None:
    domain, audience = theatre
    began = time.time_ns()
    process = play(domain, recording=bag, hold=0.2, first=2, last=4)
    audience.watch(process)
    assert audience.clocks == []
    stamps = [nanoseconds(m.header.stamp) for m in audience.images]
    assert all(began < stamp < time.time_ns() for stamp in stamps)
    assert len({bytes(m.data) for m in audience.images}) == 3, "frames 2 to 4"


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, "bag:=PATH"),
        ({"recording": "/nowhere.mcap"}, "does not exist"),
        ({"first": 90}, "frames 90 to the end are not in"),
    ],
)
def test_what_cannot_be_played_is_said(ros_domain, bag, parameters, said) -> None:
    if "first" in parameters:
        parameters = {**parameters, "recording": bag}
    process = play(ros_domain(), **parameters)
    _, text = process.communicate(timeout=300)
    assert process.returncode == 1
    assert said in text
    assert "Traceback" not in text
