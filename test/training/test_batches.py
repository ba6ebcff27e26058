"""Batches: the seed decides them, pictures and masks belong together, changes keep what must stay."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from storm_ros.training.augment import changed_pixels, painted, random_change, warped_reference
from storm_ros.training.batches import Batch, BatchStream, _likeness, _mirror, make_batch
from storm_ros.training.looks import QueryLook, camouflaged, reference_look, stray_look
from storm_ros.training.settings import OptimConfig
from storm_ros.training.shards import Shards

PLAIN = OptimConfig(batch=2, looks=2, pairs=3, views=1, width=64, height=64, augment=False)
CHANGED = OptimConfig(batch=2, looks=2, pairs=3, views=2, width=64, height=64)


def same(first: Batch, second: Batch) -> bool:
    pairs = ((getattr(first, f.name), getattr(second, f.name)) for f in fields(Batch))
    return all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)


def test_the_seed_decides_the_batches(painted: Path) -> None:
    ours, theirs = BatchStream(Shards([painted]), CHANGED, 32), BatchStream(Shards([painted]), CHANGED, 32)
    ahead = list(ours.from_step(3, 6))
    assert all(same(batch, theirs.batch(3 + i)) for i, batch in enumerate(ahead))
    assert not same(ahead[0], ahead[1])


def test_processes_share_the_scenes_out(painted: Path) -> None:
    shards = Shards([painted])
    streams = [BatchStream(shards, PLAIN, 32, rank=r, world=2) for r in range(2)]
    drawn = [number for step in range(2) for s in streams for number in s.chosen(step)]
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
        target = np.kron(batch.target[image, pair], np.ones((2, 2))) > 0.99
        assert batch.planes[image][target][:, :3].mean(0) == pytest.approx(wanted, abs=0.02)
        assert batch.visible[image, pair] > 0.15


def test_what_is_absent_has_no_mask(painted: Path) -> None:
    stream = BatchStream(Shards([painted]), CHANGED, 32)
    for step in range(4):
        batch = stream.batch(step)
        assert not batch.target[~batch.present].any()
        assert batch.target[batch.present].any((1, 2)).all()


def test_looks_have_the_size_asked_for(painted: Path) -> None:
    config = OptimConfig(batch=2, looks=3, pairs=3, width=48, height=32, augment=False)
    batch = BatchStream(Shards([painted]), config, 32).batch(0)
    assert batch.planes.shape == (6, 32, 48, 7)
    assert batch.target.shape == (6, 3, 16, 24)
    assert batch.present.any()


def test_a_close_look_tells_how_wide_it_is(painted: Path) -> None:
    """The squares are 24 pixels of 90 focal lengths at 0.8 m."""
    config = replace(PLAIN, close_share=1.0, unknown_size=0.0)
    batch = BatchStream(Shards([painted]), config, 32).batch(0)
    assert batch.size == pytest.approx(np.full(6, 24 * 0.8 / 90), rel=1e-3)
    for image, pair in np.argwhere(batch.present & (batch.visible > 0.9)):
        share = batch.target[image, pair].sum() / batch.target[image, pair].size
        assert 1.0 / np.sqrt(share) == pytest.approx(batch.extent[image, pair], rel=0.25)
    plain = BatchStream(Shards([painted]), replace(PLAIN, close_share=0.0), 32).batch(0)
    assert not plain.extent.any()


def test_close_looks_go_astray_as_often_as_asked_for(painted: Path) -> None:
    """A look at nothing has no object in its middle."""

    def astray(share: float) -> float:
        config = replace(PLAIN, close_share=1.0, unknown_size=0.0, false_share=share)
        stream = BatchStream(Shards([painted]), config, 32)
        owners = np.concatenate([stream.batch(step).owner.reshape(-1, 8, 8) for step in range(12)])
        return float((owners[:, 3:5, 3:5] < 0).all((1, 2)).mean())

    assert astray(0.0) == 0.0
    assert 0.05 < astray(1.0) < 0.4


def test_likeness_is_in_colour_and_size(painted: Path) -> None:
    scene = dict(Shards([painted]).scene(0))
    scene["ref_rgb"] = np.array(scene["ref_rgb"])
    scene["ref_rgb"][0], scene["ref_rgb"][1], scene["ref_rgb"][2] = (200, 30, 30), (30, 30, 200), (200, 30, 30)
    looks = [[reference_look(scene, i, 0, 32, None)] for i in range(3)]
    alike = _likeness(looks, np.array([0.2, 0.2, 0.2], np.float32))
    assert np.diag(alike) == pytest.approx(1.0)
    assert alike[2, 0] == pytest.approx(1.0)
    assert alike[2, 1] < 0.1
    assert _likeness(looks, np.array([0.2, 0.2, 0.1], np.float32))[2, 0] == pytest.approx(0.5)


def test_a_look_at_nothing_is_sized_for_what_is_wanted(painted: Path) -> None:
    scene, rng = Shards([painted]).scene(0), np.random.default_rng(0)
    looks = [stray_look(scene, 0, 0.2, 2.0, (64, 64), rng) for _ in range(60)]
    widths = np.array([look.width_m for look in looks])
    assert np.exp(np.log(widths).mean()) == pytest.approx(0.4, rel=0.05)
    assert np.log(widths).std() == pytest.approx(0.1, abs=0.04)
    assert {look.cells.reshape(8, 8)[4, 4] for look in looks} == {-1, 0, 1}  # both objects and neither


def three_things(size_px: tuple[int, int]) -> QueryLook:
    """A red square, a blue thing that touches it and a green one that does not."""
    owner = np.zeros((64, 64), np.uint8)
    owner[16:40, 8:32], owner[16 : 16 + size_px[0], 32 : 32 + size_px[1]], owner[50:60, 40:60] = 1, 2, 3
    rgb = np.array([(90, 90, 90), (200, 30, 30), (30, 30, 200), (30, 200, 30)], np.uint8)[owner]
    cells = owner[4::8, 4::8].astype(np.int64).reshape(-1) - 1
    return QueryLook(rgb, np.ones((64, 64), np.float32), owner, 90.0, 0.3, np.zeros((64, 3), np.float32), cells)


def test_a_neighbour_gets_the_colours_of_what_is_wanted(painted: Path) -> None:
    look, reference = three_things((24, 10)), reference_look(Shards([painted]).scene(0), 0, 0, 32, None)
    size = np.array([0.2, 0.1, 0.1], np.float32)
    out, hidden = camouflaged(look, 0, reference, size, np.random.default_rng(0))
    assert hidden == 1
    red, green, blue = out.rgb[look.owner == 2].astype(float).mean(0)
    assert red > 4 * green
    assert red > 4 * blue
    assert np.array_equal(out.rgb[look.owner != 2], look.rgb[look.owner != 2])
    assert not (out.cells == 1).any()
    assert (out.cells == 0).any()


def test_what_might_be_a_twin_is_not_painted(painted: Path) -> None:
    look, reference = three_things((24, 24)), reference_look(Shards([painted]).scene(0), 0, 0, 32, None)
    out, hidden = camouflaged(look, 0, reference, np.array([0.2, 0.2, 0.1], np.float32), np.random.default_rng(0))
    assert hidden == -1
    assert out is look


def test_where_it_is_not_shown_the_reference_gives_the_colours(painted: Path) -> None:
    look, scene = three_things((24, 10)), dict(Shards([painted]).scene(0))
    scene["ref_rgb"] = np.full_like(scene["ref_rgb"], 0)
    scene["ref_rgb"][...] = (220, 220, 20)
    size = np.array([0.2, 0.1, 0.1, 0.15], np.float32)
    out, hidden = camouflaged(look, 3, reference_look(scene, 0, 0, 32, None), size, np.random.default_rng(0))
    assert hidden >= 0
    colour = out.rgb[look.owner == hidden + 1].astype(float).mean(0)
    assert colour[0] == pytest.approx(colour[1])
    assert colour[2] < 0.2 * colour[0]


def test_a_painted_thing_is_not_asked_for(painted: Path) -> None:
    """Two squares beside a smaller one: what is painted counts in no loss."""
    config = replace(CHANGED, close_share=1.0, unknown_size=0.0, paint_share=1.0, false_share=0.0)
    scene = dict(Shards([painted]).scene(0))
    scene["ref_depth"] = np.array(scene["ref_depth"])
    scene["ref_depth"][1] //= 2  # half as large, so no twin
    scene["owner"] = np.array(scene["owner"])
    scene["owner"][0, 16:40, 32:56] = 2

    class One:
        advance = 0

        def __len__(self) -> int:
            return 1

        def scene(self, index: int) -> dict[str, np.ndarray]:
            return scene

    painted_over = make_batch(One(), config, 32, (0,), [0])
    left_alone = make_batch(One(), replace(config, paint_share=0.0), 32, (0,), [0])
    assert (left_alone.weight == 1).all()
    hidden = np.argwhere(painted_over.weight == 0)
    assert len(hidden)
    for image, pair in hidden:
        assert not (painted_over.owner[image] == painted_over.which[image, pair]).any()


def test_print_stays_to_be_seen_under_paint() -> None:
    rgb = np.full((8, 8, 3), 40, np.uint8)
    rgb[::2] = 90
    out = painted(rgb, np.ones((8, 8), bool), np.full((5, 3), (10, 200, 10), np.uint8), np.random.default_rng(0))
    assert (out[::2].astype(int).sum(-1) > out[1::2].astype(int).sum(-1)).all()
    assert (out[..., 1] > 3 * out[..., 0]).all()


def test_corresponding_cells_show_the_same_point(painted: Path) -> None:
    """Each object's frame is the camera's here, so points are what the depth says."""
    batch = BatchStream(Shards([painted]), replace(PLAIN, close_share=0.0), 32).batch(0)
    known = np.isfinite(batch.points).all(-1)
    assert known.any()
    assert (batch.owner[known] >= 0).all()
    assert batch.points[known][:, 2] == pytest.approx(0.8)
    seen = np.isfinite(batch.reference_points).all(-1)
    assert batch.reference_points[seen][:, 2] == pytest.approx(0.8)
    assert batch.scene[batch.owner[known]] == pytest.approx(np.nonzero(known)[0] // 2)


def test_a_mirrored_scene_is_mirrored_in_everything(painted: Path) -> None:
    part = {
        "planes": np.arange(16 * 16, dtype=np.float32).reshape(1, 16, 16, 1),
        "target": np.arange(16.0).reshape(1, 1, 4, 4),
        "owner": np.arange(4).reshape(1, 4),
        "points": np.arange(12.0).reshape(1, 4, 3),
        "reference": np.zeros((1, 1, 16, 16, 1)),
        "reference_mask": np.zeros((1, 1, 16, 16)),
        "reference_points": np.arange(12.0).reshape(1, 4, 3),
    }
    _mirror(part)
    assert part["planes"][0, 0, 0, 0] == 15
    assert part["target"][0, 0, 0].tolist() == [3, 2, 1, 0]
    assert part["owner"].tolist() == [[1, 0, 3, 2]]
    assert part["points"][0, :, 0].tolist() == [3, 0, 9, 6]
    assert part["reference_points"][0, :, 0].tolist() == [3, 0, 9, 6]


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
    _, depth, cover, focal, _ = warped_reference(rgb, np.ones((96, 96), np.float32), mask, 100.0, 64, None)
    rows, columns = np.nonzero(cover > 0.5)
    assert np.ptp(rows) + 1 == pytest.approx(64 / 1.3, abs=1.5)
    assert rows.mean() == pytest.approx(31.5, abs=1.0)
    assert focal == pytest.approx(100.0 * 64 / (1.3 * 40), rel=0.01)
    assert depth.max() == 1
    assert np.ptp(columns) + 1 == pytest.approx((np.ptp(rows) + 1) / 2, abs=1.5)
