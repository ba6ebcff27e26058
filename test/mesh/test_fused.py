"""Views fused into a lifted surface: against a rendered box that turns on a table."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.core.config import MeshConfig, PoseConfig, StormConfig, with_values
from storm_ros.core.tracker import Tracker
from storm_ros.core.types import Camera, Mesh, PoseEstimate, Reference, RgbdFrame, TrackStatus, View
from storm_ros.factory import build_parts
from storm_ros.mesh import LiftedMeshBuilder
from storm_ros.mesh.fused import Fused, SurfaceFuser
from storm_ros.mesh.fused_surface import surface
from storm_ros.pose import GeometricEstimator
from storm_ros.render import RayCaster
from storm_ros.sim.primitives import box

CAMERA = Camera(240, 180, 240.0, 240.0, 119.5, 89.5)
SIZE = np.array([0.08, 0.06, 0.10])
CONFIG = MeshConfig(fused=True, fused_voxels=64, fused_step_deg=10.0)
SLAB = Mesh([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], [[0, 1, 2], [0, 2, 3]])  # type: ignore[arg-type]


def painted(mesh: Mesh, seed: int = 0) -> Mesh:
    noise = np.random.default_rng(seed).integers(30, 225, (24, 36, 3), dtype=np.uint8)
    return replace(mesh, texture=np.repeat(np.repeat(noise, 6, 0), 6, 1))


def world_T_cam(elevation_rad: float = 0.5) -> np.ndarray:
    """A camera 0.5 m in front of the box's middle, which is the world's origin; z is up."""
    flat, up = 0.5 * np.cos(elevation_rad), 0.5 * np.sin(elevation_rad)
    forward = np.array([0.0, flat, -up]) / 0.5
    right = np.array([1.0, 0.0, 0.0])
    return se3.transform(np.stack([right, np.cross(forward, right), forward], 1), [0.0, -flat, up])


@dataclass(frozen=True, eq=False)
class Shot:
    """A frame with the box's true pose (of its own mesh) and its true mask."""

    frame: RgbdFrame
    mask: np.ndarray
    cam_T_box: np.ndarray


class Studio:
    """A box on a table, turned by so many degrees before a still camera; more things may stand beside it."""

    def __init__(self, caster: RayCaster, others: tuple[tuple[Mesh, np.ndarray], ...] = ()) -> None:
        self.caster, self.cam_T_world = caster, se3.inverse(world_T_cam())
        self.box = painted(box(SIZE, 0.001))
        self.device_box, self.table = caster.upload(self.box), caster.upload(SLAB)
        self.others = [(caster.upload(mesh), pose) for mesh, pose in others]

    def shoot(self, degrees: float, index: int = 0, noise_m: float = 0.0005) -> Shot:
        turn = se3.exp([0, 0, 0, 0, 0, np.radians(degrees)])
        cam_T_box = self.cam_T_world @ turn
        table = self.cam_T_world @ se3.exp([0, 0, -SIZE[2] / 2, 0, 0, 0])
        attached = [(mesh, cam_T_box @ pose) for mesh, pose in self.others]
        out = self.caster.render_scene([(self.device_box, cam_T_box), (self.table, table), *attached], CAMERA)
        grain = np.random.default_rng(index).normal(0, noise_m, out.depth_m.shape)
        depth = np.where(out.depth_m > 0, out.depth_m + grain, 0.0).astype(np.float32)
        frame = RgbdFrame(out.rgb, depth, CAMERA, index * 33_000_000, index)
        return Shot(frame, out.instance == 0, cam_T_box)


class Story:
    """An object whose views are fused at their true poses."""

    def __init__(self, caster: RayCaster, studio: Studio, config: MeshConfig = CONFIG) -> None:
        self.caster, self.studio, self.fuser = caster, studio, SurfaceFuser(config)
        shot = studio.shoot(0.0)
        mesh, pose = LiftedMeshBuilder(config).build(shot.frame, shot.mask)
        self.reference = Reference("box", (View(shot.frame, shot.mask, pose),), mesh)
        self.box_T_obj = se3.inverse(shot.cam_T_box) @ pose
        start = self.fuser.start(self.reference)
        assert start is not None
        self.fused: Fused = start
        self.seen: list[tuple[Shot, PoseEstimate]] = []

    def estimate(self, shot: Shot) -> PoseEstimate:
        """The true pose, with the mask of what is known of the surface."""
        pose = shot.cam_T_box @ self.box_T_obj
        seen = self.caster.render(self.caster.upload(self.fuser.mesh(self.fused)), pose, CAMERA).depth_m[0]
        mask = (seen > 0) & (np.abs(seen - shot.frame.depth_m) < 0.005)
        return PoseEstimate(pose, 0.95, 0.95, 0.001, 0.02, 1.0, 1.0, 0.0, mask=mask)

    def see(self, degrees: float, index: int) -> None:
        shot = self.studio.shoot(degrees, index)
        estimate = self.estimate(shot)
        self.seen.append((shot, estimate))
        if self.fuser.due(self.fused, estimate):
            self.fused = self.fuser.fuse(shot.frame, self.fused, estimate)

    def on_box(self) -> np.ndarray:
        """Vertices of the mesh in the box's own frame."""
        return se3.apply(self.box_T_obj, self.fuser.mesh(self.fused).vertices)


def off_box(points: np.ndarray) -> np.ndarray:
    """Distance of points (N, 3) from the box's surface, metres."""
    beyond = np.abs(points) - SIZE / 2
    outside = np.linalg.norm(np.maximum(beyond, 0.0), axis=1)
    return np.abs(outside + np.minimum(beyond.max(1), 0.0))


@pytest.fixture(scope="module")
def studio(raycaster: RayCaster) -> Studio:
    return Studio(raycaster)


@pytest.fixture(scope="module")
def turned(raycaster: RayCaster, studio: Studio) -> Story:
    """A whole turn at the true poses."""
    story = Story(raycaster, studio)
    for index in range(1, 30):
        story.see(12.0 * index, index)
    return story


def test_a_second_view_brings_the_third_side(raycaster: RayCaster, studio: Studio) -> None:
    """The front shows the sides -y and +z only; turned by 50 degrees, the side at -x is there as well."""
    story = Story(raycaster, studio)
    left_before = (story.on_box()[:, 0] < -0.038) & (np.abs(story.on_box()[:, 1]) < 0.025)
    for index, degrees in enumerate((25.0, 50.0), start=1):
        story.see(degrees, index)
    points = story.on_box()
    left = (points[:, 0] < -0.035) & (np.abs(points[:, 1]) < 0.025) & (np.abs(points[:, 2]) < 0.04)
    assert left_before.sum() < 50
    assert left.sum() > 100
    assert np.median(np.abs(points[left, 0] + SIZE[0] / 2)) < 0.001
    assert np.percentile(np.abs(points[left, 0] + SIZE[0] / 2), 95) < 0.003
    assert np.ptp(points[left, 1]) > 0.04
    assert np.ptp(points[left, 2]) > 0.06


def test_a_whole_turn_closes_the_sides_and_takes_nothing_else(turned: Story) -> None:
    points = turned.on_box()
    assert np.percentile(off_box(points), 99) < 0.004, "table, or noise at the rim"
    assert off_box(points).max() < 0.012
    for axis, sign in ((0, -1), (0, 1), (1, -1), (1, 1), (2, 1)):
        side = np.abs(points[:, axis] - sign * SIZE[axis] / 2) < 0.003
        along = [a for a in range(3) if a != axis]
        assert (np.ptp(points[side][:, along], axis=0) > 0.75 * SIZE[along]).all(), f"side {sign}{'xyz'[axis]}"
    assert (points[:, 2] > -SIZE[2] / 2 - 0.003).all()


def test_faces_look_outwards_and_colours_are_the_boxs(turned: Story, raycaster: RayCaster) -> None:
    mesh = turned.fuser.mesh(turned.fused)
    p = se3.apply(turned.box_T_obj, mesh.vertices)
    a, b, c = (p[mesh.faces[:, i]] for i in range(3))
    normal, middle = np.cross(b - a, c - a), (a + b + c) / 3
    side = np.abs(middle / (SIZE / 2)).argmax(1)
    outwards = normal[np.arange(len(side)), side] * np.sign(middle[np.arange(len(side)), side])
    off_edge = np.sort(np.abs(middle / (SIZE / 2)), 1)[:, 1] < 0.9
    inwards = outwards < -0.1 * np.linalg.norm(normal, axis=1)  # slivers between two layers of voxels stand on edge
    assert inwards[off_edge].mean() < 0.01
    shot = turned.studio.shoot(140.0, noise_m=0.0)
    drawn = raycaster.render(raycaster.upload(mesh), shot.cam_T_box @ turned.box_T_obj, CAMERA)
    both = (drawn.depth_m[0] > 0) & shot.mask
    gap = np.abs(drawn.rgb[0][both].astype(float) - shot.frame.rgb[both])
    assert both.sum() > 0.85 * shot.mask.sum()
    assert np.median(gap) < 25


def test_the_frame_and_the_lifted_surface_stay(turned: Story) -> None:
    lifted, grown = turned.reference.mesh, turned.fuser.mesh(turned.fused)
    assert len(grown.vertices) > 1.5 * len(lifted.vertices)
    assert np.array_equal(grown.vertices[: len(lifted.vertices)], lifted.vertices)
    assert np.array_equal(grown.faces[: len(lifted.faces)], lifted.faces)
    assert grown.open_surface


def test_near_the_reference_the_lifted_surface_alone_is_used(raycaster: RayCaster, studio: Studio) -> None:
    story = Story(raycaster, studio)
    story.see(-15.0, 1)
    assert len(story.fused.directions) == 2
    assert story.fuser.mesh(story.fused) is story.reference.mesh
    assert not story.fused.stale


def test_memory_is_bounded(turned: Story) -> None:
    before = turned.fused
    assert len(before.directions) > 20
    assert not any(turned.fuser.due(before, estimate) for _, estimate in turned.seen), "they bring nothing new"
    assert len(before.earlier) == 2
    assert before.nbytes == 3 * before.volume.nbytes
    assert before.volume.nbytes <= CONFIG.fused_voxels**3 * 14


def test_a_view_changes_nothing_that_was_handed_out(raycaster: RayCaster, studio: Studio) -> None:
    story = Story(raycaster, studio)
    before, weights = story.fused, story.fused.volume.weight.numpy().copy()
    story.see(30.0, 1)
    assert story.fused is not before
    assert np.array_equal(before.volume.weight.numpy(), weights)


def test_forgetting_takes_back_the_last_views(raycaster: RayCaster, studio: Studio) -> None:
    story = Story(raycaster, studio)
    for index in range(1, 9):
        story.see(14.0 * index, index)
    back, last = story.fuser.forgotten(story.fused), story.fused.directions[-1]
    assert 3 <= len(story.fused.directions) - len(back.directions) <= 6
    assert len(story.fuser.mesh(back).faces) > len(story.reference.mesh.faces)
    assert story.fuser.shown(story.fused, last)
    assert not story.fuser.shown(back, last)


@pytest.mark.parametrize(
    "doubt",
    [
        pytest.param({"score": 0.5}, id="low score"),
        pytest.param({"inlier_ratio": 0.6}, id="depth disagrees"),
        pytest.param({"residual_m": 0.02}, id="high residual"),
        pytest.param({"occluded": 0.3}, id="occluded"),
        pytest.param({"in_view": 0.8}, id="leaves the image"),
        pytest.param({"mask": None}, id="no mask"),
    ],
)
def test_doubtful_views_are_refused(raycaster: RayCaster, studio: Studio, doubt: dict[str, float]) -> None:
    story = Story(raycaster, studio)
    estimate = story.estimate(studio.shoot(40.0, 1))
    assert story.fuser.due(story.fused, estimate)
    assert not story.fuser.due(story.fused, replace(estimate, **doubt))


def test_a_thing_that_is_held_to_it_stays_out(raycaster: RayCaster) -> None:
    """A long bar touches the back of the box and reaches far to both sides, as an arm would."""
    bar = (painted(box([0.5, 0.03, 0.05]), 1), se3.transform(np.eye(3), [0.0, SIZE[1] / 2 + 0.015, 0.02]))
    story = Story(raycaster, Studio(raycaster, (bar,)))
    for index in range(1, 6):
        story.see(14.0 * index, index)
    points = story.on_box()
    assert len(story.fused.directions) > 4
    assert (np.abs(points[:, 0]) < SIZE[0] / 2 + 0.02).all()


def test_a_mesh_with_a_back_is_left_alone(studio: Studio) -> None:
    shot = studio.shoot(0.0)
    given = Reference("box", (View(shot.frame, shot.mask, shot.cam_T_box),), studio.box)
    assert SurfaceFuser(CONFIG).start(given) is None


def test_surface_of_a_sphere() -> None:
    """Surface nets lie within a twentieth of a voxel of a sphere, are closed and face outwards."""
    grid = np.stack(np.meshgrid(*[np.arange(40)] * 3, indexing="ij"), -1) * 0.005
    distance = ((np.linalg.norm(grid - 0.1, axis=-1) - 0.06) / 0.015).clip(-1, 1).astype(np.float32)
    colour = np.full((*distance.shape, 3), 99.0)
    mesh = surface(distance, np.ones_like(distance), colour, np.zeros(3), 0.005, min_weight=0.5)
    assert mesh is not None
    p = mesh.vertices - 0.1
    assert np.abs(np.linalg.norm(p, axis=1) - 0.06).max() < 0.00025
    a, b, c = (p[mesh.faces[:, i]] for i in range(3))
    assert (np.einsum("ij,ij->i", np.cross(b - a, c - a), a + b + c) > 0).all()
    edges = np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), 1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    assert mesh.colors is not None
    assert (mesh.colors == 99).all()


def test_no_surface_where_nothing_was_seen() -> None:
    distance = np.where(np.arange(20) < 10, 0.2, -0.2)[:, None, None] * np.ones((20, 20, 20), np.float32)
    unseen = np.zeros_like(distance)
    assert (
        surface(distance.astype(np.float32), unseen, np.zeros((20, 20, 20, 3)), np.zeros(3), 0.01, min_weight=0.5)
        is None
    )


class Loop:
    """The closed loop over the turning box."""

    def __init__(self, studio: Studio, **settings: object) -> None:
        config = with_values(StormConfig(), {"mesh.fused": True, "device.name": "cpu", **settings})
        self.studio, self.tracker = studio, Tracker(build_parts(config), config)
        shot = studio.shoot(0.0)
        self.tracker.set_reference(shot.frame, shot.mask)

    def turn(self, last: float, step: float) -> set[TrackStatus]:
        """The states of a turn after its first frame, which is the reference itself."""
        seen = []
        for index, degrees in enumerate(np.arange(0.0, last, step)):
            out = self.tracker.step(self.studio.shoot(float(degrees), index).frame)
            seen.append(out.objects["object"].status)
        return set(seen[1:])

    @property
    def fused(self) -> Fused:
        return self.tracker.state.objects["object"].model.fused


def test_the_loop_fuses_while_tracking(studio: Studio) -> None:
    loop = Loop(studio)
    assert loop.turn(60.0, 4.0) == {TrackStatus.TRACKING}
    assert len(loop.fused.directions) > 5
    model = loop.tracker.state.objects["object"].model
    assert len(model.mesh.mesh.faces) > len(loop.fused.lifted.faces)
    forgot = loop.tracker.parts.pose.forget(model)
    assert len(forgot.fused.directions) < len(loop.fused.directions)


def test_nothing_is_fused_while_suspect(studio: Studio) -> None:
    """A threshold that no frame keeps makes every frame suspect; patience keeps the track."""
    loop = Loop(studio, **{"gate.tau": -19.0, "gate.patience": 100})
    assert loop.turn(48.0, 4.0) == {TrackStatus.SUSPECT}
    assert len(loop.fused.directions) == 1


@pytest.mark.parametrize("fused", [True, False])
def test_the_setting_decides(studio: Studio, fused: bool) -> None:
    shot = studio.shoot(0.0)
    mesh, pose = LiftedMeshBuilder().build(shot.frame, shot.mask)
    reference = Reference("box", (View(shot.frame, shot.mask, pose),), mesh)
    model = GeometricEstimator(PoseConfig(), "cpu", mesh=MeshConfig(fused=fused)).prepare(reference)
    assert (model.fused is not None) is fused
    assert MeshConfig().fused
