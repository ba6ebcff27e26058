"""The crop around a pose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.core.errors import InputError
from storm_ros.core.types import Camera, Mesh, RgbdFrame
from storm_ros.tom.crops import crop_square, cut_crop, object_places, shape_of
from storm_ros.tom.sizes import CROP_PX


def test_the_square_holds_the_object_with_a_margin(boxes: Any) -> None:
    shot = boxes.shoot()
    square = crop_square(shape_of(boxes.meshes[0]), shot.ours, shot.frame.camera)
    assert square is not None
    left, top, side = square
    rows, cols = np.nonzero(shot.mask)
    width, height = np.ptp(cols) + 1, np.ptp(rows) + 1
    assert side == pytest.approx(1.4 * max(width, height), rel=0.05)
    assert left + side / 2 == pytest.approx((cols.min() + cols.max()) / 2 + 0.5, abs=2.0)
    assert top + side / 2 == pytest.approx((rows.min() + rows.max()) / 2 + 0.5, abs=2.0)


def test_at_the_right_pose_the_measured_surface_lies_on_the_mesh(boxes: Any) -> None:
    shot, mesh = boxes.shoot(), boxes.meshes[0]
    shape = shape_of(mesh)
    crop = cut_crop(shot.frame, shot.mask, shot.ours, shape)
    assert crop is not None
    places = object_places(crop, shape)
    inside = (places[..., 0] > 0.99) & (places[..., 4] > 0)
    assert inside.sum() > 500
    half = np.array([0.05, 0.07, 0.03])
    points = places[..., 1:4][inside] * shape.radius_m
    off = np.abs(np.abs(points) - half).min(1)  # one coordinate of a box's surface is half its side
    assert np.percentile(off, 90) < 0.003


def test_a_place_tells_its_colour_and_how_light_it_is(boxes: Any) -> None:
    shot, shape = boxes.shoot(), shape_of(boxes.meshes[0])
    crop = cut_crop(shot.frame, shot.mask, shot.ours, shape)
    assert crop is not None
    colours = object_places(crop, shape)[..., 5:]
    red, green, blue = np.moveaxis(np.log((crop.rgb.astype(float) + 12.0) / 139.0), 2, 0)
    np.testing.assert_allclose(colours, np.stack([(red + green + blue) / 3, red - green, blue - green], 2), atol=1e-5)


def test_a_moved_pose_moves_the_places(boxes: Any) -> None:
    shot, shape = boxes.shoot(), shape_of(boxes.meshes[0])
    moved = shot.ours.copy()
    moved[:3, 3] += 0.02 * moved[:3, 0]  # along the object's own x axis
    first, second = (cut_crop(shot.frame, shot.mask, pose, shape) for pose in (shot.ours, moved))
    assert first is not None
    assert second is not None
    a, b = object_places(first, shape), object_places(second, shape)
    middle = np.s_[30:34, 30:34]
    shift = (b[middle][..., 1:4].mean((0, 1)) - a[middle][..., 1:4].mean((0, 1))) * shape.radius_m
    assert np.linalg.norm(a[middle][..., 1:4].std((0, 1))) < 0.2
    np.testing.assert_allclose(shift[[1, 2]], 0.0, atol=0.02)


def test_beyond_the_image_it_is_grey_and_without_depth(boxes: Any) -> None:
    shot, shape = boxes.shoot(), shape_of(boxes.meshes[0])
    crop = cut_crop(shot.frame, shot.mask, se3.transform(np.eye(3), [-0.38, 0.0, 0.7]), shape)
    assert crop is not None
    assert (crop.rgb[:, :10] == 127).all()
    assert (crop.depth_m[:, :10] == 0).all()
    assert (crop.depth_m[:, -4:] > 0).any()
    away = cut_crop(shot.frame, shot.mask, se3.transform(np.eye(3), [-3.0, 0.0, 0.7]), shape)
    assert away is not None
    assert (away.rgb == 127).all()


def test_behind_the_camera_there_is_none(boxes: Any) -> None:
    shot, shape = boxes.shoot(), shape_of(boxes.meshes[0])
    assert cut_crop(shot.frame, shot.mask, se3.transform(np.eye(3), [0, 0, -0.7]), shape) is None
    broken = np.full((4, 4), np.nan)
    assert cut_crop(shot.frame, shot.mask, broken, shape) is None


def test_a_mask_of_another_size_is_refused(boxes: Any) -> None:
    shot, shape = boxes.shoot(), shape_of(boxes.meshes[0])
    with pytest.raises(InputError, match="make them equal"):
        cut_crop(shot.frame, shot.mask[:-1], shot.ours, shape)


@pytest.mark.parametrize("scale", [1.0, 2.0, 3.3, 5.0])
def test_a_crop_shows_the_mean_of_what_falls_into_a_pixel_wherever_it_is_taken_from(scale: float) -> None:
    """A smooth picture keeps its values and its place; a fine chequerboard becomes grey."""
    camera = Camera(640, 480, 600.0, 600.0, 319.5, 239.5)
    cube = Mesh(np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), np.float32).reshape(3, 8).T, np.array([[0, 1, 2]]))
    shape, pose = shape_of(cube), se3.transform(np.eye(3), [0.3, 0.2, 0.0])
    while True:  # farther away until the crop is scale times smaller than what it shows
        pose[2, 3] += 0.25
        square = crop_square(shape, pose, camera)
        if square is not None and square[2] <= scale * CROP_PX:
            break
    left, top, side = square
    v, u = np.mgrid[:480, :640]
    chequered = np.where((u + v) % 2, 40, 200)
    rgb = np.stack([u * 0.3, v * 0.4, chequered], axis=2).astype(np.uint8)
    crop = cut_crop(RgbdFrame(rgb, np.ones((480, 640), np.float32), camera), None, pose, shape)
    assert crop is not None
    at = (np.arange(CROP_PX) + 0.5) * side / CROP_PX - 0.5
    inside = np.s_[4:-4]
    assert np.abs(crop.rgb[:, inside, 0] - (left + at[None, inside]) * 0.3).max() < 1.6
    assert np.abs(crop.rgb[inside, :, 1] - (top + at[inside, None]) * 0.4).max() < 1.6
    if side / CROP_PX > 1.9:
        assert np.abs(crop.rgb[inside, inside, 2] - 120.0).max() < 12
