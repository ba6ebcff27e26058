"""Batches: the seed decides them, pictures and masks belong together, changes keep what must stay."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from storm_ros.training.augment import changed_pixels, random_change, warped_reference
from storm_ros.training.batches import Batch, BatchStream
from storm_ros.training.settings import OptimConfig
from storm_ros.training.shards import Shards

PLAIN = OptimConfig(batch=2, pairs=3, views=1, augment=False)
CHANGED = OptimConfig(batch=2, pairs=3, views=2, colour_agreement=0.5)


def same(first: Batch, second: Batch) -> bool:
    return all(np.array_equal(getattr(first, f.name), getattr(second, f.name)) for f in fields(Batch))


def test_the_seed_decides_the_batches(painted: Path) -> None:
    ours, theirs = BatchStream(Shards([painted]), CHANGED, 32), BatchStream(Shards([painted]), CHANGED, 32)
    ahead = list(ours.from_step(3, 6))
    assert all(same(batch, theirs.batch(3 + i)) for i, batch in enumerate(ahead))
    assert not same(ahead[0], ahead[1])


def test_processes_share_the_scenes_out(painted: Path) -> None:
    shards = Shards([painted])
    streams = [BatchStream(shards, PLAIN, 32, rank=r, world=2) for r in range(2)]
    drawn = [s._scene((step * 2 + s.rank) * 2 + i) for step in range(2) for s in streams for i in range(2)]
    assert sorted(drawn) == list(range(8))


def test_masks_lie_on_what_the_reference_shows(painted: Path) -> None:
    batch = BatchStream(Shards([painted]), PLAIN, 32).batch(0)
    assert batch.present.any()
    for image, pair in np.argwhere(batch.present):
        reference, cover = (
            batch.reference[batch.which[image, pair], 0],
            batch.reference_mask[batch.which[image, pair], 0],
        )
        wanted = reference[cover > 0.99][:, :3].mean(0)
        target = np.kron(batch.target[image, pair], np.ones((4, 4))) > 0.99
        assert batch.planes[image][target][:, :3].mean(0) == pytest.approx(wanted, abs=0.02)
        assert batch.visible[image, pair] == 1


def test_what_is_absent_has_no_mask(painted: Path) -> None:
    stream = BatchStream(Shards([painted]), CHANGED, 32)
    for step in range(4):
        batch = stream.batch(step)
        assert not batch.target[~batch.present].any()
        assert batch.target[batch.present].any((1, 2)).all()


def test_crops_are_cut_about_objects(painted: Path) -> None:
    config = OptimConfig(batch=2, pairs=3, width=48, height=32, augment=False)
    batch = BatchStream(Shards([painted]), config, 32).batch(0)
    assert batch.planes.shape == (2, 32, 48, 7)
    assert batch.target.shape == (2, 3, 8, 12)
    assert batch.present.any()


def test_hues_change_but_grey_stays_grey() -> None:
    rng = np.random.default_rng(1)
    grey = np.full((4, 4, 3), 120, np.uint8)
    for _ in range(5):
        out = changed_pixels(grey, random_change(rng, strong=True)).astype(int)
        assert np.ptp(out, axis=2).max() <= 2


def test_a_reference_is_framed_with_its_margin() -> None:
    mask = np.zeros((96, 96), bool)
    mask[30:70, 40:60] = True
    rgb = np.zeros((96, 96, 3), np.uint8)
    _, depth, cover, focal = warped_reference(rgb, np.ones((96, 96), np.float32), mask, 100.0, 64, None)
    rows, columns = np.nonzero(cover > 0.5)
    assert np.ptp(rows) + 1 == pytest.approx(64 / 1.3, abs=1.5)
    assert rows.mean() == pytest.approx(31.5, abs=1.0)
    assert focal == pytest.approx(100.0 * 64 / (1.3 * 40), rel=0.01)
    assert depth.max() == 1
    assert np.ptp(columns) + 1 == pytest.approx((np.ptp(rows) + 1) / 2, abs=1.5)
