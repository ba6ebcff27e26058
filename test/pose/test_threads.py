"""Kernels of one estimator run on several threads at once, as the background search and the node need it."""

from __future__ import annotations

import dataclasses
import threading

import numpy as np

from storm_ros.core.config import PoseConfig
from storm_ros.core.types import Camera, Mesh, Reference, RgbdFrame, View
from storm_ros.pose import GeometricEstimator


def scene() -> tuple[RgbdFrame, np.ndarray, Reference]:
    """A printed plate before a wall, and a reference that shows it."""
    width, height, z = 160, 120, 0.6
    camera = Camera(width, height, 150.0, 150.0, (width - 1) / 2, (height - 1) / 2)
    mask = np.zeros((height, width), bool)
    mask[40:80, 55:105] = True
    rgb = np.full((height, width, 3), 70, np.uint8)
    blocks = np.random.default_rng(3).integers(0, 255, (8, 10, 3)).astype(np.uint8)
    rgb[mask] = blocks.repeat(5, 0).repeat(5, 1).reshape(-1, 3)
    depth_m = np.where(mask, np.float32(z), np.float32(0.9))
    frame = RgbdFrame(rgb, depth_m, camera)
    rows, columns = np.mgrid[40:80:9j, 55:105:11j]
    flat = np.stack([(columns - camera.cx) / 150 * z, (rows - camera.cy) / 150 * z, np.zeros_like(rows)], -1)
    corners = np.arange(99).reshape(9, 11)
    a, b, c, d = (part.ravel() for part in (corners[:-1, :-1], corners[:-1, 1:], corners[1:, 1:], corners[1:, :-1]))
    faces = np.concatenate([np.stack([a, d, c], 1), np.stack([a, c, b], 1)])
    mesh = Mesh(flat.reshape(-1, 3).astype(np.float32), faces.astype(np.int32), open_surface=True)
    cam_T_obj = np.eye(4)
    cam_T_obj[2, 3] = z
    return frame, mask, Reference("plate", (View(frame, mask, cam_T_obj),), mesh)


def test_calls_from_several_threads_give_what_one_gives() -> None:
    estimator = GeometricEstimator(PoseConfig(hypotheses_turns=4, refined=4))
    frame, mask, reference = scene()
    model = estimator.prepare(reference)
    start = reference.views[0].cam_T_obj.copy()
    start[0, 3] += 0.004

    def track() -> np.ndarray:
        return estimator.track(dataclasses.replace(frame), model, (start,)).cam_T_obj

    def register() -> np.ndarray:
        return estimator.register(dataclasses.replace(frame), mask, model).best.cam_T_obj

    alone = {track: track(), register: register()}
    wrong: list[str] = []

    def repeat(work, count: int) -> None:
        for _ in range(count):
            if not np.array_equal(work(), alone[work]):
                wrong.append(work.__name__)

    threads = [threading.Thread(target=repeat, args=job) for job in ((track, 60), (track, 60), (register, 12))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
