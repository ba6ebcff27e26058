"""Whether image stamps advance: forward, backward by a glitch, or set back by a clock or a bag that starts again."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

_JUMP_NS = 1_000_000_000
"""A step back by more is a clock that was set back, not a late image."""

_FOLLOWED = 5
"""So many images in a row that go on from an earlier time show that the clock was set back."""

_MANY, _WITHIN_S = 3, 5.0
"""So many resets within this time come from two sources of different clocks on one topic."""


class Step(enum.Enum):
    """What a stamp is compared with those before it."""

    FORWARD = "forward"
    REPEATED = "repeated"
    BACKWARD = "backward"
    RESET = "reset"


@dataclass(frozen=True)
class Timeline:
    """The stamps so far.

    Attributes:
        last_ns: the latest accepted stamp; None before the first.
        behind_ns: the last stamp that was earlier than it, while such come.
        followed: images in a row that advanced behind it.
        resets: times of the last resets, s of a steady clock.
    """

    last_ns: int | None = None
    behind_ns: int | None = None
    followed: int = 0
    resets: tuple[float, ...] = ()


def advance(timeline: Timeline, stamp_ns: int, now_s: float) -> tuple[Timeline, Step]:
    """Judge one more stamp.

    Only images whose step is `FORWARD` or `RESET` are to be used; after a reset what was kept of earlier ones is void.

    Args:
        timeline: the stamps before.
        stamp_ns: the new one.
        now_s: time of arrival by a steady clock.
    """
    last_ns = timeline.last_ns
    if last_ns is None or stamp_ns > last_ns:
        return replace(timeline, last_ns=stamp_ns, behind_ns=None, followed=0), Step.FORWARD
    if stamp_ns == last_ns:
        return timeline, Step.REPEATED
    advanced = timeline.behind_ns is not None and stamp_ns > timeline.behind_ns
    followed = timeline.followed + 1 if advanced else 0
    recent = tuple(t for t in timeline.resets if now_s - t < _WITHIN_S)
    if followed < _FOLLOWED:
        before_ns = last_ns if timeline.behind_ns is None else timeline.behind_ns
        if before_ns - stamp_ns <= _JUMP_NS:  # a step, or one of many that lead further back
            return replace(timeline, behind_ns=stamp_ns, followed=followed), Step.BACKWARD
        if len(recent) >= _MANY:
            kept = (*recent[1 - _MANY :], now_s)
            return replace(timeline, behind_ns=stamp_ns, followed=followed, resets=kept), Step.BACKWARD
    return Timeline(stamp_ns, resets=(*recent[1 - _MANY :], now_s)), Step.RESET
