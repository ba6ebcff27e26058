"""Ready recordings: the demo with its occlusion and jump, and scenes for measuring accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from storm_ros.core import se3
from storm_ros.core.errors import InputError
from storm_ros.core.types import Camera, Mesh, Pose
from storm_ros.sim.imaging import ColourCamera
from storm_ros.sim.objects import KINDS, held_board, make_object, printed_box, random_object
from storm_ros.sim.paths import HandHeld, Keyframes, Orbit, PassingInFront, Path, Static, Turn, slide_and_turn
from storm_ros.sim.scene import Instance, furnished, place_on_table, random_scene, resting_pose
from storm_ros.sim.sensor import SENSORS, DepthSensor
from storm_ros.sim.sequence import Phase, Script, SimulatedRecording

MIN_DEMO_FRAMES = 40
_RATE_HZ = 30.0
_HORIZON_RAD = -np.pi / 2  # azimuth of a camera in front of the table


def demo_sequence(
    frames: int = 240,
    seed: int = 0,
    width: int = 640,
    height: int = 480,
    *,
    target: str = "box",
    sensor: DepthSensor | str = "realsense",
    device: str = "cpu",
) -> SimulatedRecording:
    """Objects on a table; the target moves slowly, is fully hidden by a board, and is snatched elsewhere.

    Phases (`.script`): slow, covering, occluded (not one pixel visible), uncovering, slow, jump (two frames), slow.

    Args:
        frames: length, at least `MIN_DEMO_FRAMES`.
        seed: of everything.
        width: of the images in pixels.
        height: of the images in pixels.
        target: "box" (printed on all sides), "can" or another of `objects.KINDS`.
        sensor: the depth camera, or the name of a preset.
        device: of the ray caster.

    Raises:
        InputError: too few frames, or an unknown target or sensor.
    """
    if frames < MIN_DEMO_FRAMES:
        raise InputError(f"a demo of {frames} frames is too short for its script: {MIN_DEMO_FRAMES} or more are needed")
    rng = np.random.default_rng([seed, 1])
    mesh = printed_box(rng) if target == "box" else _sturdy(rng, target)
    here, there = (-0.13, -0.07), (0.15, -0.05)
    yaw = rng.uniform(0.4, 0.9)
    start = resting_pose(mesh, *here, yaw)
    landed = resting_pose(mesh, *there, yaw - rng.uniform(0.1, 0.4))  # the sides that were seen stay in view
    others = [random_object(rng, kind) for kind in ("mug", "can", "bottle", "dragon", "box")]
    keep_free = [(*here, 0.14), (*there, 0.14)]
    places = place_on_table(rng, others, (-0.36, 0.36, 0.02, 0.32), keep_free=keep_free, lie=0.0)
    bodies = [Instance(1, mesh, start)]
    for number, (other, place) in enumerate(zip(others, places, strict=True), start=2):
        bodies.append(Instance(number, other, place, float(rng.uniform(0, 0.2))))
    bodies.append(Instance(0, held_board(rng), _out_of_sight()))
    scene = furnished(rng, tuple(bodies))

    phases = _demo_phases(frames)
    camera = HandHeld(Orbit((0.0, 0.02, 0.04), 0.72, 0.6, _HORIZON_RAD, 0.12, 0.25), int(rng.integers(2**31)))
    motion = _demo_motion(start, landed, phases)
    by_name = {phase.name: phase for phase in phases}
    board = PassingInFront(
        camera, motion, *(f / _RATE_HZ for f in (by_name["covering"].first, by_name["occluded"].first - 0.5,
                                                 by_name["occluded"].last + 0.5, by_name["uncovering"].last)),
        share=0.58, reach_m=0.55, side=float(rng.choice([-1, 1])),
    )  # fmt: skip
    still = tuple(Static(i.world_T_obj) for i in scene.instances[1:-1])
    script = Script(camera, (motion, *still, board), frames, _RATE_HZ, phases, 1)
    return SimulatedRecording(
        f"demo (seed {seed})", scene, script, _camera(width, height), sensor=_sensor(sensor), seed=seed, device=device
    )


def _demo_phases(frames: int) -> tuple[Phase, ...]:
    """The demo's parts, in proportion; the jump always takes two frames."""
    parts = [("slow", 0.35), ("covering", 0.06), ("occluded", 0.09), ("uncovering", 0.06), ("slow", 0.13)]
    phases, first = [], 0
    for name, share in parts:
        length = max(2, round(share * frames))
        phases.append(Phase(name, first, first + length - 1))
        first += length
    return (*phases, Phase("jump", first, first + 1), Phase("slow", first + 2, frames - 1))


def _demo_motion(start: Pose, landed: Pose, phases: Sequence[Phase]) -> Path:
    """Slowly about and back, at rest while hidden, carried off in the jump, slowly on."""
    slow, after, jump, end = phases[0], phases[4], phases[5], phases[6]
    before = slide_and_turn(start, [0.05, 0.015, 0], 0.6, 0.05 * slow.last / _RATE_HZ, slow.last / _RATE_HZ, back=True)
    leaving = (jump.first - 1) / _RATE_HZ
    again = slide_and_turn(start, [-0.015, 0.01, 0], -0.25, after.first / _RATE_HZ, leaving)
    lifted = np.array(landed)
    lifted[:3, 3] = (again(leaving)[:3, 3] + landed[:3, 3]) / 2 + [0, -0.02, 0.12]
    jumped = jump.last / _RATE_HZ
    flight = Keyframes([leaving, jump.first / _RATE_HZ, jumped], [again(leaving), lifted, landed])
    final = slide_and_turn(landed, [-0.05, 0.02, 0], -0.4, jumped + 2 / _RATE_HZ, end.last / _RATE_HZ)

    def path(t: float) -> Pose:
        if t < after.first / _RATE_HZ:
            return before(t)
        if t < leaving:
            return again(t)
        return flight(t) if t < jumped else final(t)

    return path


def turntable_sequence(
    degrees: float = 45.0,
    seed: int = 0,
    *,
    frames: int = 90,
    kind: str | None = None,
    mesh: Mesh | None = None,
    sensor: DepthSensor | str = "realsense",
    width: int = 640,
    height: int = 480,
    device: str = "cpu",
) -> SimulatedRecording:
    """An object that turns by so many degrees about the vertical before a still camera, 0.6 m away.

    Args:
        degrees: whole turn.
        seed: of everything.
        frames: length; at the first the turn is 0.
        kind: of object; a box printed on all sides by default.
        mesh: an object to use instead.
        sensor: the depth camera, or the name of a preset.
        width: of the images in pixels.
        height: of the images in pixels.
        device: of the ray caster.
    """
    rng = np.random.default_rng([seed, 2])
    if mesh is None:
        mesh = printed_box(rng) if kind is None else _sturdy(rng, kind)
    start = resting_pose(mesh, 0.0, 0.0, rng.uniform(0, 2 * np.pi))
    scene = furnished(rng, (Instance(1, mesh, start),))
    camera = Orbit((0.0, 0.0, float(start[2, 3])), 0.6, 0.55, _HORIZON_RAD, 0.0)
    upright = start[:3, :3].T @ [0.0, 0.0, 1.0]
    turn = Turn(start, np.radians(degrees), 0.0, max(frames - 1, 1) / _RATE_HZ, tuple(upright))
    script = Script(camera, (turn,), frames, _RATE_HZ, (Phase("turn", 0, frames - 1),), 1)
    name = f"turntable {degrees:g} degrees (seed {seed})"
    return SimulatedRecording(
        name, scene, script, _camera(width, height), sensor=_sensor(sensor), seed=seed, device=device
    )


def tabletop_sequence(
    seed: int = 0,
    *,
    frames: int = 120,
    moving: bool = False,
    count: int = 5,
    kinds: Sequence[str] = KINDS,
    distractors: str = "none",
    meshes: Sequence[Mesh] | None = None,
    sensor: DepthSensor | str = "realsense",
    colour: ColourCamera | None = None,
    width: int = 640,
    height: int = 480,
    device: str = "cpu",
) -> SimulatedRecording:
    """Random objects on a table before a hand-held camera that swings about them; for measuring accuracy.

    Args:
        seed: of everything.
        frames: length.
        moving: whether the first object is lifted, turned and put back as well.
        count: number of objects.
        kinds: to choose from.
        distractors: see `scene.random_objects`.
        meshes: objects to use instead.
        sensor: the depth camera, or the name of a preset.
        colour: the colour camera.
        width: of the images in pixels.
        height: of the images in pixels.
        device: of the ray caster.
    """
    rng = np.random.default_rng([seed, 3])
    scene = random_scene(rng, count=count, kinds=kinds, distractors=distractors, meshes=meshes)
    target = scene.instances[0].world_T_obj[:3, 3]
    base = Orbit((0.6 * target[0], 0.6 * target[1], 0.04), float(rng.uniform(0.6, 0.85)), float(rng.uniform(0.45, 0.8)),
                 _HORIZON_RAD + float(rng.uniform(-0.4, 0.4)), 0.25, 0.45)  # fmt: skip
    camera = HandHeld(base, int(rng.integers(2**31)))
    motions: list[Path] = [Static(i.world_T_obj) for i in scene.instances]
    if moving:
        end = frames / _RATE_HZ
        motions[0] = slide_and_turn(scene.instances[0].world_T_obj, [0.0, 0.0, 0.06], 0.9, 0.1 * end, end, back=True)
    script = Script(camera, tuple(motions), frames, _RATE_HZ, (Phase("slow", 0, frames - 1),), 1)
    return SimulatedRecording(
        f"tabletop (seed {seed})", scene, script, _camera(width, height), sensor=_sensor(sensor), colour=colour,
        seed=seed, device=device,
    )  # fmt: skip


def _sturdy(rng: np.random.Generator, kind: str) -> Mesh:
    shape_seed, look_seed = (int(s) for s in rng.integers(2**31, size=2))
    return make_object(kind, shape_seed, look_seed)


def _sensor(sensor: DepthSensor | str) -> DepthSensor:
    if isinstance(sensor, DepthSensor):
        return sensor
    if sensor not in SENSORS:
        raise InputError(f"depth sensor {sensor!r} is unknown: use one of {', '.join(SENSORS)}")
    return SENSORS[sensor]()


def _camera(width: int, height: int) -> Camera:
    """A camera with the field of view of common RGB-D cameras: 55 degrees across at 4:3."""
    focal = 0.955 * width
    return Camera(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)


def _out_of_sight() -> Pose:
    return se3.transform(np.eye(3), [0.0, 0.0, -5.0])
