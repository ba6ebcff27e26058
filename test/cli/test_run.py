import argparse
import csv
import io
import json
import os
import signal
from dataclasses import replace

import pytest
from rich.console import Console

from storm_ros.cli.errors import UsageError
from storm_ros.cli.outputs import Outputs
from storm_ros.cli.plan import plan
from storm_ros.cli.references import parse_reference
from storm_ros.cli.results import summarise
from storm_ros.cli.stopping import StopRequest
from storm_ros.cli.targets import resolve
from storm_ros.cli.track import track_recording
from storm_ros.core.config import StormConfig
from storm_ros.core.errors import InputError, OutputError, RecordingError, StormError
from storm_ros.core.types import TrackStatus
from storm_ros.io import open_recording
from storm_ros.io.bag_file import BagFile


def go(tmp_path, recording, tracker, *references, **options):
    """Run and return (exit, rows of poses.csv, report); exit is the return value or the error."""
    places = {"bag": options.pop("bag", None), "reference": options.pop("save", None)}
    outputs = Outputs(tmp_path / "out", html=options.pop("html", True), **places)
    outputs.prepare()
    targets = resolve([parse_reference(r) for r in references], recording)
    reverse = options.get("reverse", False)
    planned = plan(recording.numbers, targets, **options)
    args = argparse.Namespace(command_line="storm track x", quiet=True, reverse=reverse, input="x")
    try:
        leave = track_recording(args, recording, targets, planned, StormConfig(), outputs, tracker)
    except (StormError, KeyboardInterrupt) as error:
        leave = error
    with outputs.poses_csv.open() as file:
        rows = list(csv.DictReader(file))
    return leave, rows, json.loads(outputs.report_json.read_text())


def frames(rows):
    return [int(row["im_id"]) for row in rows]


def test_a_whole_run(tmp_path, make_recording, make_tracker):
    leave, rows, report = go(tmp_path, make_recording(), make_tracker(), "frame=12,gt=7")
    assert leave == 0
    assert frames(rows) == list(range(12, 30))
    assert (rows[0]["scene_id"], rows[0]["obj_id"], rows[0]["score"]) == ("3", "7", "0.9")
    assert [float(v) for v in rows[3]["t"].split()] == pytest.approx([15.0, 0.0, 500.0])
    assert report["frames"] == 18
    assert report["unreadable"] == 0
    assert report["accuracy"]["add_mm_median"] == pytest.approx(0.0, abs=1e-6)
    assert report["objects"]["obj_7"]["reference_frame"] == 12
    assert report["settings"]["gate.patience"] == 3
    assert (tmp_path / "out/report.html").is_file()


def test_unreadable_frames_are_skipped_counted_and_told(tmp_path, make_recording, make_tracker):
    leave, rows, report = go(tmp_path, make_recording(unreadable={15, 16}), make_tracker(), "frame=12,gt=7")
    assert leave == 0
    assert not {15, 16} & set(frames(rows))
    assert report["frames"] == 16
    assert report["unreadable"] == 2
    assert report["unreadable_frames"] == [15, 16]
    assert any("frame 15" in w for w in report["warnings"])
    assert not report["interrupted"]


def test_an_interrupt_leaves_what_came_before(tmp_path, make_recording, make_tracker):
    leave, rows, report = go(tmp_path, make_recording(), make_tracker(interrupt_at=20), "frame=12,gt=7")
    assert isinstance(leave, KeyboardInterrupt)
    assert "results so far are in" in str(leave)
    assert frames(rows) == list(range(12, 20))
    assert report["interrupted"] is True
    assert report["frames"] == 8
    assert "This run was interrupted" in (tmp_path / "out/report.html").read_text()


def test_ctrl_c_ends_a_run_after_the_frame_at_hand(tmp_path, make_recording, make_tracker):
    tracker = make_tracker()
    plain_step = tracker.step

    def step(frame):
        if frame.index == 17:
            os.kill(os.getpid(), signal.SIGINT)
        return plain_step(frame)

    tracker.step = step
    leave, rows, report = go(tmp_path, make_recording(), tracker, "frame=12,gt=7")
    assert isinstance(leave, KeyboardInterrupt)
    assert frames(rows)[-1] == 17
    assert report["interrupted"] is True
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, "the handler is put back"


def test_the_second_ctrl_c_stops_at_once():
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_while_results_are_completed_an_impatient_ctrl_c_costs_nothing():
    with StopRequest.finishing() as stop:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_the_bag_is_completed_in_spite_of_a_second_ctrl_c(tmp_path, make_recording, make_tracker, monkeypatch):
    tracker = make_tracker(interrupt_at=17)  # as the second one does in the middle of a frame
    plain_close = BagFile.close

    def close(bag):
        os.kill(os.getpid(), signal.SIGINT)
        plain_close(bag)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(BagFile, "close", close)
    leave, rows, report = go(tmp_path, make_recording(), tracker, "frame=12,gt=7", bag=tmp_path / "result.mcap")
    assert isinstance(leave, KeyboardInterrupt)
    assert report["interrupted"] is True
    with open_recording(tmp_path / "result.mcap") as bag:
        assert len(bag.numbers) == len(rows) == 5
    assert not list(tmp_path.glob(".*partial*"))


def test_a_damaged_truth_costs_the_accuracy_but_not_the_results(tmp_path, make_recording, make_tracker):
    recording = make_recording()

    def pose(number, obj_id):
        raise RecordingError(f"scene_gt.json, frame {number}: nine numbers are needed")

    resolved = resolve([parse_reference("frame=12,gt=7")], recording)
    recording.ground_truth.pose = pose
    outputs = Outputs(tmp_path)
    args = argparse.Namespace(command_line="", quiet=True, reverse=False, input="x")
    planned = plan(recording.numbers, resolved)
    assert track_recording(args, recording, resolved, planned, StormConfig(), outputs, make_tracker()) == 0
    report = json.loads(outputs.report_json.read_text())
    assert report["frames"] == 18
    assert "accuracy" not in report
    assert "obj_7 has no accuracy figures: scene_gt.json, frame" in report["warnings"][0]


def test_an_error_in_the_middle_leaves_what_came_before_and_its_reason(tmp_path, make_recording, make_tracker):
    leave, rows, report = go(tmp_path, make_recording(), make_tracker(fail_at=20), "frame=12,gt=7")
    assert isinstance(leave, InputError)
    assert frames(rows) == list(range(12, 20))
    assert report["warnings"][0] == "the run ended early: this frame cannot be used"


def test_a_rejected_reference_names_the_object_and_its_frame(tmp_path, make_recording, make_tracker):
    leave, rows, _ = go(tmp_path, make_recording(), make_tracker(reject={"cup"}), "frame=12,gt=7,name=cup")
    assert isinstance(leave, InputError)
    assert str(leave) == "reference of cup (frame 12): the mask has 3 pixels: 64 are needed"
    assert rows == []


def test_no_readable_frame_is_a_failure(tmp_path, make_recording, make_tracker):
    recording = make_recording()
    targets = ("frame=12,gt=7",)
    read = recording.read
    recording.read = lambda number: read(12) if number == 12 and not recording.unreadable else read(number)
    recording.unreadable = set()
    resolved = resolve([parse_reference(t) for t in targets], recording)
    recording.unreadable = set(range(10, 30))
    outputs = Outputs(tmp_path / "out")
    outputs.prepare()
    args = argparse.Namespace(command_line="", quiet=True, reverse=False, input="x")
    with pytest.raises(StormError, match="none of the 18 frames could be read"):
        track_recording(
            args, recording, resolved, plan(recording.numbers, resolved), StormConfig(), outputs, make_tracker()
        )


def test_backwards(tmp_path, make_recording, make_tracker):
    leave, rows, report = go(tmp_path, make_recording(), make_tracker(), "frame=14,gt=7", reverse=True)
    assert leave == 0
    assert frames(rows) == [14, 13, 12, 11, 10]
    assert report["reverse"] is True
    assert (report["first_frame"], report["last_frame"]) == (14, 10)


def test_time_goes_on_when_the_frames_go_back(tmp_path, make_recording, make_tracker):
    tracker, recording = make_tracker(), make_recording()
    stamps = []
    step = tracker.step
    tracker.step = lambda frame: (stamps.append((frame.index, frame.stamp_ns)), step(frame))[1]
    _, _, report = go(tmp_path, recording, tracker, "frame=14,gt=7", reverse=True)
    first = recording.read(14).stamp_ns
    assert stamps == [(14 - i, first + i * 33_000_000) for i in range(5)]
    assert report["frames"] == 5


def test_a_later_reference_is_set_when_its_frame_is_reached(tmp_path, make_recording, make_tracker, mask_file, square):
    recording = make_recording(unreadable={20})
    other = f"frame=19,mask={mask_file(square(left=40))},name=other"
    _, rows, report = go(tmp_path, recording, make_tracker(), "frame=12,gt=7", other)
    assert next(r["im_id"] for r in rows if r["obj_id"] == "1") == "19"
    assert sum(report["objects"]["other"]["status_counts"].values()) == 10
    assert sum(report["objects"]["obj_7"]["status_counts"].values()) == 17
    assert report["status_counts"]["TRACKING"] == 27
    assert any("other: fits no object" in w for w in report["warnings"])


def test_from_beyond_the_reference_sets_it_first(tmp_path, make_recording, make_tracker):
    tracker = make_tracker()
    _, rows, report = go(tmp_path, make_recording(), tracker, "frame=12,gt=7", first=25)
    assert frames(rows) == list(range(25, 30))
    assert report["objects"]["obj_7"]["reference_frame"] == 12
    assert report["accuracy"]["found_fraction"] == 1.0


def test_a_reference_is_saved_and_serves_another_run(tmp_path, make_recording, make_tracker):
    saved = tmp_path / "saved"
    go(tmp_path, make_recording(), make_tracker(), "frame=12,gt=7,name=cup", save=saved)
    tracker = make_tracker()
    leave, rows, report = go(tmp_path, make_recording(), tracker, str(saved))
    assert leave == 0
    assert frames(rows) == list(range(10, 30))
    assert list(tracker.references) == ["cup"]
    assert "accuracy" not in report, "where it was taken in this recording is not known"
    assert report["warnings"] == ["cup: its frame is that of a saved reference, so it has no accuracy figures"]


def test_an_output_folder_that_cannot_be_written_is_found_out_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is not writable"):
        Outputs(tmp_path / "file" / "out").prepare()
    with pytest.raises(OutputError, match="is not writable"):
        Outputs(tmp_path / "out", bag=tmp_path / "file" / "x.mcap").prepare()


@pytest.mark.parametrize("kind", ["bag", "save"])
def test_a_place_that_is_taken_is_found_out_before_earlier_results_go(tmp_path, make_recording, make_tracker, kind):
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "notes.txt").write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    for name in ("poses.csv", "report.json"):
        (out / name).write_text("{}")
    tracker = make_tracker()
    leave, _, report = go(tmp_path, make_recording(), tracker, "frame=12,gt=7", **{kind: taken})
    assert isinstance(leave, OutputError)
    assert str(leave).startswith(f"cannot write {taken}: it exists")
    assert report == {}
    assert tracker.seen == []


def test_results_of_an_earlier_run_outlive_a_typing_error_but_not_the_start(tmp_path, make_recording, make_tracker):
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.html").write_text("old")
    (out / "notes.txt").write_text("mine")
    with pytest.raises(UsageError):
        go(tmp_path, make_recording(), make_tracker(), "frame=99,gt=7")
    assert (out / "report.html").read_text() == "old"
    go(tmp_path, make_recording(), make_tracker(fail_at=12), "frame=12,gt=7", html=False)
    assert sorted(p.name for p in out.iterdir()) == ["notes.txt", "poses.csv", "report.json"]


def test_without_html_there_is_none(tmp_path, make_recording, make_tracker):
    go(tmp_path, make_recording(), make_tracker(), "frame=12,gt=7", html=False)
    assert not (tmp_path / "out/report.html").exists()


def test_an_object_that_never_got_a_pose_is_told(tmp_path, make_recording, make_tracker):
    tracker = make_tracker()
    plain_step = tracker.step

    def step(frame):
        result = plain_step(frame)
        lost = replace(result.objects["cup"], status=TrackStatus.SEARCHING, cam_T_obj=None)
        return replace(result, objects={**result.objects, "cup": lost})

    tracker.step = step
    leave, _, report = go(tmp_path, make_recording(), tracker, "frame=10,gt=7,name=cup", "frame=10,gt=7,name=mug")
    assert leave == 0
    assert [w for w in report["warnings"] if "never" in w] == ["cup: never found in 20 frames"]
    console = Console(file=io.StringIO(), soft_wrap=True)
    summarise(console, report, Outputs(tmp_path / "out"))
    assert "warning: cup: never found in 20 frames\n" in console.file.getvalue()
