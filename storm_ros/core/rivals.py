"""What could be taken for an object: other things in its reference's own image, where it is known which one it is."""

from __future__ import annotations

from typing import Any

import numpy as np

from storm_ros.core import se3
from storm_ros.core.config import SearchConfig
from storm_ros.core.errors import NoDepthError
from storm_ros.core.evident import evident_cause, shown
from storm_ros.core.state import ObjectState, Parts
from storm_ros.core.types import LossCause, Mask, PoseEstimate, Reference, RgbdFrame

_ALMOST = 0.9  # of the score that a found pose must reach: from another side the rival may look better
_SAME_SHARE = 0.3  # of the smaller of two masks, or of the diameter: what shares or lies nearer is the object itself
_BETWEEN = 0.5  # of the way from what was usual to the rival's energy
_ROOM = 0.5  # what the energy of right poses scatters by
_HIDDEN = 0.25
_PATIENCE_S = 5.0


def rival_energy(
    parts: Parts, search: SearchConfig, reference: Reference, model: Any, description: Any, memory: Any
) -> float | None:
    """Lowest energy of what would be taken for the object in its reference's first view, and is not it.

    Args:
        parts: the implementations.
        search: settings.
        reference: of the object.
        model: of the pose estimator.
        description: of the segmenter.
        memory: of the verifier.

    Returns:
        None when nothing there is as good as a found pose must be.
    """
    view = reference.views[0]
    energies: list[float] = []
    for candidate in parts.segmenter.segment(view.frame, description):
        if _share(candidate.mask, view.mask) > _SAME_SHARE:
            continue
        try:
            estimate = parts.pose.register(view.frame, candidate.mask, model).best
        except NoDepthError:
            continue
        apart = se3.distance(estimate.cam_T_obj, view.cam_T_obj)
        if apart > _SAME_SHARE * reference.mesh.diameter and _passes(estimate, reference, search):
            energies.append(parts.verifier.energy(view.frame, estimate, memory))
    return min((e for e in energies if e <= parts.gate.start().threshold), default=None)


def bar(state: ObjectState, search: SearchConfig) -> float | None:
    """Energy that a found pose may have next to what was usual while the object was tracked; None before that.

    By itself the energy of a look-alike may be good, and nothing better is in sight while the object is away.
    """
    if state.usual is None:
        return None
    if state.rival is None:
        return state.usual + search.margin
    return state.usual + min(search.margin, max(_BETWEEN * (state.rival - state.usual), _ROOM))


def behind(parts: Parts, state: ObjectState, frame: RgbdFrame) -> bool:
    """Whether an object that has a rival is rather behind what hides the place where it was lost than elsewhere."""
    loss = state.loss
    if state.rival is None or loss is None or loss.cause is not LossCause.OCCLUDED:
        return False
    if abs(frame.stamp_ns - loss.stamp_ns) > _PATIENCE_S * 1e9:
        return False
    return parts.pose.judge(frame, state.model, loss.last.cam_T_obj).occluded > _HIDDEN


def _passes(estimate: PoseEstimate, reference: Reference, search: SearchConfig) -> bool:
    return shown(estimate, reference) >= _ALMOST * search.min_score and evident_cause(estimate, search) is None


def _share(a: Mask, b: Mask) -> float:
    return float(np.count_nonzero(a & b)) / max(min(np.count_nonzero(a), np.count_nonzero(b)), 1)
