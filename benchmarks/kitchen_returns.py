"""Lost and found on `kitchen`: the mug from frame 111 to the end, and backwards to the beginning.

The camera leaves the mug and comes back to it five times: four times forward, once backwards. Parts are compared by
their settings, as in `--set segmenter.name=som --set verifier.name=tom`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from common.figures import Figure, Outcome, main, parser
from common.recorded import KITCHEN_REFERENCE, seen, truth_of
from common.runs import Run, follow, judged, median, open_data

import storm_ros
from storm_ros.core.config import StormConfig, from_assignments, with_values
from storm_ros.core.types import EventType, RgbdFrame
from storm_ros.evaluation.accuracy import Judgement, accuracy_block
from storm_ros.evaluation.visibility import Visibility
from storm_ros.io import Recording
from storm_ros.io.recording import mirrored_in_time

_OBJECT = 1
_NOTICED, _FOUND = 10, 20
"""Frames within which a leave must be noticed, and a return found."""


@dataclass(frozen=True, eq=False)
class Way:
    """A run in one direction.

    Attributes:
        name: forward or backwards.
        run: what came out.
        judgement: its errors.
        returns: rows of the mug's returns into view.
        leaves: rows of its leaves.
    """

    name: str
    run: Run
    judgement: Judgement
    returns: Sequence[dict[str, Any]]
    leaves: Sequence[dict[str, Any]]


def run(args: argparse.Namespace, outcome: Outcome) -> None:
    """Run both ways and compute the figures of both together."""
    config = with_values(from_assignments(StormConfig(), args.assignments), {"device.name": args.device})
    with open_data(args.data, "kitchen") as recording:
        ways = [_one_way(config, recording, name) for name in args.ways]
    outcome.details["leaves"] = [{"way": way.name, **leave} for way in ways for leave in way.leaves]
    outcome.details["returns"] = [{"way": way.name, **back} for way in ways for back in way.returns]
    outcome.details["events"] = [row for way in ways for row in _events(way)]
    outcome.figures.extend(_figures(ways))


def _one_way(config: StormConfig, recording: Recording, name: str) -> Way:
    backwards = name == "backwards"
    numbers = [n for n in recording.numbers if (n <= KITCHEN_REFERENCE if backwards else n >= KITCHEN_REFERENCE)]
    tracker = storm_ros.create_tracker(config)
    first = recording.read(KITCHEN_REFERENCE)
    reference = tracker.set_reference(first, seen(recording, KITCHEN_REFERENCE, _OBJECT))
    done = follow(tracker, _frames(recording, numbers[::-1] if backwards else numbers, first, backwards=backwards))
    pose = reference.views[0].cam_T_obj
    judgement = judged(done, truth_of(recording), _OBJECT, KITCHEN_REFERENCE, cam_T_obj_ref=pose)
    block = accuracy_block([judgement])
    assert block is not None
    stats = block["objects"]["object"]
    return Way(name, done, judgement, stats["returns"], stats["leaves"])


def _frames(recording: Recording, numbers: Iterable[int], first: RgbdFrame, *, backwards: bool) -> Iterator[RgbdFrame]:
    for number in numbers:
        frame = first if number == first.index else recording.read(number)
        yield mirrored_in_time(frame, first.stamp_ns) if backwards else frame


def _events(way: Way) -> Iterator[dict[str, Any]]:
    for event in way.run.events:
        if event.type in (EventType.LOST, EventType.RELOCALIZED):
            number = next(f for f in way.judgement.frames if f.frame == event.frame)
            yield {
                "way": way.name,
                "frame": event.frame,
                "event": event.type.value,
                "cause": event.cause and event.cause.value,
                "visible": number.visibility.value,
                "centre mm": number.centre_mm,
                "energy": event.energy,
                "score": event.score,
                "frames lost": event.frames_lost,
            }


def _figures(ways: Sequence[Way]) -> list[Figure]:
    frames = [f for way in ways for f in way.judgement.scored]
    visible = [f for f in frames if f.visibility is Visibility.VISIBLE]
    absent = [f for f in frames if f.visibility is Visibility.ABSENT]
    left = [leave["frames_until_silent"] for way in ways for leave in way.leaves]
    noticed = sum(n is not None and n <= _NOTICED for n in left)
    back = [found["frames_until_found"] for way in ways for found in way.returns]
    found = sum(n is not None and n <= _FOUND for n in back)
    centre = [f.centre_mm for f in visible if f.reported]
    false = sum(f.reported for f in absent)
    silent = 100.0 * (1.0 - false / max(len(absent), 1))
    total_ms = np.concatenate([way.run.total_ms for way in ways])
    right = 100.0 * sum(f.right for f in visible) / max(len(visible), 1)
    return [
        Figure(f"leaves noticed within {_NOTICED} frames", noticed, f"of {len(left)}", len(left), at_least=True),
        Figure(f"returns found within {_FOUND} frames", found, f"of {len(back)}", max(len(back) - 1, 0), at_least=True),
        Figure("median centre error while tracked", median(centre), "mm", 40.0),
        Figure("frames without the mug that have no pose", silent, "%", 97.0, at_least=True, note=f"{false} poses"),
        Figure("visible frames with a pose within 75 mm", right, "%"),
        Figure("visible frames with a pose elsewhere", sum(f.reported and not f.right for f in visible), ""),
        Figure("step, p50", float(np.percentile(total_ms, 50)), "ms"),
        Figure("step, p95", float(np.percentile(total_ms, 95)), "ms"),
    ]


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], dest="assignments", help="one setting; repeatable"
    )
    arguments.add_argument("--ways", nargs="+", choices=("forward", "backwards"), default=["forward", "backwards"])
    sys.exit(main(run, arguments.parse_args(), "kitchen returns"))
