"""Figures of the segmenters' evaluation, against cases counted by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from storm_ros.cli.main import main
from storm_ros.core.types import Camera, Candidate, Mesh, Reference, RgbdFrame, View
from storm_ros.evaluation.segmentation import Case, Judge, auroc, figures
from storm_ros.som.masks import mask_iou

CAMERA = Camera(40, 30, 40.0, 40.0, 19.5, 14.5)
FRAME = RgbdFrame(np.zeros((30, 40, 3), np.uint8), np.ones((30, 40), np.float32), CAMERA)


def square(row: int, column: int, side: int = 10) -> np.ndarray:
    mask = np.zeros((30, 40), bool)
    mask[row : row + side, column : column + side] = True
    return mask


REFERENCE = Reference(
    "thing", (View(FRAME, square(5, 5), np.eye(4)),), Mesh(np.eye(3, dtype=np.float32), np.array([[0, 1, 2]], np.int32))
)


class Fixed:
    """A segmenter that answers what it is told to."""

    def __init__(self, *answers: tuple[Candidate, ...]) -> None:
        self.answers = list(answers)
        self.described = 0

    def describe(self, reference: Reference) -> None:
        self.described += 1

    def segment(self, frame: RgbdFrame, description: None) -> tuple[Candidate, ...]:
        return self.answers.pop(0)


def test_figures_by_hand() -> None:
    cases = [
        Case("thing", REFERENCE, FRAME, True, square(5, 5)),
        Case("thing", REFERENCE, FRAME, True, square(5, 5)),
        Case("thing", REFERENCE, FRAME, True, None, (24.5, 14.5, 3.0)),
        Case("thing", REFERENCE, FRAME, False),
        Case("thing", REFERENCE, FRAME, False),
    ]
    fixed = Fixed(
        (Candidate(square(5, 5), 0.9),),
        (Candidate(square(5, 10), 0.4), Candidate(square(5, 5), 0.3)),
        (Candidate(square(10, 20), 0.8),),
        (Candidate(square(0, 0), 0.6),),
        (),
    )
    judge = Judge(fixed)
    for case in cases:
        judge.see(case)
    row = figures(judge.verdicts, 0.5)
    assert fixed.described == 1
    assert (row["cases"], row["present"]) == (5, 3)
    assert row["mean_iou"] == pytest.approx((1.0 + 50 / 150) / 2)
    assert row["hit_rate"] == pytest.approx(1.0)
    assert row["found_rate"] == pytest.approx(2 / 3)
    assert row["silent_rate"] == pytest.approx(0.5)
    assert row["presence_auroc"] == pytest.approx((2 + 1 + 2) / 6)
    assert judge.verdicts[1].best_iou == 1.0
    assert len(judge.answers) == 4  # the case without a known mask has no overlap


def test_a_mask_beside_the_object_is_no_hit() -> None:
    judge = Judge(Fixed((Candidate(square(18, 28), 0.9),)))
    verdict = judge.see(Case("thing", REFERENCE, FRAME, True, square(5, 5)))
    assert verdict.hit is False
    assert verdict.iou == 0.0


def test_auroc_by_hand() -> None:
    assert auroc([0.9, 0.5], [0.5, 0.1]) == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert auroc([], [0.1]) is None


def test_overlap() -> None:
    assert mask_iou(square(0, 0), square(0, 5)) == pytest.approx(50 / 150)
    assert mask_iou(np.zeros((30, 40), bool), np.zeros((30, 40), bool)) == 0.0


def test_average_precision_of_right_and_wrong_masks() -> None:
    pytest.importorskip("pycocotools", reason="pycocotools is missing: pip install storm_ros[learned]")
    from storm_ros.evaluation.coco import mask_ap

    right, wrong = (Candidate(square(5, 5), 0.9),), (Candidate(square(18, 28), 0.9),)
    assert mask_ap([(square(5, 5), right)] * 3) == pytest.approx(1.0)
    assert mask_ap([(square(5, 5), wrong)] * 3) == pytest.approx(0.0)
    assert mask_ap([(square(5, 5), ())]) == 0.0
    assert mask_ap([(None, wrong)]) is None


def test_sift_finds_print_that_moved() -> None:
    from storm_ros.evaluation.homography import SiftSegmenter

    rng = np.random.default_rng(0)
    patch = np.kron(rng.integers(0, 256, (16, 16, 3)), np.ones((6, 6, 1))).astype(np.uint8)
    camera = Camera(320, 240, 300.0, 300.0, 159.5, 119.5)

    def shown(row: int, column: int) -> tuple[RgbdFrame, np.ndarray]:
        rgb = np.full((240, 320, 3), 90, np.uint8)
        rgb[row : row + 96, column : column + 96] = patch
        mask = np.zeros((240, 320), bool)
        mask[row : row + 96, column : column + 96] = True
        return RgbdFrame(rgb, np.ones((240, 320), np.float32), camera), mask

    frame, mask = shown(30, 40)
    reference = Reference("print", (View(frame, mask, np.eye(4)),), REFERENCE.mesh)
    query, true = shown(100, 180)
    segmenter = SiftSegmenter()
    found = segmenter.segment(query, segmenter.describe(reference))
    assert mask_iou(found[0].mask, true) > 0.9
    assert segmenter.segment(FRAME, segmenter.describe(reference)) == ()


def test_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "som"]) == 2
    assert "no data" in capsys.readouterr().err
    assert main(["evaluate", "som", "--data", "x", "--methods", "magic"]) == 2
    assert "som-whole" in capsys.readouterr().err


def test_the_command_on_shards(painted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pycocotools", reason="pycocotools is missing: pip install storm_ros[learned]")
    out = tmp_path / "figures.json"
    code = main(["evaluate", "som", "--shards", str(painted), "--cases", "4", "--methods", "template,sift",
                 "--json", str(out)])  # fmt: skip
    assert code == 0
    assert "simulated  template" in capsys.readouterr().out
    row = json.loads(out.read_text())["results"]["simulated"]["template"]
    assert row["cases"] == 4
    assert row["mask_ap"] is not None
