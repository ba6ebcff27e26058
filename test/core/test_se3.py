"""Rigid transforms against scipy and hand-computed cases."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from storm_ros.core import se3

QUARTER = np.pi / 2
TURN_Z = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def random_vectors(count: int, length: float) -> np.ndarray:
    v = np.random.default_rng(0).normal(size=(count, 3))
    return v / np.linalg.norm(v, axis=1, keepdims=True) * length


def random_pose(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return se3.transform(Rotation.random(random_state=seed).as_matrix(), rng.normal(size=3))


def test_skew_is_the_cross_product() -> None:
    v, w = random_vectors(2, 1.7)
    assert np.allclose(se3.skew(v) @ w, np.cross(v, w))


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-9, 1e-7, 1e-4, 0.5, 3.0, np.pi - 1e-7, np.pi])
def test_so3_exp_and_log_agree_with_scipy(angle: float) -> None:
    for rotvec in random_vectors(8, 1.0) * angle:
        rotation = se3.so3_exp(rotvec)
        assert np.allclose(rotation, Rotation.from_rotvec(rotvec).as_matrix(), atol=1e-12)
        again = se3.so3_log(rotation)
        assert np.linalg.norm(again) == pytest.approx(angle, abs=1e-7)
        assert np.allclose(se3.so3_exp(again), rotation, atol=1e-6)


@pytest.mark.parametrize("axis", [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, 0, -0.8]])
def test_log_of_half_a_turn_finds_the_axis(axis: list[float]) -> None:
    rotvec = se3.so3_log(Rotation.from_rotvec(np.pi * np.array(axis)).as_matrix())
    assert np.abs(rotvec @ np.array(axis)) == pytest.approx(np.pi, abs=1e-6)


def test_exp_of_a_twist_does_not_turn_its_translation() -> None:
    a_T_b = se3.exp([1.0, 2.0, 3.0, 0.0, 0.0, QUARTER])
    assert np.allclose(a_T_b[:3, 3], [1, 2, 3])
    assert np.allclose(a_T_b[:3, :3], TURN_Z)
    assert np.array_equal(a_T_b[3], [0, 0, 0, 1])


def test_apply_turns_then_moves() -> None:
    assert np.allclose(se3.apply(se3.transform(TURN_Z, [10, 0, 0]), [[1, 0, 0], [0, 2, 5]]), [[10, 1, 0], [8, 0, 5]])


def test_inverse_undoes() -> None:
    pose = random_pose(1)
    assert np.allclose(se3.inverse(pose), np.linalg.inv(pose))
    assert np.allclose(se3.inverse(pose) @ pose, np.eye(4))


@pytest.mark.parametrize("angle", [0.0, 0.2, 1.5, np.pi])
def test_angle_and_distance_between_poses(angle: float) -> None:
    pose = random_pose(2)
    other = pose @ se3.exp([0.3, 0.0, 0.4, *(np.array([0.0, 0.6, 0.8]) * angle)])
    assert se3.angle_between(pose, other) == pytest.approx(angle, abs=1e-6)
    assert se3.distance(pose, other) == pytest.approx(0.5)


def test_orthonormalising_restores_a_drifted_rotation() -> None:
    pose = random_pose(3)
    drifted = pose.copy()
    drifted[:3, :3] += np.random.default_rng(0).normal(0, 1e-3, (3, 3))
    assert not se3.is_rigid(drifted)
    again = se3.orthonormalised(drifted)
    assert se3.is_rigid(again, tolerance=1e-12)
    assert se3.angle_between(pose, again) < 5e-3
    assert np.array_equal(again[:3, 3], pose[:3, 3])


def broken(row: int, column: int, value: float) -> np.ndarray:
    pose = np.eye(4)
    pose[row, column] = value
    return pose


@pytest.mark.parametrize(
    ("matrix", "rigid"),
    [
        pytest.param(np.eye(4), True, id="identity"),
        pytest.param(random_pose(4), True, id="random"),
        pytest.param(np.eye(3), False, id="3x3"),
        pytest.param(np.diag([1.0, 1.0, -1.0, 1.0]), False, id="mirror"),
        pytest.param(np.diag([2.0, 2.0, 2.0, 1.0]), False, id="scaled"),
        pytest.param(broken(3, 0, 0.1), False, id="last row"),
        pytest.param(broken(0, 3, np.nan), False, id="nan"),
        pytest.param(broken(0, 1, 0.1), False, id="sheared"),
    ],
)
def test_is_rigid(matrix: np.ndarray, rigid: bool) -> None:
    assert se3.is_rigid(matrix) is rigid
