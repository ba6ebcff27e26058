"""Constant velocity."""

from __future__ import annotations

import numpy as np

from storm_ros.core import motion, se3

A = se3.exp([0.1, 0.2, 0.7, 0.1, 0.0, 0.2])
B = se3.transform(se3.so3_exp([0.0, 0.05, 0.0]), np.zeros(3)) @ A
B[:3, 3] = A[:3, 3] + [0.01, 0.0, -0.02]
TENTH = 100_000_000


def test_prediction_repeats_the_last_motion() -> None:
    state = motion.moved(motion.at_rest(A, 0), B, TENTH)
    ahead, still = motion.predicted(state, 2 * TENTH)
    np.testing.assert_allclose(ahead[:3, 3], A[:3, 3] + 2 * np.array([0.01, 0.0, -0.02]))
    np.testing.assert_allclose(ahead[:3, :3], se3.so3_exp([0.0, 0.1, 0.0]) @ A[:3, :3], atol=1e-12)
    np.testing.assert_allclose(still, B)


def test_prediction_scales_with_time() -> None:
    state = motion.moved(motion.at_rest(A, 0), B, TENTH)
    ahead = motion.predicted(state, TENTH + TENTH // 2)[0]
    np.testing.assert_allclose(ahead[:3, 3], B[:3, 3] + 0.5 * np.array([0.01, 0.0, -0.02]))


def test_stamps_that_stand_still_or_run_back_predict_no_motion() -> None:
    for stamp in (0, -TENTH):
        state = motion.moved(motion.at_rest(A, 0), B, stamp)
        assert len(motion.predicted(state, TENTH)) == 1
    state = motion.moved(motion.at_rest(A, 0), B, TENTH)
    np.testing.assert_allclose(motion.predicted(state, 0)[0], B)
    np.testing.assert_allclose(motion.predicted(state, 90 * TENTH)[0], B)  # and so does a long gap
