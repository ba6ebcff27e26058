"""Looking for an object that has no pose, and deciding whether what was found is it."""

from __future__ import annotations

from dataclasses import dataclass

from storm_ros.core.config import SearchConfig
from storm_ros.core.errors import NoDepthError
from storm_ros.core.evident import evident_cause, shown
from storm_ros.core.references import same_image
from storm_ros.core.rivals import bar, behind
from storm_ros.core.state import ObjectState, Parts
from storm_ros.core.timing import Clock
from storm_ros.core.types import Pose, PoseEstimate, RgbdFrame, TrackStatus

_AT_HOME = 0.5  # of the margin: what is found where the object was, and no better than this, may be another thing
_CLEAR_SHARE = 0.93


@dataclass(frozen=True, eq=False)
class Found:
    """An accepted pose.

    Attributes:
        estimate: the pose with its evidence.
        energy: what the verifier says of it.
        clear: whether its score is as good as that of a found pose must be; one that is followed may be less for a
            frame or two.
    """

    estimate: PoseEstimate
    energy: float
    clear: bool = True


def find(parts: Parts, search: SearchConfig, state: ObjectState, frame: RgbdFrame, clock: Clock) -> Found | None:
    """Look for an object in a whole frame: where it was seen last, and wherever the segmenter believes it to be.

    Args:
        parts: the implementations.
        search: settings.
        state: of the object, which has no pose.
        frame: the image.
        clock: gets the times of the stages.

    Returns:
        The best pose that both the pose score and the verifier accept; None without one.
    """
    best: Found | None = None
    if state.loss is not None:
        best = _where_it_was(parts, search, state, state.loss.last.cam_T_obj, frame, clock)
        if best is not None and (state.usual is None or best.energy <= state.usual + _AT_HOME * search.margin):
            return best
    with clock.stage("track"):
        hidden = behind(parts, state, frame)
    if hidden:
        return best
    with clock.stage("segment"):
        candidates = parts.segmenter.segment(frame, state.description)
    for candidate in candidates:
        with clock.stage("register"):
            try:
                estimate = parts.pose.register(frame, candidate.mask, state.model).best
            except NoDepthError:
                continue
        found = _accepted(parts, search, state, estimate, frame, clock)
        if found is not None and (best is None or found.energy < best.energy):
            best = found
    return best


def at_reference(parts: Parts, state: ObjectState, frame: RgbdFrame) -> Found | None:
    """The known pose, if this is the reference's own image and the object was never lost; else None."""
    view = state.reference.views[0]
    if state.status is not TrackStatus.SEARCHING or not same_image(view.frame, frame):
        return None
    estimate = parts.pose.judge(frame, state.model, view.cam_T_obj)
    return Found(estimate, parts.verifier.energy(frame, estimate, state.memory))


def follow_found(
    parts: Parts,
    search: SearchConfig,
    state: ObjectState,
    guesses: tuple[Pose, ...],
    frame: RgbdFrame,
    clock: Clock,
) -> Found | None:
    """Bring a found pose to another frame and verify it there; None when the verifier does not accept it any more.

    Args:
        parts: the implementations.
        search: settings.
        state: of the object.
        guesses: (4, 4) poses, the first the most likely.
        frame: the image.
        clock: gets the times of the stages.
    """
    with clock.stage("track"):
        estimate = parts.pose.track(frame, state.model, guesses)
    with clock.stage("verify"):
        energy = parts.verifier.energy(frame, estimate, state.memory)
    if not _believable(parts, search, state, energy) or evident_cause(estimate, search) is not None:
        return None
    return Found(estimate, energy, shown(estimate, state.reference) >= _CLEAR_SHARE * search.min_score)


def _where_it_was(
    parts: Parts, search: SearchConfig, state: ObjectState, last: Pose, frame: RgbdFrame, clock: Clock
) -> Found | None:
    with clock.stage("track"):
        estimate = parts.pose.track(frame, state.model, (last,))
    return _accepted(parts, search, state, estimate, frame, clock)


def _accepted(
    parts: Parts, search: SearchConfig, state: ObjectState, estimate: PoseEstimate, frame: RgbdFrame, clock: Clock
) -> Found | None:
    """The pose with its energy, if both the pose score and the verifier accept it."""
    if shown(estimate, state.reference) < search.min_score or evident_cause(estimate, search) is not None:
        return None
    with clock.stage("verify"):
        energy = parts.verifier.energy(frame, estimate, state.memory)
    return Found(estimate, energy) if _believable(parts, search, state, energy) else None


def _believable(parts: Parts, search: SearchConfig, state: ObjectState, energy: float) -> bool:
    """Whether an energy is that of a good frame, by itself and next to what was usual while the object was tracked."""
    most = bar(state, search)
    return (most is None or energy <= most) and energy <= parts.gate.start().threshold
