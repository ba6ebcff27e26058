"""Simulated recordings: frames are rendered when they are read, the truth is known exactly."""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType

import numpy as np
import numpy.typing as npt

from storm_ros.core import se3
from storm_ros.core.errors import InputError, RecordingError
from storm_ros.core.types import Camera, Mask, Mesh, Pose, RgbdFrame
from storm_ros.sim.imaging import ColourCamera, develop
from storm_ros.sim.paths import Path
from storm_ros.sim.rendering import SceneRenderer, Shot
from storm_ros.sim.scene import Scene
from storm_ros.sim.sensor import DepthSensor, sense_depth

_CACHED_FRAMES = 4
_VISIBLE_MOTION_PX = 0.7


@dataclass(frozen=True)
class Phase:
    """A part of a recording's script.

    Attributes:
        name: what happens.
        first: first frame of it.
        last: last frame of it.
    """

    name: str
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class Script:
    """Who moves how, and when what happens.

    Attributes:
        camera: world_T_cam over time.
        motions: world_T_obj over time of every instance of the scene.
        frames: how many.
        rate_hz: frames per second.
        phases: what happens, in order.
        target_id: the object the script is about.
        colours: the colour camera in those frames in which it differs (light that changes, a longer shutter).
    """

    camera: Path
    motions: tuple[Path, ...]
    frames: int
    rate_hz: float = 30.0
    phases: tuple[Phase, ...] = ()
    target_id: int = 1
    colours: Mapping[int, ColourCamera] = field(default_factory=dict)


class SimulatedRecording:
    """A recording that is rendered while it is read; frame by frame the same, in whatever order it is read."""

    def __init__(
        self,
        name: str,
        scene: Scene,
        script: Script,
        camera: Camera,
        *,
        sensor: DepthSensor,
        colour: ColourCamera | None = None,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        """Describe the recording; nothing is rendered yet.

        Args:
            name: for reports.
            scene: what there is.
            script: what happens.
            camera: intrinsics of both images.
            sensor: the depth camera.
            colour: the colour camera; a fair one by default.
            seed: of the noise.
            device: of the ray caster.

        Raises:
            InputError: no frames, or not one motion per instance.
        """
        if script.frames < 1 or len(script.motions) != len(scene.instances):
            raise InputError(
                f"script has {script.frames} frames and {len(script.motions)} motions for {len(scene.instances)} "
                "instances: at least one frame and one motion per instance are needed"
            )
        self.name, self.camera, self.rate_hz = name, camera, script.rate_hz
        self.scene_id, self.warnings = seed, list[str]()
        self.numbers: Sequence[int] = range(script.frames)
        self.script, self.target_id = script.phases, script.target_id
        self.scene, self.sensor, self.colour = scene, sensor, colour or ColourCamera()
        self._course, self._seed, self._device = script, seed, device
        self._lock = threading.RLock()
        self._renderer: SceneRenderer | None = None
        self._closed = False
        self._frames: OrderedDict[int, RgbdFrame] = OrderedDict()
        self._maps: dict[int, bytes] = {}
        self.ground_truth = SimulatedTruth(self)

    def __enter__(self) -> SimulatedRecording:
        """The recording itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Free what rendering needs; frames cannot be read afterwards."""
        with self._lock:
            self._closed, self._renderer = True, None
            self._frames.clear()

    def read(self, number: int) -> RgbdFrame:
        """Render a frame (or take it from the last few).

        Raises:
            RecordingError: no such frame, or the recording is closed.
        """
        self._check(number)
        with self._lock:
            if number not in self._frames:
                self._frames[number] = self._rendered(number)
                while len(self._frames) > _CACHED_FRAMES:
                    self._frames.popitem(last=False)
            self._frames.move_to_end(number)
            return self._frames[number]

    def poses_at(self, time_s: float) -> tuple[Pose, list[Pose]]:
        """world_T_cam and world_T_obj of every instance at a time in seconds."""
        return self._course.camera(time_s), [motion(time_s) for motion in self._course.motions]

    def instance_map(self, number: int) -> npt.NDArray[np.int8]:
        """(H, W) int8: index into the scene's instances of what is visible, -1 elsewhere.

        Raises:
            RecordingError: no such frame, or the recording is closed.
        """
        self._check(number)
        with self._lock:
            if number not in self._maps:
                self._shoot(number)
            data = zlib.decompress(self._maps[number])
        return np.frombuffer(data, np.int8).reshape(self.camera.height, self.camera.width)

    def whole_pixels(self, number: int, index: int) -> float:
        """How many pixels an instance would cover if nothing hid it and the image had no end."""
        self._check(number)
        world_T_cam, poses = self.poses_at(number / self.rate_hz)
        with self._lock:
            return self._renderer_now().whole_pixels(self.camera, index, se3.inverse(world_T_cam) @ poses[index])

    def _check(self, number: int) -> None:
        if number not in self.numbers:
            raise RecordingError(f"frame {number} does not exist: {self.name} has frames 0 to {len(self.numbers) - 1}")
        if self._closed:
            raise RecordingError(f"{self.name} is closed: open it again to read frame {number}")

    def _renderer_now(self) -> SceneRenderer:
        if self._renderer is None:
            self._renderer = SceneRenderer(self.scene, self._device)
        return self._renderer

    def _shoot(self, number: int) -> Shot:
        time_s = number / self.rate_hz
        world_T_cam, poses = self.poses_at(time_s)
        opened = None
        shutter = self._course.colours.get(number, self.colour).shutter
        if shutter > 0:
            earlier = self.poses_at(time_s - shutter / self.rate_hz)
            if _moves_visibly(self.camera, (world_T_cam, poses), earlier):
                opened = earlier
        shot = self._renderer_now().shoot(self.camera, world_T_cam, poses, opened)
        self._maps[number] = zlib.compress(shot.instance.astype(np.int8).tobytes(), 1)
        return shot

    def _rendered(self, number: int) -> RgbdFrame:
        rng = np.random.default_rng([self._seed, number])
        shot = self._shoot(number)
        rgb = develop(shot.radiance, self._course.colours.get(number, self.colour), rng, shot.flow)
        luminance = np.divide(rgb[..., 1], 255, dtype=np.float32)
        depth_m = sense_depth(shot.depth_m, self.sensor, rng, cosine=shot.cosine, luminance=luminance)
        return RgbdFrame(rgb, depth_m, self.camera, stamp_ns=round(number / self.rate_hz * 1e9), index=number)


class SimulatedTruth:
    """What is true of a simulated recording."""

    def __init__(self, recording: SimulatedRecording) -> None:
        """Look at a recording; nothing is computed before it is asked for."""
        self._recording = recording
        self._fractions: dict[tuple[int, int], float] = {}

    @property
    def object_ids(self) -> tuple[int, ...]:
        """The objects' numbers, from 1."""
        return self._recording.scene.object_ids

    def pose(self, number: int, obj_id: int) -> Pose | None:
        """cam_T_obj (4, 4) in a frame; None where there is no such frame or object."""
        index = self._index(number, obj_id)
        if index is None:
            return None
        world_T_cam, poses = self._recording.poses_at(number / self._recording.rate_hz)
        return se3.inverse(world_T_cam) @ poses[index]

    def visible_fraction(self, number: int, obj_id: int) -> float | None:
        """Share of the object's pixels, hidden ones and those beyond the image included, that is visible."""
        index = self._index(number, obj_id)
        if index is None:
            return None
        if (number, obj_id) not in self._fractions:
            visible = int((self._recording.instance_map(number) == index).sum())
            whole = self._recording.whole_pixels(number, index) if visible else 0.0
            self._fractions[number, obj_id] = min(visible / whole, 1.0) if whole > 0 else 0.0
        return self._fractions[number, obj_id]

    def mask(self, number: int, obj_id: int) -> Mask | None:
        """(H, W) bool, where the object is visible; None where there is no such frame or object."""
        index = self._index(number, obj_id)
        return None if index is None else self._recording.instance_map(number) == index

    def mesh(self, obj_id: int) -> Mesh | None:
        """The object's mesh; None where there is no such object."""
        scene = self._recording.scene
        return scene.instances[scene.index_of(obj_id)].mesh if obj_id in scene.object_ids else None

    def _index(self, number: int, obj_id: int) -> int | None:
        scene = self._recording.scene
        known = number in self._recording.numbers and obj_id in scene.object_ids
        return scene.index_of(obj_id) if known else None


def _moves_visibly(camera: Camera, now: tuple[Pose, list[Pose]], then: tuple[Pose, list[Pose]]) -> bool:
    """Whether anything moves by more than a fraction of a pixel while the shutter is open."""
    cam_now, cam_then = se3.inverse(now[0]), se3.inverse(then[0])
    motions = [cam_then @ now[0]]
    motions += [cam_then @ a @ se3.inverse(b) @ now[0] for a, b in zip(then[1], now[1], strict=True)]
    half = np.array([camera.width / camera.fx, camera.height / camera.fy]) / 2
    points = 0.7 * np.array([[x * half[0], y * half[1], 1.0] for x in (-1, 0, 1) for y in (-1, 0, 1)])
    for k, motion in enumerate(motions):
        if k > 0:
            points = se3.apply(cam_now @ now[1][k - 1], 0.06 * np.concatenate([np.eye(3), -np.eye(3)]))
            points = points[points[:, 2] > 0.1]
        moved = se3.apply(motion, points)
        if len(points) and (moved[:, 2] > 0.05).all():
            shift = np.abs(camera.project(moved) - camera.project(points)).max()
            if shift > _VISIBLE_MOTION_PX:
                return True
    return False
