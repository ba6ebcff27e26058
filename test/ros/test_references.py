"""Requests of every kind point at what they should; a bad one says what is missing and changes nothing."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from ros_messages import box_frame, image, info

from storm_ros.core.errors import InputError, NoDepthError, StormError
from storm_ros.core.types import Camera, RgbdFrame, TrackStatus
from storm_ros.io import save_reference
from storm_ros.mesh import save_mesh
from storm_ros.ros.objects import put_object, set_live
from storm_ros.ros.parameters import settings_from
from storm_ros.ros.references import Scene, build_reference, load_saved, prepare_object, preview, resolve

FRAME, MASK = box_frame()
SCENE = Scene(FRAME, "", FRAME.camera, {"cup": MASK}, ("cup", "lost"))
NOTHING = Scene(None, "the node is not active", None)


@pytest.fixture(scope="module")
def tracker():
    """A real tracker, as the node makes it."""
    from storm_ros.ros.runtime import load

    tracker = load(settings_from({"device.name": "cpu"}).storm)
    yield tracker
    tracker.close()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """The frame as image files."""
    written = {
        "rgb": cv2.cvtColor(FRAME.rgb, cv2.COLOR_RGB2BGR),
        "depth": np.round(FRAME.depth_m * 1000).astype(np.uint16),
        "mask": preview(MASK),
    }
    for name, pixels in written.items():
        assert cv2.imwrite(str(tmp_path / f"{name}.png"), pixels)
    return {name: str(tmp_path / f"{name}.png") for name in written}


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def sent(frame: RgbdFrame) -> dict:
    """The frame as messages."""
    raw = np.round(frame.depth_m * 1000).astype(np.uint16)
    return {
        "images": [image(frame.rgb, "rgb8", frame.stamp_ns)],
        "depths": [image(raw, "16UC1")],
        "camera_infos": [info(frame.camera)],
    }


@pytest.mark.parametrize(
    "prompt",
    [
        {"kind": "box", "box": np.array([126.0, 86, 68, 68])},
        {"kind": "point", "point": np.array([160.0, 120.0])},
        {"kind": "object", "source_object": "cup"},
        {"kind": "mask", "masks": [image(preview(MASK), "mono8")]},
        {"kind": "", "masks": [image(preview(MASK), "mono8")]},
        {"kind": " BOX ", "box": np.array([126.0, 86, 68, 68])},
    ],
    ids=["box", "point", "object", "mask", "mask by itself", "capitals"],
)
def test_prompts_in_the_current_image(make_request, prompt):
    shown = resolve(make_request(**prompt), SCENE)
    ((frame, mask),) = shown.views
    assert frame is FRAME
    assert shown.live
    assert overlap(mask, MASK) > 0.9


def test_images_in_the_request(make_request):
    shown = resolve(make_request(masks=[image(preview(MASK), "mono8")], **sent(FRAME)), NOTHING)
    ((frame, mask),) = shown.views
    assert not shown.live
    assert np.array_equal(frame.rgb, FRAME.rgb)
    assert np.allclose(frame.depth_m, FRAME.depth_m, atol=1e-6)
    assert frame.camera == FRAME.camera
    assert np.array_equal(mask, MASK)


def test_images_without_camera_info_take_the_last_received(make_request):
    request = make_request(kind="box", box=np.array([126.0, 86, 68, 68]), **{**sent(FRAME), "camera_infos": []})
    ((frame, mask),) = resolve(request, SCENE).views
    assert frame.camera == FRAME.camera
    assert overlap(mask, MASK) > 0.9


@pytest.mark.parametrize("own_k", [True, False])
def test_files(make_request, files, own_k):
    k = Camera(320, 240, 99.0, 98.0, 80.0, 60.0).k.ravel() if own_k else np.zeros(9)
    request = make_request(
        kind="mask", image_files=[files["rgb"]], depth_files=[files["depth"]], mask_files=[files["mask"]], k=k
    )
    ((frame, mask),) = resolve(request, SCENE).views
    assert np.array_equal(frame.rgb, FRAME.rgb)
    assert np.allclose(frame.depth_m, FRAME.depth_m, atol=1e-6)
    assert frame.camera.fx == (99.0 if own_k else FRAME.camera.fx)
    assert np.array_equal(mask, MASK)


def test_mask_file_alone_marks_the_current_image(make_request, files):
    shown = resolve(make_request(mask_files=[files["mask"]]), SCENE)
    assert shown.live
    assert np.array_equal(shown.views[0][1], MASK)


def test_depth_scale_of_files(make_request, files):
    given = {"image_files": [files["rgb"]], "depth_files": [files["depth"]], "mask_files": [files["mask"]]}
    ((frame, _),) = resolve(make_request(depth_scale=0.5, **given), SCENE).views
    assert np.allclose(frame.depth_m, 0.5 * FRAME.depth_m, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "kind is empty: one of box, point, mask, text, object"),
        ({"kind": "circle"}, "kind is 'circle'"),
        ({"kind": "box"}, "box 0,0,0,0 has no size"),
        ({"kind": "box", "box": np.array([500.0, 0, 50, 50])}, "outside the image of 320x240"),
        ({"kind": "point", "point": np.array([-5.0, 0])}, "outside the image"),
        ({"kind": "point", "point": np.array([5.0, 5.0])}, "background"),
        ({"kind": "text", "text": "the red cup"}, "needs a text encoder"),
        ({"kind": "object", "source_object": "plate"}, "not an object of the tracker (known: cup, lost)"),
        ({"kind": "object", "source_object": "lost"}, "has no mask now"),
        ({"kind": "mask"}, "0 masks are given for 1 images"),
        ({"kind": "mask", "masks": [image(preview(MASK)[:100], "mono8")]}, "make them equal"),
        ({"kind": "mask", "masks": [image(np.zeros_like(preview(MASK)), "mono8")]}, "mask has 0 pixels"),
        ({"kind": "mask", "mask_files": ["/nowhere/mask.png"]}, "/nowhere/mask.png"),
        ({"kind": "mask", "mask_files": [""]}, "file name is empty"),
        ({"kind": "mask", "mask_files": ["/tmp"]}, "is a folder"),
        ({"kind": "box", "box": np.array([126.0, 86, 68, 68]), "masks": [1]}, "use kind mask, or leave the masks out"),
        ({"kind": "box", "depths": [1]}, "without its image"),
        ({"kind": "box", "images": [1], "image_files": ["a"]}, "use one of them"),
        ({"kind": "box", "images": [1]}, "1 images but 0 depths"),
        ({"kind": "box", "image_files": ["a"]}, "1 image_files but 0 depth_files"),
        ({"kind": "point", "point": np.array([160.0, 120]), "mesh_file": "/nowhere/cup.ply"}, "does not exist"),
    ],
)
def test_bad_requests_say_what_is_wrong(make_request, fields, words):
    if fields.get("masks") == [1]:
        fields = {**fields, "masks": [image(preview(MASK), "mono8")]}
    with pytest.raises(StormError) as caught:
        resolve(make_request(**fields), SCENE)
    assert words in str(caught.value)


def test_without_an_image_the_reason_is_given(make_request):
    with pytest.raises(InputError, match="the node is not active"):
        resolve(make_request(kind="box", box=np.array([1.0, 1, 50, 50])), NOTHING)


def test_files_without_any_camera_matrix(make_request, files):
    given = {"image_files": [files["rgb"]], "depth_files": [files["depth"]], "mask_files": [files["mask"]]}
    with pytest.raises(InputError, match="give the camera matrix"):
        resolve(make_request(**given), NOTHING)


def test_live_object_is_tracked_from_the_next_frame(tracker, make_request):
    shown = resolve(make_request(kind="box", box=np.array([126.0, 86, 68, 68])), SCENE)
    reference = build_reference(tracker.parts, shown, "box")
    state = prepare_object(tracker.parts, tracker.config.search, reference, live=True)
    assert state.status is TrackStatus.TRACKING
    later_ns = FRAME.stamp_ns + 900_000_000
    put_object(tracker, state, later_ns)
    after, _ = box_frame(shift=1)
    result = tracker.step(RgbdFrame(after.rgb, after.depth_m, after.camera, stamp_ns=later_ns + 33_000_000))
    found = result.objects["box"]
    assert found.cam_T_obj is not None
    true_x_m = (160.5 - FRAME.camera.cx) / FRAME.camera.fx * 0.7
    assert abs(found.cam_T_obj[0, 3] - true_x_m) < 0.01
    tracker.clear_reference("box")


def test_shown_elsewhere_is_searched_for(tracker, make_request):
    shown = resolve(make_request(masks=[image(preview(MASK), "mono8")], **sent(FRAME)), NOTHING)
    state = prepare_object(tracker.parts, tracker.config.search, build_reference(tracker.parts, shown, "a"), live=False)
    assert state.status is TrackStatus.SEARCHING
    assert state.motion is None


def test_replacing_keeps_the_others_and_the_order(tracker, make_request):
    shown = resolve(make_request(kind="object", source_object="cup"), SCENE)
    states = {
        name: prepare_object(
            tracker.parts, tracker.config.search, build_reference(tracker.parts, shown, name), live=True
        )
        for name in ("a", "b")
    }
    for state in states.values():
        put_object(tracker, state)
    kept = tracker.state.objects["b"]
    put_object(tracker, prepare_object(tracker.parts, tracker.config.search, states["a"].reference, live=True))
    assert list(tracker.references) == ["a", "b"]
    assert tracker.state.objects["b"] is kept
    assert tracker.state.objects["a"] is not states["a"]
    for name in states:
        tracker.clear_reference(name)


def test_further_views_are_registered_to_the_first(tracker, make_request):
    other, other_mask = box_frame(shift=20)
    both = [sent(FRAME), sent(other)]
    fields = {key: [part[key][0] for part in both] for key in both[0]}
    masks = [image(preview(m), "mono8") for m in (MASK, other_mask)]
    reference = build_reference(tracker.parts, resolve(make_request(masks=masks, **fields), NOTHING), "box")
    first, second = (view.cam_T_obj for view in reference.views)
    moved_m = 20 / FRAME.camera.fx * 0.7
    assert np.allclose(second[:3, 3] - first[:3, 3], [moved_m, 0, 0], atol=0.004)


def test_further_view_of_something_else_is_refused(tracker, make_request):
    other, other_mask = box_frame()
    blank = np.full_like(other.rgb, 255)
    depth_m = np.where(other_mask, np.float32(0.7), other.depth_m)
    depth_m[92:120, 132:188] = 0.76
    wrong = RgbdFrame(blank, depth_m, other.camera, stamp_ns=other.stamp_ns)
    both = [sent(FRAME), sent(wrong)]
    fields = {key: [part[key][0] for part in both] for key in both[0]}
    masks = [image(preview(m), "mono8") for m in (MASK, other_mask)]
    with pytest.raises(InputError, match="image 2 does not fit the first"):
        build_reference(tracker.parts, resolve(make_request(masks=masks, **fields), NOTHING), "box")


def test_several_images_need_masks(make_request):
    twice = {key: value * 2 for key, value in sent(FRAME).items()}
    with pytest.raises(InputError, match="a mask each"):
        resolve(make_request(kind="box", box=np.array([126.0, 86, 68, 68]), **twice), NOTHING)


def test_object_without_depth(tracker, make_request):
    blind = RgbdFrame(FRAME.rgb, np.where(MASK, np.float32(0), FRAME.depth_m), FRAME.camera)
    request = make_request(masks=[image(preview(MASK), "mono8")])
    with pytest.raises(NoDepthError):
        build_reference(tracker.parts, resolve(request, Scene(blind)), "box")


def test_mesh_file_with_its_scale(tracker, make_request, tmp_path):
    shown = resolve(make_request(kind="object", source_object="cup"), SCENE)
    mesh = build_reference(tracker.parts, shown, "box").mesh
    save_mesh(tmp_path / "box.ply", mesh)
    request = make_request(kind="object", source_object="cup", mesh_file=str(tmp_path / "box.ply"), mesh_scale=1.0)
    given = resolve(request, SCENE).mesh
    assert given is not None
    assert np.allclose(given.bounds, mesh.bounds, atol=1e-5)
    request.mesh_scale = 1e3
    with pytest.raises(InputError, match="mesh"):
        resolve(request, SCENE)


def test_saved_reference_comes_back_under_any_name(tracker, make_request, tmp_path):
    shown = resolve(make_request(kind="object", source_object="cup"), SCENE)
    save_reference(tmp_path / "saved", build_reference(tracker.parts, shown, "cup"))
    assert load_saved(str(tmp_path / "saved"), "").object_id == "cup"
    assert load_saved(str(tmp_path / "saved"), "mug").object_id == "mug"
    with pytest.raises(InputError, match="folder is empty"):
        load_saved(" ", "")
    with pytest.raises(StormError, match="not a saved reference"):
        load_saved(str(tmp_path), "")


def test_live_settings_reach_the_loop(tracker):
    before = tracker.config
    pose = tracker.parts.pose
    changed = settings_from({"gate.tau": 1.5, "search.every": 9, "pose.samples": 321}).storm
    set_live(tracker, changed)
    assert tracker.parts.gate.start().threshold == 1.5
    assert tracker.config.search.every == 9
    assert tracker.config.pose.samples == before.pose.samples
    assert tracker.parts.pose is pose
    set_live(tracker, before)
    assert tracker.config == before
