"""The baseline energy."""

from __future__ import annotations

import numpy as np
import pytest

from storm_ros.core.types import Camera, PoseEstimate, RgbdFrame
from storm_ros.tom import InlierVerifier

FRAME = RgbdFrame(np.zeros((4, 4, 3), np.uint8), np.ones((4, 4)), Camera(4, 4, 4.0, 4.0, 1.5, 1.5))


def scored(score: float) -> PoseEstimate:
    return PoseEstimate(np.eye(4), score, score, 0.001, 0.0, 1.0, 1.0, 0.0)


@pytest.mark.parametrize(("score", "energy"), [(0.5, 0.0), (0.9, -np.log(9)), (0.1, np.log(9)), (0.0, np.log(99))])
def test_energy_is_the_log_odds_against(score: float, energy: float) -> None:
    assert InlierVerifier().energy(FRAME, scored(score), None) == pytest.approx(energy)
