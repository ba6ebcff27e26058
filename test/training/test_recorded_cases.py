"""Cases of a recording with truth: references, what counts as shown, and what is asked for in vain."""

from __future__ import annotations

import numpy as np
import pytest

from storm_ros.core.errors import InputError
from storm_ros.core.types import Camera, RgbdFrame
from storm_ros.evaluation.segmentation import recorded_cases

CAMERA = Camera(160, 120, 150.0, 150.0, 79.5, 59.5)


class Truth:
    """A square that moves to the right, is nearly hidden in frame 2, and gone in frame 3; masks in frames 0 to 2."""

    object_ids = (5,)

    def __init__(self, masks: tuple[int, ...] = (0, 1, 2)) -> None:
        self.masks = masks

    def mask(self, number: int, obj_id: int) -> np.ndarray | None:
        if number not in self.masks:
            return None
        out = np.zeros((120, 160), bool)
        out[40:80, 20 + 10 * number : 60 + 10 * number] = True
        return out

    def pose(self, number: int, obj_id: int) -> np.ndarray | None:
        if number == 3:
            return None
        pose = np.eye(4)
        pose[:3, 3] = [(40 + 10 * number - 0.5 - 79.5) / 150.0 * 0.8, 0.0, 0.8]
        return pose

    def visible_fraction(self, number: int, obj_id: int) -> float | None:
        return {0: 1.0, 1: 1.0, 2: 0.2, 3: None, 4: 0.9}[number]

    def mesh(self, obj_id: int) -> None:
        return None


class Recorded:
    """Five frames of it."""

    name, scene_id, rate_hz, camera = "square", 0, 30.0, CAMERA
    numbers = (0, 1, 2, 3, 4)

    def __init__(self, truth: Truth | None) -> None:
        self.warnings: list[str] = []
        self.ground_truth = truth

    def read(self, number: int) -> RgbdFrame:
        return RgbdFrame(np.full((120, 160, 3), 90, np.uint8), np.full((120, 160), 0.8, np.float32), CAMERA)

    def close(self) -> None:
        pass


def test_every_frame_is_what_it_should_be() -> None:
    cases = list(recorded_cases(Recorded(Truth())))  # type: ignore[arg-type]
    # 0 is the reference, 2 hidden too much
    assert [(c.present, c.mask is not None, c.circle is not None) for c in cases] == [
        (True, True, False),  # 1
        (False, False, False),  # 3: gone
        (True, False, True),  # 4: its pose alone is known
    ]
    assert all(c.reference is cases[0].reference for c in cases)
    assert cases[2].circle is not None
    assert cases[2].circle[0] == pytest.approx(79.5, abs=1.5)
    assert cases[2].circle[1] == pytest.approx(59.5, abs=1.5)


def test_another_reference_can_be_named() -> None:
    cases = list(recorded_cases(Recorded(Truth()), reference=1))  # type: ignore[arg-type]
    assert cases[0].reference.views[0].mask[50, 65]
    assert len(cases) == 3


@pytest.mark.parametrize(
    ("truth", "asked", "said"),
    [
        (None, {}, "no truth"),
        (Truth(), {"object_id": 7}, "object 7 is not in square: it has 5"),
        (Truth(), {"reference": 3}, "no mask of object 5 in frame 3"),
        (Truth(masks=()), {}, "no mask of object 5"),
    ],
)
def test_what_cannot_be_judged_is_named(truth: Truth | None, asked: dict[str, int], said: str) -> None:
    with pytest.raises(InputError, match=said):
        list(recorded_cases(Recorded(truth), **asked))  # type: ignore[arg-type]
