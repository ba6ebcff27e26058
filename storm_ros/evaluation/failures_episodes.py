"""From a run's frames to what happened: losses, how soon they were noticed, how soon the object was found again.

The rules, which docs/failures.md explains with their reasons:

- A frame is *bad* when the object is not visible (see `Visibility.ABSENT`) or the pose of the frame is wrong.
- An *episode* begins with a bad frame of a track that has a pose, or with a track given up on a good frame. It ends
  with the first of `STEADY` frames in a row that have a right pose. It counts when the track was given up in it, or
  when it has at least `STEADY` bad frames; shorter ones are blips.
- *Delay*: frames from its first bad frame to that in which the track is given up. A track given up on a good frame less
  than `STEADY` frames before the object vanishes has noticed it early (delay 0); other such frames are false alarms.
- *Recoverable*: the object is visible for at least `VISIBLE_FOR` frames in a row from the loss on, or after it. Frames
  until found count from the first of these to the end of the episode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from storm_ros.evaluation.visibility import Visibility

STEADY = 5
"""Frames in a row with a right pose that make a track found again."""

VISIBLE_FOR = 30
"""Frames in a row that an object must be visible to be one that can be found again."""


@dataclass(frozen=True)
class Moment:
    """One frame of a run of one object.

    Attributes:
        visibility: of the object, as far as the sensor delivers it.
        reported: whether a pose was given.
        right: whether this frame's pose is right, be it given or, in the frame of a loss, withdrawn.
        declared: whether the track was given up in this frame.
    """

    visibility: Visibility
    reported: bool
    right: bool
    declared: bool = False

    @property
    def bad(self) -> bool:
        """Whether no pose can be right here, or the frame's own is wrong."""
        return self.visibility is Visibility.ABSENT or ((self.reported or self.declared) and not self.right)

    @property
    def good(self) -> bool:
        """Whether a right pose of a visible object was given."""
        return self.reported and not self.bad


@dataclass(frozen=True)
class Episode:
    """A loss, or what was taken for one; frames count from the run's first.

    Attributes:
        start: the first bad frame; of a false alarm, the frame of the alarm.
        declared: frame in which the track was given up; None when that went unnoticed.
        false_alarm: given up while all was well.
        back: first frame of the object's return, the declared or first one where it stayed visible; None when it is
            not visible for long enough to be found.
        found: first frame of the steady right poses that end it; None when there are none.
    """

    start: int
    declared: int | None
    false_alarm: bool
    back: int | None
    found: int | None

    @property
    def delay(self) -> int | None:
        """Frames until it was noticed; None when it was not, or when there was nothing to notice."""
        if self.declared is None or self.false_alarm:
            return None
        return max(0, self.declared - self.start)

    @property
    def frames_until_found(self) -> int | None:
        """Frames from the object's return until it was found; None when it was not, or could not be."""
        if self.back is None or self.found is None:
            return None
        return max(0, self.found - self.back)


def episodes(moments: Sequence[Moment]) -> list[Episode]:
    """All episodes of a run, in order; blips are left out."""
    out: list[Episode] = []
    i = 0
    while i < len(moments):
        moment = moments[i]
        if moment.declared and not moment.bad:
            vanishes = next((k for k in range(i + 1, min(i + STEADY, len(moments))) if _gone(moments[k])), None)
            end = _steady_from(moments, i + 1)
            start = i if vanishes is None else vanishes
            out.append(Episode(start, i, vanishes is None, _return(moments, i), end))
        elif moment.bad and (moment.reported or moment.declared):
            end = _steady_from(moments, i + 1)
            stop = len(moments) if end is None else end
            declared = next((k for k in range(i, stop) if moments[k].declared), None)
            if declared is not None or sum(m.bad for m in moments[i:stop]) >= STEADY:
                out.append(Episode(i, declared, False, _return(moments, i if declared is None else declared), end))
        else:
            i += 1
            continue
        if end is None:
            break
        i = end
    return out


def _gone(moment: Moment) -> bool:
    return moment.visibility is Visibility.ABSENT


def _steady_from(moments: Sequence[Moment], first: int) -> int | None:
    """First frame from which STEADY frames in a row are good."""
    run = 0
    for k in range(first, len(moments)):
        run = run + 1 if moments[k].good else 0
        if run == STEADY:
            return k - STEADY + 1
    return None


def _return(moments: Sequence[Moment], first: int) -> int | None:
    """First frame from which the object is visible for long enough to be found."""
    run = 0
    for k in range(first, len(moments)):
        run = run + 1 if moments[k].visibility is Visibility.VISIBLE else 0
        if run == VISIBLE_FOR:
            return k - VISIBLE_FOR + 1
    return None
