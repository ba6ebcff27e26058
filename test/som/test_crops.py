"""Cuts of images: what is where, and references that cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from storm_ros.core.errors import InputError
from storm_ros.core.types import View
from storm_ros.som.crops import Window, cut, reference_crop

Maker = Callable[..., Any]


def test_the_object_fills_the_middle_of_a_reference_crop(a_reference: Maker) -> None:
    planes, mask = reference_crop(a_reference().views[0], 64)
    assert planes.shape == (64, 64, 7)
    rows, columns = np.nonzero(mask > 0.5)
    assert (rows.mean(), columns.mean()) == (pytest.approx(31.5, abs=0.6), pytest.approx(31.5, abs=0.6))
    assert np.ptp(rows) + 1 == pytest.approx(64 / 1.3, abs=1.5)


def test_the_whole_frame_is_cut_as_it_is(square_frame: Maker) -> None:
    frame, _ = square_frame()
    planes = cut(frame, Window(0, 0, 160, 120), 160, 120)
    assert planes[..., :3] * 127.5 + 127.5 == pytest.approx(frame.rgb.astype(float), abs=0.51)


def test_beyond_the_image_there_is_no_depth(square_frame: Maker) -> None:
    frame, _ = square_frame()
    planes = cut(frame, Window(-80, 0, 160, 120), 80, 64)
    assert not planes[:, :36, 6].any()
    assert planes[:, 44:, 6].all()


@pytest.fixture
def view(a_reference: Maker) -> Maker:
    def changed(**changes: Any) -> View:
        return replace(a_reference().views[0], **changes)

    return changed


def test_a_small_mask_is_refused(view: Maker) -> None:
    mask = np.zeros((120, 160), bool)
    mask[40:49, 60:71] = True
    with pytest.raises(InputError, match="99 pixels: at least 100"):
        reference_crop(view(mask=mask), 64)


@pytest.mark.parametrize("mask", [np.ones((120, 160), np.uint8), np.ones((60, 80), bool)])
def test_a_mask_of_another_type_or_size_is_refused(mask: np.ndarray, view: Maker) -> None:
    with pytest.raises(InputError, match="a bool mask of the image's size"):
        reference_crop(view(mask=mask), 64)


def test_a_plain_reference_without_depth_is_refused(square_frame: Maker, view: Maker) -> None:
    frame, mask = square_frame(depth=False)
    plain = replace(frame, rgb=np.full_like(frame.rgb, 90))
    with pytest.raises(InputError, match="neither texture nor depth"):
        reference_crop(view(frame=plain), 64)
    reference_crop(view(frame=frame), 64)  # texture alone will do
    deep, _ = square_frame()
    reference_crop(view(frame=replace(deep, rgb=np.full_like(frame.rgb, 90))), 64)  # and so will depth
    assert mask.any()
