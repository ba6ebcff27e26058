"""The ray caster against analytic shapes."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from storm_ros.core import se3
from storm_ros.core.errors import BackendUnavailableError, ConfigError, InputError
from storm_ros.core.types import Camera, Mesh
from storm_ros.render import RayCaster
from storm_ros.render.device import resolve_device

CAMERA = Camera(160, 120, 150.0, 150.0, 79.5, 59.5)


def sphere(radius: float = 0.05, colors: tuple[int, int, int] | None = (10, 200, 30)) -> Mesh:
    ball = trimesh.creation.icosphere(5, radius)
    shades = None if colors is None else np.full((len(ball.vertices), 3), colors, np.uint8)
    return Mesh(ball.vertices, ball.faces, colors=shades)


def at(x: float, y: float, z: float) -> np.ndarray:
    return se3.transform(np.eye(3), [x, y, z])


def test_sphere_depth_is_analytic(raycaster: RayCaster) -> None:
    center, radius = np.array([0.02, -0.01, 0.5]), 0.05
    out = raycaster.render(raycaster.upload(sphere(radius)), at(*center), CAMERA)
    u, v = np.meshgrid(np.arange(160), np.arange(120))
    rays = np.stack([(u - 79.5) / 150, (v - 59.5) / 150, np.ones_like(u)], -1)
    a, b = (rays**2).sum(-1), rays @ center
    inside = b**2 - a * (center @ center - radius**2)
    depth = np.where(inside > 0, (b - np.sqrt(np.maximum(inside, 0))) / a, 0)
    clear = inside > 2e-4  # away from the silhouette, where the facets end a little early
    assert np.abs(out.depth_m[0] - depth)[clear].max() < 2e-4
    assert out.depth_m[0][inside < 0].max() == 0


def test_normals_coordinates_and_colour_of_a_hit(raycaster: RayCaster) -> None:
    pose = se3.exp([0.0, 0.0, 0.5, 0.3, -0.2, 0.1])
    out = raycaster.render(raycaster.upload(sphere()), pose, CAMERA)
    hit = out.depth_m[0] > 0
    in_camera = CAMERA.backproject(out.depth_m[0])[hit]
    np.testing.assert_allclose(se3.apply(pose, out.coords[0][hit]), in_camera, atol=1e-5)
    outward = (in_camera - [0, 0, 0.5]) / 0.05
    assert (out.normals[0][hit] * outward).sum(1).min() > 0.99
    assert (out.rgb[0][hit] == [10, 200, 30]).all()
    assert not out.normals[0][~hit].any()
    assert not out.rgb[0][~hit].any()


def test_many_poses_in_one_launch_equal_single_ones(raycaster: RayCaster) -> None:
    mesh = raycaster.upload(sphere())
    poses = np.stack([at(0.03 * i, 0.0, 0.4 + 0.1 * i) for i in range(4)])
    together = raycaster.render(mesh, poses, CAMERA)
    for i, pose in enumerate(poses):
        np.testing.assert_array_equal(together.depth_m[i], raycaster.render(mesh, pose, CAMERA).depth_m[0])


def test_a_window_is_a_crop_of_the_image(raycaster: RayCaster) -> None:
    mesh = raycaster.upload(sphere())
    whole = raycaster.render(mesh, at(0, 0, 0.5), CAMERA).depth_m[0]
    crop = raycaster.render(mesh, at(0, 0, 0.5), CAMERA.window(50, 40, 60, 40, 60, 40)).depth_m[0]
    np.testing.assert_allclose(crop, whole[40:80, 50:110], atol=1e-6)


def test_texture_is_looked_up_with_the_origin_at_the_bottom_left(raycaster: RayCaster) -> None:
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32)
    texture = np.zeros((2, 2, 3), np.uint8)
    texture[0, 0], texture[0, 1], texture[1, 0], texture[1, 1] = [255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    quad = Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]]), uv=uv, texture=texture)
    turned = se3.transform(
        np.diag([1.0, -1.0, -1.0]), [0, 0, 2]
    )  # its front, +z, towards the camera; y up in the image
    rgb = raycaster.render(raycaster.upload(quad), turned, Camera(8, 8, 8.0, 8.0, 3.5, 3.5)).rgb[0]
    assert (rgb[0, 0] == [255, 0, 0]).all()
    assert (rgb[0, -1] == [0, 255, 0]).all()
    assert (rgb[-1, 0] == [0, 0, 255]).all()
    assert (rgb[-1, -1] == [9, 9, 9]).all()


def test_mesh_without_colour_is_grey(raycaster: RayCaster) -> None:
    out = raycaster.render(raycaster.upload(sphere(colors=None)), at(0, 0, 0.5), CAMERA)
    assert set(np.unique(out.rgb)) == {0, 128}


def test_smooth_normals_vary_within_a_face(raycaster: RayCaster) -> None:
    ball = trimesh.creation.icosphere(1, 0.05)
    mesh = Mesh(ball.vertices, ball.faces)
    hit = raycaster.render(raycaster.upload(mesh), at(0, 0, 0.5), CAMERA).depth_m[0] > 0
    flat = raycaster.render(raycaster.upload(mesh), at(0, 0, 0.5), CAMERA).normals[0][hit]
    smooth = raycaster.render(raycaster.upload(mesh, smooth_normals=True), at(0, 0, 0.5), CAMERA).normals[0][hit]
    assert len(np.unique(flat.round(4), axis=0)) <= 80
    assert len(np.unique(smooth.round(4), axis=0)) > 300
    outward = CAMERA.backproject(raycaster.render(raycaster.upload(mesh), at(0, 0, 0.5), CAMERA).depth_m[0])[hit]
    outward = (outward - [0, 0, 0.5]) / np.linalg.norm(outward - [0, 0, 0.5], axis=1, keepdims=True)
    assert (smooth * outward).sum(1).mean() > (flat * outward).sum(1).mean()


def test_scene_shows_the_nearest_mesh(raycaster: RayCaster) -> None:
    big, small = raycaster.upload(sphere(0.1, (255, 0, 0))), raycaster.upload(sphere(0.03, (0, 0, 255)))
    out = raycaster.render_scene([(big, at(0, 0, 1.0)), (small, at(0, 0, 0.5))], CAMERA)
    assert out.instance[60, 80] == 1
    assert out.depth_m[60, 80] == pytest.approx(0.47, abs=1e-3)
    assert (out.rgb[60, 80] == [0, 0, 255]).all()
    assert out.instance[60, 80 + 12] == 0
    assert out.instance[0, 0] == -1
    assert out.depth_m[0, 0] == 0


def test_wrong_arguments_say_so(raycaster: RayCaster) -> None:
    mesh = raycaster.upload(sphere())
    with pytest.raises(InputError, match="shape"):
        raycaster.render(mesh, np.eye(3), CAMERA)
    with pytest.raises(InputError, match="2 cameras for 1 poses"):
        raycaster.render(mesh, np.eye(4), [CAMERA, CAMERA])
    with pytest.raises(InputError, match="at least one instance"):
        raycaster.render_scene([], CAMERA)
    with pytest.raises(ConfigError, match="'tpu' is unknown"):
        resolve_device("tpu")
    with pytest.raises(BackendUnavailableError, match="cuda:99"):
        resolve_device("cuda:99")
