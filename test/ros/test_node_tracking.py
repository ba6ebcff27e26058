"""The node in this process, with a drawn camera: what a user sees from pointing at an object to its loss and return."""

from __future__ import annotations

import importlib.util
import time

import numpy as np
import pytest

pytestmark = [pytest.mark.ros, pytest.mark.slow]

BOX_M = 56 / 300 * 0.7


@pytest.fixture(scope="module")
def bench(ros_domain):
    from ros_bench import PATIENT, Bench

    bench = Bench(ros_domain(), **PATIENT)
    assert bench.node.trigger_configure().to_label() == "transition_success"
    assert bench.node.trigger_activate().to_label() == "transition_success"
    bench.camera.start()
    yield bench
    bench.close()


@pytest.fixture
def tracked(bench):
    """The bench with the box tracked and nothing else."""
    bench.call("clear_reference")
    bench.camera.spoil, bench.camera.shift, bench.camera.rate_hz = None, 0, 30.0
    answer = bench.point()
    assert answer.success, answer.message
    bench.forget()
    bench.expect("storm/pose")
    return bench


def position(pose) -> np.ndarray:
    return np.array([pose.position.x, pose.position.y, pose.position.z])


def true_x_m(shift: float) -> float:
    return (159.5 + shift - 159.5) / 300 * 0.7


def test_answer_tells_what_was_taken(bench):
    bench.call("clear_reference")
    answer = bench.point("cup")
    assert answer.success, answer.message
    assert answer.object_id == "cup"
    assert answer.seconds > 0
    assert answer.mesh_vertices > 500
    size = np.array([answer.mesh_size.x, answer.mesh_size.y])
    assert np.allclose(size, BOX_M, rtol=0.15)
    preview = np.frombuffer(answer.preview.data, np.uint8).reshape(answer.preview.height, answer.preview.width)
    assert set(np.unique(preview)) == {0, 255}
    assert (preview[95:145, 135:185] == 255).mean() > 0.9
    assert answer.preview.header.frame_id == "cam"


def test_pose_tf_and_mask_follow_the_object(tracked):
    tracked.camera.shift = 6
    poses, transforms, masks = (tracked.fresh(topic, 15) for topic in ("storm/pose", "/tf", "storm/mask"))
    from storm_ros.ros.conversions import stamp_ns

    for pose in poses[-5:]:
        assert pose.header.frame_id == "cam"
        assert stamp_ns(pose.header.stamp) in tracked.camera.sent, "the image's own stamp"
        assert abs(position(pose.pose)[0] - true_x_m(6)) < 0.004
    last = transforms[-1].transforms
    assert [(t.header.frame_id, t.child_frame_id) for t in last] == [("cam", "storm/object")]
    grey = np.frombuffer(masks[-1].data, np.uint8).reshape(240, 320)
    assert masks[-1].encoding == "mono8"
    assert set(np.unique(grey)) == {0, 255}
    assert (grey[95:145, 141:191] == 255).mean() > 0.9


def test_overlay_has_the_colours_of_the_image(tracked):
    message = tracked.fresh("storm/overlay")[-1]
    picture = np.frombuffer(message.data, np.uint8).reshape(240, 320, 3)
    assert (message.encoding, message.header.frame_id) == ("rgb8", "cam")
    assert (picture[200:] == 80).all()
    assert not (picture[:60] == 80).all()


def test_status_and_diagnostics_of_a_good_track(tracked):
    status = tracked.expect_status(lambda m: [o.state for o in m.objects] == ["TRACKING"] and m.frames > 5)
    (item,) = status.objects
    assert (status.state, item.object_id, item.object_frame) == ("RUNNING", "object", "storm/object")
    assert item.has_pose
    assert item.mask_value == 255
    assert item.score > 0.8
    assert 0.5 < item.probability <= 1.0
    assert item.smoothed_energy < item.threshold
    assert list(status.problems) == []
    assert {"convert", "track", "publish", "total"} <= set(status.stage_names)
    assert status.latency_ms > 0
    good = {"storm: input": b"\0", "storm: tracker": b"\0", "storm: object object": b"\0"}
    tracked.expect_one("/diagnostics", lambda m: {entry.name: entry.level for entry in m.status} == good)


def test_status_is_latched(tracked):
    from ros_bench import LATCHED
    from storm_ros.msg import TrackerStatus

    tracked.camera.stop()
    tracked.got["late"], tracked.at["late"] = [], []
    late = tracked.helper.create_subscription(TrackerStatus, "storm/status", tracked.got["late"].append, LATCHED)
    tracked.expect("late", 1)
    tracked.helper.destroy_subscription(late)
    tracked.camera.start()


def test_detections(tracked):
    if importlib.util.find_spec("vision_msgs") is None:
        pytest.skip("vision_msgs is not installed")
    from vision_msgs.msg import Detection3DArray

    tracked.listen("storm/detections", Detection3DArray, 10)
    (found,) = tracked.expect_one("storm/detections", lambda m: m.detections).detections
    assert found.id == "object"
    assert 0.5 < found.results[0].hypothesis.score <= 1.0
    assert np.array(found.results[0].pose.covariance).reshape(6, 6)[0, 0] > 0
    assert np.allclose([found.bbox.size.x, found.bbox.size.y], BOX_M, rtol=0.15)


def test_marker_shows_the_mesh_and_goes_with_the_object(tracked):
    assert tracked.point().success
    marker = tracked.expect_one("storm/marker", lambda m: m.action == m.ADD)
    assert (marker.header.frame_id, marker.ns, marker.action) == ("storm/object", "object", marker.ADD)
    corners = np.array([[p.x, p.y, p.z] for p in marker.points])
    assert np.allclose(np.ptp(corners, axis=0)[:2], BOX_M, rtol=0.15)
    assert len(marker.colors) == len(marker.points)
    tracked.forget()
    assert tracked.call("clear_reference", object_id="object").success
    gone = tracked.expect_one("storm/marker", lambda m: m.action == m.DELETE)
    assert (gone.header.frame_id, gone.ns) == ("storm/object", "object")


def test_nothing_is_published_of_what_was_cleared(tracked):
    assert tracked.call("clear_reference").success
    since = tracked.camera.newest_ns
    tracked.expect_status(lambda m: m.state == "WAITING")
    masks = tracked.fresh("storm/mask", 5, since)
    assert not any(np.frombuffer(mask.data, np.uint8).any() for mask in masks)
    tracked.silent("storm/pose", "/tf")


def test_several_objects(tracked):
    from geometry_msgs.msg import PoseStamped

    assert tracked.point("second-one").success
    tracked.listen("storm/second_one/pose", PoseStamped, 10)
    tracked.listen("storm/object/pose", PoseStamped, 10)
    tracked.fresh("storm/second_one/pose", 2)
    tracked.fresh("storm/object/pose", 2)
    both = {"storm/object", "storm/second-one"}
    tracked.expect_one("/tf", lambda m: {t.child_frame_id for t in m.transforms} == both)
    tracked.expect_status(lambda m: [o.mask_value for o in m.objects] == [1, 2])
    grey = np.frombuffer(tracked.fresh("storm/mask", 3)[-1].data, np.uint8)
    assert set(np.unique(grey)) <= {0, 1, 2}
    assert grey.any()
    assert tracked.call("clear_reference", object_id="object").success
    tracked.expect_status(lambda m: [o.mask_value for o in m.objects] == [255])


def test_lost_and_found_again(tracked):
    """The box is covered, then shown again elsewhere: no pose and no TF meanwhile, and an event at the end."""

    def cover(image, depth, info):
        wall = np.full(240 * 320, 850, np.uint16)
        depth.data = type(depth.data)("B", wall.tobytes())
        image.data = type(image.data)("B", np.full(240 * 320 * 3, 80, np.uint8).tobytes())

    tracked.camera.spoil = cover
    tracked.expect_status(lambda m: any(o.state == "LOST" for o in m.objects))
    covered = tracked.camera.newest_ns
    (lost,) = tracked.expect_status(lambda m: any(o.seconds_lost > 0.6 for o in m.objects)).objects
    assert lost.has_pose is False
    tracked.fresh("storm/mask", 10, covered)
    tracked.silent("storm/pose", "/tf")
    tracked.camera.shift = 20
    tracked.camera.spoil = None
    event = tracked.fresh("storm/relocalized", since_ns=covered)[0]
    assert event.object_id == "object"
    assert event.cause in ("energy", "occluded", "no_depth", "out_of_view")
    assert event.frames_lost > 5
    assert event.seconds_lost > 0.5
    assert event.jump_m == pytest.approx(20 / 300 * 0.7, abs=0.01)
    assert event.score > 0.6
    assert event.energy < event.threshold
    assert abs(position(event.pose)[0] - true_x_m(20)) < 0.01
    poses = tracked.fresh("storm/pose", 5)
    assert abs(position(poses[-1].pose)[0] - true_x_m(20)) < 0.005


def test_forced_relocalisation(tracked):
    answer = tracked.call("relocalize", object_id="object")
    assert answer.success
    (event,) = tracked.expect("storm/relocalized")
    assert event.cause == "requested"
    assert event.jump_m < 0.01
    missing = tracked.call("relocalize", object_id="nothing")
    assert not missing.success
    assert "no object 'nothing'" in missing.message


def test_save_clear_load(tracked, tmp_path):
    folder = tmp_path / "saved"
    saved = tracked.call("save_reference", folder=str(folder))
    assert saved.success, saved.message
    assert saved.folder == str(folder)
    assert tracked.call("clear_reference").success
    loaded = tracked.call("load_reference", folder=str(folder), object_id="mug")
    assert loaded.success, loaded.message
    assert (loaded.object_id, loaded.mesh_size.x) == ("mug", pytest.approx(BOX_M, rel=0.15))
    pose = tracked.fresh("storm/pose")[-1]
    assert abs(position(pose.pose)[0]) < 0.01
    bad = tracked.call("load_reference", folder=str(tmp_path / "nothing"))
    assert not bad.success
    assert "not a saved reference" in bad.message


def test_bad_request_changes_nothing_while_tracking(tracked):
    tracker = tracked.node.session.tracker
    before = tracker.state.objects["object"].reference
    for fields, words in [
        ({"kind": "box"}, "no size"),
        ({"kind": "text", "text": "box"}, "text encoder"),
        ({"kind": "mask", "mask_files": ["/nowhere.png"]}, "/nowhere.png"),
        ({"kind": "point", "point": [160.0, 120.0], "mesh_file": "/nowhere.ply"}, "does not exist"),
        ({"kind": "point", "point": [160.0, 120.0], "object_id": "a b"}, "letters, digits"),
    ]:
        answer = tracked.call("set_reference", **fields)
        assert not answer.success
        assert words in answer.message
    assert tracker.state.objects["object"].reference is before
    assert list(tracker.references) == ["object"]
    assert abs(position(tracked.fresh("storm/pose", 3)[-1].pose)[0]) < 0.004


def test_replacing_while_tracking_leaves_no_gap(tracked):
    """Poses come on while a new reference of the same object is prepared, and after it."""
    from ros_bench import image_stamp

    tracker = tracked.node.session.tracker
    before = tracker.state.objects["object"].reference
    tracked.forget()
    started = tracked.camera.newest_ns
    answer = tracked.point()
    ended = tracked.camera.newest_ns
    assert answer.success, answer.message
    assert tracker.state.objects["object"].reference is not before
    tracked.fresh("storm/pose", 5, ended)
    if answer.seconds > 1.0:
        during = [pose for pose in tracked.fresh("storm/pose", 1, started) if image_stamp(pose) <= ended]
        assert during, "tracking stood still while the reference was prepared"
    states = {o.state for m in tracked.got["storm/status"] for o in m.objects}
    assert states <= {"TRACKING", "SUSPECT"}


def test_two_requests_at_once_are_served_in_turn(tracked):
    asked = [tracked.ask("set_reference", object_id=name, kind="box", box=[126.0, 86.0, 68.0, 68.0]) for name in "ab"]
    answers = [tracked.answer(future) for future in asked]
    assert [a.success for a in answers] == [True, True]
    assert [a.object_id for a in answers] == ["a", "b"]
    status = tracked.expect_status(lambda m: len(m.objects) == 3)
    assert {o.object_id for o in status.objects} == {"object", "a", "b"}


def test_live_parameters_change_between_frames(tracked):
    from rclpy.parameter import Parameter

    node = tracked.node
    results = node.set_parameters([Parameter("gate.tau", value=2), Parameter("object_frame", value="part")])
    assert all(result.successful for result in results)
    tracked.expect_status(lambda m: [(o.threshold, o.object_frame) for o in m.objects] == [(2.0, "part")])
    assert {t.child_frame_id for m in tracked.fresh("/tf", 3) for t in m.transforms} == {"part"}
    (refused,) = node.set_parameters([Parameter("pose.samples", value=500)])
    assert not refused.successful
    assert "cleanup" in refused.reason
    (wrong,) = node.set_parameters([Parameter("gate.tau", value=99.0)])
    assert not wrong.successful
    results = node.set_parameters([Parameter("gate.tau", value=0.0), Parameter("object_frame", value="")])
    assert all(result.successful for result in results)


def test_what_is_too_old_is_kept_back(tracked):
    from rclpy.parameter import Parameter

    def most_s(value):
        (result,) = tracked.node.set_parameters([Parameter("publish.max_age", value=value)])
        assert result.successful

    worker = tracked.node.session.worker
    process = worker._process

    def late(pair):
        time.sleep(0.3)
        process(pair)

    worker._process = late
    most_s(0.2)
    try:
        frames = tracked.expect("storm/status")[-1].frames
        tracked.silent("storm/pose", "/tf", "storm/mask", "storm/overlay")
        assert tracked.expect_status(lambda m: m.frames > frames), "images are worked on meanwhile"
        status = tracked.expect_status(lambda m: any("publish.max_age is 200 ms" in text for text in m.problems))
        assert (status.state, status.objects[0].has_pose) == ("RUNNING", True), "it is tracked nevertheless"
        most_s(0.0)
        for topic in ("storm/pose", "/tf", "storm/mask", "storm/overlay"):
            tracked.fresh(topic, 2)
    finally:
        worker._process = process
        most_s(0.0)


def test_fast_camera_does_not_make_it_late(tracked):
    """Images come faster than they can be used: they are dropped and counted, and what is used is the newest."""
    from ros_bench import wait_until

    from storm_ros.ros.conversions import stamp_ns

    session = tracked.node.session
    process = session.worker._process
    behind = []

    def slowly(pair):
        taken, newest = stamp_ns(pair.image.header.stamp), session._inputs._timeline.last_ns
        behind.append(sum(taken < stamp <= newest for stamp in list(tracked.camera.sent)))
        time.sleep(0.3)
        process(pair)

    session.worker._process = slowly
    tracked.camera.rate_hz = 60.0
    dropped = session._mailbox.dropped
    try:
        wait_until(lambda: len(behind) > 15 and session._mailbox.dropped > dropped + 30, what="images to be dropped")
    finally:
        session.worker._process = process
    assert np.median(behind) <= 5, "of the images that have arrived it takes the newest pair"
    assert tracked.expect_status(lambda m: m.dropped_frames > 30)
