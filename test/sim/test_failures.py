"""Clips in which something goes wrong: what the truth says of them, kind by kind."""

import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.core.errors import InputError
from storm_ros.sim.failure_scripts import Delivery
from storm_ros.sim.failures import KINDS, failure_clip

SIZE = {"width": 96, "height": 72}


def clip_of(kind, number=0):
    return failure_clip(kind, number, seed=1, frames=80, **SIZE)


def visible(clip, numbers):
    return [clip.ground_truth.visible_fraction(n, clip.target_id) for n in numbers]


@pytest.mark.parametrize("kind", KINDS)
def test_every_clip_begins_and_ends_with_a_visible_target(kind):
    with clip_of(kind) as clip:
        assert min(visible(clip, (0, clip.happening.first - 1, 79))) > 0.6
        assert 79 - clip.happening.last >= 25  # long enough to be found again


@pytest.mark.parametrize(("kind", "number"), [("occlusion", 0), ("leave", 0), ("leave", 1), ("lookalike_beside", 0)])
def test_the_target_vanishes_for_some_frames(kind, number):
    with clip_of(kind, number) as clip:
        h = clip.happening
        gone = [v <= 0.1 for v in visible(clip, range(h.first, h.last, 3))]
        assert sum(gone) >= 3


def test_a_partial_occlusion_leaves_much_of_it():
    with clip_of("partial") as clip:
        middle = (clip.happening.first + clip.happening.last) // 2
        assert 0.2 < visible(clip, [middle])[0] < 0.85


def test_a_jump_is_faster_than_any_tracker_expects():
    with clip_of("jump") as clip:
        at, truth = clip.happening.first, clip.ground_truth
        assert se3.distance(truth.pose(at, 1), truth.pose(at + 1, 1)) > 0.12
        assert se3.distance(truth.pose(at + 1, 1), truth.pose(at + 2, 1)) < 0.02


def test_a_lookalike_comes_between():
    with clip_of("lookalike_front") as clip:
        middle = (clip.happening.first + clip.happening.last) // 2
        assert clip.role_at(middle, clip.ground_truth.pose(middle, 1)) == "lookalike"
        assert clip.role_at(0, clip.ground_truth.pose(0, 1)) == "target"


def test_light_changes_the_picture_and_nothing_else():
    with clip_of("light") as clip:
        first = clip.happening.first
        before, after = (clip.read(n) for n in (first - 1, first + 8))
        assert float(after.rgb.mean()) < 0.85 * float(before.rgb.mean())
        assert se3.distance(clip.ground_truth.pose(first - 1, 1), clip.ground_truth.pose(first + 8, 1)) < 0.03


def test_a_dropout_delivers_less():
    for number, delivery in enumerate((Delivery.NO_DEPTH, Delivery.BLACK, Delivery.FROZEN)):
        with clip_of("dropout", number) as clip:
            first, last = clip.happening.first, clip.happening.last
            inside, before, after = clip.read(first + 2), clip.read(first - 1), clip.read(last + 1)
            assert {clip.delivery(n) for n in range(first, last + 1)} == {delivery}
            assert clip.delivery(last + 1) is Delivery.FULL
            assert (inside.depth_m > 0).any() == (delivery is Delivery.FROZEN)
            assert inside.rgb.any() == (delivery is not Delivery.BLACK)
            assert np.array_equal(inside.rgb, before.rgb) == (delivery is Delivery.FROZEN)
            assert inside.stamp_ns > before.stamp_ns
            assert (after.depth_m > 0).any()


def test_what_cannot_be_made_is_told():
    with pytest.raises(InputError, match="flood"):
        failure_clip("flood", 0)
    with pytest.raises(InputError, match="30 or more"):
        failure_clip("jump", 0, frames=10)
