"""What goes wrong in the clips of the tracking-failure benchmark: one function a kind, from chance to a script.

Every script begins with a calm part, in which the target stands on a table or is pushed about slowly before a hand-held
camera, then something happens, and then it is calm again for so long that a lost target can be found.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from storm_ros.core import se3
from storm_ros.core.types import Pose
from storm_ros.sim.imaging import ColourCamera
from storm_ros.sim.paths import HandHeld, Keyframes, Path, Static, slide_and_turn, smoothstep

Rng = np.random.Generator

RATE_HZ = 30.0
USUAL_FRAMES = 80
"""The scripts' lengths are meant for clips of so many frames, and are in proportion for others."""

_AWAY = se3.transform(np.eye(3), [0.0, 0.0, -5.0])


class Delivery(str, enum.Enum):
    """What the sensor delivers of a frame."""

    FULL = "full"
    NO_DEPTH = "no_depth"
    BLACK = "black"
    FROZEN = "frozen"


@dataclass(frozen=True, eq=False)
class Setting:
    """What a script can work with; frames count from 0.

    Attributes:
        rng: the source of randomness.
        frames: length of the clip.
        number: of the clip among those of its kind; variants of a kind take turns by it.
        camera: world_T_cam over time when nothing happens.
        target: world_T_obj over time of the target when nothing happens.
        elsewhere: another place on the table where nothing stands, for the target to be put down at.
        radius_m: half the target's width as the camera sees it at first.
        gap_m: distance at which the look-alike stands just beside the target.
        colour: the colour camera when nothing happens.
    """

    rng: Rng
    frames: int
    number: int
    camera: Path
    target: Path
    elsewhere: Pose
    radius_m: float
    gap_m: float
    colour: ColourCamera

    def span(self, low: float, high: float) -> int:
        """A random number of frames, at least 1; the bounds are those of a clip of the usual length."""
        return max(1, round(self.rng.uniform(low, high) * self.frames / USUAL_FRAMES))

    def side(self) -> float:
        """-1 or 1, at random."""
        return float(self.rng.choice([-1.0, 1.0]))


@dataclass(frozen=True, eq=False)
class Happening:
    """What a script makes of its setting.

    Attributes:
        first: first frame of it.
        last: last frame of it.
        what: variant, in a word.
        camera: world_T_cam; None leaves it.
        target: the target's motion; None leaves it.
        lookalike: the look-alike's motion; None leaves it standing.
        occluder: motion of the board; None leaves it out of sight.
        colours: the colour camera in frames in which it differs.
        deliveries: what the sensor delivers in frames that it does not deliver fully.
    """

    first: int
    last: int
    what: str = ""
    camera: Path | None = None
    target: Path | None = None
    lookalike: Path | None = None
    occluder: Path | None = None
    colours: Mapping[int, ColourCamera] = field(default_factory=dict)
    deliveries: Mapping[int, Delivery] = field(default_factory=dict)


@dataclass(frozen=True)
class Sideways:
    """Something held before the target: it comes in from a side, stays over part of it or all, and goes.

    Attributes:
        camera: world_T_cam over time.
        target: world_T_obj over time.
        frames: of which it starts to come, is there, starts to go, is gone.
        share: where on the line of sight, 0 at the camera, 1 at the target.
        reach_m: how far to the side it starts and ends.
        rest_m: how far to the side of the line of sight it stays.
        side: 1 from the right of the image, -1 from the left.
        back: whether it goes back where it came from, or on to the other side.
        facing: whether it faces the camera, as a board; otherwise it is held as the target stands, as a look-alike.
    """

    camera: Path
    target: Path
    frames: tuple[float, float, float, float]
    share: float
    reach_m: float
    rest_m: float = 0.0
    side: float = 1.0
    back: bool = False
    facing: bool = True

    def __call__(self, t: float) -> Pose:
        """World pose at a time in seconds; out of sight before it comes and after it has gone."""
        come, there, leave, gone = (f / RATE_HZ for f in self.frames)
        if t <= come or t >= gone:
            return _AWAY
        far = 1.0 - smoothstep((t - come) / (there - come))
        off = smoothstep((t - leave) / (gone - leave)) * (1.0 if self.back else -1.0)
        world_T_cam = self.camera(t)
        cam_T_target = se3.inverse(world_T_cam) @ self.target(t)
        place = cam_T_target[:3, 3] * self.share
        place[0] += self.side * (self.rest_m + (self.reach_m - self.rest_m) * (far + off))
        rotation = se3.so3_exp([0.0, 0.0, 0.35 * (far + off)]) if self.facing else cam_T_target[:3, :3]
        return world_T_cam @ se3.transform(rotation, place)


@dataclass(frozen=True)
class LookAway:
    """A camera that turns aside, stays so, and comes back to look a little beside where it looked before."""

    base: Path
    frames: tuple[float, float, float, float]
    angle_rad: float
    left_rad: float

    def __call__(self, t: float) -> Pose:
        """world_T_cam at a time in seconds."""
        begin, away, back, end = (f / RATE_HZ for f in self.frames)
        out, home = smoothstep((t - begin) / (away - begin)), smoothstep((t - back) / (end - back))
        return self.base(t) @ se3.exp([0, 0, 0, 0, self.angle_rad * out - (self.angle_rad - self.left_rad) * home, 0])


@dataclass(frozen=True)
class Shaken:
    """A camera that is shaken for a while."""

    base: Path
    first: float
    last: float
    seed: int
    angle_rad: float
    rate_hz: float

    def __call__(self, t: float) -> Pose:
        """world_T_cam at a time in seconds."""
        begin, end, soft = self.first / RATE_HZ, self.last / RATE_HZ, 2.0 / RATE_HZ
        strength = smoothstep((t - begin) / soft) - smoothstep((t - end + soft) / soft)
        phases = np.random.default_rng(self.seed).uniform(0, 2 * np.pi, 3)
        waves = np.sin(2 * np.pi * self.rate_hz * t * np.array([1.0, 1.13, 0.7]) + phases) * [1.0, 1.0, 0.4]
        return self.base(t) @ se3.exp([0, 0, 0, *(strength * self.angle_rad * waves)])


def board(setting: Setting, *, whole: bool) -> Happening:
    """A board is held before the target, over all of it or part of it."""
    s = setting
    come = s.span(17, 24)
    there = come + s.span(5, 8)
    leave = there + s.span(10, 18)
    gone = leave + s.span(5, 8)
    share, half = 0.6, BOARD_WIDTH_M / 2
    rest = 0.0 if whole else half + share * s.radius_m * (1.0 - 2.0 * s.rng.uniform(0.3, 0.6))
    motion = Sideways(s.camera, s.target, (come, there, leave, gone), share, 0.6, rest, s.side(), back=not whole)
    return Happening(come, gone, "whole" if whole else "part", target=s.target, occluder=motion)


BOARD_WIDTH_M = 0.3


def jump(setting: Setting) -> Happening:
    """The target is snatched elsewhere within one or two frames."""
    s = setting
    at, length = s.span(17, 26), 1 + s.number % 2
    return Happening(at, at + length, f"in {length}", target=_carried(s, at, at + length, at + length))


def leave(setting: Setting) -> Happening:
    """The target is carried out of the image, or the camera turns away; then it is seen again, elsewhere."""
    s = setting
    begin = s.span(16, 22)
    away = begin + s.span(6, 9)
    back = away + s.span(10, 16)
    end = back + s.span(6, 9)
    if s.number % 2:
        angle, left = s.side() * s.rng.uniform(0.75, 0.9), s.rng.uniform(-0.15, 0.15)
        turned = LookAway(s.camera, (begin, away, back, end), angle, left)
        return Happening(begin, end, "camera", target=_after(s.target, Static(s.elsewhere), away + 1), camera=turned)
    return Happening(begin, end, "carried", target=_taken_away(s, begin, away, back, end))


def lookalike_front(setting: Setting) -> Happening:
    """A look-alike is moved past before the target, held as the target stands."""
    s = setting
    come = s.span(15, 20)
    there = come + s.span(7, 10)
    leave = there + s.span(8, 14)
    gone = leave + s.span(7, 10)
    share = s.rng.uniform(0.55, 0.7)
    motion = Sideways(s.camera, s.target, (come, there, leave, gone), share, 0.5, 0.0, s.side(), facing=False)
    return Happening(come, gone, "in front", lookalike=motion)


def lookalike_beside(setting: Setting) -> Happening:
    """A look-alike is pushed beside the target and on; or it stays, and the target is taken away for a while."""
    s = setting
    side = s.side()
    come = s.span(8, 12)
    there = come + s.span(10, 14)
    target = s.target
    beside = np.array(target(there / RATE_HZ))
    beside[:3, 3] += [side * s.gap_m, -0.02, 0.0]
    far = np.array(beside)
    far[:3, 3] += [side * 0.6, 0.0, 0.0]
    arrive = Keyframes([come / RATE_HZ, there / RATE_HZ], [far, beside])
    if s.number % 2:
        behind, passed = np.array(beside), np.array(beside)
        behind[:3, 3] += [-side * s.gap_m, s.gap_m, 0.0]
        passed[:3, 3] += [-side * (2 * s.gap_m + 0.5), 0.0, 0.0]
        end = there + s.span(16, 22)
        middle = there + 0.4 * (end - there)
        onward = Keyframes([there / RATE_HZ, middle / RATE_HZ, end / RATE_HZ], [beside, behind, passed])
        return Happening(come, end, "passes", lookalike=_after(arrive, onward, there))
    begin = there + s.span(3, 5)
    away = begin + s.span(4, 6)
    back = away + s.span(8, 12)
    end = back + s.span(5, 8)
    return Happening(come, end, "stays", lookalike=arrive, target=_taken_away(s, begin, away, back, end, side=-side))


def light(setting: Setting) -> Happening:
    """The light grows brighter or darker, and its colour changes, at once or over a few frames; it may come back."""
    s = setting
    begin, ramp = s.span(17, 24), s.span(1, 5)
    brighter = s.number % 3 == 2
    factor = float(np.exp(s.rng.uniform(np.log(1.4), np.log(1.9)))) if brighter else s.rng.uniform(0.3, 0.6)
    tint = 1 + s.rng.uniform(-0.15, 0.15)
    end = begin + s.span(14, 24) if s.rng.random() < 0.5 else s.frames
    colours = {}
    for frame in range(begin, s.frames):
        share = min(1.0, (frame - begin + 1) / ramp) - min(1.0, max(0.0, (frame - end + 1) / ramp))
        if share > 0:
            red, green, blue = s.colour.white_balance
            balance = red * tint**share, green, blue * tint**-share
            colours[frame] = replace(s.colour, exposure=s.colour.exposure * factor**share, white_balance=balance)
    return Happening(begin, min(end + ramp, s.frames - 1), "brighter" if brighter else "darker", colours=colours)


def blur(setting: Setting) -> Happening:
    """The camera is shaken while its shutter stays open for long, or it loses its focus."""
    s = setting
    first = s.span(17, 24)
    last = first + s.span(10, 18)
    inside = range(first, min(last + 1, s.frames))
    if s.number % 2:
        colours = {f: replace(s.colour, sharpness_px=2.5, shutter=1.0) for f in inside}
        angle = s.rng.uniform(0.008, 0.014)
        what = "defocus"
    else:
        colours = {f: replace(s.colour, shutter=1.0) for f in inside}
        angle = s.rng.uniform(0.02, 0.035)
        what = "shaken"
    shaken = Shaken(s.camera, first, last, int(s.rng.integers(2**31)), angle, s.rng.uniform(3.5, 5.5))
    return Happening(first, last, what, camera=shaken, colours=colours)


def dropout(setting: Setting) -> Happening:
    """The sensor delivers no depth, nothing, or the same frame again and again, for a while."""
    s = setting
    first = s.span(17, 24)
    last = first + s.span(6, 14) - 1
    kind = (Delivery.NO_DEPTH, Delivery.BLACK, Delivery.FROZEN)[s.number % 3]
    inside = range(first, min(last + 1, s.frames))
    return Happening(first, last, kind.value, deliveries=dict.fromkeys(inside, kind))


SCRIPTS: Mapping[str, Callable[[Setting], Happening]] = {
    "partial": lambda s: board(s, whole=False),
    "occlusion": lambda s: board(s, whole=True),
    "jump": jump,
    "leave": leave,
    "lookalike_front": lookalike_front,
    "lookalike_beside": lookalike_beside,
    "light": light,
    "blur": blur,
    "dropout": dropout,
}
"""By the kind's name."""


def calm_camera(rng: Rng, base: Path) -> Path:
    """The camera's motion when nothing happens: a hand's sway about a slow path."""
    return HandHeld(base, int(rng.integers(2**31)), 0.004, 0.008)


def calm_target(rng: Rng, start: Pose, frames: int) -> Path:
    """The target's motion when nothing happens: it stands still, or is pushed and turned slowly."""
    if rng.random() < 0.3:
        return Static(start)
    offset = [*rng.uniform(-0.035, 0.035, 2), 0.0]
    return slide_and_turn(start, offset, float(rng.uniform(-0.35, 0.35)), 2 / RATE_HZ, frames / RATE_HZ)


def _after(first: Path, second: Path, frame: float) -> Path:
    return lambda t: first(t) if t < frame / RATE_HZ else second(t)


def _carried(s: Setting, begin: int, middle: int, end: int) -> Path:
    """The target's own motion up to a frame, then through the air to elsewhere, where it stays."""
    start = s.target(begin / RATE_HZ)
    if middle >= end:
        flight: Path = Keyframes([begin / RATE_HZ, end / RATE_HZ], [start, s.elsewhere])
    else:
        lifted = np.array(s.elsewhere)
        lifted[:3, 3] = (start[:3, 3] + s.elsewhere[:3, 3]) / 2 + [0.0, 0.0, 0.1]
        flight = Keyframes([f / RATE_HZ for f in (begin, middle, end)], [start, lifted, s.elsewhere])
    return _after(s.target, flight, begin)


def _taken_away(s: Setting, begin: int, away: int, back: int, end: int, side: float | None = None) -> Path:
    """The target's own motion, then out of the image sideways, and later in again from a side to elsewhere."""
    sides = (s.side() if side is None else side), s.side()
    start = s.target(begin / RATE_HZ)
    gone, come = np.array(start), np.array(s.elsewhere)
    gone[:3, 3] += [sides[0] * 0.75, 0.0, 0.12]
    come[:3, 3] += [sides[1] * 0.75, 0.0, 0.12]
    leaving = Keyframes([begin / RATE_HZ, away / RATE_HZ], [start, gone])
    arriving = Keyframes([back / RATE_HZ, end / RATE_HZ], [come, s.elsewhere])
    hidden = _after(Static(_AWAY), arriving, back)
    return _after(_after(s.target, leaving, begin), hidden, away)
