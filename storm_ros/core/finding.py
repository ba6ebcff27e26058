"""Looking for an object that has no pose, and deciding whether what was found is it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from storm_ros.core.config import SearchConfig
from storm_ros.core.errors import NoDepthError
from storm_ros.core.references import same_image
from storm_ros.core.state import ObjectState, Parts
from storm_ros.core.timing import Clock
from storm_ros.core.types import LossCause, Pose, PoseEstimate, Reference, RgbdFrame, TrackStatus

_AT_HOME = 0.5  # of the margin: what is found where the object was, and no better than this, may be another thing
_MOSTLY_HIDDEN = 0.5
_CLEAR_SHARE = 0.93
_ENOUGH_PIXELS = 256


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


def shown(estimate: PoseEstimate, reference: Reference) -> float:
    """Score in [0, 1] of a pose that nothing is known of but this: what is hidden, or tiny, speaks for nothing.

    A track that was followed may well be half hidden or far away, but a piece of anything fits half a model, or a few
    pixels.

    Args:
        estimate: the pose with its evidence.
        reference: of the object; one that was small itself may be found as small.
    """
    score = estimate.score * (1.0 - estimate.occluded)
    if estimate.mask is None:
        return score
    enough = min(_ENOUGH_PIXELS, 0.5 * np.count_nonzero(reference.views[0].mask))
    return score * min(1.0, np.count_nonzero(estimate.mask) / enough)


def evident_cause(estimate: PoseEstimate, search: SearchConfig) -> LossCause | None:
    """A cause that needs no energy to be seen: out of view, or no depth."""
    if estimate.in_view < search.min_in_view:
        return LossCause.OUT_OF_VIEW
    if estimate.depth_coverage < search.min_depth:
        return LossCause.NO_DEPTH
    return None


def likely_cause(estimate: PoseEstimate, search: SearchConfig) -> LossCause:
    """Why a pose that should be right finds no object: ENERGY when nothing else explains it."""
    evident = evident_cause(estimate, search)
    if evident is not None:
        return evident
    return LossCause.OCCLUDED if estimate.occluded > _MOSTLY_HIDDEN else LossCause.ENERGY


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
    """Whether an energy is that of a good frame, by itself and next to what was usual while the object was tracked.

    By itself that of a look-alike may be, and nothing better is in sight while the object is away.
    """
    usual = state.usual is None or energy <= state.usual + search.margin
    return usual and energy <= parts.gate.start().threshold
