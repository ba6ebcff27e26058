"""Scenes and their pictures: nothing overlaps, everything stands, pixels agree with geometry."""

from dataclasses import replace

import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.core.errors import InputError
from storm_ros.core.types import Camera
from storm_ros.sim import primitives as shapes
from storm_ros.sim.imaging import ColourCamera, develop, ideal_camera, random_camera
from storm_ros.sim.panels import Panel, PanelRenderer, box_panels
from storm_ros.sim.paths import look_at
from storm_ros.sim.rendering import NOTHING, SceneRenderer
from storm_ros.sim.scene import Instance, Scene, footprint_radius, random_scene, resting_pose
from storm_ros.sim.shading import Light
from storm_ros.sim.shadows import hull_points, shadow_maps

CAMERA = Camera(160, 120, 150.0, 150.0, 79.5, 59.5)
ABOVE = se3.transform(np.diag([1.0, -1.0, -1.0]), [0.0, 0.0, 1.0])  # looks straight down from a metre
GREY = np.full((4, 4, 3), 128, np.uint8)
LAMP = Light((0.0, 0.0, 1.5), (0.7, 0.7, 0.7))


def small_scene(*instances: Instance) -> Scene:
    table = box_panels(se3.exp([0, 0, -0.02, 0, 0, 0]), [1.4, 1.0, 0.04], [GREY])
    return Scene(instances, tuple(table), (LAMP,), (0.3, 0.3, 0.3), (1.4, 1.0))


def cube(obj_id: int, x: float, y: float, edge: float = 0.1) -> Instance:
    mesh = replace(shapes.box([edge] * 3), texture=np.full((6, 6, 3), 200, np.uint8))
    return Instance(obj_id, mesh, resting_pose(mesh, x, y, 0.0), 0.0)


@pytest.mark.parametrize("seed", range(4))
def test_objects_stand_on_the_table_without_overlap(seed: int) -> None:
    scene = random_scene(np.random.default_rng(seed), count=6)
    assert scene.object_ids == (1, 2, 3, 4, 5, 6)
    circles = []
    for body in scene.instances:
        assert se3.is_rigid(body.world_T_obj)
        assert se3.apply(body.world_T_obj, body.mesh.vertices)[:, 2].min() == pytest.approx(0, abs=1e-6)
        circles.append((*body.world_T_obj[:2, 3], footprint_radius(body.mesh, body.world_T_obj)))
    for i, (x, y, r) in enumerate(circles):
        assert all(np.hypot(x - a, y - b) > r + s for a, b, s in circles[i + 1 :])


def test_too_many_objects_are_refused() -> None:
    with pytest.raises(InputError, match="do not fit"):
        random_scene(np.random.default_rng(0), meshes=[cube(1, 0, 0, 0.5).mesh] * 6)


def test_depth_of_a_box_is_what_geometry_says() -> None:
    shot = SceneRenderer(small_scene(cube(1, 0.0, 0.0))).shoot(CAMERA, ABOVE)
    mask = shot.mask(0)
    assert np.allclose(shot.depth_m[mask], 0.9, atol=1e-5)  # only the top is seen from straight above
    assert np.allclose(shot.depth_m[0], 1.0, atol=1e-5)
    x, y = (np.arange(n) - c for n, c in ((160, 79.5), (120, 59.5)))
    half_px = 150.0 * 0.05 / 0.9
    expected = (np.abs(x)[None, :] <= half_px) & (np.abs(y)[:, None] <= half_px)
    assert np.array_equal(mask, expected)
    assert np.allclose(shot.cosine[59:61, 79:81], 1.0, atol=1e-3)


def test_slanted_panel_depth_is_exact_and_only_its_front_is_seen() -> None:
    image = np.zeros((10, 20, 3), np.uint8)
    image[:, 10:] = 255
    world_T_cam = look_at([0.2, -0.9, 0.6], [0, 0, 0])
    panel = Panel(np.array([-0.3, -0.2, 0.0]), np.array([0.6, 0, 0]), np.array([0, 0.4, 0.0]), image)
    depth, normals, rgb = PanelRenderer([panel]).render(CAMERA, world_T_cam)
    rays = CAMERA.backproject(np.ones((120, 160), np.float32)) @ world_T_cam[:3, :3].T
    expected = -world_T_cam[2, 3] / rays[..., 2]
    hit = world_T_cam[:3, 3] + rays * expected[..., None]
    inside = (np.abs(hit[..., 0]) < 0.299) & (np.abs(hit[..., 1]) < 0.199)
    outside = (np.abs(hit[..., 0]) > 0.301) | (np.abs(hit[..., 1]) > 0.201)
    assert np.allclose(depth[inside], expected[inside], rtol=1e-4)
    assert (depth[outside] == 0).all()
    assert (rgb[outside] == 0).all()
    assert (rgb[inside & (hit[..., 0] > 0.03)] == 255).all()
    assert (rgb[inside & (hit[..., 0] < -0.03)] == 0).all()
    assert np.allclose(normals[inside], world_T_cam[:3, :3].T @ [0, 0, 1], atol=1e-5)
    behind = PanelRenderer([replace(panel, corner=np.array([-0.3, 0.2, 0.0]), up=np.array([0, -0.4, 0.0]))])
    assert (behind.render(CAMERA, world_T_cam)[0] == 0).all()


def test_camera_inside_a_room_sees_walls_everywhere() -> None:
    room = PanelRenderer(box_panels(np.eye(4), [4.0, 3.0, 2.5], [GREY], inside=True))
    for yaw in np.linspace(0, 6, 7):
        pose = look_at([0.1, 0.2, 0.3], [np.cos(yaw), np.sin(yaw), 0.1])
        depth, normals, _ = room.render(CAMERA, pose)
        assert (depth > 0.5).all()
        assert (depth < 4.0).all()
        facing = (normals * CAMERA.backproject(depth)).sum(-1)
        assert (facing < 0).all()


def test_nearer_object_hides_the_farther_and_the_share_is_known() -> None:
    low, high = cube(1, 0.0, 0.0), cube(2, 0.0, 0.0, 0.06)
    lifted = replace(high, world_T_obj=se3.exp([0.0, 0, 0.5, 0, 0, 0]))
    renderer = SceneRenderer(small_scene(low, lifted))
    shot = renderer.shoot(CAMERA, ABOVE)
    assert shot.mask(1)[59:61, 79:81].all()
    assert (shot.instance == NOTHING).any()
    whole = renderer.whole_pixels(CAMERA, 0, se3.inverse(ABOVE) @ low.world_T_obj)
    alone = SceneRenderer(small_scene(low)).shoot(CAMERA, ABOVE).mask(0).sum()
    assert whole == alone
    assert shot.mask(0).sum() == alone - shot.mask(1).sum() if shot.mask(1).sum() < alone else shot.mask(0).sum() == 0


def test_light_falls_off_and_shadows_fall_on_the_far_side() -> None:
    scene = replace(small_scene(cube(1, 0.0, 0.0)), lights=(Light((-1.0, 0.0, 1.0), (0.7, 0.7, 0.7)),))
    shot = SceneRenderer(scene).shoot(CAMERA, ABOVE)
    right, left = shot.radiance[60, 79 + 14], shot.radiance[60, 79 - 14]  # 9 cm from the middle, to either side
    assert (right < 0.7 * left).all()
    assert (shot.radiance[60, 5] > shot.radiance[60, 155]).all()


def test_shadow_of_a_lifted_point_lies_where_the_ray_meets_the_table() -> None:
    box = shapes.box([0.04, 0.04, 0.04])
    sun = Light((1.0, 0.0, 1.0), (1, 1, 1), distant=True)
    maps = shadow_maps([sun], [hull_points(box)], [se3.exp([0, 0, 0.2, 0, 0, 0])])
    row, column = np.unravel_index(int(maps[0].argmin()), maps[0].shape)
    x, y = ((v + 0.5) / maps.shape[1] * 2 * 0.72 - 0.72 for v in (column, row))
    assert x == pytest.approx(-0.2, abs=0.03)
    assert y == pytest.approx(0, abs=0.03)
    assert maps.min() >= 0
    assert maps.max() <= 1
    assert maps[-1].min() == 1


def test_flow_is_the_motion_of_the_pixels() -> None:
    scene = small_scene(cube(1, 0.0, 0.0))
    earlier = ABOVE.copy()
    earlier[0, 3] -= 0.02
    poses = [i.world_T_obj for i in scene.instances]
    shot = SceneRenderer(scene).shoot(CAMERA, ABOVE, poses, (earlier, poses))
    assert shot.flow is not None
    assert np.allclose(shot.flow[0, :, 0], -150 * 0.02, atol=0.01)  # the camera went right, the table left
    assert np.allclose(shot.flow[60, 80], [-150 * 0.02 / 0.9, 0], atol=0.01)


def test_developed_picture_keeps_levels_and_noise() -> None:
    flat = np.full((120, 160, 3), 0.25, np.float32)
    clean = develop(flat, ideal_camera(), np.random.default_rng(0))
    assert (clean == 128).all()  # half the level: gamma 2
    noisy = develop(flat, replace(ideal_camera(), noise=5.0), np.random.default_rng(0)).astype(float)
    assert noisy.mean() == pytest.approx(128, abs=1.5)
    assert 4.0 < noisy.std() < 8.0
    packed = develop(flat, replace(ideal_camera(), jpeg_quality=60), np.random.default_rng(0))
    assert np.abs(packed.astype(int) - 128).max() < 6
    red = develop(flat * np.float32([1, 0.1, 0.1]), replace(ideal_camera(), jpeg_quality=95), np.random.default_rng(0))
    assert red[..., 0].mean() > 2 * red[..., 2].mean()
    assert develop(flat, random_camera(np.random.default_rng(2)), np.random.default_rng(0)).dtype == np.uint8


def test_motion_blur_widens_an_edge() -> None:
    step = np.zeros((60, 80, 3), np.float32)
    step[:, 40:] = 1.0
    flow = np.zeros((60, 80, 2), np.float32)
    flow[..., 0] = 9.0
    camera = replace(ColourCamera(), noise=0.0, vignette=0.0, sharpness_px=0.0)
    ramp = lambda image: ((image[30, :, 0] > 20) & (image[30, :, 0] < 235)).sum()  # noqa: E731
    rng = np.random.default_rng(0)
    assert ramp(develop(step, camera, rng)) == 0
    assert ramp(develop(step, camera, rng, flow)) >= 6
