"""Other things in the reference's image that could be taken for the object."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.core.config import GateConfig, SearchConfig
from storm_ros.core.errors import NoDepthError
from storm_ros.core.motion import at_rest
from storm_ros.core.rivals import bar, behind, rival_energy
from storm_ros.core.state import Loss, ObjectState, Parts
from storm_ros.core.tracker import TrackerState, add_object, step
from storm_ros.core.types import (
    Camera,
    Candidate,
    EventType,
    GateState,
    LossCause,
    Mask,
    Mesh,
    Pose,
    PoseEstimate,
    Reference,
    Registration,
    RgbdFrame,
    TrackStatus,
    View,
)
from storm_ros.tom import EnergyGate

CAMERA = Camera(20, 20, 20.0, 20.0, 9.5, 9.5)
MESH = Mesh(0.1 * np.eye(3, dtype=np.float32), np.array([[0, 1, 2]]))
HOME, ELSEWHERE = 0.0, 0.5


def patch(left: int) -> Mask:
    mask = np.zeros((20, 20), bool)
    mask[:, left : left + 8] = True
    return mask


def at(x: float) -> Pose:
    return se3.transform(np.eye(3), [x, 0.0, 1.0])


def estimate(x: float, score: float = 0.9, occluded: float = 0.0) -> PoseEstimate:
    return PoseEstimate(at(x), score, score, 0.001, 0.0, 1.0, 1.0, occluded)


def frame(index: int) -> RgbdFrame:
    rgb = np.full((20, 20, 3), index, np.uint8)
    return RgbdFrame(rgb, np.ones((20, 20), np.float32), CAMERA, index * 100_000_000, index)


REFERENCE = Reference("cup", (View(frame(0), patch(0), at(HOME)),), MESH)


class World:
    """A cup on the left and another thing on the right; the test sets how well each fits and what hides the cup."""

    def __init__(self, rival: float, score: float = 0.9, mask: Mask | None = None) -> None:
        self.energies = {HOME: -5.0, ELSEWHERE: rival}
        self.score, self.mask = score, patch(12) if mask is None else mask
        self.hidden: range | tuple[int, ...] = ()
        self.occluded = 0.8

    def describe(self, reference: Reference) -> None:
        return None

    def segment(self, frame: RgbdFrame, description: None) -> tuple[Candidate, ...]:
        return (Candidate(patch(0), 0.9), Candidate(self.mask, 0.8))

    def prepare(self, reference: Reference) -> None:
        return None

    forget = prepare

    def register(self, frame: RgbdFrame, mask: Mask, model: None) -> Registration:
        if mask[:, 0].any() and not np.array_equal(mask, self.mask):
            if frame.index in self.hidden:
                raise NoDepthError("nothing there")
            return Registration(estimate(HOME))
        return Registration(estimate(ELSEWHERE, self.score))

    def track(self, frame: RgbdFrame, model: None, guesses: tuple[Pose, ...]) -> PoseEstimate:
        x = float(guesses[0][0, 3])
        if frame.index in self.hidden and x == HOME:
            return estimate(x, 0.1, self.occluded)
        return estimate(x)

    def judge(self, frame: RgbdFrame, model: None, cam_T_obj: Pose) -> PoseEstimate:
        return estimate(float(cam_T_obj[0, 3]), 0.1, self.occluded if frame.index in self.hidden else 0.0)

    def remember(self, *_: object) -> None:
        return None

    def start(self, reference: Reference) -> None:
        return None

    def energy(self, frame: RgbdFrame, estimate: PoseEstimate, memory: None) -> float:
        return 9.0 if estimate.score < 0.5 else self.energies[float(estimate.cam_T_obj[0, 3])]


def parts_of(world: World) -> Parts:
    return Parts(world, world, world, world, EnergyGate(GateConfig(tau=-0.5, patience=3, smoothing=1.0)))  # pyright: ignore


def state_of(usual: float | None, rival: float | None, cause: LossCause = LossCause.OCCLUDED) -> ObjectState:
    loss = Loss(cause, 3, 0, at_rest(at(HOME), 0))
    return ObjectState(
        REFERENCE, None, None, None, TrackStatus.LOST, GateState(), usual=usual, rival=rival, loss=loss
    )  # fmt: skip


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        (World(-3.0), -3.0),
        (World(-3.0, score=0.72), -3.0),  # from another side it may look better
        (World(-3.0, score=0.5), None),
        (World(1.0), None),
        (World(-3.0, mask=patch(3)), None),  # shares most of the object's pixels: a part of it
    ],
)
def test_a_rival_is_what_would_be_taken_for_the_object(world: World, expected: float | None) -> None:
    assert rival_energy(parts_of(world), SearchConfig(), REFERENCE, None, None, None) == expected


def test_what_lies_where_the_object_lies_is_no_rival() -> None:
    world = World(-3.0)
    world.register = lambda *_: Registration(estimate(HOME))  # type: ignore[method-assign]
    assert rival_energy(parts_of(world), SearchConfig(), REFERENCE, None, None, None) is None


def test_the_bar_lies_halfway_to_the_rival_but_leaves_room() -> None:
    search = SearchConfig(margin=3.0)
    assert bar(state_of(-5.0, None), search) == -2.0
    assert bar(state_of(-5.0, -3.0), search) == -4.0
    assert bar(state_of(-5.0, -4.9), search) == -4.5
    assert bar(state_of(-9.0, -1.0), search) == -6.0  # never above the margin
    assert bar(state_of(None, -3.0), search) is None


def test_only_an_object_with_a_rival_is_waited_for_where_it_is_hidden() -> None:
    world = World(-5.0)
    world.hidden = range(1, 9)
    parts = parts_of(world)
    assert behind(parts, state_of(-5.0, -4.9), frame(3))
    assert not behind(parts, state_of(-5.0, None), frame(3))
    assert not behind(parts, state_of(-5.0, -4.9, LossCause.OUT_OF_VIEW), frame(3))
    assert not behind(parts, state_of(-5.0, -4.9), frame(9))  # nothing hides the place any more
    world.hidden = range(1, 200)
    assert not behind(parts, state_of(-5.0, -4.9), frame(60))  # nor is it waited for longer than five seconds


@pytest.mark.parametrize("rival", [-3.0, -4.9])
@pytest.mark.parametrize("known", [True, False])
def test_the_track_goes_to_a_rival_only_where_rivals_are_not_asked_for(rival: float, known: bool) -> None:
    world = World(rival)
    world.hidden = range(4, 12)
    parts, search = parts_of(world), SearchConfig(every=1, confirm=0, rivals=known, min_probability=0.0)
    state = add_object(parts, TrackerState(), REFERENCE, search)
    found: list[tuple[int, float]] = []
    for i in range(16):
        state, result = step(parts, search, state, replace(frame(i)))
        pose = result.objects["cup"].cam_T_obj
        found += [(i, float(pose[0, 3])) for e in result.events if e.type is EventType.RELOCALIZED and pose is not None]
    assert found == ([(12, HOME)] if known else [(7, ELSEWHERE)])
