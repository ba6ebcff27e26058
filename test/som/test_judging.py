"""Candidates are weighed by size and colours beside the network's word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from storm_ros.som.crops import Window
from storm_ros.som.judging import NETWORK_ALONE, SIGNALS, Weighing, chance, extent_m, looks_of, signals
from storm_ros.som.proposals import Look

Maker = Callable[..., Any]

WEIGHING = Weighing(np.zeros(len(SIGNALS)), np.array([0.4, 0.4, 0.8, -1.0, -0.4, 0.0, -0.4, 5.0, *[0.0] * 4]), -3.0)


def measured(
    frame: Any, mask: np.ndarray, reference: Any, presence: float = 0.7, shift: int = 0, again: float | None = None
) -> dict[str, float]:
    logits = np.full((64, 64), -3.0, np.float32)
    logits[16:48, 16 + shift : 48 + shift] = 2.0
    look = Look(Window(40, 20, 80, 80, 2.0), logits, presence, 0.6)
    second = replace(look, presence=presence if again is None else again)
    return dict(zip(SIGNALS, signals(frame, look, second, mask, looks_of(reference.views)), strict=True))


def test_the_reference_itself_has_its_own_size_and_colours(square_frame: Maker, a_reference: Maker) -> None:
    frame, mask = square_frame()
    found = measured(frame, mask, a_reference())
    assert found["length"] == found["area"] == found["cut"] == 0.0
    assert found["colours"] == pytest.approx(1.0)
    assert found["sureness"] == pytest.approx(2.0)
    assert found["presence"] == pytest.approx(np.log(0.7 / 0.3))


def test_another_size_other_colours_and_a_cut_each_lower_the_chance(square_frame: Maker, a_reference: Maker) -> None:
    frame, mask = square_frame()
    reference = a_reference()
    farther = replace(frame, depth_m=frame.depth_m * np.float32(2.0))
    grey = replace(frame, rgb=np.full_like(frame.rgb, 60))
    right = measured(frame, mask, reference)
    others = {
        "larger": measured(farther, mask, reference), "colours": measured(grey, mask, reference),
        "cut": measured(frame, mask, reference, shift=16), "presence": measured(frame, mask, reference, 0.4),
    }  # fmt: skip
    assert others["larger"]["larger"] == pytest.approx(np.log(2.0), abs=0.01)
    assert others["colours"]["colours"] < 0.2
    assert others["cut"]["cut"] == 1.0
    for name, other in others.items():
        assert chance(np.array(list(other.values())), WEIGHING) < chance(np.array(list(right.values())), WEIGHING), name
    assert chance(np.array(list(right.values())), NETWORK_ALONE) == pytest.approx(0.7)


def test_both_looks_count_alike(square_frame: Maker, a_reference: Maker) -> None:
    frame, mask = square_frame()
    found = measured(frame, mask, a_reference(), 0.7, again=0.3)
    assert found["presence"] == pytest.approx(0.0)


def test_traits_are_the_reference_s_own(square_frame: Maker, a_reference: Maker) -> None:
    frame, mask = square_frame()
    reference = a_reference()
    view = reference.views[0]
    grey = replace(reference, views=(replace(view, frame=replace(view.frame, rgb=np.full_like(frame.rgb, 119))),))
    blind = replace(reference, views=(replace(view, frame=replace(view.frame, depth_m=np.zeros_like(frame.depth_m))),))
    plain, other = measured(frame, mask, grey), measured(replace(frame, rgb=frame.rgb // 2), mask, grey)
    assert plain["lightness"] == pytest.approx(50.0, abs=0.5)
    assert plain["contrast"] == pytest.approx(0.0, abs=1e-3)
    assert plain["chroma"] == pytest.approx(0.0, abs=1e-3)
    assert plain["extent"] == pytest.approx(np.log(0.2))  # metres
    assert [plain[name] for name in SIGNALS[-4:]] == [other[name] for name in SIGNALS[-4:]]  # the image changes nothing
    assert measured(frame, mask, reference)["chroma"] > 20
    assert measured(frame, mask, blind)["extent"] == pytest.approx(np.log(0.12))


def test_without_depth_sizes_say_nothing(square_frame: Maker, a_reference: Maker) -> None:
    frame, mask = square_frame()
    blind = replace(frame, depth_m=np.zeros_like(frame.depth_m))
    assert extent_m(blind, mask) == (0.0, 0.0)
    near, far = measured(blind, mask, a_reference()), measured(blind, mask & (np.arange(160) < 80), a_reference())
    assert near["length"] == far["length"]
    assert near["larger"] == far["larger"] == 0.0


def test_the_best_view_counts(square_frame: Maker, a_reference: Maker) -> None:
    frame, mask = square_frame()
    reference = a_reference(2)
    grey = replace(reference.views[0], frame=replace(frame, rgb=np.full_like(frame.rgb, 60)))
    mixed = replace(reference, views=(grey, reference.views[1]))
    assert measured(frame, mask, mixed)["colours"] == pytest.approx(1.0)


def test_extent_is_in_metres(square_frame: Maker) -> None:
    frame, mask = square_frame()
    assert extent_m(frame, mask) == pytest.approx((0.2, 0.2))  # 40 pixels at 0.75 m with a focal length of 150
