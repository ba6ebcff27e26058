"""Simulated training scenes: the same from the same seed, and consistent in themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from storm_ros.core.errors import InputError, RecordingError
from storm_ros.core.se3 import transform
from storm_ros.core.types import Camera
from storm_ros.sim import make_object
from storm_ros.training.settings import HELD_OUT, SceneConfig
from storm_ros.training.shards import FIELDS, Shards, write_shard
from storm_ros.training.studio import Studio, scanned


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory, tiny: SceneConfig) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    write_shard(folder, tiny, 3, [])
    return folder


def test_the_same_seed_gives_the_same_shard(simulated: Path, tiny: SceneConfig, tmp_path: Path) -> None:
    write_shard(tmp_path, tiny, 3, [])
    for name in FIELDS:
        ours, theirs = (np.load(folder / "00003" / f"{name}.npy") for folder in (simulated, tmp_path))
        assert np.array_equal(ours, theirs), name


def test_a_shard_is_consistent(simulated: Path, tiny: SceneConfig) -> None:
    scene = Shards([simulated]).scene(0)
    assert scene["rgb"].shape == (1, 48, 64, 3)
    counted = np.bincount(scene["owner"][0].ravel(), minlength=tiny.objects + 1)[1:]
    assert np.array_equal(counted, scene["visible"][0])
    assert (scene["whole"][0] >= scene["visible"][0]).all()
    assert (np.array(scene["visible"][0]) > 0).sum() <= tiny.shown
    assert scene["ref_mask"].any()
    share = np.asarray(scene["ref_visible"])
    assert ((share >= 0) & (share <= 1)).all()


def test_a_shard_that_is_there_stays(simulated: Path, tiny: SceneConfig) -> None:
    before = (simulated / "00003" / "rgb.npy").stat().st_mtime_ns
    write_shard(simulated, tiny, 3, [])
    assert (simulated / "00003" / "rgb.npy").stat().st_mtime_ns == before


def test_no_shards_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="storm train scenes"):
        Shards([tmp_path])


def test_a_damaged_shard_is_named(painted: Path, tmp_path: Path) -> None:
    (tmp_path / "00000").mkdir()
    for name in FIELDS:
        data = (painted / "00000" / f"{name}.npy").read_bytes()
        (tmp_path / "00000" / f"{name}.npy").write_bytes(data[:40] if name == "owner" else data)
    with pytest.raises(RecordingError, match=r"00000 cannot be read .* delete it"):
        Shards([tmp_path])


def _copies(models: int) -> list[int]:
    """How often each scan of six stands in a stock of sixteen."""
    config = SceneConfig(stock=4, rooms=1, scans=16, scan_models=models)
    studio = Studio(config, 0, [make_object("box", number, number) for number in range(6)])
    families = [body.family for body in studio.bodies[4:]]
    return [families.count(family) for family in sorted(set(families))]


def test_few_models_make_many_copies_of_each() -> None:
    few, any_of_them = _copies(2), _copies(0)
    assert len(few) == 2
    assert sum(few) == sum(any_of_them) == 16
    assert len(any_of_them) > 4
    assert _copies(6) == any_of_them  # all there are: nothing is chosen


def test_what_the_image_cuts_off_belongs_to_the_whole() -> None:
    studio = Studio(SceneConfig(stock=1, rooms=1, scans=0), 0, [])
    body = studio.bodies[0]
    radius = float(np.linalg.norm(body.hull, axis=1).max())
    stage = studio.stage(np.random.default_rng(0), [body], [transform(np.eye(3), [0.0, 0.0, 6.0 * radius])])
    camera = Camera(240, 240, 480.0, 480.0, 119.5, 119.5)
    counted = []
    for columns in (0, 120, 240):  # all of it, about half, nothing
        moved = camera.window(columns, 0, 240, 240, 240, 240)
        counted.append(int(studio.shoot(stage, moved, np.eye(4)).whole[0]))
    assert counted[0] > 1000
    assert counted[1] == pytest.approx(counted[0], rel=0.05)
    assert counted[2] == 0


@pytest.mark.data
def test_held_out_scans_are_kept_out(data_dir: Path) -> None:
    folder = data_dir / "household"
    if not folder.is_dir():
        pytest.skip("the scanned objects are not here")
    names = {f.stem for f in folder.glob("*.glb")}
    assert set(HELD_OUT.split(",")) <= names
    assert len(HELD_OUT.split(",")) == 10
    few = ",".join(sorted(names - {"glue_1", "soap"}))
    config = SceneConfig(household=str(folder), held_out=few)
    assert len(scanned(config, held_out=False)) == 2
