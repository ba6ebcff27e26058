"""Figures of whole clips, computed by hand; their file; the page."""

import json
import math
from dataclasses import replace

import pytest

from storm_ros.core.errors import InputError, RecordingError
from storm_ros.evaluation.failures_figures import (
    calibrated_threshold,
    held_energies,
    method_figures,
    moments_of,
    summary,
)
from storm_ros.evaluation.failures_file import ClipFile, Header, finished_clips
from storm_ros.evaluation.failures_page import METHOD_ROWS, failures_page, written
from storm_ros.evaluation.failures_records import Clip, Find, Run, clip_line, clip_of

FRAMES = 60
LOSS = (14, "occluded")


def clip_with(number=0, **changes):
    """Hidden in frames 10 to 19, lost in 14, found in 22; a held pass that hides nothing; errors of 1 mm, limit 10."""
    visible = tuple(0.0 if 10 <= i < 20 else 1.0 for i in range(FRAMES))
    tracked = Run(
        reported=tuple(not 14 <= i < 22 for i in range(FRAMES)),
        error_mm=tuple(None if 15 <= i < 22 else 30.0 if 10 <= i < 15 else 1.0 for i in range(FRAMES)),
        energies={"inlier": tuple(None if 15 <= i < 22 else 0.0 for i in range(FRAMES))},
        lost=(LOSS,),
        finds=(Find(frame=22, right=True, role="target", near=True, frames_lost=8),),
        verify_ms=2.0,
        step_ms=8.0,
    )
    held = Run(
        reported=(True,) * FRAMES,
        error_mm=tuple(30.0 if 10 <= i < 20 else 1.0 for i in range(FRAMES)),
        energies={"inlier": tuple(2.0 if 10 <= i < 20 else -2.0 for i in range(FRAMES))},
    )
    clip = Clip(
        kind="occlusion", number=number, what="whole", object="box", limit_mm=10.0, rule="ADD", first=10, last=19,
        visible=visible, delivery=("full",) * FRAMES, runs={"inlier": tracked}, held=held, seconds=1.0,
    )  # fmt: skip
    return replace(clip, **changes)


def with_run(clip, **changes):
    return replace(clip, runs={"inlier": replace(clip.runs["inlier"], **changes)})


def test_figures_of_one_loss():
    figures = method_figures([clip_with()], "inlier")
    assert figures["good_frames"] == 10 + 38
    assert (figures["losses"], figures["unnoticed"], figures["false_alarms"]) == (1, 0, 0)
    assert figures["delay_median"] == 4
    assert figures["delays"]["frames"][4] == 1
    assert (figures["recoverable"], figures["recovered"], figures["frames_until_found_median"]) == (1, 1, 2)
    assert (figures["finds"], figures["wrong_object"], figures["wrong_pose"]) == (1, 0, 0)
    assert figures["pose_while_absent"] == pytest.approx(0.4)
    assert figures["causes"] == {"occluded": 1}


def test_add_auc_with_and_without_recovery():
    """An error of 1 mm is worth 99.5 of 100; frames without a pose are worth nothing; the reference does not count."""
    figures = method_figures([clip_with()], "inlier")
    visible = 9 + 40
    assert figures["add_auc"] == pytest.approx(99.5 * (9 + 38) / visible)
    assert figures["add_auc_no_recovery"] == pytest.approx(99.5 * 9 / visible)
    assert figures["add_auc_held"] == pytest.approx(99.5)


def test_false_alarms_are_counted_per_thousand_good_frames():
    clip = clip_with(visible=(1.0,) * FRAMES)
    alarmed = with_run(clip, error_mm=tuple(None if 15 <= i < 22 else 1.0 for i in range(FRAMES)))
    figures = method_figures([alarmed], "inlier")
    assert (figures["losses"], figures["false_alarms"], figures["good_frames"]) == (0, 1, 52)
    assert figures["false_alarms_per_1000"] == pytest.approx(1000 / 52)
    assert figures["delay_median"] is None


def test_a_stale_input_is_no_false_alarm_while_the_camera_is_frozen():
    delivery = tuple("frozen" if 10 <= i < 20 else "full" for i in range(FRAMES))
    clip = clip_with(visible=(1.0,) * FRAMES, delivery=delivery)
    right = tuple(None if 15 <= i < 22 else 1.0 for i in range(FRAMES))
    for cause, alarms in (("stale_input", 0), ("energy", 1)):
        figures = method_figures([with_run(clip, error_mm=right, lost=((14, cause),))], "inlier")
        assert figures["false_alarms"] == alarms


def test_median_is_infinite_where_most_losses_went_unnoticed():
    noticed = clip_with()
    unnoticed = replace(noticed, runs={"inlier": noticed.held})
    assert method_figures([noticed, noticed, unnoticed], "inlier")["delay_median"] == 4
    figures = method_figures([noticed, unnoticed, unnoticed], "inlier")
    assert (figures["delay_median"], figures["unnoticed"]) == (None, 2)


def test_wrong_finds_are_told_apart():
    finds = (
        Find(frame=22, right=False, role="lookalike", near=False, frames_lost=8),
        Find(frame=30, right=False, role="target", near=True, frames_lost=2),
    )
    figures = method_figures([with_run(clip_with(), finds=finds)], "inlier")
    assert (figures["wrong_object"], figures["wrong_object_fraction"], figures["wrong_pose"]) == (1, 0.5, 1)
    assert figures["wrong_object_roles"] == {"lookalike": 1}


def test_held_energies_are_sorted_by_the_truth():
    good, bad = held_energies([clip_with()], "inlier")
    assert (len(good), set(good)) == (49, {-2.0})  # 50 good frames less the reference's own
    assert (len(bad), set(bad)) == (10, {2.0})


def test_smoothed_energies_follow_the_moving_average():
    good, bad = held_energies([clip_with()], "inlier", 0.5)
    assert bad[:3] == pytest.approx([0.0, 1.0, 1.5])
    assert good[9:11] == pytest.approx([bad[-1] / 2 - 1.0, bad[-1] / 4 - 1.5])


def test_frozen_frames_are_not_ranked():
    delivery = tuple("frozen" if i >= 40 else "full" for i in range(FRAMES))
    good, bad = held_energies([clip_with(delivery=delivery)], "inlier")
    assert (len(good), len(bad)) == (29, 10)


def test_a_frame_without_energy_ranks_as_bad():
    clip = clip_with()
    energies = tuple(None if i == 5 else e for i, e in enumerate(clip.held.energies["inlier"]))
    clip = replace(clip, held=replace(clip.held, energies={"inlier": energies}))
    assert math.isnan(held_energies([clip], "inlier")[0][4])
    assert held_energies([clip], "inlier", 0.5)[0][4] == math.inf


def test_threshold_leaves_95_percent_of_the_good_frames_below():
    energies = tuple(float(i) for i in range(FRAMES))
    clip = clip_with(visible=(1.0,) * FRAMES)
    held = replace(clip.held, error_mm=(1.0,) * FRAMES, energies={"inlier": energies})
    assert calibrated_threshold([replace(clip, held=held)], "inlier") == pytest.approx(1 + 0.95 * 58)


def test_summary_has_the_whole_and_every_kind():
    clips = [clip_with(), replace(clip_with(), kind="jump")]
    report = summary(clips, ["inlier"], 0.5)
    assert report["clips_by_kind"] == {"occlusion": 1, "jump": 1}
    assert report["methods"]["inlier"]["losses"] == 2
    assert report["by_kind"]["jump"]["inlier"]["losses"] == 1
    assert report["energies"]["inlier"]["auroc"] == 1.0
    assert report["energies"]["inlier"]["smoothed"]["bad"] == 20


def test_moments_follow_the_run():
    moments = moments_of(clip_with(), clip_with().runs["inlier"])
    assert [i for i, m in enumerate(moments) if m.declared] == [14]
    assert moments[14].bad
    assert not moments[22].bad


HEADER = Header(options={"seed": 0}, methods=("inlier",), settings={"gate.tau": 0.0}, calibrated={"cosine": -0.9})


@pytest.fixture
def file(tmp_path):
    file = ClipFile(tmp_path / "clips.jsonl")
    file.begin(HEADER)
    return file


def test_clips_come_back_as_they_were(file):
    file.add(clip_with(0))
    file.add(clip_with(1))
    assert file.open(replace(HEADER, calibrated={})) == {"occlusion/0": clip_with(0), "occlusion/1": clip_with(1)}
    assert file.calibrated() == {"cosine": -0.9}
    assert clip_of(json.loads(clip_line(clip_with()))) == clip_with()


def test_a_line_cut_short_is_left_out_and_the_next_one_is_whole(file):
    file.add(clip_with(0))
    text = file.path.read_text()
    file.path.write_text(text + clip_line(clip_with(1))[:200])
    assert list(file.open(HEADER)) == ["occlusion/0"]
    file.add(clip_with(2))
    assert list(file.open(HEADER)) == ["occlusion/0", "occlusion/2"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"settings": {"gate.tau": 0.5}}, "gate.tau = 0.0 there, 0.5 now"),
        ({"options": {"seed": 1}}, "seed = 0 there, 1 now"),
        ({"methods": ("tom",)}, "methods inlier there, tom now"),
    ],
)
def test_clips_of_other_settings_are_not_mixed(file, changes, words):
    file.add(clip_with())
    with pytest.raises(InputError, match=words):
        file.open(replace(HEADER, **changes))


def test_another_file_is_told(tmp_path):
    path = tmp_path / "clips.jsonl"
    path.write_text('{"a": 1}\n')
    with pytest.raises(RecordingError, match="header"):
        ClipFile(path).open(HEADER)


def test_page_shows_the_figures(file):
    file.add(clip_with())
    report = {
        **summary([clip_with()], ["inlier"], 0.5),
        "options": {"seed": 0},
        "settings": {"gate.tau": 0.0},
        "calibrated": {},
        "clip_names": ["occlusion/0"],
    }
    page = failures_page(report, finished_clips(file.path, report))
    assert "bad frames above, %" in page
    assert "<title>4: 1</title>" in page  # the histogram's bar
    assert "gate.tau = 0.0" in page
    assert "frame</text>" not in page


def test_a_figure_of_nothing_is_a_dash():
    row = next(r for r in METHOD_ROWS if r[1] == "recovered_fraction")
    assert written({"recovered_fraction": 0.5}, row) == "50.0 %"
    assert written({"recovered_fraction": None}, row) == "\N{EN DASH}"
    assert written({"recovered_fraction": math.nan}, row) == "\N{EN DASH}"
