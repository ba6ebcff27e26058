"""A mask's edge is moved onto the edge of the colours, and nowhere else."""

from __future__ import annotations

import numpy as np

from storm_ros.som.colour_counts import blurred, palette, to_lab
from storm_ros.som.edges import to_edges
from storm_ros.som.masks import mask_iou

ALL = slice(0, 128), slice(0, 128)
TRUE = np.zeros((128, 128), bool)
TRUE[40:90, 34:94] = True


def painted(inside: tuple[int, int, int], outside: tuple[int, int, int]) -> np.ndarray:
    rgb = np.where(TRUE[..., None], np.array(inside, np.uint8), np.array(outside, np.uint8)).astype(np.int16)
    return np.clip(rgb + np.random.default_rng(0).normal(0, 4, rgb.shape), 0, 255).astype(np.uint8)


def round_logits(radius: float = 15.0) -> np.ndarray:
    """Of a disk (64, 64) that leaves the corners of the rectangle out and reaches over its sides."""
    rows, columns = np.mgrid[0:64, 0:64]
    return np.clip(radius - np.hypot(rows - 32.0, columns - 31.5), -6, 3).astype(np.float32)


def test_a_disk_becomes_the_rectangle_that_the_colours_show() -> None:
    logits = round_logits()
    before = np.repeat(np.repeat(logits > 0, 2, 0), 2, 1)
    after = to_edges(logits, painted((200, 160, 40), (90, 90, 95)), ALL) > 0
    assert after.shape == (128, 128)
    assert mask_iou(after, TRUE) > mask_iou(before, TRUE) + 0.08


def test_without_an_edge_in_the_colours_the_mask_stays() -> None:
    logits = round_logits()
    before = np.repeat(np.repeat(logits > 0, 2, 0), 2, 1)
    after = to_edges(logits, painted((90, 90, 95), (90, 90, 95)), ALL) > 0
    assert mask_iou(after, before) > 0.93


def test_what_has_none_of_the_colours_of_the_reference_leaves_the_mask() -> None:
    yellow, white = (220, 180, 30), (235, 235, 235)
    rgb = painted(yellow, (90, 90, 95))
    rgb[TRUE & (np.arange(128) >= 86)] = white  # a fifth of what the mask takes for the object
    logits = np.where(TRUE, 2.0, -4.0).astype(np.float32)[::2, ::2]
    object_only = TRUE & (rgb != white).any(2)
    known = to_lab(np.full((1, 500, 3), yellow, np.uint8))[0]
    assert mask_iou(to_edges(logits, rgb, ALL, known) > 0, object_only) > 0.95
    assert mask_iou(to_edges(logits, rgb, ALL) > 0, object_only) < 0.9


def test_colours_that_the_mask_does_not_have_are_not_believed() -> None:
    rgb = painted((200, 160, 40), (90, 90, 95))
    blue = to_lab(np.full((1, 500, 3), (20, 40, 200), np.uint8))[0]  # the object's other side
    assert np.allclose(to_edges(round_logits(), rgb, ALL, blue), to_edges(round_logits(), rgb, ALL), atol=1e-3)


def test_a_thing_of_the_same_colour_that_touches_the_object_stays_outside() -> None:
    """The network is sure of the object and doubts the other thing."""
    both = TRUE | np.roll(TRUE, 50, 0)
    rgb = np.where(both[..., None], painted((200, 160, 40), (200, 160, 40)), painted((90, 90, 95), (90, 90, 95)))
    logits = np.where(TRUE, 4.0, np.where(both, -1.0, -6.0)).astype(np.float32)[::2, ::2]
    assert mask_iou(to_edges(logits, rgb, ALL) > 0, TRUE) > 0.9
    doubted = np.where(both, -1.0, -6.0).astype(np.float32)[::2, ::2]  # of nothing is it surer: both may be the object
    after = to_edges(doubted, rgb, ALL)
    assert np.median(after[both]) > np.median(to_edges(logits, rgb, ALL)[both & ~TRUE])


def test_what_lies_beyond_the_image_is_left_alone() -> None:
    rgb = painted((200, 160, 40), (90, 90, 95))
    rgb[64:] = 0
    logits = round_logits()
    part = to_edges(logits, rgb, (slice(0, 64), slice(0, 128)))
    rgb[64:] = 255
    assert np.array_equal(part, to_edges(logits, rgb, (slice(0, 64), slice(0, 128))))
    assert not np.array_equal(part, to_edges(logits, rgb, ALL))


def test_nothing_likely_stays_nothing() -> None:
    nothing = np.full((64, 64), -9.0, np.float32)
    assert (to_edges(nothing, painted((200, 160, 40), (90, 90, 95)), ALL) == -9.0).all()


def test_blurred_counts_spread_to_their_neighbours_along_all_three_axes() -> None:
    counts = np.zeros((6, 7, 8))
    counts[3, 2, 4] = 10.0
    out = blurred(counts.ravel(), (6, 7, 8), 0.8).reshape(6, 7, 8)
    assert np.unravel_index(out.argmax(), out.shape) == (3, 2, 4)
    assert np.allclose([out[2, 2, 4], out[3, 1, 4]], out[3, 2, 5])
    assert out[3, 2, 5] > 0.1
    assert np.isclose(out.sum(), 10.0, rtol=0.02)


def test_palettes_tell_colours_apart_and_sum_to_one() -> None:
    first, second = painted((200, 60, 60), (90, 90, 95)), painted((60, 60, 200), (90, 90, 95))
    red, again, blue = palette(first, TRUE), palette(first[::-1].copy(), TRUE[::-1]), palette(second, TRUE)
    assert np.isclose(red.sum(), 1.0)
    assert np.minimum(red, again).sum() > 0.99 > 0.1 > np.minimum(red, blue).sum()
