"""Lifted surfaces against analytic shapes and a real cube."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.core.config import MeshConfig
from storm_ros.core.errors import InputError, NoDepthError
from storm_ros.core.protocols import MeshBuilder
from storm_ros.core.types import Camera, Mesh, RgbdFrame
from storm_ros.mesh import LiftedMeshBuilder

CAMERA = Camera(160, 120, 150.0, 150.0, 79.5, 59.5)
RAYS = CAMERA.backproject(np.ones((120, 160), np.float32)).astype(np.float64)
ALL = np.ones((120, 160), bool)
WALL_M = 0.9


def make_frame(depth_m: np.ndarray, seed: int = 0) -> RgbdFrame:
    rgb = np.random.default_rng(seed).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    return RgbdFrame(rgb=rgb, depth_m=depth_m.astype(np.float32), camera=CAMERA)


def plane_depth(normal: np.ndarray, offset_m: float) -> np.ndarray:
    return offset_m / (RAYS @ normal)


def sphere_depth(center: np.ndarray, radius_m: float, behind: np.ndarray | float = 0.0) -> np.ndarray:
    a, b = (RAYS**2).sum(-1), RAYS @ center
    under_root = b**2 - a * (center @ center - radius_m**2)
    return np.where(under_root > 0, (b - np.sqrt(np.maximum(under_root, 0))) / a, behind)


def in_camera(mesh: Mesh, cam_T_obj: np.ndarray) -> np.ndarray:
    return se3.apply(cam_T_obj, mesh.vertices)


def circle(x: float, y: float, radius: float) -> np.ndarray:
    v, u = np.mgrid[:120, :160]
    return (u - x) ** 2 + (v - y) ** 2 <= radius**2


def test_builder_is_a_mesh_builder() -> None:
    assert isinstance(LiftedMeshBuilder(), MeshBuilder)


@pytest.mark.parametrize("tilt_deg", [0.0, 30.0, 60.0])
def test_plane_stays_a_plane(tilt_deg: float) -> None:
    tilt = np.radians(tilt_deg)
    normal = np.array([0.0, np.sin(tilt), np.cos(tilt)])
    mask = circle(80, 60, 30)
    frame = make_frame(np.where(mask, plane_depth(normal, 0.5), 0.0))
    mesh, cam_T_obj = LiftedMeshBuilder(MeshConfig(erode_px=0)).build(frame, mask)
    p = in_camera(mesh, cam_T_obj)
    assert np.abs(p @ normal - 0.5).max() < 3e-4
    assert len(p) == mask.sum()
    assert np.allclose(mesh.vertex_normals @ normal, -1.0, atol=0.05)


def test_origin_is_the_centre_of_the_box_with_the_cameras_axes() -> None:
    mesh, cam_T_obj = LiftedMeshBuilder().build(make_frame(sphere_depth(np.array([0.05, 0.02, 0.6]), 0.08)), ALL)
    assert np.abs(mesh.center).max() < 1e-6
    assert np.array_equal(cam_T_obj[:3, :3], np.eye(3))
    assert mesh.open_surface


def test_sphere_lies_on_the_sphere_and_faces_the_camera() -> None:
    center, radius = np.array([0.03, -0.02, 0.6]), 0.1
    mesh, cam_T_obj = LiftedMeshBuilder(MeshConfig(erode_px=0)).build(make_frame(sphere_depth(center, radius)), ALL)
    p = in_camera(mesh, cam_T_obj)
    off = np.linalg.norm(p - center, axis=1) - radius
    # A facet of 4 mm sags by 20 um; smoothing over two pixels adds as much where the sphere is steep.
    assert np.abs(np.median(off)) < 1e-4
    assert np.percentile(np.abs(off), 95) < 1.5e-3
    a, b, c = (p[mesh.faces[:, i]] for i in range(3))
    normal = np.cross(b - a, c - a)
    assert ((normal * (a + b + c)).sum(1) < 0).all()
    assert ((normal * (a + b + c - 3 * center)).sum(1) > 0).mean() > 0.999


def test_grazing_faces_are_cut() -> None:
    center, radius = np.array([0.0, 0.0, 0.6]), 0.1
    frame = make_frame(sphere_depth(center, radius))
    angles = []
    for limit_deg in (80.0, 45.0):
        config = MeshConfig(erode_px=0, smooth_px=0, max_grazing_deg=limit_deg)
        mesh, cam_T_obj = LiftedMeshBuilder(config).build(frame, ALL)
        p = in_camera(mesh, cam_T_obj)
        outward = (p - center) / np.linalg.norm(p - center, axis=1, keepdims=True)
        cosine = -(outward * p).sum(1) / np.linalg.norm(p, axis=1)
        angles.append(np.degrees(np.arccos(cosine.clip(-1, 1))).max())
    assert 60 < angles[0] < 85
    assert 40 < angles[1] < 52


def test_faces_do_not_bridge_a_step() -> None:
    depth = np.full((120, 160), 0.5)
    depth[:, 80:] = 0.54
    mask = circle(80, 60, 30)
    mesh, _ = LiftedMeshBuilder(MeshConfig(erode_px=0)).build(make_frame(np.where(mask, depth, 0)), mask)
    z = mesh.vertices[mesh.faces][..., 2]
    assert np.ptp(z, axis=1).max() < 1e-5
    assert np.ptp(mesh.vertices[:, 2]) == pytest.approx(0.04, abs=1e-5)  # both halves stay: they are of one object


def test_smoothing_lowers_noise_and_keeps_a_step() -> None:
    depth = np.full((120, 160), 0.5)
    depth[:, 80:] = 0.54
    noise = np.random.default_rng(0).normal(0, 0.001, depth.shape)
    rms = []
    for smooth_px in (0.0, 2.0):
        config = MeshConfig(erode_px=0, smooth_px=smooth_px)
        mesh, cam_T_obj = LiftedMeshBuilder(config).build(make_frame(depth + noise), circle(80, 60, 30))
        z = in_camera(mesh, cam_T_obj)[:, 2]
        rms.append(np.sqrt(np.minimum((z - 0.5) ** 2, (z - 0.54) ** 2).mean()))
    assert rms[1] < 0.6 * rms[0]


@pytest.mark.parametrize("grow_px", [0, 3, 5])
def test_mask_that_is_too_large_brings_in_no_wall(grow_px: int) -> None:
    center, radius = np.array([0.0, 0.0, 0.6]), 0.1
    depth = sphere_depth(center, radius, behind=WALL_M)
    mask = cv2.dilate((depth < WALL_M).astype(np.uint8), np.ones((2 * grow_px + 1,) * 2, np.uint8)).astype(bool)
    mesh, cam_T_obj = LiftedMeshBuilder().build(make_frame(depth), mask)
    assert in_camera(mesh, cam_T_obj)[:, 2].max() < 0.6


def test_mask_that_is_too_large_brings_in_no_table() -> None:
    normal = np.array([0.0, np.cos(np.radians(35)), np.sin(np.radians(35))])  # seen 35 degrees from above
    table = plane_depth(normal, 0.4)
    center = np.array([0.0, 0.0, 0.4 / np.sin(np.radians(35))]) - 0.07 * normal  # a ball that touches it
    ball = sphere_depth(center, 0.07, behind=9.0)
    depth = np.minimum(table, ball)
    mask = cv2.dilate((ball < table).astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    mesh, cam_T_obj = LiftedMeshBuilder().build(make_frame(depth), mask)
    off = np.linalg.norm(in_camera(mesh, cam_T_obj) - center, axis=1) - 0.07
    assert (off > 0.004).mean() < 0.01
    assert len(mesh.vertices) > 0.6 * (ball < table).sum()


def test_flat_object_on_a_table_keeps_its_inside() -> None:
    mask = circle(80, 60, 30)
    mesh, _ = LiftedMeshBuilder().build(make_frame(np.full((120, 160), 0.5)), mask)
    assert len(mesh.vertices) > 0.55 * mask.sum()


def test_pinholes_of_the_mask_are_no_rim() -> None:
    mask = circle(80, 60, 30)
    holed = mask & (np.random.default_rng(0).random(mask.shape) > 0.03)
    frame = make_frame(np.where(mask, 0.5, 0.0))
    whole, _ = LiftedMeshBuilder().build(frame, mask)
    mesh, _ = LiftedMeshBuilder().build(frame, holed)
    assert len(mesh.vertices) > 0.95 * len(whole.vertices)


def test_unknown_depth_is_not_filled() -> None:
    mask = circle(80, 60, 30)
    depth = np.where(circle(80, 60, 8), np.nan, np.where(mask, 0.5, 0.0))
    mesh, cam_T_obj = LiftedMeshBuilder(MeshConfig(erode_px=0)).build(make_frame(depth), mask)
    uv = CAMERA.project(in_camera(mesh, cam_T_obj))
    assert not circle(80, 60, 8)[np.round(uv[:, 1]).astype(int), np.round(uv[:, 0]).astype(int)].any()
    assert len(uv) == (mask & ~circle(80, 60, 8)).sum()


def test_colours_are_the_images() -> None:
    frame = make_frame(np.where(circle(80, 60, 30), 0.5, 0.0))
    mesh, cam_T_obj = LiftedMeshBuilder().build(frame, circle(80, 60, 30))
    u, v = np.round(CAMERA.project(in_camera(mesh, cam_T_obj))).astype(int).T
    assert mesh.colors is not None
    assert np.array_equal(mesh.colors, frame.rgb[v, u])


@pytest.mark.parametrize("stride", [2, 4])
def test_stride_thins_the_grid(stride: int) -> None:
    frame, mask = make_frame(np.where(circle(80, 60, 40), 0.5, 0.0)), circle(80, 60, 40)
    fine, _ = LiftedMeshBuilder().build(frame, mask)
    coarse, _ = LiftedMeshBuilder(MeshConfig(stride=stride)).build(frame, mask)
    assert len(coarse.vertices) == pytest.approx(len(fine.vertices) / stride**2, rel=0.15)


def test_object_cut_by_the_images_edge_is_not_eroded_there() -> None:
    mask = np.zeros((120, 160), bool)
    mask[:, :40] = True
    mesh, cam_T_obj = LiftedMeshBuilder(MeshConfig(erode_px=3)).build(make_frame(np.where(mask, 0.5, 0.0)), mask)
    u = CAMERA.project(in_camera(mesh, cam_T_obj))[:, 0]
    assert (round(u.min()), round(u.max())) == (0, 36)


def test_thin_object_survives_erosion() -> None:
    mask = np.zeros((120, 160), bool)
    mask[58:61, 20:140] = True
    mesh, _ = LiftedMeshBuilder(MeshConfig(erode_px=3)).build(make_frame(np.where(mask, 0.5, 0.0)), mask)
    assert np.ptp(mesh.bounds[:, 0]) > 0.3


@pytest.mark.parametrize(
    ("mask", "depth_m", "error", "text"),
    [
        pytest.param(np.ones((60, 80), bool), 0.5, InputError, "80x60 but the image is 160x120", id="other size"),
        pytest.param(np.ones((120, 160, 1), bool), 0.5, InputError, r"shape \(120, 160, 1\)", id="not 2-D"),
        pytest.param(np.zeros((120, 160), bool), 0.5, InputError, "0 pixels: at least 64", id="empty"),
        pytest.param(circle(80, 60, 4), 0.5, InputError, "49 pixels: at least 64", id="tiny"),
        pytest.param(circle(80, 60, 20), 0.0, NoDepthError, "only 0 of the mask's 1257 pixels", id="no depth"),
    ],
)
def test_unusable_masks_say_why(mask: np.ndarray, depth_m: float, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        LiftedMeshBuilder().build(make_frame(np.full((120, 160), depth_m)), mask)


def test_depth_without_any_surface_says_so() -> None:
    depth = np.random.default_rng(0).uniform(0.3, 3.0, (120, 160))
    with pytest.raises(InputError, match="no surface is left"):
        LiftedMeshBuilder(MeshConfig(max_jump=1e-4, smooth_px=0)).build(make_frame(depth), ALL)


@pytest.mark.data
def test_real_cube_lies_on_its_true_surface(data_dir: Path) -> None:
    scene = data_dir / "desk/test/000001"
    camera = json.loads((scene / "scene_camera.json").read_text())["0"]
    truth = json.loads((scene / "scene_gt.json").read_text())["0"][0]
    depth = cv2.imread(str(scene / "depth/000000.png"), cv2.IMREAD_UNCHANGED) * (camera["depth_scale"] * 0.001)
    rgb = cv2.imread(str(next(scene.glob("rgb/000000.*"))))[:, :, ::-1]
    mask = cv2.imread(str(scene / "mask_visib/000000_000000.png"), cv2.IMREAD_GRAYSCALE) > 0
    frame = RgbdFrame(
        rgb=rgb, depth_m=depth.astype(np.float32), camera=Camera.from_k(camera["cam_K"], rgb.shape[1], rgb.shape[0])
    )
    mesh, cam_T_obj = LiftedMeshBuilder().build(frame, mask)
    cam_T_cube = se3.transform(np.reshape(truth["cam_R_m2c"], (3, 3)), np.array(truth["cam_t_m2c"]) * 0.001)
    p = se3.apply(se3.inverse(cam_T_cube), in_camera(mesh, cam_T_obj))
    corners = np.array([[0.0, 0.0, 0.0], [0.085, 0.085, 0.085]])
    low, high = cube_box(data_dir)
    assert np.allclose(high - low, corners[1] - corners[0], atol=1e-4)
    middle, half = (low + high) / 2, (high - low) / 2
    q = np.abs(p - middle) - half  # signed distance to a box
    off = np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(axis=1), 0)
    assert abs(np.median(off)) < 0.006
    assert np.percentile(np.abs(off), 95) < 0.012
    assert len(mesh.vertices) > 0.8 * mask.sum()


def cube_box(data_dir: Path) -> tuple[np.ndarray, np.ndarray]:
    from storm_ros.mesh import load_mesh

    return tuple(load_mesh(data_dir / "desk/models/obj_000001.ply", scale=0.001).bounds)
