import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.core.errors import InputError
from storm_ros.evaluation.accuracy import JudgedObject, accuracy, judge

GT = se3.transform(np.eye(3), [0, 0, 0.5])
OWN_T_GT = se3.exp([0.03, -0.02, 0.01, 0.4, 0.1, -0.7])


def own(cam_T_gt):
    """The same place in a frame of our own."""
    return cam_T_gt @ se3.inverse(OWN_T_GT)


def aside(x_m):
    return se3.transform(np.eye(3), [x_m, 0, 0.5])


def test_a_model_free_run_is_aligned_at_the_reference_frame_only(hand_truth):
    poses = [(0, own(GT)), (1, own(aside(0.0099))), (2, own(aside(0.0199))), (3, None), (4, own(aside(0.0299)))]
    target = JudgedObject("cup", 7, reference_frame=0, cam_T_obj_ref=own(GT))
    block = accuracy([(target, poses)], hand_truth())
    # scored: frames 1 to 4 with errors 9.9, 19.9, none, 29.9 mm; found within a tenth of the 141 mm diameter
    assert block["add_mm_median"] == pytest.approx(19.9)
    assert block["centre_mm_median"] == pytest.approx(19.9)
    assert block["rot_deg_median"] == pytest.approx(0.0, abs=1e-6)
    assert block["add_auc"] == pytest.approx((90.5 + 80.5 + 0.0 + 70.5) / 4)
    assert block["found_fraction"] == pytest.approx(1 / 4)
    assert block["false_fraction"] is None
    assert block["objects"]["cup"]["aligned_at"] == 0


def test_with_the_data_sets_mesh_poses_compare_directly_and_the_reference_frame_counts(hand_truth):
    target = JudgedObject("cup", 7, reference_frame=0, aligned=True)
    block = accuracy([(target, [(0, aside(0.004)), (1, aside(0.006))])], hand_truth())
    assert block["add_mm_median"] == pytest.approx(5.0)
    assert block["objects"]["cup"]["aligned_at"] is None


def test_an_own_frame_would_be_wrong_without_alignment(hand_truth):
    target = JudgedObject("cup", 7, reference_frame=0, aligned=True)
    assert accuracy([(target, [(1, own(GT))])], hand_truth())["rot_deg_median"] > 40


def test_the_reference_pose_of_the_run_itself_serves_where_no_other_is_given(hand_truth):
    target = JudgedObject("cup", 7, reference_frame=5)
    frames = judge(target, [(4, own(aside(0.01))), (5, own(GT))], hand_truth()).frames
    assert frames[0].add_mm == pytest.approx(10.0)
    assert frames[1].add_mm == pytest.approx(0.0, abs=1e-6)


def test_without_a_mesh_there_are_centre_and_rotation_errors_only(hand_truth):
    truth = hand_truth(absent={3, 4}, mesh=None)
    poses = [(0, GT), (1, aside(0.074)), (2, aside(0.076)), (3, aside(0.0)), (4, None)]
    block = accuracy([(JudgedObject("cup", 7, 0), poses)], truth)
    assert not {"add_auc", "adds_auc", "add_mm_median", "adds_mm_median"} & set(block)
    assert block["centre_mm_median"] == pytest.approx(75.0)
    assert block["found_fraction"] == 0.5, "74 mm is found, 76 mm is not"
    assert block["false_fraction"] == 0.5, "one pose in two absent frames"


def test_figures_of_all_objects_pool_their_frames(hand_truth):
    one = (JudgedObject("one", 7, 0, aligned=True), [(1, aside(0.0009)), (2, aside(0.0009)), (3, aside(0.0009))])
    two = (JudgedObject("two", 7, 0, aligned=True), [(1, None)])
    block = accuracy([one, two], hand_truth())
    assert block["found_fraction"] == 0.75
    assert block["add_auc"] == pytest.approx(0.75 * 99.5)
    assert (block["objects"]["one"]["found_fraction"], block["objects"]["two"]["found_fraction"]) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("reference_frame", "words"),
    [(3, "no true pose of object 7 in the reference frame 3"), (9, "no pose in the reference frame 9")],
)
def test_what_cannot_be_aligned_says_so(hand_truth, reference_frame, words):
    with pytest.raises(InputError, match=words):
        judge(JudgedObject("cup", 7, reference_frame), [(0, GT)], hand_truth(absent={3}))


def test_nothing_to_judge_gives_no_block(hand_truth):
    assert accuracy([], hand_truth()) is None
