"""Masks from boxes and points, on drawn scenes and on real images."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from storm_ros.core.errors import InputError
from storm_ros.core.types import Camera, RgbdFrame
from storm_ros.som.grouping import SceneParts, parts_inside
from storm_ros.som.prompts import mask_from_box, mask_from_point

CAMERA = Camera(320, 240, 300.0, 300.0, 159.5, 119.5)
UP = np.array([0.0, -np.cos(np.radians(40)), -np.sin(np.radians(40))])  # the camera looks 40 degrees down
TABLE_M = 0.6
RAYS = CAMERA.backproject(np.ones((240, 320), np.float32)).astype(np.float64)
BALLS = ((-0.1, 0.05), (0.09, 0.06))  # sideways position on the table and radius, metres
BACKGROUND = (20, 20)


def ball_center(x: float, radius: float) -> np.ndarray:
    on_table = np.array([x, 0.0, TABLE_M / np.sin(np.radians(40))])
    return on_table + radius * UP


def draw_scene() -> tuple[RgbdFrame, list[np.ndarray]]:
    """Two coloured balls on a grey table, with noise, and their true masks."""
    rng = np.random.default_rng(0)
    depth = np.minimum(-TABLE_M / (RAYS @ UP), 3.0)
    depth[RAYS @ UP >= 0] = 3.0
    rgb = np.full((240, 320, 3), 120.0)
    masks = []
    for (x, radius), colour in zip(BALLS, ([200, 60, 40], [40, 80, 200]), strict=True):
        center = ball_center(x, radius)
        a, b = (RAYS**2).sum(-1), RAYS @ center
        root = b**2 - a * (center @ center - radius**2)
        hit = np.where(root > 0, (b - np.sqrt(np.maximum(root, 0))) / a, np.inf)
        mask = hit < depth
        depth, rgb[mask] = np.minimum(depth, hit), colour
        masks.append(mask)
    depth += rng.normal(0, 0.001, depth.shape)
    rgb += rng.normal(0, 8, rgb.shape)
    frame = RgbdFrame(rgb=rgb.clip(0, 255).astype(np.uint8), depth_m=depth.astype(np.float32), camera=CAMERA)
    return frame, masks


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def box_of(mask: np.ndarray, pad_px: int) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    width, height = np.ptp(columns) + 1, np.ptp(rows) + 1
    return columns[0] - pad_px, rows[0] - pad_px, width + 2 * pad_px, height + 2 * pad_px


def inside_of(mask: np.ndarray) -> tuple[int, int]:
    depth_px = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    row, column = np.unravel_index(int(np.argmax(depth_px)), mask.shape)
    return int(column), int(row)


@pytest.mark.parametrize("which", [0, 1])
def test_box_and_point_give_the_ball(which: int) -> None:
    frame, masks = draw_scene()
    for mask in (mask_from_box(frame, box_of(masks[which], 6)), mask_from_point(frame, inside_of(masks[which]))):
        assert mask.dtype == bool
        assert mask.shape == frame.shape
        assert iou(mask, masks[which]) > 0.93


def test_mask_stays_inside_the_box() -> None:
    frame, masks = draw_scene()
    x, y, w, h = (int(v) for v in box_of(masks[0], 0))
    mask = mask_from_box(frame, (x, y, w // 2, h))
    assert mask.any()
    outside = mask.copy()
    outside[y : y + h, x : x + w // 2] = False
    assert not outside.any()


def test_depth_may_be_missing_under_part_of_the_object() -> None:
    frame, masks = draw_scene()
    depth = frame.depth_m.copy()
    rows, columns = np.nonzero(masks[1])
    depth[rows.min() : int(np.median(rows)), columns.min() : int(np.median(columns))] = 0
    holed = RgbdFrame(rgb=frame.rgb, depth_m=depth, camera=CAMERA)
    assert iou(mask_from_box(holed, box_of(masks[1], 6)), masks[1]) > 0.9


def test_box_works_by_colour_where_there_is_no_depth_at_all() -> None:
    frame, masks = draw_scene()
    blind = RgbdFrame(rgb=frame.rgb, depth_m=np.zeros_like(frame.depth_m), camera=CAMERA)
    assert iou(mask_from_box(blind, box_of(masks[0], 6)), masks[0]) > 0.9


def test_box_beside_all_depth_is_cut_out_by_colour_or_refused() -> None:
    """Parts stand around the box, but none reaches into it."""
    frame, masks = draw_scene()
    depth = frame.depth_m.copy()
    x, y, w, h = (int(v) for v in box_of(masks[0], 6))
    depth[y : y + h, x : x + w] = 0
    holed = RgbdFrame(rgb=frame.rgb, depth_m=depth, camera=CAMERA)
    assert iou(mask_from_box(holed, (x, y, w, h)), masks[0]) > 0.9


def test_no_part_inside_the_box() -> None:
    labels = np.full((40, 40), -1, np.int32)
    labels[5:15, 25:38] = 0
    depth = np.where(labels >= 0, np.float32(0.5), np.float32(0.0))
    scene = SceneParts(np.zeros((40, 40, 3), np.uint8), depth, depth.astype(float), labels, 1, (0, 0), 100.0)
    inside = np.zeros((40, 40), bool)
    inside[:20, :20] = True
    assert not parts_inside(scene, inside).any()
    inside[:, :] = True
    assert np.array_equal(parts_inside(scene, inside), labels == 0)


def test_same_answer_every_time() -> None:
    frame, masks = draw_scene()
    first = mask_from_box(frame, box_of(masks[0], 6))
    cv2.setRNGSeed(7)
    assert np.array_equal(first, mask_from_box(frame, box_of(masks[0], 6)))


@pytest.mark.parametrize(
    ("box", "text"),
    [
        pytest.param((400, 10, 50, 50), "outside the image of 320x240", id="right of it"),
        pytest.param((-80, 10, 50, 50), "outside the image", id="left of it"),
        pytest.param((10, 300, 50, 50), "outside the image", id="below it"),
        pytest.param((10, 10, 0, 50), "has no size", id="no width"),
        pytest.param((10, 10, 50, -5), "has no size", id="negative height"),
        pytest.param((float("nan"), 10, 50, 50), "has no size", id="nan"),
        pytest.param((10, 10, 7, 7), "has 49 pixels in the image", id="tiny"),
        pytest.param((-95, 10, 100, 10), "has 50 pixels in the image", id="mostly outside"),
    ],
)
def test_unusable_boxes_say_why(box: tuple[float, float, float, float], text: str) -> None:
    frame, _ = draw_scene()
    with pytest.raises(InputError, match=text):
        mask_from_box(frame, box)


@pytest.mark.parametrize(
    ("point", "text"),
    [
        pytest.param((320, 100), "outside the image of 320x240", id="right of it"),
        pytest.param((10, -1), "outside the image", id="above it"),
        pytest.param((float("inf"), 10), "outside the image", id="infinite"),
        pytest.param((160, 220), "lies on the background", id="table"),
    ],
)
def test_unusable_points_say_why(point: tuple[float, float], text: str) -> None:
    frame, _ = draw_scene()
    with pytest.raises(InputError, match=text):
        mask_from_point(frame, point)


def test_point_without_depth_says_so() -> None:
    frame, masks = draw_scene()
    blind = RgbdFrame(rgb=frame.rgb, depth_m=np.where(masks[0], 0, frame.depth_m), camera=CAMERA)
    with pytest.raises(InputError, match="has no depth within 3 pixels"):
        mask_from_point(blind, inside_of(masks[0]))


@pytest.mark.data
@pytest.mark.parametrize("prompt", ["box", "point"])
@pytest.mark.parametrize(
    ("scene", "number", "object_index"),
    [
        pytest.param("desk/test/000001", 0, 0, id="cube"),
        pytest.param("desk/test/000001", 0, 1, id="dragon"),
        pytest.param("ycbv/test/000000", 0, 0, id="gelatin box"),
        pytest.param("ycbv/test/000000", 0, 1, id="mug"),
        pytest.param("ycbv/test/000000", 0, 2, id="foam brick"),
        pytest.param("kitchen/test/000001", 111, 0, id="white mug"),
    ],
)
def test_real_objects(data_dir: Path, scene: str, number: int, object_index: int, prompt: str) -> None:
    folder = data_dir / scene
    camera = json.loads((folder / "scene_camera.json").read_text())[str(number)]
    depth = cv2.imread(str(folder / f"depth/{number:06d}.png"), cv2.IMREAD_UNCHANGED)
    rgb = cv2.imread(str(next(folder.glob(f"rgb/{number:06d}.*"))))
    truth = cv2.imread(str(folder / f"mask_visib/{number:06d}_{object_index:06d}.png"), cv2.IMREAD_GRAYSCALE)
    assert depth is not None
    assert rgb is not None
    assert truth is not None
    height, width = truth.shape
    frame = RgbdFrame(
        rgb=np.ascontiguousarray(rgb[:, :, ::-1]),
        depth_m=(depth * (camera["depth_scale"] * 0.001)).astype(np.float32),
        camera=Camera.from_k(camera["cam_K"], width, height),
    )
    mask = truth > 0
    if prompt == "box":
        found = mask_from_box(frame, box_of(mask, 6))
    else:
        found = mask_from_point(frame, inside_of(mask & (frame.depth_m > 0)))
    assert iou(found, mask) >= 0.8
