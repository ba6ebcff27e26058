"""The whole loop on the real recordings: the figures the package promises, on a part of the frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from storm_ros import create_tracker
from storm_ros.core import se3
from storm_ros.core.types import EventType, Reference
from storm_ros.evaluation import metrics
from storm_ros.io import open_recording
from storm_ros.pose import GeometricEstimator

pytestmark = pytest.mark.data


@pytest.mark.parametrize(("object_id", "limit_mm"), [(1, 5.0), (2, 6.0)])
def test_desk_model_free_is_accurate_and_never_lost(data_dir: Path, object_id: int, limit_mm: float) -> None:
    with open_recording(data_dir / "desk") as recording:
        truth, tracker = recording.ground_truth, create_tracker()
        first = recording.read(0)
        reference = tracker.set_reference(first, truth.mask(0, object_id))
        obj_T_gt = se3.inverse(reference.views[0].cam_T_obj) @ truth.pose(0, object_id)
        vertices = truth.mesh(object_id).vertices
        errors, lost = [], 0
        for number in range(0, 99, 3):  # every third frame: the motion is three times as fast
            result = tracker.step(first if number == 0 else recording.read(number))
            lost += sum(e.type is EventType.LOST for e in result.events)
            pose = result.objects["object"].cam_T_obj
            if number:
                errors.append(metrics.add(vertices, pose @ obj_T_gt, truth.pose(number, object_id)) * 1e3)
    assert lost == 0
    assert np.median(errors) < limit_mm


@pytest.mark.parametrize("object_id", [8, 14, 21])
def test_ycbv_is_registered_without_a_prior_pose(data_dir: Path, object_id: int) -> None:
    estimator = GeometricEstimator()
    with open_recording(data_dir / "ycbv") as recording:
        truth = recording.ground_truth
        mesh = truth.mesh(object_id)
        model = estimator.prepare(Reference("object", (), mesh))
        for number in recording.numbers:
            found = estimator.register(recording.read(number), truth.mask(number, object_id), model).best
            error = metrics.adds(mesh.vertices[::5], found.cam_T_obj, truth.pose(number, object_id))
            assert error * 1e3 < 5.0, f"frame {number}"


def test_kitchen_mug_is_tracked_until_it_leaves(data_dir: Path) -> None:
    with open_recording(data_dir / "kitchen") as recording:
        truth, tracker = recording.ground_truth, create_tracker()
        first = recording.read(111)
        reference = tracker.set_reference(first, truth.mask(111, 1))
        obj_T_gt = se3.inverse(reference.views[0].cam_T_obj) @ truth.pose(111, 1)
        errors, lost_at = [], None
        for number in range(111, 171):
            result = tracker.step(first if number == 111 else recording.read(number))
            for event in result.events:
                if event.type is EventType.LOST:
                    lost_at = lost_at or number
            pose = result.objects["object"].cam_T_obj
            if number < 160:
                assert pose is not None, f"lost at frame {number}"
                errors.append(1e3 * se3.distance(pose @ obj_T_gt, truth.pose(number, 1)))
    assert np.median(errors) < 40.0
    assert lost_at is not None
    assert 160 <= lost_at < 170
