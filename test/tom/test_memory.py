"""The memory's rules: the reference never leaves, near-duplicates are replaced, what is kept stays diverse."""

from __future__ import annotations

import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.tom.crops import Shape
from storm_ros.tom.memory import Entry, TomMemory, between, tells_nothing_new, unlike, with_view

SHAPE = Shape(np.zeros((1, 3)), np.zeros(3), 0.05)


def entry(turn_deg: float, name: str = "", z: float = 0.8, look: tuple[float, float] = (1.0, 0.0)) -> Entry:
    pose = se3.transform(se3.so3_exp([0, np.radians(turn_deg), 0]), [0, 0, z])
    return Entry(name or f"{turn_deg:g}", np.array(look, np.float32), pose)


def names(memory: TomMemory) -> list[str]:
    return [e.features for e in memory.kept]


@pytest.fixture
def memory() -> TomMemory:
    return TomMemory(SHAPE, (entry(0, "reference"),))


def test_a_new_view_is_added_and_the_argument_is_left_alone(memory: TomMemory) -> None:
    after = with_view(memory, entry(30), 4)
    assert names(after) == ["30"]
    assert names(memory) == []
    assert [e.features for e in after.entries] == ["reference", "30"]


def test_a_near_duplicate_takes_the_place_of_what_it_is_like(memory: TomMemory) -> None:
    after = with_view(with_view(with_view(memory, entry(30), 4), entry(60), 4), entry(33), 4)
    assert names(after) == ["60", "33"]


def test_the_same_side_in_another_light_or_from_farther_away_is_another_view(memory: TomMemory) -> None:
    after = with_view(memory, entry(30), 4)
    assert names(with_view(after, entry(30, "dark", look=(0.6, 0.8)), 4)) == ["30", "dark"]
    assert names(with_view(after, entry(30, "far", z=1.3), 4)) == ["30", "far"]


def test_when_full_the_older_of_the_most_alike_leaves(memory: TomMemory) -> None:
    for turn in (20, 50, 65, 120):
        memory = with_view(memory, entry(turn), 4)
    assert names(with_view(memory, entry(160), 4)) == ["20", "65", "120", "160"]


def test_plain_fifo_where_all_are_equally_far_apart(memory: TomMemory) -> None:
    for turn in (0, 90, 180):
        memory = with_view(memory, entry(turn, look=(1.0, 0.0)), 3)
    after = with_view(memory, entry(270), 3)
    assert len(names(after)) == 3
    assert names(after)[-1] == "270"


def test_the_reference_never_leaves(memory: TomMemory) -> None:
    for turn in range(0, 720, 13):
        memory = with_view(memory, entry(turn), 5)
        assert memory.references[0].features == "reference"
        assert len(memory.kept) <= 5


def test_without_room_only_the_reference_is_kept(memory: TomMemory) -> None:
    assert with_view(memory, entry(30), 0) is memory


def test_unlike_is_symmetric_and_zero_to_itself() -> None:
    a, b = entry(10), entry(25, z=0.9, look=(0.8, 0.6))
    assert unlike(a, a) == pytest.approx(0.0, abs=1e-6)
    assert unlike(a, b) == pytest.approx(unlike(b, a))
    assert unlike(a, b) == pytest.approx(15.0 / 12.0, rel=1e-6)


def test_how_views_lie_to_each_other() -> None:
    lie = between(entry(0).cam_T_obj, np.zeros(3), [entry(0).cam_T_obj, entry(60).cam_T_obj], [True, False])
    np.testing.assert_allclose(lie, [[1, 1, 1], [0.5, 0.5, 0]], atol=1e-6)


def test_a_view_almost_like_one_that_is_kept_tells_nothing_new(memory: TomMemory) -> None:
    assert not tells_nothing_new(memory, entry(0.1))  # the reference is never replaced, so it does not count
    after = with_view(with_view(memory, entry(30), 4), entry(60), 4)
    assert tells_nothing_new(after, entry(30.5))
    assert tells_nothing_new(after, entry(60.5))
    assert not tells_nothing_new(after, entry(33))
    assert not tells_nothing_new(after, entry(30, look=(0.9, 0.4359)))
    assert not tells_nothing_new(after, entry(30, z=0.9))
