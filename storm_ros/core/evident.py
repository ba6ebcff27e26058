"""What a pose's own evidence says, before any verifier is asked."""

from __future__ import annotations

import numpy as np

from storm_ros.core.config import SearchConfig
from storm_ros.core.types import LossCause, PoseEstimate, Reference

_MOSTLY_HIDDEN = 0.5
_ENOUGH_PIXELS = 256


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
