"""Shards of recordings: masks, poses and pictures of a BOP scene come out where they belong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from storm_ros.cli.main import main
from storm_ros.core.errors import InputError
from storm_ros.core.types import Camera, RgbdFrame
from storm_ros.training.batches import BatchStream
from storm_ros.training.recorded import write_recorded_shard
from storm_ros.training.settings import OptimConfig, SceneConfig
from storm_ros.training.shards import Shards

SETTINGS = SceneConfig(scenes=3, queries=2, references=1, width=80, height=64, reference_px=32)


class Truth:
    """Two squares; the second is half hidden."""

    object_ids = (4, 9)

    def mask(self, number: int, obj_id: int) -> np.ndarray | None:
        out = np.zeros((128, 160), bool)
        column = 20 if obj_id == 4 else 100
        out[40:80, column + number : column + number + (40 if obj_id == 4 else 20)] = True
        return out

    def pose(self, number: int, obj_id: int) -> np.ndarray:
        pose = np.eye(4)
        pose[:3, 3] = [0.0, 0.0, 0.8]
        return pose

    def visible_fraction(self, number: int, obj_id: int) -> float:
        return 1.0 if obj_id == 4 else 0.5

    def mesh(self, obj_id: int) -> None:
        return None


class Recorded:
    """Three frames of them."""

    name, scene_id, rate_hz = "squares", 0, 30.0
    numbers = (0, 1, 2)

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.ground_truth: Truth | None = Truth()
        self.camera = Camera(160, 128, 150.0, 150.0, 79.5, 63.5)

    def read(self, number: int) -> RgbdFrame:
        rgb = np.full((128, 160, 3), 100, np.uint8)
        for obj_id, colour in ((4, (220, 30, 30)), (9, (30, 30, 220))):
            mask = Truth().mask(number, obj_id)
            assert mask is not None
            rgb[mask] = colour
        return RgbdFrame(rgb, np.full((128, 160), 0.8, np.float32), self.camera)

    def close(self) -> None:
        pass


def test_pictures_masks_and_poses(tmp_path: Path) -> None:
    write_recorded_shard(tmp_path, SETTINGS, 0, Recorded())  # type: ignore[arg-type]
    scene = Shards([tmp_path]).scene(1)
    assert scene["rgb"].shape == (2, 64, 80, 3)
    assert (np.asarray(scene["depth"]) == 1600).all()
    assert scene["focal"] == pytest.approx([75.0, 75.0])
    red = scene["rgb"][0][scene["owner"][0] == 1].mean(0)
    assert red == pytest.approx([220, 30, 30], abs=25)
    assert scene["visible"][0].tolist() == [400, 200]
    assert scene["whole"][0].tolist() == [400, 400]
    blue = scene["ref_rgb"][1, 0][np.asarray(scene["ref_mask"][1, 0])].mean(0)
    assert blue == pytest.approx([30, 30, 220], abs=12)
    assert np.asarray(scene["angle_deg"]) == pytest.approx(0.0, abs=0.1)


def test_the_loader_takes_them(tmp_path: Path) -> None:
    write_recorded_shard(tmp_path, SETTINGS, 0, Recorded())  # type: ignore[arg-type]
    config = OptimConfig(batch=2, pairs=3, views=1)
    batch = BatchStream(Shards([tmp_path]), config, 32).batch(0)
    assert batch.present.any()


def test_without_truth_there_is_nothing_to_train_on(tmp_path: Path) -> None:
    recording = Recorded()
    recording.ground_truth = None
    with pytest.raises(InputError, match="no truth"):
        write_recorded_shard(tmp_path, SETTINGS, 0, recording)  # type: ignore[arg-type]


@pytest.mark.data
def test_a_bop_scene(data_dir: Path, tmp_path: Path) -> None:
    few = ["--set", "scenes.scenes=1", "--set", "scenes.queries=1", "--set", "scenes.references=1"]
    assert main(["train", "recorded", str(data_dir / "ycbv"), "--out", str(tmp_path), *few]) == 0
    scene = Shards([tmp_path]).scene(0)
    assert scene["visible"].shape == (1, 3)
    assert (np.asarray(scene["visible"]) > 200).all()
