"""Smooth motions: functions from time in seconds to a pose (4, 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator
from scipy.spatial.transform import Rotation, Slerp

from storm_ros.core import se3
from storm_ros.core.errors import InputError
from storm_ros.core.types import Pose

Path = Callable[[float], Pose]
"""A motion: world_T_thing at a time in seconds."""


def look_at(eye: npt.ArrayLike, target: npt.ArrayLike, roll_rad: float = 0.0) -> Pose:
    """world_T_cam (optical frame: z forward, y down) of a camera at `eye` that looks at `target`, world z up."""
    at = np.asarray(eye, dtype=np.float64)
    forward = np.asarray(target, dtype=np.float64) - at
    forward /= np.linalg.norm(forward)
    up = np.array([0.0, 0.0, 1.0]) if abs(forward[2]) < 0.999 else np.array([0.0, 1.0, 0.0])
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward], axis=1)
    return se3.transform(rotation @ se3.so3_exp([0, 0, roll_rad]), at)


def smoothstep(x: float) -> float:
    """0 before 0, 1 after 1, and in between a ramp that starts and stops gently."""
    x = min(max(x, 0.0), 1.0)
    return x * x * x * (10 + x * (6 * x - 15))


@dataclass(frozen=True)
class Static:
    """No motion."""

    pose: Pose

    def __call__(self, t: float) -> Pose:
        """The pose, at any time."""
        return self.pose


@dataclass(frozen=True)
class Keyframes:
    """Through poses at given times: monotone spline for the place, slerp for the attitude; at rest outside.

    Attributes:
        times: (N,) increasing seconds, N at least 2.
        poses: N poses (4, 4).
    """

    times: Sequence[float]
    poses: Sequence[Pose]
    _place: PchipInterpolator = field(init=False, repr=False)
    _turn: Slerp = field(init=False, repr=False)

    def __post_init__(self) -> None:
        times, poses = np.asarray(self.times, dtype=np.float64), np.asarray(self.poses, dtype=np.float64)
        if len(times) < 2 or len(times) != len(poses) or (np.diff(times) <= 0).any():
            raise InputError(
                f"{len(times)} times for {len(poses)} poses: two or more of each, times increasing, needed"
            )
        object.__setattr__(self, "_place", PchipInterpolator(times, poses[:, :3, 3]))
        object.__setattr__(self, "_turn", Slerp(times, Rotation.from_matrix(poses[:, :3, :3])))

    def __call__(self, t: float) -> Pose:
        """The pose at a time."""
        inside = float(np.clip(t, self.times[0], self.times[-1]))
        return se3.transform(self._turn(inside).as_matrix(), self._place(inside))


@dataclass(frozen=True)
class Orbit:
    """A camera on a circle about a point, looking at it.

    Attributes:
        target: (3,) metres.
        radius_m: distance to the target.
        elevation_rad: height of the camera over the horizon of the target.
        start_rad: azimuth at time 0.
        rate_rad_s: turning rate.
        swing_rad: 0 for a steady turn; otherwise it swings by this much to each side, at `rate_rad_s` at most.
    """

    target: npt.ArrayLike
    radius_m: float
    elevation_rad: float
    start_rad: float = 0.0
    rate_rad_s: float = 0.2
    swing_rad: float = 0.0

    def __call__(self, t: float) -> Pose:
        """world_T_cam at a time."""
        turned = self.rate_rad_s * t
        if self.swing_rad > 0:
            turned = self.swing_rad * np.sin(self.rate_rad_s / self.swing_rad * t)
        azimuth, target = self.start_rad + turned, np.asarray(self.target, dtype=np.float64)
        flat = np.cos(self.elevation_rad)
        away = [flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(self.elevation_rad)]
        return look_at(target + self.radius_m * np.array(away), target)


@dataclass(frozen=True)
class HandHeld:
    """A motion with the sway and tremor of a hand: sums of slow and quick sines, the quick ones small.

    Attributes:
        base: the motion without it.
        seed: of the tremor.
        sway_m: standard deviation of the place.
        sway_rad: standard deviation of the attitude.
        rate_hz: the slowest sway; the quickest is twelve times as quick.
    """

    base: Path
    seed: int = 0
    sway_m: float = 0.006
    sway_rad: float = 0.012
    rate_hz: float = 0.35

    def __call__(self, t: float) -> Pose:
        """The pose at a time."""
        rng = np.random.default_rng(self.seed)
        octave = np.array([1.0, 2.3, 5.1, 12.0])
        rates = 2 * np.pi * self.rate_hz * octave[:, None] * rng.uniform(0.8, 1.2, (4, 6))
        strength = octave[:, None] ** -1.1
        waves = (strength * np.sin(rates * t + rng.uniform(0, 2 * np.pi, (4, 6)))).sum(0)
        waves *= np.sqrt(2 / (strength**2).sum())
        return self.base(t) @ se3.exp(waves * np.repeat([self.sway_m, self.sway_rad], 3))


@dataclass(frozen=True)
class Turn:
    """A turn about an axis through the object's own origin, at a steady rate after a gentle start.

    Attributes:
        start: pose before it.
        angle_rad: whole turn.
        begin_s: when it starts.
        end_s: when it is done.
        axis: (3,) in the object's own frame.
    """

    start: Pose
    angle_rad: float
    begin_s: float
    end_s: float
    axis: npt.ArrayLike = (0.0, 0.0, 1.0)

    def __call__(self, t: float) -> Pose:
        """The pose at a time."""
        share = min(max((t - self.begin_s) / (self.end_s - self.begin_s), 0.0), 1.0)
        axis = np.asarray(self.axis, dtype=np.float64)
        return self.start @ se3.transform(se3.so3_exp(axis / np.linalg.norm(axis) * self.angle_rad * share), [0, 0, 0])


def jump(before: Path, after: Path, at_s: float, duration_s: float) -> Path:
    """One motion, then another; in between the object is carried over (or, for a duration of 0, is simply there)."""

    def path(t: float) -> Pose:
        if t < at_s:
            return before(t)
        if t >= at_s + duration_s:
            return after(t)
        ends = [before(at_s), after(at_s + duration_s)]
        return Keyframes([at_s, at_s + duration_s], ends)(t)

    return path


def slide_and_turn(
    start: Pose, offset_m: npt.ArrayLike, angle_rad: float, begin_s: float, end_s: float, back: bool = False
) -> Path:
    """A slow shift along the table with a turn about the vertical; with `back`, there and back again."""
    finish = np.array(start, dtype=np.float64)
    finish[:3, :3] = se3.so3_exp([0, 0, angle_rad]) @ finish[:3, :3]
    finish[:3, 3] += np.asarray(offset_m, dtype=np.float64)
    if back:
        return Keyframes([begin_s, (begin_s + end_s) / 2, end_s], [start, finish, start])
    return Keyframes([begin_s, end_s], [start, finish])


def pushed_off(start: Pose, direction: npt.ArrayLike, edge_m: float, at_s: float, speed_m_s: float = 0.5) -> Path:
    """An object pushed along the table (3,) that falls and tumbles once it is `edge_m` from its start."""
    way = np.asarray(direction, dtype=np.float64)
    way = way / np.linalg.norm(way)
    tumble = np.cross([0, 0, 1], way)

    def path(t: float) -> Pose:
        gone = max(t - at_s, 0.0)
        falling = max(gone - edge_m / speed_m_s, 0.0)
        pose = np.array(start, dtype=np.float64)
        pose[:3, 3] += way * speed_m_s * gone + np.array([0, 0, -4.905 * falling**2])
        pose[:3, :3] = se3.so3_exp(tumble * 6.0 * falling) @ pose[:3, :3]
        return pose

    return path


@dataclass(frozen=True)
class PassingInFront:
    """Something held between camera and target: it comes in from one side, stays in front, and leaves.

    Its pose follows the line of sight, so that what is large enough hides the target for certain while it stays.

    Attributes:
        camera: world_T_cam over time.
        target: world_T_obj over time.
        begin_s: when it starts to come in.
        cover_s: from when it is fully in front.
        leave_s: until when.
        end_s: when it is gone.
        share: where on the line of sight, 0 at the camera, 1 at the target.
        reach_m: how far to the side it starts and ends.
        side: +1 from the right of the image to its left, -1 the other way.
    """

    camera: Path
    target: Path
    begin_s: float
    cover_s: float
    leave_s: float
    end_s: float
    share: float = 0.6
    reach_m: float = 0.6
    side: float = 1.0

    def __call__(self, t: float) -> Pose:
        """World pose of the occluder: x right, y down in the image, z away from the camera."""
        world_T_cam = self.camera(t)
        sight = se3.inverse(world_T_cam) @ self.target(t)
        place = sight[:3, 3] * self.share
        place[0] += self.side * self.reach_m * self.sideways(t)
        tilt = 0.35 * self.sideways(t)
        return world_T_cam @ se3.transform(se3.so3_exp([0.0, 0.0, tilt]), place)

    def sideways(self, t: float) -> float:
        """Offset to the side: 1 before it comes, 0 while it covers, -1 after it has gone."""
        coming = smoothstep((t - self.begin_s) / (self.cover_s - self.begin_s))
        leaving = smoothstep((t - self.leave_s) / (self.end_s - self.leave_s))
        return 1.0 - coming - leaving
