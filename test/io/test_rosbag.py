"""ROS 2 bags: the same frames back, every encoding, and bags that are broken or lack a topic."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from storm_ros.core.errors import RecordingError
from storm_ros.core.types import Camera, RgbdFrame
from storm_ros.io import Recording, convert, open_bag, open_recording
from storm_ros.io.bag_file import BagFile
from storm_ros.io.messages import camera_info_message, depth_message, header, image_message, make
from storm_ros.io.rosbag import pair_stamps

SECOND = 1_000_000_000


def assert_same(recording: Any, frames: list[RgbdFrame]) -> None:
    assert len(recording.numbers) == len(frames)
    for number, want in zip(recording.numbers, frames, strict=True):
        got = recording.read(number)
        assert np.array_equal(got.rgb, want.rgb)
        assert np.array_equal(got.depth_m, want.depth_m)
        assert (got.camera, got.stamp_ns, got.frame_id) == (want.camera, want.stamp_ns, want.frame_id)


def write_bag(
    path: Path, frames: list[RgbdFrame], *, skip: list[str] = (), rename: Any = None, info: Any = None, lag_ns: int = 0
) -> Path:
    """A bag under plain names; `skip` leaves topics out, `rename` changes their names."""
    names = {"image": "/cam/image_raw", "depth": "/cam/depth/image", "info": "/cam/camera_info"} | (rename or {})
    with BagFile(path) as bag:
        for frame in frames:
            head, late = header(frame.stamp_ns, frame.frame_id), header(frame.stamp_ns + lag_ns, frame.frame_id)
            messages = {
                "image": image_message(head, frame.rgb, "rgb8"),
                "depth": depth_message(late, frame.depth_m),
                "info": info or camera_info_message(head, frame.camera),
            }
            for kind in names.keys() - set(skip):
                bag.write(names[kind], messages[kind], frame.stamp_ns + 5)
    return path


@pytest.mark.parametrize("name", ["a.mcap", "a.db3", "a"], ids=["mcap", "db3", "folder"])
@pytest.mark.parametrize("compress", [False, True], ids=["plain", "zstd"])
def test_converted_bag_gives_the_same_frames(
    recording: Any, frames: list[RgbdFrame], tmp_path: Path, name: str, compress: bool
) -> None:
    assert convert(recording, tmp_path / name, compress=compress) == 6
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]
    assert (tmp_path / name).is_dir() == (name == "a")
    with open_recording(tmp_path / name) as bag:
        assert isinstance(bag, Recording)
        assert bag.numbers == (0, 1, 2, 3, 4, 5)
        assert bag.rate_hz == pytest.approx(10.0)
        assert bag.camera == recording.camera
        assert bag.warnings == []
        assert_same(bag, frames)
        assert bag.read(3).rgb.flags.writeable


def test_depth_that_millimetres_cannot_hold_stays_exact(frames: list[RgbdFrame], tmp_path: Path) -> None:
    depth = frames[0].depth_m + np.float32(0.00037)
    fine = [type(frames[0])(f.rgb, depth, f.camera, f.stamp_ns, f.index, f.frame_id) for f in frames]
    path = write_bag(tmp_path / "a.mcap", fine)
    assert_same(open_bag(path), fine)


def test_chosen_frames_and_progress(recording: Any, frames: list[RgbdFrame], tmp_path: Path) -> None:
    seen = []
    convert(recording, tmp_path / "a.mcap", numbers=[4, 1], progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]
    assert_same(open_bag(tmp_path / "a.mcap"), [frames[1], frames[4]])  # in the order of their stamps


def test_unreadable_frame_is_left_out_with_a_reason(scene: Path, tmp_path: Path) -> None:
    (scene / "rgb" / "000001.png").write_bytes(b"no image")
    source = open_recording(scene)
    assert convert(source, tmp_path / "a.mcap") == 3
    assert "frame 1 of" in source.warnings[0]
    assert [open_bag(tmp_path / "a.mcap").read(n).stamp_ns for n in range(3)] == [0, 66_666_667, 100_000_000]


@pytest.mark.parametrize("mode", ["FILE", "MESSAGE"])
@pytest.mark.parametrize("plugin", ["MCAP", "SQLITE3"])
def test_compressed_by_the_recorder(frames: list[RgbdFrame], tmp_path: Path, mode: str, plugin: str) -> None:
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

    from storm_ros.io.messages import typestore

    store = typestore()
    writer = Writer(tmp_path / "a", version=8, storage_plugin=StoragePlugin[plugin])
    writer.set_compression(CompressionMode[mode], CompressionFormat.ZSTD)
    with writer:
        for frame in frames:
            head = header(frame.stamp_ns, frame.frame_id)
            for topic, message in (
                ("/c/image", image_message(head, frame.rgb, "rgb8")),
                ("/c/depth", depth_message(head, frame.depth_m)),
                ("/c/camera_info", camera_info_message(head, frame.camera)),
            ):
                known = {c.topic: c for c in writer.connections}
                connection = known.get(topic) or writer.add_connection(topic, message.__msgtype__, typestore=store)
                writer.write(connection, frame.stamp_ns, store.serialize_cdr(message, message.__msgtype__))
    with open_recording(tmp_path / "a") as bag:
        assert_same(bag, frames)


RGB = np.random.default_rng(3).integers(0, 256, (6, 5, 3)).astype(np.uint8)
GRAY = RGB[..., 0]
ALPHA = np.full((6, 5, 1), 9, np.uint8)
METRES = np.array([[0.5, np.nan, np.inf, -1.0, 0.0]] * 6, np.float32)
CLEAN = np.where(np.isfinite(METRES) & (METRES > 0), METRES, 0)
MILLIMETRES = np.arange(30, dtype=np.uint16).reshape(6, 5) * 300


def bag_of(path: Path, color: Any, depth: Any, camera: Camera | None = None, info_head: Any = None) -> Recording:
    camera = camera or Camera(5, 6, 10.0, 10.0, 2.0, 3.0)
    with BagFile(path) as bag:
        bag.write("/camera_info", camera_info_message(info_head or header(0, "c"), camera), 1)
        bag.write("/image", color, 1)
        bag.write("/depth", depth, 1)
    return open_bag(path)


def padded(message: Any, row_bytes: int, big: bool = False) -> Any:
    """The same image with rows of `row_bytes` bytes, or in big-endian."""
    data = message.data
    if big:
        size = {"16UC1": 2, "32FC1": 4}[message.encoding]
        data = data.reshape(-1, size)[:, ::-1].ravel()
    rows = np.full((message.height, row_bytes), 77, np.uint8)
    rows[:, : message.step] = data.reshape(message.height, message.step)
    message.data, message.step, message.is_bigendian = rows.ravel(), row_bytes, int(big)
    return message


@pytest.mark.parametrize(
    ("encoding", "pixels", "want"),
    [
        ("rgb8", RGB, RGB),
        ("bgr8", RGB[..., ::-1], RGB),
        ("rgba8", np.concatenate([RGB, ALPHA], 2), RGB),
        ("bgra8", np.concatenate([RGB[..., ::-1], ALPHA], 2), RGB),
        ("mono8", GRAY, np.repeat(GRAY[..., None], 3, 2)),
        ("8UC3", RGB[..., ::-1], RGB),
    ],
)
@pytest.mark.parametrize("padding", [0, 7])
def test_colour_encodings(tmp_path: Path, encoding: str, pixels: np.ndarray, want: np.ndarray, padding: int) -> None:
    message = image_message(header(0, "c"), pixels, encoding)
    depth = depth_message(header(0, "c"), CLEAN)
    frame = bag_of(tmp_path / "a.mcap", padded(message, message.step + padding), depth).read(0)
    assert np.array_equal(frame.rgb, want)


@pytest.mark.parametrize("big", [False, True], ids=["little", "big"])
@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize(
    ("encoding", "pixels", "want"),
    [("16UC1", MILLIMETRES, MILLIMETRES * np.float32(0.001)), ("32FC1", METRES, CLEAN)],
)
def test_depth_encodings(
    tmp_path: Path, encoding: str, pixels: np.ndarray, want: np.ndarray, padding: int, big: bool
) -> None:
    message = image_message(header(0, "c"), pixels, encoding)
    color = image_message(header(0, "c"), RGB, "rgb8")
    frame = bag_of(tmp_path / "a.mcap", color, padded(message, message.step + padding, big)).read(0)
    np.testing.assert_array_equal(frame.depth_m, want)


def compressed(fmt: str, data: bytes) -> Any:
    head = header(0, "c")
    return make("sensor_msgs/msg/CompressedImage", header=head, format=fmt, data=np.frombuffer(data, np.uint8))


def test_compressed_colour_and_depth(tmp_path: Path) -> None:
    color = compressed("rgb8; png compressed bgr8", cv2.imencode(".png", RGB[..., ::-1])[1].tobytes())
    png = cv2.imencode(".png", MILLIMETRES)[1].tobytes()
    frame = bag_of(tmp_path / "a.mcap", color, compressed("16UC1; compressedDepth png", bytes(12) + png)).read(0)
    assert np.array_equal(frame.rgb, RGB)
    np.testing.assert_array_equal(frame.depth_m, MILLIMETRES * np.float32(0.001))


def test_compressed_float_depth_is_dequantised(tmp_path: Path) -> None:
    a, b = 100.0, -3.0  # metres = a / (stored - b)
    stored = np.array([[0, 47, 97, 197, 497]] * 6, np.uint16)
    head = np.array([0], "<i4").tobytes() + np.array([a, b], "<f4").tobytes()
    depth = compressed("32FC1; compressedDepth", head + cv2.imencode(".png", stored)[1].tobytes())
    frame = bag_of(tmp_path / "a.mcap", image_message(header(0, "c"), RGB, "rgb8"), depth).read(0)
    np.testing.assert_allclose(frame.depth_m[0], [0.0, 2.0, 1.0, 0.5, 0.2], rtol=1e-6)


@pytest.mark.parametrize(
    ("color", "depth", "text"),
    [
        (("bayer_rggb8", GRAY), ("16UC1", MILLIMETRES), "colour image has encoding 'bayer_rggb8': one of rgb8"),
        (("rgb8", RGB), ("rgb8", RGB), "depth image has encoding 'rgb8': 16UC1"),
        (("rgb8", RGB), ("16UC1", MILLIMETRES[:3]), "depth is 5x3 but the image is 5x6"),
        (("rgb8", RGB[:, :4]), ("16UC1", MILLIMETRES[:, :4]), "camera matrix is for 5x6 but the image is 4x6"),
        (("rgb8", RGB), ("32FC1", METRES * 1000), "looks like millimetres, but 32FC1 means metres; divide it by 1000"),
    ],
    ids=["bayer", "colour as depth", "depth size", "camera size", "millimetres as float"],
)
def test_unusable_images(tmp_path: Path, color: Any, depth: Any, text: str) -> None:
    head = header(0, "c")
    bag = bag_of(tmp_path / "a.mcap", image_message(head, *color[::-1]), image_message(head, *depth[::-1]))
    with pytest.raises(RecordingError, match=text) as caught:
        bag.read(0)
    assert "frame 0 of" in str(caught.value)


def test_short_image_data(tmp_path: Path) -> None:
    message = image_message(header(0, "c"), RGB, "rgb8")
    message.data = message.data[:-20]
    bag = bag_of(tmp_path / "a.mcap", message, depth_message(header(0, "c"), CLEAN))
    with pytest.raises(RecordingError, match="has 70 bytes in rows of 15"):
        bag.read(0)


def test_matrix_of_zeros(frames: list[RgbdFrame], tmp_path: Path) -> None:
    info = camera_info_message(header(0, "c"), frames[0].camera)
    info.k = np.zeros(9)
    with pytest.raises(RecordingError, match=r"/cam/camera_info: camera matrix has fx=0\.0"):
        open_bag(write_bag(tmp_path / "a.mcap", frames, info=info))


def test_distortion_is_said_once(frames: list[RgbdFrame], tmp_path: Path) -> None:
    info = camera_info_message(header(0, "c"), frames[0].camera)
    info.d = np.array([0.1, 0, 0, 0, 0])
    bag = open_bag(write_bag(tmp_path / "a.mcap", frames, info=info))
    bag.read(0), bag.read(5)
    assert [("lens distortion" in w) for w in bag.warnings] == [True]


def test_depth_of_another_camera_is_said(frames: list[RgbdFrame], tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    other = Camera(48, 32, 40.0, 40.0, 23.5, 15.5)
    with BagFile(path) as bag:
        head = header(SECOND, "c")
        bag.write("/rgb/image", image_message(head, frames[0].rgb, "rgb8"), 1)
        bag.write("/rgb/camera_info", camera_info_message(head, frames[0].camera), 1)
        bag.write("/depth/image", depth_message(head, frames[0].depth_m), 1)
        bag.write("/depth/camera_info", camera_info_message(head, other), 1)
    recording = open_bag(path)
    assert recording.camera == frames[0].camera
    assert "not registered" in recording.warnings[0]


def test_camera_info_that_changes_is_followed(frames: list[RgbdFrame], tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    zoomed = Camera(48, 32, 80.0, 80.0, 23.5, 15.5)
    with BagFile(path) as bag:
        for i, frame in enumerate(frames):
            head = header(frame.stamp_ns, "c")
            bag.write("/image", image_message(head, frame.rgb, "rgb8"), frame.stamp_ns)
            bag.write("/depth", depth_message(head, frame.depth_m), frame.stamp_ns)
            bag.write("/camera_info", camera_info_message(head, zoomed if i > 2 else frame.camera), frame.stamp_ns)
    bag = open_bag(path)
    assert [bag.read(n).camera.fx for n in bag.numbers] == [50.0, 50.0, 50.0, 80.0, 80.0, 80.0]


def test_realsense_topics_are_picked(frames: list[RgbdFrame], tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    head = header(SECOND, "c")
    rgb, depth = image_message(head, frames[0].rgb, "rgb8"), depth_message(head, frames[0].depth_m)
    info = camera_info_message(head, frames[0].camera)
    with BagFile(path) as bag:
        for topic in ("/camera/depth/image_rect_raw", "/camera/aligned_depth_to_color/image_raw"):
            bag.write(topic, depth, 1)
        for topic in ("/camera/infra1/image_rect_raw", "/camera/color/image_raw", "/storm/overlay"):
            bag.write(topic, rgb, 1)
        for topic in ("/camera/depth/camera_info", "/camera/infra1/camera_info", "/camera/color/camera_info"):
            bag.write(topic, info, 1)
    assert open_bag(path).topics == (
        "/camera/color/image_raw",
        "/camera/aligned_depth_to_color/image_raw",
        "/camera/color/camera_info",
    )
    chosen = open_recording(path, depth_topic="/camera/depth/image_rect_raw", info_topic="/camera/infra1/camera_info")
    assert chosen.topics[1:] == ("/camera/depth/image_rect_raw", "/camera/infra1/camera_info")


@pytest.mark.parametrize("suffix", [".mcap", ".db3"])
@pytest.mark.parametrize(
    ("skip", "text"),
    [
        (["depth"], "has no depth topic"),
        (["image"], "has no colour image topic"),
        (["info"], "has no sensor_msgs/msg/CameraInfo topic for /cam/image_raw"),
    ],
    ids=["depth", "image", "info"],
)
def test_missing_topic_names_what_is_there(
    frames: list[RgbdFrame], tmp_path: Path, suffix: str, skip: list[str], text: str
) -> None:
    path = write_bag(tmp_path / f"a{suffix}", frames, skip=skip)
    with pytest.raises(RecordingError, match=text) as caught:
        open_bag(path)
    there = {"depth": "/cam/image_raw", "image": "/cam/depth/image", "info": "/cam/image_raw"}[skip[0]]
    assert f"{there} (sensor_msgs/msg/Image, 6 messages)" in str(caught.value)


@pytest.mark.parametrize("option", ["image_topic", "depth_topic", "info_topic"])
def test_topic_that_is_not_there(frames: list[RgbdFrame], tmp_path: Path, option: str) -> None:
    path = write_bag(tmp_path / "a.mcap", frames)
    with pytest.raises(RecordingError, match=rf"{option} /nope .* is not in the bag; it holds /cam/camera_info"):
        open_bag(path, **{option: "/nope"})


def test_depth_is_paired_within_the_slop(frames: list[RgbdFrame], tmp_path: Path) -> None:
    path = write_bag(tmp_path / "a.mcap", frames, lag_ns=30_000_000)
    with pytest.raises(
        RecordingError, match=r"within 0\.02 s: the closest two are 0\.030 s apart; raise slop_s \(--slop"
    ):
        open_bag(path)
    bag = open_bag(path, slop_s=0.04)
    assert np.array_equal(bag.read(2).depth_m, frames[2].depth_m)
    assert bag.read(2).stamp_ns == frames[2].stamp_ns


def test_pairs_are_nearest_and_used_once() -> None:
    assert pair_stamps([0, 10, 20, 30], [1, 19, 22, 90], 3) == [(0, 0), (2, 1)]
    assert pair_stamps([0, 2], [1], 5) == [(0, 0)]
    assert pair_stamps([0, 3], [2], 5) == [(1, 0)]
    assert pair_stamps([], [1], 5) == []
    assert pair_stamps([5], [], 5) == []


def test_header_stamps_order_frames_not_the_order_of_arrival(frames: list[RgbdFrame], tmp_path: Path) -> None:
    path = write_bag(tmp_path / "a.mcap", [frames[i] for i in (2, 0, 1)])
    assert_same(open_bag(path), frames[:3])


def test_stamps_of_zero_fall_back_to_the_time_of_recording(frames: list[RgbdFrame], tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    with BagFile(path) as bag:
        for i, frame in enumerate(frames):
            head = header(0, "c")
            bag.write("/image", image_message(head, frame.rgb, "rgb8"), i * SECOND)
            bag.write("/depth", depth_message(head, frame.depth_m), i * SECOND)
            bag.write("/camera_info", camera_info_message(head, frame.camera), i * SECOND)
    bag = open_bag(path)
    assert [bag.read(n).stamp_ns for n in bag.numbers] == [i * SECOND for i in range(6)]


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "zstd"])
def test_cut_mcap_gives_the_frames_before_the_cut(
    recording: Any, frames: list[RgbdFrame], tmp_path: Path, compress: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rosbags.rosbag2 import storage_mcap

    plain = storage_mcap.McapWriter.write

    def write(self: Any, connection: Any, timestamp: int, data: bytes) -> None:
        """A chunk for every message, as in long bags."""
        plain(self, connection, timestamp, data)
        self.close_chunk()

    monkeypatch.setattr(storage_mcap.McapWriter, "write", write)
    whole = tmp_path / "whole.mcap"
    convert(recording, whole, compress=compress)
    data = whole.read_bytes()
    counts = []
    for share in (0.3, 0.5, 0.7, 0.9):
        cut = tmp_path / "cut.mcap"
        cut.write_bytes(data[: int(len(data) * share)])
        bag = open_bag(cut)
        assert_same(bag, frames[: len(bag.numbers)])
        assert "cut" in bag.warnings[0]
        assert "whole messages before it are used" in bag.warnings[0]
        counts.append(len(bag.numbers))
    assert counts == sorted(counts)
    assert 1 <= counts[0] < counts[-1] <= 6


def test_cut_inside_an_uncompressed_chunk(recording: Any, frames: list[RgbdFrame], tmp_path: Path) -> None:
    convert(recording, tmp_path / "whole.mcap")  # small: a single chunk
    cut = tmp_path / "cut.mcap"
    data = (tmp_path / "whole.mcap").read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    bag = open_bag(cut)
    assert 2 <= len(bag.numbers) <= 4
    assert_same(bag, frames[: len(bag.numbers)])


def test_mcap_cut_before_the_first_message(recording: Any, tmp_path: Path) -> None:
    convert(recording, tmp_path / "whole.mcap")
    cut = tmp_path / "cut.mcap"
    for size in (8, 20, 300):
        cut.write_bytes((tmp_path / "whole.mcap").read_bytes()[:size])
        with pytest.raises(RecordingError, match="not one whole message could be read"):
            open_bag(cut)


def test_garbage_inside_an_mcap_never_crashes(recording: Any, tmp_path: Path) -> None:
    convert(recording, tmp_path / "whole.mcap")
    data = bytearray((tmp_path / "whole.mcap").read_bytes())
    rng = np.random.default_rng(7)
    for trial in range(30):
        broken = bytearray(data)
        at = int(rng.integers(8, len(data) - 600))
        broken[at : at + 500] = rng.integers(0, 256, 500).astype(np.uint8).tobytes()
        path = tmp_path / f"{trial}.mcap"
        path.write_bytes(broken)
        try:
            with open_bag(path) as bag:
                for number in bag.numbers:
                    try:
                        assert bag.read(number).rgb.shape == (32, 48, 3)
                    except RecordingError as error:
                        assert "\n" not in str(error)  # noqa: PT017
        except RecordingError as error:
            assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize("suffix", [".mcap", ".db3"])
@pytest.mark.parametrize(
    ("data", "text"), [(b"", "is empty"), (b"garbage" * 99, "begins with b'garbageg'")], ids=["empty", "garbage"]
)
def test_file_that_is_no_bag(tmp_path: Path, suffix: str, data: bytes, text: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    with pytest.raises(RecordingError, match=text):
        open_recording(path)


def test_cut_database(recording: Any, frames: list[RgbdFrame], tmp_path: Path) -> None:
    convert(recording, tmp_path / "whole.db3")
    data = (tmp_path / "whole.db3").read_bytes()
    cut = tmp_path / "cut.db3"
    cut.write_bytes(data[: int(len(data) * 0.6)])
    with open_bag(cut) as bag:
        assert "cut off or damaged" in bag.warnings[0]
        assert 1 <= len(bag.numbers) < 6
        readable = 0
        for number in bag.numbers:
            try:
                assert np.array_equal(bag.read(number).rgb, frames[number].rgb)
                readable += 1
            except RecordingError as error:
                assert "cannot be read" in str(error)  # noqa: PT017
        assert readable >= 1
    cut.write_bytes(data[:4096])
    with pytest.raises(RecordingError, match=r"cut\.db3"):
        open_bag(cut)


def test_database_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "a.db3"
    base = sqlite3.connect(path)
    base.execute("CREATE TABLE t(x)")
    base.commit()
    base.close()
    with pytest.raises(RecordingError, match="not a readable rosbag2 database"):
        open_recording(path)


@pytest.mark.parametrize("storage", ["mcap", "db3"])
def test_folder_without_metadata(recording: Any, frames: list[RgbdFrame], tmp_path: Path, storage: str) -> None:
    bag = tmp_path / "bag"
    bag.mkdir()
    convert(recording, bag / f"bag_0.{storage}", numbers=[0, 1, 2])
    convert(recording, bag / f"bag_1.{storage}", numbers=[3, 4, 5])
    with open_recording(bag) as joined:
        assert "no metadata.yaml" in joined.warnings[0]
        assert_same(joined, frames)


def test_split_bag_with_one_bad_file_still_gives_the_others(
    recording: Any, frames: list[RgbdFrame], tmp_path: Path
) -> None:
    bag = tmp_path / "bag"
    bag.mkdir()
    convert(recording, bag / "bag_0.mcap", numbers=[0, 1])
    (bag / "bag_1.mcap").write_bytes(b"nothing")
    joined = open_recording(bag)
    assert_same(joined, frames[:2])
    assert any("bag_1.mcap" in w for w in joined.warnings)


def test_broken_metadata(recording: Any, frames: list[RgbdFrame], tmp_path: Path) -> None:
    convert(recording, tmp_path / "bag")
    (tmp_path / "bag" / "metadata.yaml").write_text("rosbag2_bagfile_information: [")
    bag = open_recording(tmp_path / "bag")
    assert "cannot be used" in bag.warnings[0]
    assert_same(bag, frames)


def test_metadata_that_names_a_missing_file(recording: Any, tmp_path: Path) -> None:
    convert(recording, tmp_path / "bag")
    (tmp_path / "bag" / "bag.mcap").unlink()
    with pytest.raises(RecordingError, match=r"cannot read .*bag\.mcap"):
        open_recording(tmp_path / "bag")


def test_number_out_of_range(recording: Any, tmp_path: Path) -> None:
    convert(recording, tmp_path / "a.mcap")
    with pytest.raises(RecordingError, match="6 frames, numbered 0 to 5"):
        open_bag(tmp_path / "a.mcap").read(6)


def test_written_bag_is_read_by_rosbags(recording: Any, frames: list[RgbdFrame], tmp_path: Path) -> None:
    from rosbags.highlevel import AnyReader

    for name in ("a.mcap", "a.db3", "a"):
        convert(recording, tmp_path / name)
        with AnyReader([tmp_path / name]) as reader:
            images = [reader.deserialize(d, c.msgtype) for c, _, d in reader.messages() if c.topic.endswith("raw")]
        assert len(images) == 12
        assert np.array_equal(images[0].data.reshape(32, 48, 3), frames[0].rgb)


@pytest.mark.parametrize(
    "names",
    [
        ("monday.mcap", "tuesday.mcap"),
        ("a_0.mcap", "b_0.mcap"),
        ("a_0.mcap", "a_1.db3"),
        ("run_1.mcap", "run_2.mcap"),
        ("a_0.mcap", "a_1.mcap", "calibration.mcap"),
    ],
    ids=["two names", "two recordings", "two kinds", "numbered by hand", "one more"],
)
@pytest.mark.parametrize("metadata", [None, "{}"], ids=["no metadata", "useless metadata"])
def test_bags_of_several_recordings_are_not_joined(
    recording: Any, tmp_path: Path, names: tuple[str, ...], metadata: str | None
) -> None:
    for name in names:
        convert(recording, tmp_path / name, numbers=[0])
    if metadata is not None:
        (tmp_path / "metadata.yaml").write_text(metadata)
    with pytest.raises(
        RecordingError, match=rf"{len(names)} bag files .*{', '.join(names)}.*name one, as in .*{names[0]}"
    ):
        open_recording(tmp_path)
    assert len(open_recording(tmp_path / names[0]).numbers) == 1


def test_metadata_says_which_of_several_bags_is_meant(recording: Any, frames: list[RgbdFrame], tmp_path: Path) -> None:
    convert(recording, tmp_path / "bag", numbers=[0, 1])
    convert(recording, tmp_path / "bag" / "other.mcap", numbers=[2])
    assert_same(open_recording(tmp_path / "bag"), frames[:2])


@pytest.mark.parametrize("slop_s", [-1.0, float("nan"), float("inf")])
def test_slop_must_be_a_time(frames: list[RgbdFrame], tmp_path: Path, slop_s: float) -> None:
    with pytest.raises(RecordingError, match=r"slop_s is .* \(--slop\): a finite time"):
        open_bag(write_bag(tmp_path / "a.mcap", frames), slop_s=slop_s)


def test_a_conversion_that_is_stopped_leaves_a_whole_bag(
    recording: Any, frames: list[RgbdFrame], tmp_path: Path
) -> None:
    asked = iter([False, True])
    assert convert(recording, tmp_path / "a.mcap", stop=lambda: next(asked)) == 2
    bag = open_bag(tmp_path / "a.mcap")
    assert bag.warnings == []
    assert_same(bag, frames[:2])
