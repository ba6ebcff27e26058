"""Cases for the evaluation, made of simulated shards."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from storm_ros.core.errors import InputError
from storm_ros.core.types import Camera, RgbdFrame
from storm_ros.evaluation.segmentation import SHOWN, Case, make_reference
from storm_ros.training.batches import MAX_ANGLE_DEG, MIN_REFERENCE_PX
from storm_ros.training.shards import DEPTH_STEP_M, Shards

_MIN_VISIBLE_PX = 60


def simulated_cases(shards: Shards, limit: int, seed: int = 0) -> Iterator[Case]:
    """Cases of simulated scenes, about a quarter of them without the object.

    Args:
        shards: of scenes that no training has seen.
        limit: most cases.
        seed: of their choice.
    """
    rng = np.random.default_rng([seed, 21])
    made = 0
    while made < limit:
        scene = shards.scene(int(rng.integers(len(shards))))
        image = int(rng.integers(len(scene["rgb"])))
        number = int(rng.integers(scene["visible"].shape[1]))
        view = int(rng.integers(scene["ref_visible"].shape[1]))
        mask = np.asarray(scene["ref_mask"][number, view], bool)
        if scene["ref_visible"][number, view] < 0.6 or mask.sum() < MIN_REFERENCE_PX:
            continue
        pixels, whole = int(scene["visible"][image][number]), int(scene["whole"][image][number])
        present = pixels >= _MIN_VISIBLE_PX and pixels > SHOWN * whole
        if not present and (pixels > 0 or rng.random() < 0.3):
            continue
        if present and scene["angle_deg"][image][number][view] > MAX_ANGLE_DEG:
            continue
        try:
            reference = make_reference(
                _frame(scene["ref_rgb"][number, view], scene["ref_depth"][number, view],
                       float(scene["ref_focal"][number, view]), scene["ref_centre"][number, view]), mask, "simulated",
            )  # fmt: skip
        except InputError:  # too little depth, as on black things
            continue
        frame = _frame(scene["rgb"][image], scene["depth"][image], float(scene["focal"][image]), scene["centre"][image])
        true = np.asarray(scene["owner"][image]) == number + 1
        made += 1
        traits = {}
        if present:
            here = float(np.sqrt(whole) / np.sqrt(mask.sum() / max(float(scene["ref_visible"][number, view]), 0.05)))
            angle = float(scene["angle_deg"][image][number][view])
            traits = {"size": here, "angle_deg": angle, "visible": pixels / max(whole, 1)}
        yield Case("simulated", reference, frame, present, true if present else None, traits=traits)


def _frame(rgb: np.ndarray, depth: np.ndarray, focal: float, centre: np.ndarray) -> RgbdFrame:
    height, width = rgb.shape[:2]
    camera = Camera(width, height, focal, focal, float(centre[0]), float(centre[1]))
    return RgbdFrame(np.asarray(rgb, np.uint8), np.asarray(depth, np.float32) * np.float32(DEPTH_STEP_M), camera)
