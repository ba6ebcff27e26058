import pytest
import yaml

from storm_ros.cli.main import main

TRACK = ["track", "INPUT", "--out", "OUT", "--reference", "frame=0,gt=1"]


def track(tmp_path, *more, reference="frame=0,gt=1", source=None):
    source = source or tmp_path / "nothing"
    return ["track", str(source), "--out", str(tmp_path / "out"), "--reference", reference, *more]


@pytest.mark.parametrize(
    ("argv", "words", "reason"),
    [
        ([], "COMMAND", "no command"),
        (["fly"], "fly", "an unknown command"),
        (["track", "x", "--out", "y"], "--reference", "no reference"),
        (["track", "x", "--reference", "frame=0,gt=1"], "--out", "no output folder"),
        (["track", "x", "--out", "y", "--reference", "frame=0,gt=1", "--device", "tpu"], "tpu", "an unknown device"),
        (
            ["track", "x", "--out", "y", "--reference", "frame=0,gt=1", "--mesh-scale", "-1"],
            "positive",
            "a scale below 0",
        ),
        (
            ["track", "x", "--out", "y", "--reference", "frame=0,gt=1", "--mesh-scale", "abc"],
            "'abc' must be a positive number",
            "a scale that is no number",
        ),
        (["track", "", "--out", "y", "--reference", "frame=0,gt=1"], "INPUT: the path is empty", "an empty input"),
        (["track", "x", "--out", "", "--reference", "frame=0,gt=1"], "--out: the path is empty", "an empty folder"),
        (["convert", "x", " "], "OUT: the path is empty", "an empty output"),
        (["config", "--set", "gate.tua=1"], "did you mean 'gate.tau'", "an unknown setting"),
        (["config", "--set", "gate.tau=99"], "-20 to 20", "a value out of range"),
        (["config", "--set", "gate.tau"], "has no '='", "a setting without a value"),
        (["config", "--config", "/no/such.yaml"], "/no/such.yaml", "a parameter file that is not there"),
    ],
)
def test_wrong_usage_is_2_and_one_line(argv, words, reason, capsys):
    assert main(argv) == 2, reason
    err = capsys.readouterr().err
    assert words in err
    assert "error: " in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("more", "reference", "words"),
    [
        ((), "frame=0", "exactly one of"),
        ((), "frame=0,gt=1,x=2", "unknown key 'x'"),
        (("--set", "nope=1"), "frame=0,gt=1", "unknown setting 'nope'"),
        (("--topics", "colour=/a"), "frame=0,gt=1", "unknown 'colour'"),
        (("--mesh", "a", "--mesh", "b"), "frame=0,gt=1", "--mesh is given 2 times for 1 references"),
    ],
)
def test_wrong_track_options_are_2_and_nothing_is_written(tmp_path, more, reference, words, capsys):
    assert main(track(tmp_path, *more, reference=reference)) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.startswith("storm: error: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_input_that_is_not_there_is_1_and_one_line(tmp_path, capsys):
    assert main(track(tmp_path)) == 1
    err = capsys.readouterr().err
    assert "does not exist" in err
    assert err.count("\n") == 1


def test_an_output_that_cannot_be_written_is_1_before_the_input_is_opened(tmp_path, capsys):
    (tmp_path / "out").write_text("a file")
    assert main(track(tmp_path)) == 1
    err = capsys.readouterr().err
    assert "is not writable: there is a file of that name" in err
    assert "does not exist" not in err


def test_config_prints_a_file_that_config_reads(tmp_path, capsys):
    assert main(["config", "--set", "gate.tau=0.25", "--device", "cpu"]) == 0
    text = capsys.readouterr().out
    tree = yaml.safe_load(text)["/**"]["ros__parameters"]
    assert tree["gate"]["tau"] == 0.25
    assert tree["device"]["name"] == "cpu"
    path = tmp_path / "storm.yaml"
    path.write_text(text)
    assert main(["config", "--config", str(path)]) == 0
    assert capsys.readouterr().out == text
    assert main(["config", "--config", str(path), "--set", "gate.tau=0.5"]) == 0
    assert "tau: 0.5" in capsys.readouterr().out, "a single setting goes over the file"


@pytest.mark.parametrize(
    "argv", [["--help"], ["track", "--help"], ["convert", "--help"], ["demo", "--help"], ["--version"]]
)
def test_help_is_0(argv, capsys):
    assert main(argv) == 0
    assert capsys.readouterr().out


@pytest.mark.data
def test_frames_out_of_range_are_2(tmp_path, data_dir, capsys):
    assert main(track(tmp_path, reference="frame=99,gt=1", source=data_dir / "desk")) == 2
    assert "the recording has 99 frames, 0 to 98" in capsys.readouterr().err
    assert main(track(tmp_path, "--to", "500", source=data_dir / "desk")) == 2
    assert "--to 500: out of range" in capsys.readouterr().err
    assert main(track(tmp_path, reference="frame=0,gt=9", source=data_dir / "desk")) == 2
    assert "there is 1, 2" in capsys.readouterr().err


@pytest.mark.data
def test_kitchen_has_a_true_object_but_one_mask_only(tmp_path, data_dir, capsys):
    assert main(track(tmp_path, reference="frame=100,gt=1", source=data_dir / "kitchen")) == 1
    assert "object 1 has no mask in that frame" in capsys.readouterr().err
