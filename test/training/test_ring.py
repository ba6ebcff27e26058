"""A ring of shards: the same scenes as if all had been made before, of which only those in use are there."""

from __future__ import annotations

import functools
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing: pip install storm_ros[learned]")

from storm_ros.core.errors import InputError  # noqa: E402
from storm_ros.encoders.nano_input import NanoConfig  # noqa: E402
from storm_ros.som.sizes import SomConfig  # noqa: E402
from storm_ros.training.batches import BatchStream  # noqa: E402
from storm_ros.training.making import made, make_shard  # noqa: E402
from storm_ros.training.ring import RingMakers, RingScenes, ring_folder  # noqa: E402
from storm_ros.training.settings import OptimConfig, SceneConfig, StreamConfig, TrainConfig  # noqa: E402
from storm_ros.training.shards import Shards  # noqa: E402
from storm_ros.training.som import train_som  # noqa: E402

MODEL = SomConfig(
    encoder=NanoConfig(stem=4, fine=8, middle=16, colour=8, coarse=16),
    channels=16, heads=2, mask_channels=8, reference_px=32, text=4,
)  # fmt: skip
OPTIM = OptimConfig(
    steps=6, batch=1, looks=1, pairs=2, width=64, height=64, warm_up=2, log_every=2, threads=1, checkpoint_s=600.0
)
STREAM = StreamConfig(shards=2, fresh=1, ahead=1, makers=0)


@pytest.fixture(scope="module")
def scenes(tiny: SceneConfig) -> SceneConfig:
    return replace(tiny, scenes=2)


def trained(out: Path, scenes: SceneConfig, stream: StreamConfig) -> dict[str, torch.Tensor]:
    config = TrainConfig(model=MODEL, optim=OPTIM, scenes=scenes, stream=stream, out=str(out))
    return torch.load(train_som(config, device="cpu"), weights_only=True)["network"]


def test_threads_and_processes_stream_the_same_training(scenes: SceneConfig, tmp_path: Path) -> None:
    ours = trained(tmp_path / "threads", scenes, STREAM)
    theirs = trained(tmp_path / "processes", scenes, replace(STREAM, makers=2, ahead=3, readers=1))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    # rounds of 4 scenes: the last steps are in the second, which takes from shards 1 and 2
    left = {p.name for p in ring_folder(tmp_path / "threads", scenes).glob("[0-9]*")}
    assert left == {"00000", "00001", "00002"}


def test_a_ring_gives_what_a_folder_of_all_shards_gives(painted: Path, scenes: SceneConfig, tmp_path: Path) -> None:
    for number in range(4):
        shutil.copytree(painted / f"{number % 2:05d}", tmp_path / f"{number:05d}")
    everything, ring = Shards([tmp_path]), RingScenes(tmp_path, replace(scenes, scenes=4), STREAM)
    stream = BatchStream(ring, OPTIM, 32)
    taken = [stream.chosen(step)[0] for step in range(24)]
    rounds = [sorted(taken[i : i + 8]) for i in (0, 8, 16)]
    assert rounds == [list(range(first, first + 8)) for first in (0, 4, 8)]
    for index in taken:
        ours, theirs = ring.scene(index), everything.scene(index)
        assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    assert [stream.epochs(step) for step in (0, 7, 8)] == [(0, 0), (0, 0), (1, 1)]


def test_what_is_used_up_goes_and_nothing_beyond_the_end_is_made(scenes: SceneConfig, tmp_path: Path) -> None:
    folder = tmp_path / "ring"
    ring = RingScenes(folder, scenes, STREAM)
    with RingMakers(folder, scenes, STREAM, device="cpu", rounds=(0, 2)) as makers:
        makers.turn(0, 0)
        assert len(ring.scene(5)["rgb"]) == scenes.queries  # of the shard made ahead
        assert {p.name for p in folder.glob("[0-9]*")} == {"00000", "00001", "00002"}
        makers.turn(2, 2)
        ring.scene(7)
        assert not (folder / "00000").exists()
    assert {p.name for p in folder.glob("[0-9]*")} == {"00001", "00002", "00003"}


def test_a_maker_that_fails_ends_the_waiting_with_its_reason(scenes: SceneConfig, tmp_path: Path) -> None:
    folder = tmp_path / "ring"
    folder.mkdir()
    (folder / "00001").write_text("a file where a folder is to be")
    began = time.monotonic()
    ring = RingScenes(folder, scenes, STREAM)
    with RingMakers(folder, scenes, STREAM, device="cpu", rounds=(0, 3)) as makers:
        makers.turn(0, 0)
        with pytest.raises(InputError, match=r"a shard could not be made: .*00001 cannot be written"):
            ring.scene(2)
    assert time.monotonic() - began < 120
    with pytest.raises(InputError, match="the training has ended"):
        ring.scene(8)


def test_several_processes_do_all_the_work_and_stop_when_told(
    painted: Path, scenes: SceneConfig, tmp_path: Path
) -> None:
    there = functools.partial(make_shard, folder=painted, config=scenes)  # these stay as they are
    for processes in (1, 2):
        assert sorted(p.name for p in made(there, range(2), processes, lambda: False)) == ["00000", "00001"]
    missing = functools.partial(make_shard, folder=tmp_path, config=scenes)
    assert list(made(missing, range(9), 1, lambda: True)) == []
    assert not list(tmp_path.iterdir())
