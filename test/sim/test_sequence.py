"""Simulated recordings: the same whatever the order, true to their script."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.core.errors import InputError, RecordingError
from storm_ros.sim import (
    Phase,
    Script,
    SimulatedRecording,
    demo_sequence,
    perfect,
    tabletop_sequence,
    turntable_sequence,
)
from storm_ros.sim.paths import Static, look_at

SMALL = {"width": 160, "height": 120}


@pytest.fixture(scope="module")
def demo() -> Iterator[SimulatedRecording]:
    with demo_sequence(80, seed=0, **SMALL) as recording:
        yield recording


def phases(recording: SimulatedRecording, name: str) -> list[Phase]:
    return [p for p in recording.script if p.name == name]


def test_same_bytes_in_any_order_and_other_bytes_for_another_seed() -> None:
    kwargs = {"frames": 8, "count": 3, **SMALL}
    with tabletop_sequence(3, **kwargs) as a, tabletop_sequence(3, **kwargs) as b, tabletop_sequence(4, **kwargs) as c:
        forward = [a.read(n) for n in range(8)]
        backward = [b.read(n) for n in reversed(range(8))][::-1]
        for one, two in zip(forward, backward, strict=True):
            assert np.array_equal(one.rgb, two.rgb)
            assert np.array_equal(one.depth_m, two.depth_m)
        assert not np.array_equal(forward[0].rgb, c.read(0).rgb)
        assert not np.array_equal(forward[0].depth_m, forward[1].depth_m)
        assert np.array_equal(a.read(0).rgb, forward[0].rgb)  # long out of the cache


def test_it_is_a_recording(demo: SimulatedRecording) -> None:
    frame = demo.read(5)
    assert isinstance(demo, SimulatedRecording)
    assert list(demo.numbers) == list(range(80))
    assert demo.warnings == []
    assert demo.rate_hz == 30.0
    assert frame.index == 5
    assert frame.stamp_ns == round(5 / 30 * 1e9)
    assert frame.camera == demo.camera
    assert frame.shape == (120, 160)
    assert (frame.depth_m > 0).mean() > 0.5
    truth = demo.ground_truth
    assert truth.object_ids == (1, 2, 3, 4, 5, 6)
    assert demo.target_id == 1
    assert truth.pose(5, 99) is None
    assert truth.mask(5, 99) is None
    assert truth.mesh(99) is None
    assert truth.pose(80, 1) is None
    assert truth.visible_fraction(80, 1) is None
    assert truth.mesh(1) is demo.scene.instances[0].mesh


def test_script_covers_every_frame_once(demo: SimulatedRecording) -> None:
    frames = [n for p in demo.script for n in range(p.first, p.last + 1)]
    assert frames == list(demo.numbers)


def test_target_is_wholly_hidden_when_the_script_says_so_and_visible_while_slow(demo: SimulatedRecording) -> None:
    truth = demo.ground_truth
    (hidden,) = phases(demo, "occluded")
    for n in range(hidden.first, hidden.last + 1):
        assert truth.visible_fraction(n, 1) == 0.0
        assert not truth.mask(n, 1).any()
    for slow in phases(demo, "slow"):
        for n in range(slow.first, slow.last + 1, 4):
            assert truth.visible_fraction(n, 1) > 0.75
            assert truth.mask(n, 1).sum() > 100


@pytest.mark.parametrize("seed", [1, 11])
def test_other_seeds_keep_the_script(seed: int) -> None:
    with demo_sequence(60, seed=seed, **SMALL) as recording:
        (hidden,) = phases(recording, "occluded")
        middle = (hidden.first + hidden.last) // 2
        for n in (hidden.first, middle, hidden.last):
            assert recording.ground_truth.visible_fraction(n, 1) == 0.0
        for slow in phases(recording, "slow"):
            for n in (slow.first, slow.last):
                assert recording.ground_truth.visible_fraction(n, 1) > 0.75


def test_target_jumps_within_two_frames_and_is_slow_elsewhere(demo: SimulatedRecording) -> None:
    world = [demo.poses_at(n / demo.rate_hz)[1][0] for n in demo.numbers]
    steps = np.array([se3.distance(a, b) for a, b in itertools.pairwise(world)])
    (jump,) = phases(demo, "jump")
    assert jump.last == jump.first + 1
    assert steps[jump.first - 1 : jump.last].min() > 0.08
    assert np.delete(steps, [jump.first - 1, jump.first]).max() < 0.02
    assert se3.distance(world[jump.first - 1], world[jump.last]) > 0.2


def test_objects_never_pass_through_each_other_at_rest(demo: SimulatedRecording) -> None:
    for n in (0, 20, 40, 79):
        poses = demo.poses_at(n / demo.rate_hz)[1][:-1]
        low = [se3.apply(p, i.mesh.vertices)[:, 2].min() for p, i in zip(poses, demo.scene.instances, strict=False)]
        assert np.allclose(low, 0, atol=1e-5)


def test_depth_of_the_target_agrees_with_an_analytic_box() -> None:
    with turntable_sequence(60, 1, frames=5, sensor="perfect", **SMALL) as recording:
        half = np.ptp(recording.ground_truth.mesh(1).bounds, axis=0) / 2
        for n in recording.numbers:
            mask, pose = recording.ground_truth.mask(n, 1), recording.ground_truth.pose(n, 1)
            obj_T_cam = se3.inverse(pose)
            rays = recording.camera.backproject(np.ones(mask.shape, np.float32)).astype(float) @ obj_T_cam[:3, :3].T
            with np.errstate(divide="ignore"):
                slabs = (np.stack([-half, half])[:, None, None] - obj_T_cam[:3, 3]) / rays
            enter, leave = slabs.min(0).max(-1), slabs.max(0).min(-1)
            inside = enter < leave
            assert (mask & ~inside).sum() == 0  # the rounded edges lie inside the box
            assert (inside & ~mask).sum() < 0.05 * inside.sum()
            error = recording.read(n).depth_m[mask] - enter[mask]
            assert np.median(np.abs(error)) < 1e-5
            assert error.min() > -1e-4


def test_turntable_turns_by_the_angle() -> None:
    with turntable_sequence(45, 2, frames=10, kind="mug", **SMALL) as recording:
        first, last = (recording.ground_truth.pose(n, 1) for n in (0, 9))
        assert se3.angle_between(first, last) == pytest.approx(np.radians(45), abs=1e-9)
        assert se3.distance(first, last) == pytest.approx(0, abs=1e-9)


def test_masks_agree_with_the_depth_of_each_object() -> None:
    with tabletop_sequence(5, frames=3, sensor="perfect", moving=True, **SMALL) as recording:
        truth, frame = recording.ground_truth, recording.read(1)
        points = recording.camera.backproject(frame.depth_m)
        total = np.zeros(frame.shape, int)
        for obj_id in truth.object_ids:
            mask = truth.mask(1, obj_id)
            total += mask
            if not mask.any():
                continue
            mesh = truth.mesh(obj_id)
            in_object = se3.apply(se3.inverse(truth.pose(1, obj_id)), points[mask])
            assert (in_object > mesh.bounds[0] - 1e-4).all()
            assert (in_object < mesh.bounds[1] + 1e-4).all()
        assert total.max() == 1


def test_what_lies_beyond_the_image_counts_as_hidden() -> None:
    with turntable_sequence(0, 0, frames=1, **SMALL) as whole:
        assert whole.ground_truth.visible_fraction(0, 1) == pytest.approx(1.0, abs=0.01)
        place = whole.scene.instances[0].world_T_obj
    focal = whole.camera.fx
    eye = np.array([0.0, -0.6, place[2, 3]])
    aside = eye + np.array([0.6 * 79.5 / focal, 0.6, 0.0])  # the object's middle at the left rim of the image
    script = Script(Static(look_at(eye, aside)), (Static(place),), 1)
    with SimulatedRecording("rim", whole.scene, script, whole.camera, sensor=perfect()) as cut:
        assert cut.ground_truth.visible_fraction(0, 1) == pytest.approx(0.5, abs=0.12)
    behind = Script(Static(look_at(eye, eye - [0, 1, 0])), (Static(place),), 1)
    with SimulatedRecording("behind", whole.scene, behind, whole.camera, sensor=perfect()) as gone:
        assert gone.ground_truth.visible_fraction(0, 1) == 0.0


def test_errors_say_what_is_there(demo: SimulatedRecording) -> None:
    with pytest.raises(RecordingError, match=r"frame 80 does not exist: .* frames 0 to 79"):
        demo.read(80)
    with pytest.raises(InputError, match="40 or more"):
        demo_sequence(10)
    with pytest.raises(InputError, match="unknown: use one of perfect"):
        demo_sequence(80, sensor="lidar")
    closed = turntable_sequence(10, frames=2, **SMALL)
    closed.close()
    with pytest.raises(RecordingError, match="closed"):
        closed.read(0)
