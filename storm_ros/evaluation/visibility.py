"""Found and false finds: is the object reported where it is visible, and is the tracker silent where it is not."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

VISIBLE_ABOVE = 0.5
"""The object counts as visible, and must be found, above this visible fraction."""

ABSENT_UP_TO = 0.1
"""The object counts as absent up to this visible fraction: no pose can be right then. Between the two, when it is
partly visible, it need not be found, but a right pose is no false find."""

FOUND_CENTRE_MM = 75.0
"""A pose is at the right place within this centre error, where there is no mesh."""

FOUND_DIAMETERS = 0.1
"""A pose is at the right place within this ADD-S, as a share of the mesh's diameter."""


class Visibility(enum.Enum):
    """Whether an object can be seen in a frame, by its true visible fraction."""

    VISIBLE = "visible"
    PARTLY = "partly"
    ABSENT = "absent"


@dataclass(frozen=True)
class Sighting:
    """One frame of one object.

    Attributes:
        frame: frame number.
        visibility: by the truth.
        reported: whether a pose was given.
        right: whether that pose is at the right place.
    """

    frame: int
    visibility: Visibility
    reported: bool
    right: bool = False


@dataclass(frozen=True)
class Return:
    """The object came back into view.

    Attributes:
        frame: the first visible frame.
        last_frame: the last visible frame before it leaves again.
        frames_until_found: frames from there to the first right pose (0: at once); None when it was not found.
    """

    frame: int
    last_frame: int
    frames_until_found: int | None


@dataclass(frozen=True)
class Leave:
    """The object left the view after it was visible.

    Attributes:
        frame: the first frame in which it is not visible.
        last_frame: the last frame before it is visible again.
        frames_until_silent: frames from there to the first without a pose (0: at once); None when there was always one.
    """

    frame: int
    last_frame: int
    frames_until_silent: int | None


def visibility(fraction: float | None, *, in_truth: bool) -> Visibility:
    """Class of a visible fraction.

    Args:
        fraction: visible share of the object in [0, 1]; None where the data set does not tell.
        in_truth: whether the object has a true pose in the frame; without one it is absent.
    """
    if not in_truth:
        return Visibility.ABSENT
    if fraction is None or fraction > VISIBLE_ABOVE:
        return Visibility.VISIBLE
    return Visibility.ABSENT if fraction <= ABSENT_UP_TO else Visibility.PARTLY


def returns(sightings: Sequence[Sighting]) -> list[Return]:
    """Every span of visible frames that follows one that is not, in the order of the frames given."""
    found: list[Return] = []
    for span in _spans(sightings, visible=True)[0 if sightings and not _visible(sightings[0]) else 1 :]:
        frames = next((i for i, s in enumerate(span) if s.right), None)
        found.append(Return(span[0].frame, span[-1].frame, frames))
    return found


def leaves(sightings: Sequence[Sighting]) -> list[Leave]:
    """Every span of frames without the object that follows a visible one, in the order of the frames given."""
    left: list[Leave] = []
    for span in _spans(sightings, visible=False)[0 if sightings and _visible(sightings[0]) else 1 :]:
        frames = next((i for i, s in enumerate(span) if not s.reported), None)
        left.append(Leave(span[0].frame, span[-1].frame, frames))
    return left


def _visible(sighting: Sighting) -> bool:
    return sighting.visibility is Visibility.VISIBLE


def _spans(sightings: Sequence[Sighting], *, visible: bool) -> list[list[Sighting]]:
    """Runs of frames that are visible, or of frames that are not (partly or not at all)."""
    return [list(run) for kind, run in itertools.groupby(sightings, key=_visible) if kind is visible]


def is_false(sighting: Sighting) -> bool:
    """Whether a pose is a false find: the object is not visible, nor is it a right pose of the part that is."""
    partly_right = sighting.visibility is Visibility.PARTLY and sighting.right
    return sighting.reported and not _visible(sighting) and not partly_right


def statistics(sightings: Sequence[Sighting]) -> dict[str, Any]:
    """Found and false finds of one object.

    Args:
        sightings: of every frame that was run, in the order of the run.

    Returns:
        Counts and fractions; a fraction of no frames is None. `found_fraction` is the share of visible frames with a
        right pose, `wrong_fraction` that with a wrong one, `false_fraction` the share of the other frames with a pose
        that is a false find.
    """
    visible = [s for s in sightings if _visible(s)]
    others = [s for s in sightings if not _visible(s)]
    found = sum(s.right for s in visible)
    wrong = sum(s.reported and not s.right for s in visible)
    false = sum(is_false(s) for s in others)
    return {
        "visible_frames": len(visible),
        "other_frames": len(others),
        "found_frames": found,
        "wrong_frames": wrong,
        "false_frames": false,
        "found_fraction": fraction(found, len(visible)),
        "wrong_fraction": fraction(wrong, len(visible)),
        "false_fraction": fraction(false, len(others)),
        "returns": [asdict(r) for r in returns(sightings)],
        "leaves": [asdict(x) for x in leaves(sightings)],
    }


def fraction(part: int, whole: int) -> float | None:
    """Share of a part in a whole; None of nothing."""
    return part / whole if whole else None
