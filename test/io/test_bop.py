"""BOP scenes: units, pairing, the truth, and what is said about broken ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from storm_ros.core.errors import RecordingError
from storm_ros.io import GroundTruth, Recording, open_bop, open_recording


def edit(path: Path, change: Any) -> None:
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))


def test_frames_are_read_in_metres_with_even_stamps(scene: Path, put_image: Callable[[Path, np.ndarray], None]) -> None:
    edit(scene / "scene_camera.json", lambda t: t["1"].update(depth_scale=0.1))
    with open_bop(scene) as recording:
        assert isinstance(recording, Recording)
        assert recording.numbers == (0, 1, 2, 3)
        assert recording.scene_id == 3
        assert recording.camera.fx == 50.0
        frame = recording.read(1)
    raw = cv2.imread(str(scene / "depth" / "000001.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_allclose(frame.depth_m, raw * 1e-4, rtol=1e-6)
    assert np.array_equal(frame.rgb[..., ::-1], cv2.imread(str(scene / "rgb" / "000001.png")))
    assert frame.stamp_ns == 33_333_333
    assert frame.index == 1


def test_rate_option_changes_stamps(scene: Path) -> None:
    assert open_bop(scene, rate_hz=10.0).read(3).stamp_ns == 300_000_000


def test_every_frame_has_its_own_camera(scene: Path) -> None:
    edit(scene / "scene_camera.json", lambda t: t["2"].update(cam_K=[99, 0, 1, 0, 98, 2, 0, 0, 1]))
    recording = open_bop(scene)
    assert recording.read(2).camera.fx == 99.0
    assert recording.read(1).camera.fx == 50.0


def test_truth_is_in_metres(scene: Path) -> None:
    truth = open_bop(scene).ground_truth
    assert isinstance(truth, GroundTruth)
    assert truth.object_ids == (5, 9)
    expected = [[0, -1, 0, 0.0], [1, 0, 0, -0.02], [0, 0, 1, 0.5], [0, 0, 0, 1]]
    np.testing.assert_allclose(truth.pose(0, 5), expected, atol=1e-12)
    assert truth.visible_fraction(0, 9) == 0.75


def test_truth_is_none_where_nothing_is_said(scene: Path) -> None:
    truth = open_bop(scene).ground_truth
    for number, obj_id in ((1, 5), (2, 9), (0, 4)):
        assert truth.pose(number, obj_id) is None
        assert truth.visible_fraction(number, obj_id) is None
        assert truth.mask(number, obj_id) is None
    assert truth.mask(0, 5) is None  # an entry, but no mask file
    assert truth.mesh(5) is None  # no models folder


def test_most_visible_instance_counts(scene: Path) -> None:
    truth = open_bop(scene).ground_truth
    np.testing.assert_allclose(truth.pose(2, 5)[:3, 3], [0.001, 0.002, 0.6])
    mask = truth.mask(2, 5)
    assert mask.dtype == bool
    assert mask.sum() == 50
    assert mask[4, 10]


def test_model_is_in_metres_with_its_own_axes(scene: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    box = trimesh.creation.box((80.0, 40.0, 20.0))
    box.apply_translation([100.0, 0.0, 0.0])
    models = scene.parent.parent / "models"
    models.mkdir()
    box.export(models / "obj_000005.ply")
    mesh = open_bop(scene).ground_truth.mesh(5)
    np.testing.assert_allclose(mesh.bounds, [[0.06, -0.02, -0.01], [0.14, 0.02, 0.01]], atol=1e-6)


def test_gray_jpeg_scene(scene: Path) -> None:
    (scene / "rgb").rename(scene / "gray")
    for path in list((scene / "gray").iterdir()):
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(path.with_suffix(".jpg")), cv2.blur(image, (9, 9)), [cv2.IMWRITE_JPEG_QUALITY, 100])
        path.unlink()
    rgb = open_bop(scene).read(0).rgb
    assert rgb.shape == (32, 48, 3)
    assert np.array_equal(rgb[..., 0], rgb[..., 2])


@pytest.mark.parametrize("levels", [0, 1, 2], ids=["scene", "split", "dataset"])
def test_single_scene_is_found_from_above(scene: Path, levels: int) -> None:
    path = scene if levels == 0 else scene.parents[levels - 1]
    assert open_recording(path).scene_id == 3


def test_several_scenes_are_named(scene: Path, make_scene: Callable[..., Path]) -> None:
    make_scene(scene.parent / "000007")
    with pytest.raises(RecordingError, match=r"2 scenes \(test/000003, test/000007\)"):
        open_recording(scene.parents[1])


def test_number_out_of_range_names_the_range(scene: Path) -> None:
    with pytest.raises(RecordingError, match=r"frame 44 is not in .*4 frames, numbered 0 to 3"):
        open_bop(scene).read(44)


def test_missing_colour_images_are_counted(scene: Path) -> None:
    (scene / "rgb" / "000002.png").unlink()
    recording = open_bop(scene)
    assert recording.numbers == (0, 1, 3)
    assert "1 of 4 frames" in recording.warnings[0]


def test_unreadable_first_image_does_not_hide_the_camera(scene: Path) -> None:
    (scene / "rgb" / "000000.png").write_bytes(b"no image")
    assert open_bop(scene).camera.width == 48


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("cut", "cut off"),
        ("garbage", "damaged or not an image"),
        ("empty", "is empty"),
        ("absent", "No such file"),
        ("eight bit", "16 bits"),
        ("other size", "depth is 20x10 but the image is 48x32"),
    ],
)
def test_bad_depth_is_one_clear_line(
    scene: Path, put_image: Callable[[Path, np.ndarray], None], kind: str, text: str
) -> None:
    path = scene / "depth" / "000002.png"
    data = path.read_bytes()
    if kind == "absent":
        path.unlink()
    elif kind == "eight bit":
        put_image(path, np.zeros((32, 48), np.uint8))
    elif kind == "other size":
        put_image(path, np.ones((10, 20), np.uint16))
    else:
        path.write_bytes({"cut": data[: len(data) // 2], "garbage": bytes(range(256)), "empty": b""}[kind])
    recording = open_bop(scene)
    with pytest.raises(RecordingError, match=text) as caught:
        recording.read(2)
    assert "frame 2 of" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert recording.read(3).index == 3


def test_cut_jpeg_is_told_from_a_whole_one(scene: Path) -> None:
    path = scene / "rgb" / "000001.png"
    _, data = cv2.imencode(".jpg", cv2.imread(str(path)))
    path.unlink()
    path = path.with_suffix(".jpg")
    path.write_bytes(data.tobytes()[:-40])
    with pytest.raises(RecordingError, match="cut off"):
        open_bop(scene).read(1)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda t: t["0"].update(cam_K=[0.0] * 9), "cam_K of frame 0.*fx=0.0"),
        (lambda t: t["0"].update(cam_K=[1.0] * 4), "has 4 numbers: 9 are needed"),
        (lambda t: t["0"].update(cam_K="abc"), r"^cam_K of frame 0 in \S* is 'abc': 9 numbers are needed$"),
        (lambda t: t["0"].pop("cam_K"), "no cam_K for frame 0"),
        (lambda t: t.clear(), "none with the same number"),
    ],
    ids=["zeros", "four numbers", "a word", "no matrix", "no entry"],
)
def test_bad_camera_file(scene: Path, change: Any, text: str) -> None:
    edit(scene / "scene_camera.json", change)
    with pytest.raises(RecordingError, match=text):
        open_bop(scene)


def test_bad_depth_scale(scene: Path) -> None:
    edit(scene / "scene_camera.json", lambda t: t["1"].update(depth_scale="one"))
    with pytest.raises(RecordingError, match="depth_scale is 'one'"):
        open_bop(scene).read(1)
    edit(scene / "scene_camera.json", lambda t: t["1"].update(depth_scale=-1))
    with pytest.raises(RecordingError, match="depth_scale is -1: millimetres per unit of the depth image, above 0"):
        open_bop(scene).read(1)


@pytest.mark.parametrize("value", [[1.0, 2.0], ["x", 0, 0], [0, 0, float("nan")], [0, float("inf"), 0]])
def test_a_true_pose_that_is_none_names_frame_and_object(scene: Path, value: list) -> None:
    edit(scene / "scene_gt.json", lambda t: t["0"][0].update(cam_t_m2c=value))
    with pytest.raises(RecordingError, match="frame 0, object 5: nine numbers"):
        open_bop(scene).ground_truth.pose(0, 5)


@pytest.mark.parametrize("name", ["scene_camera.json", "scene_gt.json", "scene_gt_info.json"])
def test_broken_json_names_the_file(scene: Path, name: str) -> None:
    (scene / name).write_text('{"0": {"cam_K": [1,')
    with pytest.raises(RecordingError, match=f"{name} is not a valid BOP file"):
        open_bop(scene)


def test_no_depth_folder(scene: Path) -> None:
    (scene / "depth").rename(scene / "deep")
    with pytest.raises(RecordingError, match="no depth/ folder"):
        open_bop(scene)


def test_depth_that_is_too_far_names_the_entry_to_change(make_scene: Any, tmp_path: Path) -> None:
    scene = make_scene(tmp_path / "000001", depth_scale=1000.0)
    with pytest.raises(
        RecordingError, match=r"median depth is \d+ m: depth_scale in .*scene_camera\.json is 1000; set"
    ):
        open_bop(scene).read(0)
