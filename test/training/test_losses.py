"""The losses against cases worked out by hand."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing: pip install storm_ros[learned]")

from storm_ros.som.network import Output  # noqa: E402
from storm_ros.training.losses import (  # noqa: E402
    Pairs,
    contrast_loss,
    mask_iou,
    match_loss,
    som_loss,
    true_pairs,
)
from storm_ros.training.settings import OptimConfig  # noqa: E402

TARGET = torch.zeros(2, 8, 8)
TARGET[0, 2:6, 2:6] = 1.0
PRESENT = torch.tensor([True, False])


def answer(mask: torch.Tensor, presence: tuple[float, float], iou: float) -> Output:
    coarse = torch.nn.functional.avg_pool2d(torch.sigmoid(mask)[:, None], 2)[:, 0]
    return Output(mask, torch.tensor(presence), torch.full((2,), iou), coarse[None], torch.zeros(1, 2, 4, 5))


def test_the_right_answer_costs_almost_nothing() -> None:
    loss, figures = som_loss(answer(40.0 * TARGET - 20.0, (20.0, -20.0), 20.0), TARGET, PRESENT, OptimConfig())
    assert float(loss) < 0.01
    assert figures["mean_iou"] == 1.0
    assert figures["presence_accuracy"] == 1.0


def test_the_wrong_answer_costs_in_every_part() -> None:
    _, figures = som_loss(answer(20.0 - 40.0 * TARGET, (-9.0, 9.0), 9.0), TARGET, PRESENT, OptimConfig())
    for part in ("focal", "dice", "tversky", "coarse", "presence", "iou"):
        assert figures[part] > 0.03, part
    assert figures["mean_iou"] == 0.0


def test_dice_of_half_the_mask() -> None:
    half = TARGET.clone()
    half[0, 4:6] = 0.0
    config = OptimConfig(focal=0.0, dice=1.0, tversky=0.0, coarse=0.0, presence=0.0, iou=0.0)
    loss, _ = som_loss(answer(60.0 * half - 30.0, (0.0, 0.0), 0.0), TARGET, PRESENT, config)
    assert float(loss) == pytest.approx(1 - (2 * 8 + 1) / (8 + 16 + 1), abs=1e-4)


def test_presence_is_cross_entropy() -> None:
    config = OptimConfig(focal=0.0, dice=0.0, tversky=0.0, coarse=0.0, presence=1.0, iou=0.0)
    loss, _ = som_loss(answer(TARGET, (0.0, 0.0), 0.0), TARGET, PRESENT, config)
    assert float(loss) == pytest.approx(0.693147, abs=1e-5)


def test_iou_by_hand() -> None:
    logits = torch.full((1, 8, 8), -1.0)
    logits[0, 2:6, 4:8] = 1.0
    assert float(mask_iou(logits, TARGET[:1])) == pytest.approx(8 / 24)


def test_an_empty_batch_of_present_objects_is_finite() -> None:
    loss, _ = som_loss(
        answer(TARGET, (0.0, 0.0), 0.0), torch.zeros(2, 8, 8), torch.tensor([False, False]), OptimConfig()
    )
    assert torch.isfinite(loss)


def test_pairs_in_doubt_do_not_count() -> None:
    right, wrong = answer(40.0 * TARGET - 20.0, (20.0, 20.0), 20.0), torch.tensor([1.0, 0.0])
    loss, figures = som_loss(right, TARGET, PRESENT, OptimConfig(), wrong)
    assert float(loss) < 0.01
    assert figures["presence_accuracy"] == 1.0


def test_true_pairs_are_near_and_of_the_same_object() -> None:
    nan = float("nan")
    points = torch.tensor([[[0.0, 0, 0], [0.05, 0, 0], [nan, 0, 0]]])
    reference = torch.tensor([[[0.0, 0, 0], [0.5, 0, 0]], [[0.0, 0, 0], [0.04, 0, 0]]])
    pairs = true_pairs(torch.tensor([[0, 1]]), torch.tensor([[1, 1, 1]]), points, reference, torch.ones(2), 0.03)
    assert pairs.positive.tolist() == [[[False] * 2] * 3, [[True, False], [False, True], [False, False]]]
    assert pairs.known.tolist() == [[0.0, 0.0, 0.0], [1.0, 1.0, 0.0]]


def test_match_is_the_logarithm_of_what_the_partner_gets() -> None:
    alignment = torch.tensor([[[[0.5, 0.25, 0.25], [0.2, 0.8, 0.0]]]])
    pairs = Pairs(torch.tensor([[[True, False], [True, True]]]), torch.tensor([[1.0, 1.0]]))
    assert float(match_loss(alignment, pairs)) == pytest.approx((math.log(4) - math.log(0.8)) / 2, abs=1e-5)


def test_contrast_by_hand() -> None:
    ours = torch.tensor([[1.0, 0.0]])
    theirs = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    near = torch.tensor([[True, False]])
    usable = torch.tensor([True, True, True, False])
    loss = contrast_loss(ours, theirs, torch.tensor([0]), near, usable, 1.0)
    assert float(loss) == pytest.approx(math.log(math.e + 2) - 1.0, abs=1e-5)
    assert float(contrast_loss(ours[:0], theirs, torch.zeros(0).long(), near[:0], usable, 1.0)) == 0.0
