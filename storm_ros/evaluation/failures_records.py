"""What is kept of each clip, as plain values: one line of clips.jsonl."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from storm_ros.evaluation.report import plain

Number = float | None


@dataclass(frozen=True, kw_only=True)
class Find:
    """A pose that was found, at first or after a loss.

    Attributes:
        frame: when.
        right: whether it is right.
        role: what truly is there: target, lookalike, object, occluder or background.
        near: whether it lies within half the object's diameter of where the object truly is, and can be seen.
        frames_lost: frames without a pose before it.
    """

    frame: int
    right: bool
    role: str
    near: bool
    frames_lost: int


@dataclass(frozen=True, kw_only=True)
class Run:
    """One pass of the tracker over a clip; lists have one entry a frame.

    Attributes:
        reported: whether a pose was given.
        error_mm: of the frame's pose, given or (in the frame of a loss) withdrawn; None where there is none.
        energies: of that pose, by verifier; None where there is none, or it could not be computed.
        lost: frames in which the track was given up, and why.
        finds: poses that were found.
        verify_ms: median time of the verifier in frames that were tracked.
        step_ms: the same of the whole loop.
    """

    reported: tuple[bool, ...]
    error_mm: tuple[Number, ...]
    energies: Mapping[str, tuple[Number, ...]]
    lost: tuple[tuple[int, str], ...] = ()
    finds: tuple[Find, ...] = ()
    verify_ms: Number = None
    step_ms: Number = None


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One clip and what every method made of it.

    Attributes:
        kind: what goes wrong in it.
        number: among the clips of its kind.
        what: variant of the kind.
        object: name of the target.
        limit_mm: largest error of a right pose.
        rule: the error that is meant, ADD or ADD-S.
        first: first frame of what goes wrong.
        last: last frame of it.
        visible: share of the object that each frame shows, 0 where the sensor does not deliver it.
        delivery: what the sensor delivers of each frame.
        runs: by method.
        held: the pass with a gate that never gives up, from which the energies are ranked.
        seconds: it took.
    """

    kind: str
    number: int
    what: str
    object: str
    limit_mm: float
    rule: str
    first: int
    last: int
    visible: tuple[float, ...]
    delivery: tuple[str, ...]
    runs: Mapping[str, Run]
    held: Run
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """Kind and number."""
        return f"{self.kind}/{self.number}"

    def right(self, run: Run) -> tuple[bool, ...]:
        """Whether each frame's pose is right."""
        return tuple(e is not None and e <= self.limit_mm for e in run.error_mm)


def clip_line(clip: Clip) -> str:
    """One line of JSON."""
    return json.dumps(plain(asdict(clip)), separators=(",", ":"), allow_nan=False)


def clip_of(values: Mapping[str, Any]) -> Clip:
    """The clip of a parsed line.

    Raises:
        KeyError: something is missing.
        TypeError: something is of another type.
    """
    runs = {name: _run_of(run) for name, run in values["runs"].items()}
    rest = {**values, "runs": runs, "held": _run_of(values["held"])}
    return Clip(**{**rest, "visible": tuple(rest["visible"]), "delivery": tuple(rest["delivery"])})


def _run_of(values: Mapping[str, Any]) -> Run:
    lists = {k: tuple(values[k]) for k in ("reported", "error_mm")}
    return Run(
        **lists,
        energies={name: tuple(e) for name, e in values["energies"].items()},
        lost=tuple((int(frame), str(cause)) for frame, cause in values["lost"]),
        finds=tuple(Find(**find) for find in values["finds"]),
        verify_ms=values["verify_ms"],
        step_ms=values["step_ms"],
    )


def rounded(values: Iterable[float], digits: int) -> tuple[Number, ...]:
    """Values for a file; None for those that are not finite."""
    return tuple(round(float(v), digits) if math.isfinite(v) else None for v in values)
