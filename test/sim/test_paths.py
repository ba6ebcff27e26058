"""Motions: smooth, rigid, and where they should be at the times that matter."""

import itertools

import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.core.errors import InputError
from storm_ros.sim.paths import (
    HandHeld,
    Keyframes,
    Orbit,
    PassingInFront,
    Path,
    Static,
    Turn,
    jump,
    look_at,
    pushed_off,
    slide_and_turn,
)

START = se3.exp([0.1, 0.2, 0.05, 0, 0, 0.3])
ORBIT = Orbit((0.0, 0.0, 0.0), 0.8, 0.6, 0.0, 0.5)


def test_look_at_puts_the_target_on_the_optical_axis_and_up_upwards() -> None:
    world_T_cam = look_at([0.5, -0.6, 0.7], [0.1, 0.1, 0.0])
    target = se3.apply(se3.inverse(world_T_cam), np.array([[0.1, 0.1, 0.0]]))[0]
    assert np.allclose(target[:2], 0, atol=1e-12)
    assert target[2] > 0
    assert se3.is_rigid(world_T_cam)
    assert world_T_cam[2, 1] < 0


@pytest.mark.parametrize(
    "path",
    [
        ORBIT,
        Orbit((0, 0, 0), 0.8, 0.6, 0, 0.3, 0.2),
        HandHeld(ORBIT, 3),
        Turn(START, 1.0, 0.0, 2.0),
        slide_and_turn(START, [0.1, 0, 0], 0.8, 0.0, 2.0, back=True),
        PassingInFront(ORBIT, Static(START), 0.2, 0.8, 1.2, 1.8),
    ],
    ids=["orbit", "swing", "hand", "turn", "slide", "passing"],
)
def test_motion_is_rigid_and_smooth(path: Path) -> None:
    times = np.linspace(0, 2, 241)
    poses = [path(float(t)) for t in times]
    assert all(se3.is_rigid(p) for p in poses)
    steps = [se3.distance(a, b) for a, b in itertools.pairwise(poses)]
    turns = [se3.angle_between(a, b) for a, b in itertools.pairwise(poses)]
    assert max(steps) < 0.03
    assert max(turns) < 0.05
    assert np.array_equal(path(0.7), path(0.7))


def test_hand_held_sways_about_its_base_as_told() -> None:
    hand = HandHeld(Static(np.eye(4)), 1, sway_m=0.006, sway_rad=0.012)
    poses = [hand(t) for t in np.linspace(0, 60, 3000)]
    places = np.array([p[:3, 3] for p in poses])
    assert places.std() == pytest.approx(0.006, rel=0.15)
    assert not np.allclose(HandHeld(Static(np.eye(4)), 2)(0.5), hand(0.5))


def test_keyframes_pass_through_their_poses_and_rest_outside() -> None:
    end = se3.exp([0.3, 0.2, 0.05, 0, 0, 1.3])
    path = Keyframes([1.0, 2.0], [START, end])
    assert np.allclose(path(1.0), START)
    assert np.allclose(path(2.0), end)
    assert np.allclose(path(0.0), START)
    assert np.allclose(path(9.0), end)
    with pytest.raises(InputError, match="times increasing"):
        Keyframes([1.0, 1.0], [START, end])


def test_turn_is_by_the_angle_about_the_own_axis() -> None:
    turn = Turn(START, np.radians(90), 1.0, 3.0)
    assert se3.angle_between(START, turn(3.0)) == pytest.approx(np.pi / 2)
    assert se3.angle_between(START, turn(2.0)) == pytest.approx(np.pi / 4)
    assert se3.distance(START, turn(2.0)) == pytest.approx(0, abs=1e-12)


def test_jump_swaps_motions() -> None:
    there = se3.exp([0.5, 0, 0.05, 0, 0, 0])
    path = jump(Static(START), Static(there), 1.0, 0.1)
    assert np.allclose(path(0.99), START)
    assert np.allclose(path(1.1), there)
    assert np.allclose(path(1.05)[:3, 3], (START[:3, 3] + there[:3, 3]) / 2, atol=1e-9)
    assert np.allclose(jump(Static(START), Static(there), 1.0, 0.0)(1.0), there)


def test_pushed_off_slides_then_falls() -> None:
    path = pushed_off(START, [1, 0, 0], 0.2, 1.0, 0.5)
    assert np.allclose(path(1.0), START)
    assert path(1.3)[2, 3] == pytest.approx(START[2, 3])
    assert path(1.3)[0, 3] == pytest.approx(0.25)
    assert path(1.6)[2, 3] == pytest.approx(START[2, 3] - 4.905 * 0.2**2)


def test_occluder_stands_in_the_line_of_sight_while_it_covers() -> None:
    passing = PassingInFront(ORBIT, Static(START), 0.2, 0.8, 1.2, 1.8, share=0.5)
    for t in (0.8, 1.0, 1.2):
        cam_T_world = se3.inverse(ORBIT(t))
        board, target = (cam_T_world @ p for p in (passing(t), START))
        assert np.allclose(board[:3, 3], 0.5 * target[:3, 3])
    assert passing.sideways(0.0) == 1
    assert passing.sideways(2.0) == -1
