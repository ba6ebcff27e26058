import csv
import json

import pytest

from storm_ros.cli.main import main

pytestmark = pytest.mark.data


def test_two_objects_of_a_real_recording(tmp_path, data_dir, capsys):
    argv = ["track", str(data_dir / "desk"), "--reference", "frame=0,gt=1", "--reference", "frame=2,gt=2,name=dragon"]
    assert main([*argv, "--out", str(tmp_path), "--to", "4", "--device", "cpu"]) == 0
    assert "dragon: pose in 3 of 3 frames" in capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["frames"] == 5
    assert set(report["accuracy"]["objects"]) == {"obj_1", "dragon"}
    assert report["accuracy"]["add_mm_median"] < 10
    with (tmp_path / "poses.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [r["im_id"] for r in rows if r["obj_id"] == "2"] == ["2", "3", "4"]
    assert "reference of dragon: frame 2" in (tmp_path / "report.html").read_text()


def test_backwards_from_a_reference(tmp_path, data_dir):
    argv = ["track", str(data_dir / "kitchen"), "--reference", "frame=111,gt=1", "--reverse", "--from", "103"]
    assert main([*argv, "--out", str(tmp_path), "--device", "cpu", "--quiet", "--no-html"]) == 0
    with (tmp_path / "poses.csv").open() as file:
        assert [int(r["im_id"]) for r in csv.DictReader(file)] == list(range(111, 102, -1))
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["accuracy"]["centre_mm_median"] < 40
    assert 0.5 < report["objects"]["obj_1"]["probability_median"] <= 1.0


def test_convert_and_read_again(tmp_path, data_dir, capsys):
    bag = tmp_path / "desk.mcap"
    assert main(["convert", str(data_dir / "desk"), str(bag), "--from", "3", "--to", "5"]) == 0
    assert "3 frames of" in capsys.readouterr().out
    box = "frame=0,box=195,245,155,130"
    assert main(["track", str(bag), "--reference", box, "--out", str(tmp_path / "out"), "--quiet", "--no-html"]) == 0
    assert json.loads((tmp_path / "out/report.json").read_text())["frames"] == 3
    assert (
        main(["track", str(bag), "--reference", box, "--out", str(tmp_path / "o"), "--topics", "image=/no/such"]) == 1
    )
    assert "/no/such" in capsys.readouterr().err


def test_a_model_in_millimetres_says_so(tmp_path, data_dir, capsys):
    model = data_dir / "desk/models/obj_000001.ply"
    argv = [
        "track",
        str(data_dir / "desk"),
        "--reference",
        "frame=0,gt=1",
        "--out",
        str(tmp_path),
        "--mesh",
        str(model),
    ]
    assert main(argv) == 1
    assert "--mesh-scale 0.001" in capsys.readouterr().err
