import json

import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.core.errors import OutputError, RecordingError
from storm_ros.core.types import Camera, RgbdFrame, TrackResult
from storm_ros.evaluation import RunInfo, RunRecorder, build_report, load_report, write_report
from storm_ros.evaluation.accuracy import JudgedObject, judge
from storm_ros.evaluation.report import MAX_WARNINGS, percentiles, plain

FRAME = RgbdFrame(np.zeros((48, 64, 3), np.uint8), np.ones((48, 64), np.float32), Camera(64, 48, 60, 60, 31.5, 23.5))
CONTRACT = {
    "schema", "input", "frames", "status_counts", "events", "timing_ms", "fps", "peak_rss_mb", "accuracy", "versions",
}  # fmt: skip
ACCURACY = {
    "add_auc", "adds_auc", "add_mm_median", "adds_mm_median", "centre_mm_median", "rot_deg_median", "found_fraction",
    "false_fraction",
}  # fmt: skip


@pytest.fixture
def report(recorded, hand_truth):
    target = JudgedObject("cup", 7, 0, cam_T_obj_ref=se3.transform(np.eye(3), [0, 0, 0.5]))
    judgement = judge(target, recorded.objects["cup"].poses(), hand_truth())
    info = RunInfo(input="scene", seconds=0.18, setup_ms={"cup": 40.0}, gt_ids={"cup": 7}, obj_ids={"cup": 7})
    return build_report(recorded, info, [judgement])


def test_every_key_of_the_contract_is_there(report):
    assert set(report) >= CONTRACT
    assert set(report["accuracy"]) >= ACCURACY
    assert report["schema"] == 1
    assert report["input"] == "scene"
    assert report["frames"] == 9
    assert report["unreadable"] == 1
    assert report["interrupted"] is False
    assert report["status_counts"]["LOST"] == 3
    assert set(report["timing_ms"]["track"]) == {"p50", "p95", "p99", "max"}
    assert set(report["versions"]) >= {"storm_ros", "python", "numpy", "opencv", "warp", "platform"}
    assert report["peak_rss_mb"] > 10


def test_objects_tell_how_likely_their_poses_were_right(report, reference):
    cup = report["objects"]["cup"]
    posed = [0.5 + 0.04 * number for number in (0, 1, 2, 7, 8, 9)]
    assert cup["probability_median"] == pytest.approx(np.median(posed))  # of the frames with a pose
    assert cup["memory_max"] == 9
    nothing = RunRecorder()
    nothing.add_reference(reference, 0)
    assert build_report(nothing, RunInfo(input="x"))["objects"]["cup"]["probability_median"] is None


def test_stages_come_in_the_order_of_a_frames_journey():
    recorder = RunRecorder()
    stages = ("segment", "total", "register", "polish", "verify", "track")
    recorder.add(FRAME, 0, TrackResult(0, 0, {}, (), dict.fromkeys(stages, 1.0)), 0.001)
    order = list(build_report(recorder, RunInfo(input="x"))["timing_ms"])
    assert order == ["track", "verify", "segment", "register", "polish", "total"]


def test_events_say_what_when_and_why(report):
    kinds = [(e["frame"], e["type"], e["object"], e["cause"]) for e in report["events"]]
    assert kinds == [
        (0, "reference_set", "cup", None),
        (4, "lost", "cup", "no_depth"),
        (7, "relocalized", "cup", "no_depth"),
    ]
    assert report["events"][2]["stamp_ns"] == 231_000_000
    assert report["events"][2]["frames_lost"] == 3
    assert report["events"][2]["jump_m"] == 0.02


def test_rates_are_of_the_steps_and_of_the_whole(report):
    assert report["fps"] == pytest.approx(100.0)
    assert report["fps_with_io"] == pytest.approx(50.0)


def test_no_truth_no_accuracy_and_no_frame_no_figures():
    report = build_report(RunRecorder(), RunInfo(input="scene"))
    assert "accuracy" not in report
    assert report["frames"] == 0
    assert report["fps"] is None


def test_percentiles_by_hand():
    assert percentiles(np.arange(101.0)) == {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}


def test_many_warnings_are_cut_with_their_number():
    report = build_report(RunRecorder(), RunInfo(input="x", warnings=[f"w{i}" for i in range(MAX_WARNINGS + 7)]))
    assert len(report["warnings"]) == MAX_WARNINGS + 1
    assert report["warnings"][-1].endswith("and 7 more")


@pytest.mark.parametrize(
    ("value", "expected", "reason"),
    [
        (float("nan"), None, "JSON knows no NaN"),
        (float("inf"), None, "nor infinity"),
        (np.float32(0.5), 0.5, "a numpy number"),
        (np.array([1.0, np.nan]), [1.0, None], "an array"),
        ({1: (2, np.int64(3))}, {"1": [2, 3]}, "keys are text, tuples are lists"),
        (True, True, "truth values stay"),
    ],
)
def test_plain(value, expected, reason):
    assert plain(value) == expected, reason


def test_writing_is_strict_json_that_reads_back(tmp_path, report):
    path = tmp_path / "report.json"
    write_report(path, report)
    text = path.read_text(encoding="utf-8")
    assert "NaN" not in text
    assert json.loads(text) == report == load_report(path)
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"], "no temporary file is left"


def test_a_failed_write_leaves_the_old_file(tmp_path, report, monkeypatch):
    path = tmp_path / "report.json"
    write_report(path, report)

    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", no_space)
    with pytest.raises(OutputError, match="No space left"):
        write_report(path, {**report, "frames": 0})
    assert load_report(path)["frames"] == 9
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.parametrize(
    ("text", "words", "reason"),
    [
        ("{", "cannot be read", "cut off"),
        ('{"schema": 2}', "schema 2", "of a later version"),
        ("[]", "schema None", "no map"),
    ],
)
def test_a_report_that_is_none(tmp_path, text, words, reason):
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(RecordingError, match=words):
        load_report(path)
    assert reason
