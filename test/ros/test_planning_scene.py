"""When the planning scene is told what, by hand-made sequences of poses."""

from __future__ import annotations

import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.ros.planning_scene import (
    ObjectInScene,
    Operation,
    Rules,
    attach,
    elapse,
    forget,
    hull_of,
    observe,
    vertices_of,
)

RULES = Rules(stable_s=0.3, stable_m=0.005, stable_rad=0.06, move_m=0.01, move_rad=0.1, remove_after_s=2.0)


def at(x: float, turn: float = 0.0) -> np.ndarray:
    return se3.transform(se3.so3_exp([0.0, 0.0, turn]), [x, 0.2, 0.6])


def run(known, poses, *, start=0.0, step=0.033, rules=RULES):
    """Feed poses one after the other; returns what is known and (index, operation) of all that was told."""
    told = []
    for index, pose in enumerate(poses):
        known, operation = observe(rules, known, start + index * step, pose)
        if operation is not None:
            told.append((index, operation))
    return known, told


def test_added_once_it_rested_and_not_again() -> None:
    known, told = run(ObjectInScene(), [at(0.0)] * 60)
    assert [operation for _, operation in told] == [Operation.ADD]
    assert 0.9 * 0.3 <= told[0][0] * 0.033 <= 0.3 + 0.033
    assert known.present
    assert np.allclose(known.told, at(0.0))


@pytest.mark.parametrize("rate_hz", [2.5, 5, 6, 9, 10, 15, 30, 60])
def test_added_at_any_rate(rate_hz) -> None:
    _, told = run(ObjectInScene(), [at(0.0)] * 60, step=1 / rate_hz, start=1.7e9)
    assert [operation for _, operation in told] == [Operation.ADD]
    assert 0.3 <= told[0][0] / rate_hz <= 0.3 + 1 / rate_hz + 1e-6


def test_not_added_while_it_is_carried() -> None:
    _, told = run(ObjectInScene(), [at(0.004 * i) for i in range(60)])
    assert told == []


def test_moved_when_it_rests_elsewhere_once() -> None:
    way = [at(0.0)] * 15 + [at(0.01 * i) for i in range(1, 11)] + [at(0.1)] * 30
    _, told = run(ObjectInScene(), way)
    assert [operation for _, operation in told] == [Operation.ADD, Operation.MOVE]
    assert (told[1][0] - 25) * 0.033 >= 0.9 * 0.3 - 0.034


def test_a_turn_alone_is_told_too() -> None:
    _, told = run(ObjectInScene(), [at(0.0)] * 15 + [at(0.0, turn=0.2)] * 15)
    assert [operation for _, operation in told] == [Operation.ADD, Operation.MOVE]


def test_noise_is_not_told() -> None:
    random = np.random.default_rng(0)
    poses = [at(float(random.uniform(-0.002, 0.002)), float(random.uniform(-0.02, 0.02))) for _ in range(200)]
    _, told = run(ObjectInScene(), poses)
    assert [operation for _, operation in told] == [Operation.ADD]


def test_a_gap_starts_the_look_anew() -> None:
    known, told = run(ObjectInScene(), [at(0.0)] * 6)
    assert told == []
    _, told = run(known, [at(0.0)] * 6, start=6 * 0.033 + 0.6)
    assert told == []


def test_a_clock_that_jumps_back_starts_the_look_anew() -> None:
    known, _ = run(ObjectInScene(), [at(0.0)] * 6, start=100.0)
    known, told = run(known, [at(0.0)] * 6, start=5.0)
    assert told == []
    assert len(known.seen) == 6


def test_without_a_stable_time_every_change_is_told() -> None:
    rules = Rules(stable_s=0.0, move_m=0.01)
    _, told = run(ObjectInScene(), [at(0.0), at(0.001), at(0.02)], rules=rules)
    assert told == [(0, Operation.ADD), (2, Operation.MOVE)]


def test_removed_after_the_time_out_only_and_once() -> None:
    known, _ = run(ObjectInScene(), [at(0.0)] * 15)
    last = 14 * 0.033
    known, operation = elapse(RULES, known, last + 1.9)
    assert operation is None
    known, operation = elapse(RULES, known, last + 2.1)
    assert operation is Operation.REMOVE
    known, operation = elapse(RULES, known, last + 9.0)
    assert operation is None
    _, told = run(known, [at(0.0)] * 15, start=last + 10.0)
    assert [operation for _, operation in told] == [Operation.ADD]


def test_never_removed_with_time_out_zero() -> None:
    rules = Rules(remove_after_s=0.0)
    known, _ = run(ObjectInScene(), [at(0.0)] * 15, rules=rules)
    assert elapse(rules, known, 1e6)[1] is None


def test_frozen_while_attached_then_followed_again() -> None:
    known, _ = run(ObjectInScene(), [at(0.0)] * 15)
    known = attach(known, True)
    known, told = run(known, [at(0.3)] * 30, start=1.0)
    assert told == []
    assert elapse(RULES, known, 1e6)[1] is None
    known = attach(known, False)
    known, told = run(known, [at(0.0)] * 15, start=3.0)
    assert [operation for _, operation in told] == [Operation.MOVE], "the robot may have put it anywhere"


def test_attached_by_another_before_it_was_added() -> None:
    known = attach(ObjectInScene(), True)
    known, told = run(known, [at(0.0)] * 30)
    assert told == []
    _, told = run(attach(known, False), [at(0.0)] * 30, start=2.0)
    assert [operation for _, operation in told] == [Operation.MOVE]


def test_a_new_scene_gets_it_again() -> None:
    known, _ = run(ObjectInScene(), [at(0.0)] * 15)
    _, told = run(forget(known), [at(0.0)] * 3, start=15 * 0.033)
    assert told[0] == (0, Operation.ADD)


def test_triangles_share_vertices() -> None:
    square = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0], [1, 1, 0]]
    vertices, faces = vertices_of(np.array(square, float))
    assert len(vertices) == 4
    assert len(faces) == 2, "the one without an area is left out"
    assert np.allclose(vertices[faces].reshape(-1, 3), square[:6])


def test_hull_closes_an_open_surface_with_normals_outward() -> None:
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    inside = np.random.default_rng(0).uniform(0.1, 0.9, (50, 3))
    vertices, faces = hull_of(np.concatenate([inside, corners]))
    assert len(vertices) == 8
    assert volume(vertices, faces) == pytest.approx(1.0)


def test_hull_of_a_flat_surface_is_a_thin_box() -> None:
    flat = np.array([[0, 0, 0], [0.1, 0, 0], [0.1, 0.2, 0], [0, 0.2, 0]], float)
    vertices, faces = hull_of(flat)
    assert volume(vertices, faces) == pytest.approx(0.1 * 0.2 * 0.001)


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """By the divergence theorem: positive only if all faces look outward."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)
