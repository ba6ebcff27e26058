"""The baseline verifier: an energy from depth inliers and colour agreement, without anything learned."""

from __future__ import annotations

import math

from storm_ros.core.types import PoseEstimate, Reference, RgbdFrame

_LIMIT = 0.01


class InlierVerifier:
    """Energy = the log odds against the pose's own score (depth inlier ratio times colour agreement times visibility).

    It keeps no memory: the pose estimator's keyframes are all it compares with.
    """

    tau: float = 0.0
    """Energy above which a frame is bad: a score below one half."""

    def start(self, reference: Reference) -> None:
        """Nothing is kept."""

    def energy(self, frame: RgbdFrame, estimate: PoseEstimate, memory: None) -> float:
        """Log odds against the estimate: 0 at a score of one half, negative when it is more likely right."""
        odds = min(max(estimate.score, _LIMIT), 1.0 - _LIMIT)
        return math.log((1.0 - odds) / odds)

    def remember(self, frame: RgbdFrame, estimate: PoseEstimate, memory: None) -> None:
        """Nothing is kept."""
