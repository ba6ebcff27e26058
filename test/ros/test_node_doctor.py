"""Wrong input of every kind, end to end: a diagnostic that names the fix within 2 s, no pose, and recovery."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytestmark = [pytest.mark.ros, pytest.mark.slow]

TOLD_S = 2.0
TICK_S = 0.2
"""The node looks at its input, and says what it found, this often."""


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
    bench.fresh("storm/pose", 3)
    bench.expect_status(lambda m: m.state == "RUNNING" and not m.problems)
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


def told(bench, words):
    """Seconds by the node's own ticks until a status held the words; a diagnostic has to, too."""
    from ros_bench import wait_until

    def entries():
        return [e for array in list(bench.got["/diagnostics"]) for e in array.status if e.name.endswith("storm: input")]

    def said():
        return [any(words in text for text in status.problems) for status in list(bench.got["storm/status"])]

    what = f"{words!r} to be told"
    wait_until(lambda: any(said()) and any(words in value.value for e in entries() for value in e.values), what=what)
    return said().index(True) * TICK_S


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
    from ros_bench import image_stamp

    healthy.forget()
    camera = healthy.camera
    camera.spoiled.clear()
    camera.spoil = spoil
    assert told(healthy, words) <= TOLD_S
    healthy.expect_status(lambda m: m.state == "BAD_INPUT" and not any(o.has_pose for o in m.objects))
    first = len(camera.spoiled)
    camera.wait(20)
    camera.spoil = None
    healthy.fresh("storm/pose", 5)
    healthy.expect_status(lambda m: m.state == "RUNNING" and not m.problems)
    heads = {image_stamp(message) for topic in ("/tf", "storm/pose") for message in healthy.got[topic]}
    # The topics are not of one stream: the last bad image may come beside the first good camera_info.
    assert not heads & set(camera.spoiled[first:-3])


def test_camera_that_stops(healthy):
    from ros_bench import wait_until

    healthy.camera.stop()
    healthy.forget()
    assert told(healthy, "has stopped") <= TOLD_S
    healthy.expect_status(lambda m: m.state == "STALE" and [o.state for o in m.objects] == ["LOST"])
    for topic in ("/tf", "storm/pose"):
        ends = lambda at=healthy.at[topic]: not at or time.monotonic() - at[-1] > 1.0  # noqa: E731
        wait_until(ends, what=f"{topic} to end")
    healthy.forget()
    healthy.camera.start()
    event = healthy.expect("storm/relocalized")[0]
    assert event.cause == "stale_input"
    healthy.expect_status(lambda m: m.state == "RUNNING" and any(o.has_pose for o in m.objects))


def test_clock_that_jumps_back(healthy):
    """A recording that starts again: stamps go back by an hour, and poses come on with the new stamps."""
    from ros_bench import image_stamp, wait_until

    for offset_ns in (-3_600_000_000_000, 0):
        healthy.camera.offset_ns = offset_ns
        healthy.forget()

        def of_now():
            late = [healthy.camera.newest_ns - image_stamp(pose) for pose in list(healthy.got["storm/pose"])]
            return sum(abs(ns) < 60e9 for ns in late) >= 5

        wait_until(of_now, what="poses with the new stamps")


def test_missing_topic_is_named(ros_domain):
    from ros_bench import Bench

    bench = Bench(ros_domain(), namespace="robot1")
    try:
        bench.node.trigger_configure()
        bench.helper.destroy_publisher(bench.camera.depth)
        bench.forget()
        bench.node.trigger_activate()
        assert told(bench, "/robot1/depth has no publisher") <= TOLD_S
        bench.expect_status(lambda m: any("remap 'depth'" in text for text in m.problems))
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
        status = bench.expect_status(lambda m: any("image_transport republish" in text for text in m.problems))
        assert "sensor_msgs/msg/CompressedImage from /bench" in " ".join(status.problems)
    finally:
        bench.close()
