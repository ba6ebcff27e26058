import json

import numpy as np
import pytest

from storm_ros.cli.demo import script_rows
from storm_ros.cli.main import main
from storm_ros.core import se3
from storm_ros.core.types import Mesh
from storm_ros.evaluation.accuracy import JudgedObject, judge
from storm_ros.sim import Phase

MESH = Mesh(np.eye(3, dtype=np.float32) * 0.1, np.array([[0, 1, 2]], np.int32))


class StillTruth:
    def pose(self, number, obj_id):
        return np.eye(4)

    def visible_fraction(self, number, obj_id):
        return 1.0

    def mesh(self, obj_id):
        return MESH


def test_the_script_is_compared_with_what_happened():
    poses = [(0, np.eye(4)), (1, se3.transform(np.eye(3), [0.004, 0, 0])), (2, None), (3, None)]
    poses += [(4, se3.transform(np.eye(3), [0.002, 0, 0]))]
    judgement = judge(JudgedObject("target", 1, 0, aligned=True), poses, StillTruth())
    script = [Phase("slow", 0, 1), Phase("occluded", 2, 3), Phase("slow", 4, 4)]
    events = [{"type": "lost", "frame": 2}, {"type": "relocalized", "frame": 4}]
    assert script_rows(script, events, judgement) == [
        ("slow", "0 to 1", "2 of 2", "2.00 mm", ""),
        ("occluded", "2 to 3", "0 of 2", "", "lost at 2"),
        ("slow", "4 to 4", "1 of 1", "2.00 mm", "relocalized at 4"),
    ]


@pytest.mark.parametrize(
    ("more", "words"),
    [(("--frames", "3"), "too short"), (("--seed", "-1"), "0 or more"), (("--frames", "x"), "invalid")],
)
def test_wrong_usage_is_2(tmp_path, more, words, capsys):
    assert main(["demo", "--out", str(tmp_path / "out"), *more]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.slow
def test_a_short_demo_writes_everything(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path), "--frames", "40", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "occluded" in out
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["frames"] == 40
    assert "found_fraction" in report["accuracy"]
    assert (tmp_path / "poses.csv").is_file()
    assert "data:image/jpeg" in (tmp_path / "report.html").read_text()
