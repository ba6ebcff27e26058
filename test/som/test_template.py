"""The baseline segmenter on simulated tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from storm_ros.core.config import SegmenterConfig
from storm_ros.core.errors import InputError
from storm_ros.core.types import Reference, RgbdFrame, View
from storm_ros.encoders import ColourGradientEncoder
from storm_ros.sim import SimulatedRecording, tabletop_sequence
from storm_ros.som.template import TemplateSegmenter


@pytest.fixture(scope="module")
def table() -> SimulatedRecording:
    return tabletop_sequence(3, frames=40, width=320, height=240)


def reference(table: SimulatedRecording, object_id: int) -> Reference:
    truth = table.ground_truth
    view = View(table.read(0), truth.mask(0, object_id), truth.pose(0, object_id))
    return Reference("object", (view,), truth.mesh(object_id))


def test_first_candidate_lies_on_the_object(table: SimulatedRecording) -> None:
    segmenter = TemplateSegmenter(ColourGradientEncoder())
    truth = table.ground_truth
    hits = tries = 0
    for object_id in truth.object_ids:
        mask = truth.mask(0, object_id)
        if mask is None or mask.sum() < 400:
            continue
        description = segmenter.describe(reference(table, object_id))
        for number in (0, 15):
            if truth.visible_fraction(number, object_id) < 0.6:
                continue
            candidates = segmenter.segment(table.read(number), description)
            tries += 1
            assert list(candidates) == sorted(candidates, key=lambda c: -c.score)
            if candidates:
                best, real = candidates[0].mask, truth.mask(number, object_id)
                hits += (best & real).sum() / (best | real).sum() > 0.4
    assert tries >= 6
    assert hits / tries >= 0.75


def test_no_candidate_where_there_is_no_depth_or_no_likeness(table: SimulatedRecording) -> None:
    segmenter = TemplateSegmenter(ColourGradientEncoder(), SegmenterConfig(min_score=0.75))
    object_id = max(table.ground_truth.object_ids, key=lambda i: table.ground_truth.mask(0, i).sum())
    description = segmenter.describe(reference(table, object_id))
    seen = table.read(0)
    assert segmenter.segment(seen, description)
    assert not segmenter.segment(RgbdFrame(seen.rgb, np.zeros_like(seen.depth_m), seen.camera), description)
    plain = np.full_like(seen.rgb, (90, 20, 160))
    assert not segmenter.segment(RgbdFrame(plain, seen.depth_m, seen.camera), description)


def test_views_without_depth_are_left_out(table: SimulatedRecording) -> None:
    segmenter = TemplateSegmenter(ColourGradientEncoder())
    one = reference(table, max(table.ground_truth.object_ids, key=lambda i: table.ground_truth.mask(0, i).sum()))
    seen = table.read(0)
    blind = replace(one.views[0], frame=RgbdFrame(seen.rgb, np.zeros_like(seen.depth_m), seen.camera))
    alone = segmenter.segment(seen, segmenter.describe(one))
    both = segmenter.segment(seen, segmenter.describe(replace(one, views=(*one.views, blind))))
    assert alone
    assert [c.score for c in both] == [c.score for c in alone]
    with pytest.raises(InputError, match="no depth under its mask in any of its 1 views"):
        segmenter.describe(replace(one, views=(blind,)))
