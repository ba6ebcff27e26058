"""The losses against cases worked out by hand."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing: pip install storm_ros[learned]")

from storm_ros.som.network import Output  # noqa: E402
from storm_ros.training.losses import mask_iou, som_loss  # noqa: E402
from storm_ros.training.settings import OptimConfig  # noqa: E402

TARGET = torch.zeros(2, 8, 8)
TARGET[0, 2:6, 2:6] = 1.0
PRESENT = torch.tensor([True, False])


def answer(mask: torch.Tensor, presence: tuple[float, float], iou: float) -> Output:
    coarse = torch.nn.functional.avg_pool2d(torch.sigmoid(mask)[:, None], 2)[:, 0]
    return Output(mask, torch.tensor(presence), torch.full((2,), iou), coarse[None])


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
