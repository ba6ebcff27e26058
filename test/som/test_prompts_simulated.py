"""Box and point prompts against the simulator's true masks."""

from __future__ import annotations

import cv2
import numpy as np

from storm_ros.sim import tabletop_sequence
from storm_ros.som.prompts import mask_from_box, mask_from_point


def overlap(ours: np.ndarray, true: np.ndarray) -> float:
    return float((ours & true).sum() / (ours | true).sum())


def test_prompts_on_random_tables() -> None:
    """Every object of three tables that shows more than 300 pixels and 60 % of itself."""
    boxes, points = [], []
    for seed in range(3):
        scene = tabletop_sequence(seed=seed, frames=2)
        frame, truth = scene.read(0), scene.ground_truth
        for number in truth.object_ids:
            mask, share = truth.mask(0, number), truth.visible_fraction(0, number)
            if mask is None or share is None or mask.sum() < 300 or share < 0.6:
                continue
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            box = columns[0] - 4, rows[0] - 4, np.ptp(columns) + 9, np.ptp(rows) + 9
            boxes.append(overlap(mask_from_box(frame, box), mask))
            inner = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
            row, column = np.unravel_index(int(inner.argmax()), mask.shape)
            points.append(overlap(mask_from_point(frame, (int(column), int(row))), mask))
    assert len(boxes) >= 10
    assert np.mean(boxes) > 0.9
    assert np.mean(points) > 0.8
    assert np.median(points) > 0.9
