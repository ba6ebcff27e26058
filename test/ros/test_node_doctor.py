"""Wrong input of every kind, end to end: a diagnostic that names the fix within 2 s, no pose, and recovery."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytestmark = [pytest.mark.ros, pytest.mark.slow]

TOLD_S = 2.0


@pytest.fixture(scope="module")
def bench(ros_domain):
    from ros_bench import Bench

    bench = Bench(ros_domain())
    bench.node.trigger_configure()
    bench.node.trigger_activate()
    bench.camera.start()
    assert bench.point().success
    yield bench
    bench.close()


@pytest.fixture
def healthy(bench):
    """The bench while everything is in order."""
    bench.camera.spoil = None
    bench.forget()
    bench.expect("storm/pose", 3, seconds=40)
    return bench


def set_k(value):
    def spoil(image, depth, info):
        info.k = np.full(9, value)

    return spoil


def info_size(image, depth, info):
    info.width, info.height = 1280, 720


def depth_size(image, depth, info):
    depth.width, depth.height, depth.step = 160, 120, 320
    depth.data = depth.data[: 320 * 120]


def colour_encoding(image, depth, info):
    image.encoding = "yuv422_yuy2"


def depth_encoding(image, depth, info):
    depth.encoding = "8UC2"


def swapped(image, depth, info):
    image.encoding, image.step, image.data = depth.encoding, depth.step, depth.data


def cut_off(image, depth, info):
    image.data = image.data[:1000]


def millimetres(image, depth, info):
    metres = np.full(240 * 320, 850.0, np.float32)
    depth.encoding, depth.step = "32FC1", 320 * 4
    depth.data = type(depth.data)("B", metres.tobytes())


def apart(image, depth, info):
    depth.header.stamp.sec += 3


def standing(image, depth, info):
    for message in (image, depth):
        message.header.stamp.sec = message.header.stamp.nanosec = 0


class Backwards:
    """Half a second back, and then every stamp is 10 ms before the last."""

    def __init__(self) -> None:
        self.stamp_ns: int | None = None

    def __call__(self, image, depth, info):
        from storm_ros.ros.conversions import fill_time, stamp_ns

        self.stamp_ns = (self.stamp_ns or stamp_ns(image.header.stamp) - 500_000_000) - 10_000_000
        for message in (image, depth, info):
            fill_time(message.header.stamp, self.stamp_ns)


def told(bench, words, since):
    """Seconds until a diagnostic and a status held the words."""
    end = time.monotonic() + TOLD_S + 3.0
    while time.monotonic() < end:
        entries = [e for array in bench.got["/diagnostics"] for e in array.status if e.name == "storm: input"]
        texts = [problem for status in bench.got["storm/status"] for problem in status.problems]
        if any(words in e.message for e in entries) and any(words in text for text in texts):
            return time.monotonic() - since
        time.sleep(0.02)
    heard = {e.message for array in bench.got["/diagnostics"] for e in array.status}
    pytest.fail(f"no diagnostic with {words!r}; heard {heard}")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (info_size, "remap 'camera_info'"),
        (depth_size, "align_depth.enable:=true"),
        (set_k(0.0), "all zero"),
        (set_k(float("nan")), "not usable"),
        (colour_encoding, "set the driver's colour format"),
        (depth_encoding, "16UC1 (millimetres) or 32FC1 (metres)"),
        (swapped, "remap 'image' to the colour image"),
        (cut_off, "fix its publisher"),
        (millimetres, "publish it as 16UC1"),
        (apart, "raise sync.slop"),
        (standing, "do not advance"),
        (Backwards(), "run backwards"),
    ],
)
def test_wrong_input_is_told_and_heals(healthy, spoil, words):
    from storm_ros.ros.conversions import stamp_ns

    healthy.forget()
    healthy.camera.spoiled.clear()
    started = time.monotonic()
    healthy.camera.spoil = spoil
    assert told(healthy, words, started) <= TOLD_S
    healthy.expect_status(lambda m: m.state == "BAD_INPUT" and not any(o.has_pose for o in m.objects))
    time.sleep(0.5)
    healthy.camera.spoil = None
    time.sleep(0.5)
    healthy.got["storm/pose"].clear()
    healthy.expect("storm/pose", 2, seconds=40)
    healthy.expect_status(lambda m: m.state == "RUNNING" and not m.problems)
    heads = [t.header for m in healthy.got["/tf"] for t in m.transforms] + [p.header for p in healthy.got["storm/pose"]]
    assert not {stamp_ns(head.stamp) for head in heads} & healthy.camera.spoiled


def test_camera_that_stops(healthy):
    healthy.camera.stop()
    started = time.monotonic()
    time.sleep(0.3)
    healthy.forget()
    assert told(healthy, "has stopped", started) <= TOLD_S
    healthy.expect_status(lambda m: m.state == "STALE" and m.objects[0].state == "LOST")
    assert healthy.got["/tf"] == []
    healthy.forget()
    healthy.camera.start()
    event = healthy.expect("storm/relocalized", seconds=40)[-1]
    assert event.cause == "stale_input"
    healthy.expect_status(lambda m: m.state == "RUNNING" and m.objects[0].has_pose)


def test_clock_that_jumps_back(healthy):
    """A recording that starts again: stamps go back by an hour, and poses come on with the new stamps."""
    from storm_ros.ros.conversions import stamp_ns

    healthy.camera.offset_ns = -3_600_000_000_000
    healthy.forget()
    time.sleep(1.0)
    healthy.forget()
    poses = healthy.expect("storm/pose", 5, seconds=40)
    assert abs(stamp_ns(poses[-1].header.stamp) - healthy.camera.newest_ns) < 2_000_000_000
    healthy.camera.offset_ns = 0
    healthy.forget()
    healthy.expect("storm/pose", 5, seconds=40)


def test_missing_topic_is_named(ros_domain):
    from ros_bench import Bench

    bench = Bench(ros_domain(), namespace="robot1")
    try:
        bench.node.trigger_configure()
        bench.node.trigger_activate()
        started = time.monotonic()
        bench.forget()
        bench.helper.destroy_publisher(bench.camera.depth)
        entries = []
        while time.monotonic() - started < 6.0 and not entries:
            texts = [text for m in bench.got["storm/status"] for text in m.problems]
            entries = [t for t in texts if "/robot1/depth has no publisher" in t and "remap 'depth'" in t]
            time.sleep(0.05)
        assert entries
        assert time.monotonic() - started <= TOLD_S
        answer = bench.call("set_reference", kind="box", box=[1.0, 1.0, 50.0, 50.0])
        assert not answer.success
        assert "there is no current image" in answer.message
    finally:
        bench.close()


def test_wrong_type_is_named(ros_domain):
    from ros_bench import Bench
    from sensor_msgs.msg import CompressedImage

    bench = Bench(ros_domain())
    try:
        bench.helper.destroy_publisher(bench.camera.image)
        bench.helper.create_publisher(CompressedImage, "image", 5)
        bench.node.trigger_configure()
        bench.node.trigger_activate()
        status = bench.expect_status(lambda m: any("image_transport republish" in text for text in m.problems), 5.0)
        assert "sensor_msgs/msg/CompressedImage from /bench" in " ".join(status.problems)
    finally:
        bench.close()
