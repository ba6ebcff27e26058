"""The clips of the tracking-failure benchmark: short simulated recordings in each of which one thing goes wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.core import se3
from storm_ros.core.errors import InputError
from storm_ros.core.types import Camera, Mesh, Pose, RgbdFrame
from storm_ros.sim.failure_scripts import (
    BOARD_WIDTH_M,
    RATE_HZ,
    SCRIPTS,
    Delivery,
    Happening,
    Setting,
    calm_camera,
    calm_target,
)
from storm_ros.sim.imaging import ColourCamera
from storm_ros.sim.objects import held_board, make_object, random_object
from storm_ros.sim.paths import Orbit, Static
from storm_ros.sim.scene import Instance, footprint_radius, furnished, place_on_table, resting_pose
from storm_ros.sim.sensor import SENSORS
from storm_ros.sim.sequence import Phase, Script, SimulatedRecording, SimulatedTruth
from storm_ros.sim.textures import random_palette

KINDS = tuple(SCRIPTS)
"""What can go wrong, in the order in which the clips take turns."""

MIN_FRAMES = 30

_TARGETS = ("box", "cube", "can", "mug", "bottle", "vase", "superquadric", "prism", "blob", "dragon", "ellipsoid")
_OTHERS = ("mug", "can", "bottle", "dragon", "box", "tool", "vase", "blob")
_ATTEMPTS = 12
_LEAST_SHARE = 0.004  # of the image, that the target covers
_SCAN_SHARE = 0.35
_SCAN_SIZE_M = (0.03, 0.06, 0.2)  # least thickness; least and largest length
_HORIZON_RAD = -np.pi / 2  # azimuth of a camera in front of the table


class FailureClip:
    """A simulated recording whose sensor may fail in some frames; the first frame shows the target whole.

    It reads like any recording. `ground_truth` is of what is there, not of what the sensor delivers of it.
    """

    def __init__(self, kind: str, number: int, recording: SimulatedRecording, happening: Happening) -> None:
        """Take what `failure_clip` has put together."""
        self.kind, self.number, self.happening = kind, number, happening
        self._recording = recording
        self.numbers: Sequence[int] = recording.numbers
        self.camera, self.rate_hz, self.target_id = recording.camera, recording.rate_hz, recording.target_id
        self.script, self.name = recording.script, f"{kind}/{number}"

    @property
    def ground_truth(self) -> SimulatedTruth:
        """What is true of the scene."""
        return self._recording.ground_truth

    def delivery(self, number: int) -> Delivery:
        """What the sensor delivers of a frame."""
        return self.happening.deliveries.get(number, Delivery.FULL)

    def read(self, number: int) -> RgbdFrame:
        """A frame as the sensor delivers it.

        Raises:
            RecordingError: no such frame, or the clip is closed.
        """
        delivery = self.delivery(number)
        if delivery is Delivery.FROZEN:
            first = number
            while self.delivery(first) is Delivery.FROZEN:
                first -= 1
            stamp_ns = round(number / self.rate_hz * 1e9)
            return replace(self._recording.read(first), stamp_ns=stamp_ns, index=number)
        frame = self._recording.read(number)
        if delivery is Delivery.NO_DEPTH:
            return replace(frame, depth_m=np.zeros_like(frame.depth_m))
        if delivery is Delivery.BLACK:
            return replace(frame, rgb=np.zeros_like(frame.rgb), depth_m=np.zeros_like(frame.depth_m))
        return frame

    def role_at(self, number: int, cam_T_thing: Pose) -> str:
        """What truly is where a pose's origin appears in a frame: target, lookalike, object, occluder or background."""
        u, v = (round(float(x)) for x in self.camera.project(cam_T_thing[:3, 3]))
        seen = self._recording.instance_map(number)
        if cam_T_thing[2, 3] <= 0 or not (0 <= v < seen.shape[0] and 0 <= u < seen.shape[1]) or seen[v, u] < 0:
            return "background"
        return {0: "occluder", 1: "target", 2: "lookalike"}.get(
            self._recording.scene.instances[seen[v, u]].obj_id, "object"
        )

    def __enter__(self) -> FailureClip:
        """The clip itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free what rendering needs."""
        self._recording.close()


def failure_clip(
    kind: str,
    number: int,
    *,
    seed: int = 0,
    frames: int = 80,
    width: int = 320,
    height: int = 240,
    scans: Sequence[Mesh] = (),
    device: str = "cpu",
) -> FailureClip:
    """Make one clip; the same arguments give the same clip, whatever other clips are made.

    Args:
        kind: one of `KINDS`.
        number: of the clip among those of its kind.
        seed: of the whole benchmark.
        frames: length, at least `MIN_FRAMES`.
        width: of the images in pixels.
        height: of the images in pixels.
        scans: scanned objects, of which a third of the clips have one as their target.
        device: of the ray caster.

    Raises:
        InputError: an unknown kind, or too few frames.
    """
    if kind not in SCRIPTS:
        raise InputError(f"kind of failure {kind!r} is unknown: use one of {', '.join(KINDS)}")
    if frames < MIN_FRAMES:
        raise InputError(f"a clip of {frames} frames is too short for its script: {MIN_FRAMES} or more are needed")
    for attempt in range(_ATTEMPTS):
        again = [attempt] if attempt else []
        rng = np.random.default_rng([seed, 5, KINDS.index(kind), number, *again])
        try:
            clip = _drawn(kind, number, rng, frames, width, height, scans, device)
        except InputError:  # no room on the table for what was drawn
            continue
        if _shows_target(clip):
            return clip
    raise InputError(
        f"clip {kind}/{number}: no usable scene in {_ATTEMPTS} draws at {width}x{height}: ask for larger images"
    )


def _shows_target(clip: FailureClip) -> bool:
    """Whether the first frame shows enough of the target, in colour and depth, to point at it."""
    mask = clip.ground_truth.mask(0, clip.target_id)
    assert mask is not None
    least = _LEAST_SHARE * clip.camera.width * clip.camera.height
    depth = clip.read(0).depth_m[mask]
    whole = clip.ground_truth.visible_fraction(0, clip.target_id) or 0.0
    return bool(depth.size >= least and (depth > 0).mean() > 0.6 and whole > 0.9)


def _drawn(
    kind: str,
    number: int,
    rng: np.random.Generator,
    frames: int,
    width: int,
    height: int,
    scans: Sequence[Mesh],
    device: str,
) -> FailureClip:
    """One draw of a clip; see `failure_clip`."""
    target, lookalike = _pair(rng, scans)
    here = float(rng.uniform(-0.12, 0.12)), float(rng.uniform(-0.12, -0.04))
    there = (
        float(np.clip(here[0] - np.sign(here[0]) * rng.uniform(0.2, 0.28), -0.18, 0.18)),
        float(rng.uniform(-0.12, -0.02)),
    )
    yaw = float(rng.uniform(0, 2 * np.pi))
    start = resting_pose(target, *here, yaw)
    # the sides that were seen stay in view: another place is seen from another direction
    elsewhere = resting_pose(target, *there, yaw + float(rng.uniform(-0.25, 0.25)))
    room = footprint_radius(target, start)
    others = [random_object(rng, str(k)) for k in rng.choice(np.array(_OTHERS), 3, replace=False)]
    keep_free = [(*here, room + 0.06), (*there, room + 0.06)]
    others = [lookalike, *others]
    places = place_on_table(rng, others, (-0.36, 0.36, 0.04, 0.36), keep_free=keep_free, lie=0.0)
    bodies = [Instance(1, target, start, float(rng.uniform(0, 0.2)))]
    for obj_id, (mesh, pose) in enumerate(zip(others, places, strict=True), start=2):
        bodies.append(Instance(obj_id, mesh, pose, float(rng.uniform(0, 0.2))))
    hidden = se3.transform(np.eye(3), [0.0, 0.0, -5.0])
    bodies.append(Instance(0, held_board(rng, BOARD_WIDTH_M), hidden))
    scene = furnished(rng, tuple(bodies), 4)

    orbit = Orbit((0.3 * here[0], 0.0, 0.04), float(rng.uniform(0.58, 0.72)), float(rng.uniform(0.5, 0.75)),
                  _HORIZON_RAD, float(rng.uniform(-0.06, 0.06)), 0.25)  # fmt: skip
    gap = room + footprint_radius(lookalike, np.eye(4)) + 0.004
    camera_path = calm_camera(rng, orbit)
    across = se3.apply(se3.inverse(camera_path(0.0)) @ start, target.vertices)[:, 0]
    setting = Setting(
        rng, frames, number, camera_path, calm_target(rng, start, frames), elsewhere, float(np.ptp(across)) / 2, gap,
        ColourCamera(exposure=float(rng.uniform(0.7, 1.0)), noise=float(rng.uniform(1.5, 4.0))),
    )  # fmt: skip
    happening = SCRIPTS[kind](setting)
    still = [Static(i.world_T_obj) for i in scene.instances]
    motions = [setting.target, *still[1:]] if happening.target is None else [happening.target, *still[1:]]
    if happening.lookalike is not None:
        motions[1] = happening.lookalike
    if happening.occluder is not None:
        motions[-1] = happening.occluder
    phases = (
        Phase("calm", 0, happening.first - 1),
        Phase(happening.what or kind, happening.first, min(happening.last, frames - 1)),
        Phase("calm", happening.last + 1, frames - 1),
    )
    script = Script(happening.camera or setting.camera, tuple(motions), frames, RATE_HZ, phases, 1, happening.colours)
    focal = 0.955 * width
    camera = Camera(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
    sensor = SENSORS[("realsense", "kinect")[int(rng.integers(2))]]()
    recording = SimulatedRecording(
        f"{kind}/{number}", scene, script, camera, sensor=sensor, colour=setting.colour,
        seed=int(rng.integers(2**31)), device=device,
    )  # fmt: skip
    return FailureClip(kind, number, recording, happening)


def sturdy(scans: Sequence[Mesh]) -> list[Mesh]:
    """Those scans that are neither thin nor very large nor very small, so that a small image shows them."""
    thin, low, high = _SCAN_SIZE_M
    sizes = [np.sort(np.ptp(mesh.bounds, axis=0)) for mesh in scans]
    return [mesh for mesh, size in zip(scans, sizes, strict=True) if size[0] >= thin and low <= size[2] <= high]


def _pair(rng: np.random.Generator, scans: Sequence[Mesh]) -> tuple[Mesh, Mesh]:
    """A target, and another object that has its shape but not its looks, or its colours but not its shape."""
    same_shape = bool(rng.random() < 0.5)
    if len(scans) and rng.random() < _SCAN_SHARE:
        target = scans[int(rng.integers(len(scans)))]
        stretched = 1.0 if same_shape else rng.permutation([1.0, rng.uniform(1.35, 1.6), rng.uniform(0.6, 0.75)])
        other = replace(target, vertices=(target.vertices * stretched).astype(np.float32), name=f"other {target.name}")
        return target, _repainted(rng, other) if same_shape else other
    kind, other_kind = (str(k) for k in rng.choice(np.array(_TARGETS), 2, replace=False))
    shape, look, shape2, look2 = (int(s) for s in rng.integers(2**31, size=4))
    target = make_object(kind, shape, look)
    if same_shape:
        return target, make_object(kind, shape, look2)
    return target, make_object(other_kind, shape2, look2, random_palette(np.random.default_rng(look)))


def _repainted(rng: np.random.Generator, mesh: Mesh) -> Mesh:
    """The mesh in other colours: its hue turned, and a dye over it, so that grey things change as well."""
    hue = float(rng.uniform(50, 130))
    dye = cv2.cvtColor(np.array([[[rng.uniform(0, 180), 200, 200]]], np.uint8), cv2.COLOR_HSV2RGB)[0, 0]

    def changed(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        hsv = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2HSV).astype(np.float32)
        hsv[..., 0] = (hsv[..., 0] + hue) % 180
        rgb = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB).astype(np.float32)
        return (0.55 * rgb + 0.45 * dye.astype(np.float32)).astype(np.uint8)

    return replace(
        mesh,
        texture=None if mesh.texture is None else changed(mesh.texture),
        colors=None if mesh.colors is None else changed(mesh.colors[None])[0],
    )
