"""The bag of results: real messages, right frames and stamps, readable by others, complete after an interruption."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from storm_ros.core import se3
from storm_ros.core.errors import InputError, OutputError
from storm_ros.core.types import (
    EventType,
    LossCause,
    Mesh,
    ObjectResult,
    Reference,
    RgbdFrame,
    TrackEvent,
    TrackResult,
    TrackStatus,
    View,
)
from storm_ros.io import BagWriter, open_bag
from storm_ros.io.bag_writer import topic_name
from storm_ros.io.overlay import index_mask

POSE = se3.transform(Rotation.from_rotvec([0.2, -0.5, 1.0]).as_matrix(), [0.1, -0.02, 0.5])
TRIANGLE = Mesh(np.eye(3, dtype=np.float32), np.array([[0, 1, 2]]), colors=np.array([[255, 0, 0]] * 3, np.uint8))


def messages(path: Path) -> dict[str, list]:
    from rosbags.highlevel import AnyReader

    out: dict[str, list] = {}
    with AnyReader([path]) as reader:
        for connection, log_ns, data in reader.messages():
            out.setdefault(connection.topic, []).append((log_ns, reader.deserialize(data, connection.msgtype)))
    return out


def box(frame: RgbdFrame, x0: int) -> np.ndarray:
    mask = np.zeros(frame.shape, bool)
    mask[5:20, x0 : x0 + 10] = True
    return mask


def found(frame: RgbdFrame, object_id: str, x0: int = 4) -> ObjectResult:
    found = ObjectResult(object_id, TrackStatus.TRACKING, POSE, box(frame, x0), 0.9, -1.0, -1.1, 0.5)
    return replace(found, probability=0.75, memory=3)


def result(frame: RgbdFrame, *objects: ObjectResult, events: tuple = ()) -> TrackResult:
    return TrackResult(frame.index, frame.stamp_ns, {o.object_id: o for o in objects}, events, {"track": 4.5})


@pytest.fixture(scope="module")
def one(frames: list[RgbdFrame], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list]:
    """Messages of three frames of one object, which is lost in the second."""
    tmp_path = tmp_path_factory.mktemp("one")
    lost = TrackEvent(EventType.LOST, "cube", 1, frames[1].stamp_ns, cause=LossCause.ENERGY)
    reference = Reference("cube", (View(frames[0], box(frames[0], 4), POSE),), TRIANGLE)
    with BagWriter(
        tmp_path / "r.mcap", frames[0].camera, "cam", {"cube": "storm/cube"}, references={"cube": reference}
    ) as bag:
        bag.write(frames[0], result(frames[0], found(frames[0], "cube")))
        bag.write(frames[1], result(frames[1], ObjectResult("cube", TrackStatus.LOST), events=(lost,)))
        bag.write(frames[2], result(frames[2], found(frames[2], "cube")))
    assert [p.name for p in tmp_path.iterdir()] == ["r.mcap"]
    return messages(tmp_path / "r.mcap")


def test_pose_and_tf_only_while_tracked(one: dict[str, list], frames: list[RgbdFrame]) -> None:
    stamps = [frames[0].stamp_ns, frames[2].stamp_ns]
    assert [t for t, _ in one["/storm/pose"]] == stamps
    assert [t for t, _ in one["/tf"]] == stamps
    pose = one["/storm/pose"][1][1]
    assert pose.header.frame_id == "cam"
    assert pose.header.stamp.sec * 10**9 + pose.header.stamp.nanosec == frames[2].stamp_ns
    transform = one["/tf"][1][1].transforms[0]
    assert (transform.header.frame_id, transform.child_frame_id) == ("cam", "storm/cube")
    for place, turn in (
        (pose.pose.position, pose.pose.orientation),
        (transform.transform.translation, transform.transform.rotation),
    ):
        np.testing.assert_allclose([place.x, place.y, place.z], POSE[:3, 3])
        matrix = Rotation.from_quat([turn.x, turn.y, turn.z, turn.w]).as_matrix()
        np.testing.assert_allclose(matrix, POSE[:3, :3], atol=1e-12)


def test_mask_and_overlay(one: dict[str, list], frames: list[RgbdFrame]) -> None:
    masks = [m for _, m in one["/storm/mask"]]
    assert [m.encoding for m in masks] == ["mono8"] * 3
    pixels = masks[0].data.reshape(frames[0].shape)
    assert np.array_equal(pixels == 255, box(frames[0], 4))
    assert set(np.unique(pixels)) == {0, 255}
    assert not masks[1].data.any()
    overlay = one["/storm/overlay"][0][1]
    assert overlay.encoding == "rgb8"
    drawn = overlay.data.reshape(frames[0].rgb.shape)
    assert (drawn != frames[0].rgb).any()
    assert (drawn[5, 8] != frames[0].rgb[5, 8]).any()  # on the mask's rim


def test_diagnostics_tell_status_and_events(one: dict[str, list]) -> None:
    levels = [array.status[0].level for _, array in one["/diagnostics"]]
    assert levels == [0, 2, 0]
    tracked = {v.key: v.value for v in one["/diagnostics"][0][1].status[0].values}
    assert (tracked["probability"], tracked["memory"], "cause" in tracked) == ("0.7500", "3", False)
    status = one["/diagnostics"][1][1].status[0]
    values = {v.key: v.value for v in status.values}
    assert (status.name, status.message) == ("storm: cube", "LOST")
    assert values["event lost"] == "frame 1 (energy)"
    assert values["energy"] == "nan"
    stages = one["/diagnostics"][0][1].status[1]
    assert [(v.key, v.value) for v in stages.values] == [("track", "4.500")]


def test_marker_once(one: dict[str, list]) -> None:
    ((_, marker),) = one["/storm/marker"]
    assert (marker.header.frame_id, marker.type, marker.frame_locked) == ("storm/cube", 11, True)
    assert [(p.x, p.y, p.z) for p in marker.points] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert [(c.r, c.g, c.a) for c in marker.colors] == [(1, 0, 1)] * 3


def test_result_bag_is_a_recording_again(frames: list[RgbdFrame], tmp_path: Path) -> None:
    with BagWriter(tmp_path / "r.mcap", frames[0].camera, "cam", {}) as bag:
        for frame in frames:
            bag.write(frame, result(frame, found(frame, "cube")))
    again = open_bag(tmp_path / "r.mcap")
    assert all(np.array_equal(again.read(f.index).depth_m, f.depth_m) for f in frames)
    assert all(np.array_equal(again.read(f.index).rgb, f.rgb) for f in frames)


def test_several_objects(frames: list[RgbdFrame], tmp_path: Path) -> None:
    with BagWriter(tmp_path / "r.mcap", frames[0].camera, "", {"a b": "frame_a"}) as bag:
        bag.write(frames[0], result(frames[0], found(frames[0], "a b", 4), found(frames[0], "1", 20)))
    got = messages(tmp_path / "r.mcap")
    assert {t for t in got if t.endswith("pose")} == {"/storm/a_b/pose", "/storm/object_1/pose"}
    assert [t.child_frame_id for t in got["/tf"][0][1].transforms] == ["frame_a", "storm/1"]
    pixels = got["/storm/mask"][0][1].data.reshape(frames[0].shape)
    assert (pixels[10, 6], pixels[10, 22], pixels[10, 40]) == (1, 2, 0)
    assert got["/tf"][0][1].transforms[0].header.frame_id == "cam"  # the image's own, where none is given


def test_without_images(frames: list[RgbdFrame], tmp_path: Path) -> None:
    with BagWriter(tmp_path / "r.mcap", frames[0].camera, "cam", {}, include_images=False) as bag:
        bag.write(frames[0], result(frames[0], found(frames[0], "cube")))
    assert set(messages(tmp_path / "r.mcap")) == {"/storm/pose", "/tf", "/storm/mask", "/diagnostics"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_interruption_leaves_a_complete_file(
    frames: list[RgbdFrame], tmp_path: Path, error: type[BaseException]
) -> None:
    def interrupted() -> None:
        with BagWriter(tmp_path / "r.mcap", frames[0].camera, "cam", {}) as bag:
            bag.write(frames[0], result(frames[0], found(frames[0], "cube")))
            raise error

    with pytest.raises(error):
        interrupted()
    assert len(messages(tmp_path / "r.mcap")["/storm/pose"]) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["r.mcap"]


def test_hard_kill_leaves_readable_frames(frames: list[RgbdFrame], tmp_path: Path) -> None:
    """What lies in the hidden folder before `close` is what a killed process leaves."""
    bag = BagWriter(tmp_path / "r.mcap", frames[0].camera, "cam", {}, compress=False)
    for _ in range(30):
        for frame in frames:
            bag.write(frame, result(frame, found(frame, "cube")))
    (partial,) = tmp_path.glob(".r.mcap.partial-*/r/r.mcap")
    copy = tmp_path / "killed.mcap"
    copy.write_bytes(partial.read_bytes())
    recording = open_bag(copy)
    assert recording.warnings
    assert np.array_equal(recording.read(0).rgb, frames[0].rgb)
    bag.close()


def test_another_size_and_closed(frames: list[RgbdFrame], tmp_path: Path) -> None:
    camera = replace(frames[0].camera, width=99)
    with BagWriter(tmp_path / "r.mcap", camera, "cam", {}) as bag, pytest.raises(InputError, match="99x32"):
        bag.write(frames[0], result(frames[0]))
    with pytest.raises(OutputError, match="closed already"):
        BagWriter.write(bag, replace(frames[0], camera=camera, rgb=np.zeros((32, 99, 3), np.uint8),
                                     depth_m=np.zeros((32, 99), np.float32)), result(frames[0]))  # fmt: skip


def test_places_that_cannot_be_written(frames: list[RgbdFrame], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for name, text in (("file", "exists already"), ("folder", "exists already"), ("file/r.mcap", "cannot write")):
        with pytest.raises(OutputError, match=text):
            BagWriter(tmp_path / name, frames[0].camera, "cam", {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_older_file_is_replaced(frames: list[RgbdFrame], tmp_path: Path) -> None:
    for count in (3, 1):
        with BagWriter(tmp_path / "r.mcap", frames[0].camera, "cam", {}) as bag:
            for frame in frames[:count]:
                bag.write(frame, result(frame, found(frame, "cube")))
    assert len(messages(tmp_path / "r.mcap")["/storm/pose"]) == 1


def test_full_disk_is_one_line(frames: list[RgbdFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rosbags.rosbag2 import storage_mcap

    bag = BagWriter(tmp_path / "r.mcap", frames[0].camera, "cam", {})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(storage_mcap.McapWriter, "write", full)
        with pytest.raises(OutputError, match=r"cannot write .*r\.mcap: No space left on device"):
            bag.write(frames[0], result(frames[0]))
    bag.close()


def test_mcap_package_reads_it(frames: list[RgbdFrame], tmp_path: Path) -> None:
    reader_module = pytest.importorskip("mcap.reader", reason="the package mcap is not installed")
    with BagWriter(tmp_path / "r.mcap", frames[0].camera, "cam", {"cube": "storm/cube"}) as bag:
        for frame in frames:
            bag.write(frame, result(frame, found(frame, "cube")))
    with (tmp_path / "r.mcap").open("rb") as file:
        reader = reader_module.make_reader(file, validate_crcs=True)
        assert reader.get_header().profile == "ros2"
        summary = reader.get_summary()
        assert {c.message_encoding for c in summary.channels.values()} == {"cdr"}
        assert {s.encoding for s in summary.schemas.values()} == {"ros2msg"}
        schemas = {s.name: s.data.decode() for s in summary.schemas.values()}
        assert "geometry_msgs/msg/PoseStamped" in schemas
        assert "MSG: geometry_msgs/Quaternion" in schemas["tf2_msgs/msg/TFMessage"]
        times = [m.log_time for _, c, m in reader.iter_messages(topics=["/storm/pose"])]
        assert times == [f.stamp_ns for f in frames]


def test_latched_marker_is_offered_transient_local(frames: list[RgbdFrame], tmp_path: Path) -> None:
    from rosbags.interfaces import QosDurability
    from rosbags.rosbag2 import Reader

    reference = Reference("cube", (View(frames[0], box(frames[0], 4), POSE),), TRIANGLE)
    with BagWriter(tmp_path / "r", frames[0].camera, "cam", {}, references={"cube": reference}) as bag:
        bag.write(frames[0], result(frames[0], found(frames[0], "cube")))
    assert (tmp_path / "r" / "metadata.yaml").is_file()
    with Reader(tmp_path / "r") as reader:
        durability = {c.topic: c.ext.offered_qos_profiles[0].durability for c in reader.connections}
    assert durability["/storm/marker"] is QosDurability.TRANSIENT_LOCAL
    assert durability["/storm/pose"] is QosDurability.VOLATILE


@pytest.mark.parametrize(
    ("given", "want"),
    [("cube", "cube"), ("1", "object_1"), ("red mug!", "red_mug_"), ("_x", "object__x"), ("", "object_")],
)
def test_topic_names(given: str, want: str) -> None:
    assert topic_name(given) == want


def test_several_objects_are_told_apart_by_their_place(frames: list[RgbdFrame]) -> None:
    mask = index_mask(frames[0].shape, {"b": box(frames[0], 4)}, ["a", "b"], several=True)
    assert mask.max() == 2
