"""Small shards, written without the simulator, and one that it wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from storm_ros.training.settings import SceneConfig
from storm_ros.training.shards import FIELDS

TINY = SceneConfig(
    scenes=1, objects=3, shown=2, queries=1, references=1, width=64, height=48, reference_px=32, stock=4, rooms=1,
    scans=0, household="",
)  # fmt: skip


def painted_scene(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Two of three coloured squares on grey; each reference is its square."""
    colours = rng.integers(0, 256, (3, 3))
    rgb = np.full((1, 64, 96, 3), 110, np.uint8)
    owner = np.zeros((1, 64, 96), np.uint8)
    for k, column in ((0, 8), (1, 56)):
        rgb[0, 16:40, column : column + 24] = colours[k]
        owner[0, 16:40, column : column + 24] = k + 1
    ref_rgb = np.full((3, 2, 32, 32, 3), 110, np.uint8)
    ref_mask = np.zeros((3, 2, 32, 32), bool)
    ref_mask[:, :, 4:28, 4:28] = True
    ref_rgb[:, :, 4:28, 4:28] = colours[:, None, None, None]
    pixels = np.array([[576, 576, 0]], np.int32)
    eye = np.eye(4, dtype=np.float32)
    return {
        "rgb": rgb, "depth": np.full((1, 64, 96), 1600, np.uint16), "owner": owner,
        "focal": np.full(1, 90.0, np.float32), "centre": np.tile(np.float32([47.5, 31.5]), (1, 1)),
        "visible": pixels, "whole": pixels,
        "angle_deg": np.zeros((1, 3, 2), np.float32), "cam_T_obj": np.tile(eye, (1, 3, 1, 1)),
        "ref_rgb": ref_rgb, "ref_depth": np.full((3, 2, 32, 32), 1600, np.uint16), "ref_mask": ref_mask,
        "ref_focal": np.full((3, 2), 90.0, np.float32), "ref_visible": np.ones((3, 2), np.float32),
        "ref_centre": np.full((3, 2, 2), 15.5, np.float32),
        "ref_cam_T_obj": np.tile(eye, (3, 2, 1, 1)),
    }  # fmt: skip


@pytest.fixture(scope="session")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with two shards of four painted scenes."""
    folder = tmp_path_factory.mktemp("painted")
    rng = np.random.default_rng(0)
    for shard in range(2):
        scenes = [painted_scene(rng) for _ in range(4)]
        (folder / f"{shard:05d}").mkdir()
        for name in FIELDS:
            np.save(folder / f"{shard:05d}" / f"{name}.npy", np.stack([s[name] for s in scenes]))
    return folder


@pytest.fixture(scope="session")
def tiny() -> SceneConfig:
    """Settings of a simulated shard that takes a second."""
    return TINY
