"""The learned segmenter around its network: windows, masks at full size, presence, bad input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing: pip install storm_ros[learned]")

from storm_ros.core.config import SegmenterConfig  # noqa: E402
from storm_ros.core.errors import InputError, StormError  # noqa: E402
from storm_ros.core.protocols import Segmenter  # noqa: E402
from storm_ros.encoders import ColourGradientEncoder  # noqa: E402
from storm_ros.som.crops import Window  # noqa: E402
from storm_ros.som.network import SomNetwork  # noqa: E402
from storm_ros.som.proposals import (  # noqa: E402
    Look,
    centred_window,
    cut_off,
    likely_windows,
    template_windows,
    whole_window,
)
from storm_ros.som.segmenter import SomSegmenter, full_mask  # noqa: E402
from storm_ros.som.sizes import LOOK_MARGIN, LOOK_PX  # noqa: E402
from storm_ros.som.template import Place, TemplateSegmenter  # noqa: E402


@pytest.fixture
def segmenter(network: SomNetwork) -> SomSegmenter:
    return SomSegmenter(SegmenterConfig(name="som", presence=0.0), network)


Maker = Callable[..., Any]


def test_it_is_a_segmenter(segmenter: SomSegmenter) -> None:
    assert isinstance(segmenter, Segmenter)


def test_masks_have_the_size_of_the_frame(segmenter: SomSegmenter, a_reference: Maker, square_frame: Maker) -> None:
    torch.nn.init.constant_(segmenter.network.mask.bias, 1.0)  # everything is the object
    frame, _ = square_frame(1)
    found = segmenter.segment(frame, segmenter.describe(a_reference()))
    assert found
    assert all(c.mask.shape == frame.shape and c.mask.dtype == np.bool_ and 0 <= c.score <= 1 for c in found)
    assert [c.score for c in found] == sorted((c.score for c in found), reverse=True)


def test_the_same_again(segmenter: SomSegmenter, a_reference: Maker, square_frame: Maker) -> None:
    torch.nn.init.constant_(segmenter.network.mask.bias, 0.0)
    frame, _ = square_frame(1)
    description = segmenter.describe(a_reference(3))
    first, second = segmenter.segment(frame, description), segmenter.segment(frame, description)
    assert len(first) == len(second)
    assert all(np.array_equal(a.mask, b.mask) and a.score == b.score for a, b in zip(first, second, strict=True))


def test_what_is_not_believed_present_is_not_returned(
    network: SomNetwork, a_reference: Maker, square_frame: Maker
) -> None:
    torch.nn.init.constant_(network.mask.bias, 1.0)
    torch.nn.init.constant_(network.judge[2].bias, -20.0)
    segmenter = SomSegmenter(SegmenterConfig(name="som", presence=0.5), network)
    frame, _ = square_frame(1)
    assert segmenter.segment(frame, segmenter.describe(a_reference())) == ()


def test_whole_image_only(network: SomNetwork, a_reference: Maker, square_frame: Maker) -> None:
    torch.nn.init.constant_(network.mask.bias, 1.0)
    segmenter = SomSegmenter(SegmenterConfig(name="som", presence=0.0, crops=0), network)
    frame, _ = square_frame(1)
    found = segmenter.segment(frame, segmenter.describe(a_reference()))
    assert len(found) == 1


def mirrored(view: Any) -> Any:
    frame = view.frame
    flipped = replace(frame, rgb=frame.rgb[:, ::-1].copy(), depth_m=frame.depth_m[:, ::-1].copy())
    return replace(view, frame=flipped, mask=view.mask[:, ::-1].copy())


def test_a_look_in_a_mirror_is_the_look_at_the_mirrored_world(
    segmenter: SomSegmenter, a_reference: Maker, square_frame: Maker
) -> None:
    torch.nn.init.constant_(segmenter.network.mask.bias, 0.0)
    reference = a_reference()
    view = replace(reference.views[0], frame=square_frame(1)[0])
    window, there = Window(40.0, 20.0, 80.0, 80.0, 2.0), Window(160.0 - 40.0 - 80.0, 20.0, 80.0, 80.0, 2.0)
    description = segmenter.describe(reference)
    plain = segmenter.look(view.frame, [window], description, (32, 32))[0]
    flipped = replace(reference, views=tuple(map(mirrored, reference.views)))
    expected = segmenter.look(mirrored(view).frame, [there], segmenter.describe(flipped), (32, 32))[0]
    found = segmenter.look(view.frame, [window], description, (32, 32), mirrored=True)[0]
    assert found.presence == pytest.approx(expected.presence, abs=1e-5)
    np.testing.assert_allclose(found.logits, expected.logits[:, ::-1], atol=1e-4)
    assert np.abs(found.logits - plain.logits).max() > 1e-3  # an untrained network sees a difference


@pytest.mark.parametrize(("word", "asked"), [(20.0, 0), (0.0, 1)])
def test_a_sure_candidate_is_not_looked_at_again(
    segmenter: SomSegmenter, a_reference: Maker, square_frame: Maker, word: float, asked: int
) -> None:
    torch.nn.init.constant_(segmenter.network.mask.bias, 1.0)
    torch.nn.init.constant_(segmenter.network.judge[2].bias, word)
    calls: list[Any] = []
    segmenter.look = lambda *args, real=segmenter.look, **more: (  # type: ignore[method-assign]
        calls.append(more.get("mirrored", False)) or real(*args, **more)
    )
    frame, _ = square_frame(1)
    assert segmenter.measured(frame, segmenter.describe(a_reference()))
    assert sum(calls) == asked


def test_an_unsure_candidate_gets_a_second_look(
    segmenter: SomSegmenter, a_reference: Maker, square_frame: Maker
) -> None:
    torch.nn.init.constant_(segmenter.network.mask.bias, 1.0)
    frame, _ = square_frame(1)
    description = segmenter.describe(a_reference())
    ((mask, measured),) = segmenter.measured(frame, description)[:1]
    window = centred_window(frame, mask, description.looks.length_m)
    again = segmenter.look(frame, [window], description, (LOOK_PX, LOOK_PX), sharp=False, mirrored=True)[0]
    segmenter.look = lambda *args, real=segmenter.look, **more: [  # type: ignore[method-assign]
        replace(look, presence=0.5) if more.get("mirrored") else look for look in real(*args, **more)
    ]
    ((_, without),) = segmenter.measured(frame, description)[:1]
    said = np.log(again.presence / (1.0 - again.presence))
    assert measured[0] - without[0] == pytest.approx(0.5 * said, abs=1e-4)
    np.testing.assert_array_equal(measured[1:], without[1:])


@pytest.mark.parametrize(("sure", "asked"), [(20.0, 0), (0.0, 1)])
def test_the_template_is_asked_only_where_no_look_is_sure(
    network: SomNetwork, a_reference: Maker, square_frame: Maker, sure: float, asked: int
) -> None:
    class Counting(TemplateSegmenter):
        calls = 0

        def places(self, *args: Any, **more: Any) -> Any:
            self.calls += 1
            return super().places(*args, **more)

    torch.nn.init.zeros_(network.mask.weight)  # no mask, so that no window cuts one off
    torch.nn.init.constant_(network.judge[2].bias, sure)
    template = Counting(ColourGradientEncoder())
    segmenter = SomSegmenter(SegmenterConfig(name="som", presence=0.0), network, template)
    frame, _ = square_frame(1)
    segmenter.segment(frame, segmenter.describe(a_reference()))
    assert template.calls == asked


@pytest.mark.parametrize("views", [0, 17])
def test_number_of_views(segmenter: SomSegmenter, views: int, a_reference: Maker) -> None:
    with pytest.raises(InputError, match=f"{views} views: 1 to 16"):
        segmenter.describe(a_reference(views))


def test_an_answer_that_is_not_finite_is_an_error(
    segmenter: SomSegmenter, a_reference: Maker, square_frame: Maker
) -> None:
    torch.nn.init.constant_(segmenter.network.skip.bias, float("nan"))
    frame, _ = square_frame(1)
    with pytest.raises(StormError, match="not finite"):
        segmenter.segment(frame, segmenter.describe(a_reference()))


def peak_at(row: int, column: int, shape: tuple[int, int] = (48, 64)) -> np.ndarray:
    logits = np.full(shape, -8.0, np.float32)
    logits[row - 2 : row + 3, column - 2 : column + 3] = 4.0
    return logits


def test_windows_lie_about_the_peaks_as_large_as_depth_says(square_frame: Maker) -> None:
    frame, _ = square_frame()
    whole = Look(whole_window(frame), peak_at(24, 32), 1.0, 1.0)
    first = likely_windows(frame, whole, 0.2, 3)[0]
    assert first.x + first.width / 2 == pytest.approx(81.25, abs=1.5)
    assert first.y + first.height / 2 == pytest.approx(61.25, abs=1.5)
    assert first.height == pytest.approx(LOOK_MARGIN * 0.2 * 150 / 0.75, rel=0.05)
    assert first.width == first.height
    assert first.extent == LOOK_MARGIN


def test_without_depth_the_size_is_what_is_seen(square_frame: Maker) -> None:
    frame, _ = square_frame(depth=False)
    whole = Look(whole_window(frame), peak_at(24, 32), 1.0, 1.0)
    first = likely_windows(frame, whole, 0.2, 3)[0]
    assert first.extent == 0.0
    assert first.height == pytest.approx(LOOK_MARGIN * 5 * 2.5, rel=0.4)


def test_without_depth_a_large_object_has_one_large_window(square_frame: Maker) -> None:
    frame, _ = square_frame(depth=False)
    logits = np.full((48, 64), -8.0, np.float32)
    logits[10:30, 8:48], logits[18:22, 10:46], logits[40:44, 52:58] = 1.0, 3.0, 2.0
    windows = likely_windows(frame, Look(whole_window(frame), logits, 1.0, 1.0), 0.2, 3)
    middles = [(w.x + w.width / 2, w.y + w.height / 2) for w in windows]
    assert middles == [pytest.approx((70, 50), abs=1), pytest.approx((137.5, 105), abs=1)]
    assert [w.width / LOOK_MARGIN for w in windows] == [pytest.approx(100, abs=5), pytest.approx(15, abs=2.5)]


def test_a_mask_that_its_window_cuts_off(square_frame: Maker) -> None:
    frame, _ = square_frame()
    logits = np.full((32, 32), -5.0, np.float32)
    logits[10:22, 24:] = 5.0
    at_the_border = Look(Window(96, 30, 64, 64, 2.0), logits, 1.0, 1.0)
    assert cut_off(frame, at_the_border) == (False, False, False, False)  # there the image ends
    assert cut_off(frame, Look(Window(30, 30, 64, 64), logits, 1.0, 1.0)) == (False, True, False, False)


def test_pieces_farther_apart_than_the_object_is_wide_are_another_object(square_frame: Maker) -> None:
    frame, _ = square_frame()
    frame.depth_m[:] = 0.75
    logits = np.full((60, 80), -5.0, np.float32)
    logits[10:20, 10:20] = logits[12:20, 24:32] = logits[10:16, 60:70] = 5.0
    look = Look(Window(0, 0, 160, 120), logits, 1.0, 1.0)
    columns = np.nonzero(full_mask(frame, look, 0.26).any(0))[0]  # 52 pixels at this distance
    assert (columns.min(), columns.max()) == (19, 64)  # one pixel around: from less than even chances
    assert np.nonzero(full_mask(frame, look, 0.0).any(0))[0].max() == 139


def test_a_window_about_a_mask(square_frame: Maker) -> None:
    frame, mask = square_frame()
    window = centred_window(frame, mask, 0.3)
    assert (window.x + window.width / 2, window.y + window.height / 2) == (80.0, 60.0)
    assert window.width == window.height == pytest.approx(LOOK_MARGIN * 0.3 * 150.0 / 0.75)
    assert window.extent == LOOK_MARGIN
    blind, _ = square_frame(depth=False)
    assert centred_window(blind, mask, 0.3) == Window(40.0, 20.0, 80.0, 80.0, 0.0)  # as large as it is seen


def test_two_peaks_two_windows(square_frame: Maker) -> None:
    frame, _ = square_frame()
    logits = np.maximum(peak_at(10, 10), peak_at(38, 54) - 1)
    windows = likely_windows(frame, Look(whole_window(frame), logits, 1.0, 1.0), 0.05, 3)
    middles = [(w.x + w.width / 2, w.y + w.height / 2) for w in windows[:2]]
    assert middles[0] == pytest.approx((26.25, 26.25), abs=2)
    assert middles[1] == pytest.approx((136.25, 96.25), abs=2)


def test_the_template_adds_places_that_are_not_looked_at_yet(square_frame: Maker) -> None:
    frame, _ = square_frame()
    places = [Place(0.9, 59, 79, None), Place(0.8, 20, 30, None), Place(0.7, 100, 130, None)]
    known = likely_windows(frame, Look(whole_window(frame), peak_at(23, 31), 1.0, 1.0), 0.2, 1)
    added = template_windows(frame, places, known, 0.2, 2)
    assert [(w.x + w.width / 2, w.y + w.height / 2) for w in added] == [(30.5, 20.5)]
    assert added[0].width == pytest.approx(LOOK_MARGIN * 0.2 * 150 / 0.8, rel=0.02)
    frame.depth_m[:] = 0.0
    assert template_windows(frame, places, [], 0.2, 3) == []


def test_nothing_likely_no_window(square_frame: Maker) -> None:
    frame, _ = square_frame()
    assert likely_windows(frame, Look(whole_window(frame), np.full((48, 64), -9.0, np.float32), 0.0, 0.0), 0.1, 3) == []


def test_a_mask_is_laid_where_its_window_lies(square_frame: Maker) -> None:
    frame, _ = square_frame()
    logits = np.full((32, 40), -5.0, np.float32)
    logits[8:24, 10:30] = 5.0
    mask = full_mask(frame, Look(Window(60, 40, 40, 32), logits, 1.0, 1.0), 0.0)
    rows, columns = np.nonzero(mask)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (70, 89, 48, 63)


def test_what_lies_far_behind_is_cut_off(square_frame: Maker) -> None:
    frame, _ = square_frame()
    frame.depth_m[:, 80:] = 2.0
    logits = np.full((32, 40), 5.0, np.float32)
    mask = full_mask(frame, Look(Window(40, 40, 50, 40), logits, 1.0, 1.0), 0.1)
    assert mask[50, 45]
    assert not mask[:, 80:].any()
