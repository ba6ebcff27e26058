import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.evaluation import metrics

SQUARE = np.array([[1.0, 1.0, 0.0], [1.0, -1.0, 0.0], [-1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]]) * 0.05
EYE = np.eye(4)


def turned_z(degrees):
    return se3.transform(se3.so3_exp([0, 0, np.radians(degrees)]), [0, 0, 0])


def moved(x, y=0.0, z=0.0):
    return se3.transform(np.eye(3), [x, y, z])


@pytest.mark.parametrize(
    ("pose", "add_mm", "adds_mm", "reason"),
    [
        (EYE, 0.0, 0.0, "the same pose has no error"),
        (moved(0.003), 3.0, 3.0, "a shift moves every vertex by itself"),
        (moved(0.0, 0.003, 0.004), 5.0, 5.0, "3-4-5 triangle"),
        (turned_z(90), 100.0, 0.0, "a quarter turn of a square moves each corner one edge, onto another corner"),
        (turned_z(180), np.sqrt(2) * 100.0, 0.0, "half a turn moves each corner across the diagonal"),
        (moved(0.1), 100.0, 50.0, "one edge aside: two corners meet others, two are one edge away"),
    ],
)
def test_add_and_adds_of_a_square_with_100_mm_edges(pose, add_mm, adds_mm, reason):
    assert metrics.add(SQUARE, pose, EYE) * 1000 == pytest.approx(add_mm, abs=1e-6), reason
    assert metrics.adds(SQUARE, pose, EYE) * 1000 == pytest.approx(adds_mm, abs=1e-6), reason


def test_errors_do_not_depend_on_where_the_camera_is():
    cam_T_world = se3.exp([0.1, -0.2, 0.9, 0.4, 0.2, -1.0])
    near = se3.exp([0.01, 0.0, 0.02, 0.1, 0.0, 0.3])
    for measure in (metrics.add, metrics.adds):
        assert measure(SQUARE, cam_T_world @ near, cam_T_world) == pytest.approx(measure(SQUARE, near, EYE))


def test_adds_never_exceeds_add_on_a_mesh_that_is_subsampled():
    points = np.random.default_rng(0).normal(size=(5 * metrics.MAX_POINTS, 3)) * 0.05
    errors = metrics.VertexErrors(points)
    pose = se3.exp([0.004, 0.0, -0.003, 0.05, 0.02, 0.0])
    assert 0 < errors.adds(pose, EYE) < errors.add(pose, EYE)
    apart = np.linalg.norm(se3.apply(pose, points) - points, axis=1).mean()
    assert errors.add(pose, EYE) == pytest.approx(apart, rel=0.03)


@pytest.mark.parametrize(
    ("errors_mm", "percent", "reason"),
    [
        ([0.0], 100.0, "exact at every threshold, 0 included"),
        ([None], 0.0, "no pose is infinitely wrong"),
        ([float("inf")], 0.0, "so is an infinite error"),
        ([float("nan")], 0.0, "and one that is no number"),
        ([100.0001], 0.0, "just beyond the largest threshold"),
        ([50.0], 50.5, "wrong to 49 mm, right from 50 mm on: 50 full steps and half of the one between"),
        ([50.4], 49.5, "right from 51 mm on: 49 full steps and half a one"),
        ([100.0], 0.5, "right at the last threshold only: half a step"),
        ([0.0, None], 50.0, "half of the frames exact, half without a pose"),
        ([0.0, 50.0], 75.25, "the mean of 100 and 50.5"),
    ],
)
def test_auc_by_hand(errors_mm, percent, reason):
    assert metrics.auc(errors_mm) == pytest.approx(percent), reason


def test_auc_of_nothing_is_nan():
    assert np.isnan(metrics.auc([]))


@pytest.mark.parametrize(
    ("pose", "degrees", "mm", "reason"),
    [
        (EYE, 0.0, 0.0, "the same"),
        (turned_z(30), 30.0, 0.0, "a turn in place"),
        (turned_z(-170), 170.0, 0.0, "the angle has no sign"),
        (moved(0.0, 0.0, 0.012), 0.0, 12.0, "a shift"),
    ],
)
def test_rotation_and_centre_error(pose, degrees, mm, reason):
    assert metrics.rotation_error_deg(pose, EYE) == pytest.approx(degrees, abs=1e-9), reason
    assert metrics.centre_error_mm(pose, EYE) == pytest.approx(mm, abs=1e-9), reason


def test_alignment_maps_the_own_frame_onto_the_truth_and_keeps_doing_so():
    own_T_gt = se3.exp([0.02, 0.01, -0.03, 0.3, -0.2, 0.9])
    cam_T_gt_ref, cam_T_gt_later = se3.exp([0, 0, 0.8, 0.1, 0, 0]), se3.exp([0.1, 0, 0.7, 0.5, 0.1, 0])
    found = metrics.alignment(cam_T_gt_ref @ se3.inverse(own_T_gt), cam_T_gt_ref)
    np.testing.assert_allclose(found, own_T_gt, atol=1e-12)
    later = cam_T_gt_later @ se3.inverse(own_T_gt) @ found
    np.testing.assert_allclose(later, cam_T_gt_later, atol=1e-12)


@pytest.mark.parametrize(
    ("count", "limit", "expected", "reason"),
    [
        (3, 5, [0, 1, 2], "all of a few"),
        (5, 5, [0, 1, 2, 3, 4], "all of just enough"),
        (9, 3, [0, 4, 8], "even steps, with both ends"),
    ],
)
def test_evenly(count, limit, expected, reason):
    assert metrics.evenly(count, limit).tolist() == expected, reason
