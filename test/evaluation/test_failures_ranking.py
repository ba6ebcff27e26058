"""AUROC, AUPR and FPR at 95 % TPR on cases computed by hand."""

import math

import numpy as np
import pytest

from storm_ros.evaluation.failures_ranking import aupr, auroc, fpr_at_tpr, roc


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [
        ([0.0, 1.0], [2.0, 3.0], 1.0),  # every bad frame lies above every good one
        ([2.0, 3.0], [0.0, 1.0], 0.0),  # the other way round
        ([1.0, 1.0], [1.0], 0.5),  # ties count half
        ([0.0, 2.0], [1.0, 3.0], 0.75),  # 3 of 4 pairs
        ([0.0, 1.0], [1.0, math.nan], 0.875),  # no energy is worse than any: 1 + 1 + 1 + 0.5 of 4
    ],
)
def test_auroc_is_the_share_of_pairs_in_order(good, bad, expected):
    assert auroc(good, bad) == pytest.approx(expected)


def test_aupr_adds_up_precision_where_recall_grows():
    # from the top: bad (precision 1/1), good, bad (2/3), good: half of the recall at 1, half at 2/3
    assert aupr([2.0, 0.0], [3.0, 1.0]) == pytest.approx(0.5 * 1.0 + 0.5 * 2.0 / 3.0)


def test_aupr_takes_ties_together():
    assert aupr([1.0, 1.0], [1.0, 1.0]) == pytest.approx(0.5)


def test_fpr_at_tpr_takes_the_highest_threshold_that_catches_enough():
    bad = np.arange(100.0)  # 95 % of them are at or above 5
    good = np.array([4.9, 5.0, -1.0, -2.0])
    assert fpr_at_tpr(good, bad, 0.95) == pytest.approx(0.25)
    assert fpr_at_tpr(good, bad, 0.96) == pytest.approx(0.5)


def test_fpr_counts_ties_at_the_threshold():
    assert fpr_at_tpr([1.0, 0.0], [1.0], 0.95) == pytest.approx(0.5)


def test_without_good_or_bad_frames_there_is_no_figure():
    for figure in (auroc, fpr_at_tpr):
        assert math.isnan(figure([], [1.0]))
        assert math.isnan(figure([1.0], []))
    assert math.isnan(aupr([1.0], []))
    assert roc([], [1.0]) is None


def test_roc_goes_from_corner_to_corner_and_encloses_the_auroc():
    rng = np.random.default_rng(0)
    good, bad = np.round(rng.normal(0, 1, 300), 1), np.round(rng.normal(1, 1, 200), 1)  # rounded: with ties
    curve = roc(good, bad)
    assert curve is not None
    assert (curve.false[0], curve.true[0], curve.false[-1], curve.true[-1]) == (0.0, 0.0, 1.0, 1.0)
    assert (np.diff(curve.false) >= 0).all()
    assert (np.diff(curve.true) >= 0).all()
    area = float((np.diff(curve.false) * (curve.true[1:] + curve.true[:-1]) / 2).sum())
    assert area == pytest.approx(auroc(good, bad))
