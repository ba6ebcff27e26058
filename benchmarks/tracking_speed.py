"""How fast: geometric.track, the whole loop and registration, and how much memory the loop takes.

Frames are read beforehand. Times are wall times; the notes give CPU times, which other work on the machine hardly
disturbs (on a CPU the estimator works on one thread, so that the two agree when the machine is idle). Of several
repetitions the quickest is taken, as other work only adds time. The column "x baseline" has the median CPU
time in units of that of a fixed workload (common/timing.py), which was timed next to it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from common import timing
from common.figures import Figure, Outcome, console, main, parser
from common.recorded import DESK_OBJECTS, seen, truth_of
from common.runs import new_tracker, open_data, read_all
from common.timing import Timing, best_of, timed

from storm_ros.core import motion
from storm_ros.core.errors import RecordingError, StormError
from storm_ros.core.types import Reference, RgbdFrame, View
from storm_ros.io import Recording

_CUBE = 1


def run(args: argparse.Namespace, outcome: Outcome) -> None:
    """Measure everything whose recording is there."""
    for part in (_desk, _register, _memory):
        try:
            part(args, outcome)
        except RecordingError as error:
            outcome.skipped.append(f"{part.__name__.strip('_')}: {error}")
    outcome.machine["load_at_end"] = round(timing.load(), 2)


def _desk(args: argparse.Namespace, outcome: Outcome) -> None:
    with open_data(args.data, "desk") as recording:
        frames = read_all(recording, recording.numbers[: args.frames])
        for mesh, target in (("given", 10.0), ("lifted", 15.0)):
            reference = _reference(args, recording, frames[0], given=mesh == "given")
            found = best_of(args.repeats, lambda reference=reference: _tracked(args, reference, frames))
            name = f"track, {mesh} mesh"
            outcome.figures += [
                _time(f"{name}: p50", found.p50, found, target),
                _time(f"{name}: p95", found.p95, found, None),
            ]
        for count, target in ((1, 40.0), (2, None)):
            names = tuple(DESK_OBJECTS)[:count]
            found = best_of(args.repeats, lambda names=names: _looped(args, recording, frames, names))
            text = f"whole loop, {count} object{'s' * (count > 1)}, lifted"
            note = f"per CPU second: {1e3 / np.mean(found.cpu_ms):.1f}"
            rate = Figure(text, 1e3 / found.mean, "frames/s", target, at_least=True, note=note)
            outcome.figures += [
                dataclasses.replace(rate, ratio=found.cpu_p50 / found.baseline_ms),
                _time(f"{text}: p50", found.p50, found, None),
                _time(f"{text}: p95", found.p95, found, None),
            ]


def _reference(args: argparse.Namespace, recording: Recording, frame: RgbdFrame, *, given: bool) -> Reference:
    truth = truth_of(recording)
    mask = seen(recording, frame.index, _CUBE)
    if not given:
        return new_tracker(args).set_reference(frame, mask)
    mesh, pose = truth.mesh(_CUBE), truth.pose(frame.index, _CUBE)
    assert mesh is not None
    assert pose is not None
    return Reference("object", (View(frame, mask, pose),), mesh)


def _tracked(args: argparse.Namespace, reference: Reference, frames: Sequence[RgbdFrame]) -> list[tuple[float, float]]:
    """Wall and CPU milliseconds of geometric.track in each frame, with the guesses and keyframes it has in the loop."""
    estimator = new_tracker(args).parts.pose
    model = estimator.prepare(reference)
    past = motion.at_rest(reference.views[0].cam_T_obj, frames[0].stamp_ns)
    estimator.track(dataclasses.replace(frames[0]), model, (past.cam_T_obj,))
    out: list[tuple[float, float]] = []
    for original in frames[1:]:
        frame = dataclasses.replace(original)  # a frame that was seen before is on the device already
        guesses = motion.predicted(past, frame.stamp_ns)
        began = timing.clocks()
        estimate = estimator.track(frame, model, guesses)
        ended = timing.clocks()
        out.append((ended[0] - began[0], ended[1] - began[1]))
        past = motion.moved(past, estimate.cam_T_obj, frame.stamp_ns)
        model = estimator.remember(frame, model, estimate)
    return out


def _looped(
    args: argparse.Namespace, recording: Recording, frames: Sequence[RgbdFrame], objects: Sequence[int]
) -> list[tuple[float, float]]:
    """Wall and CPU milliseconds of Tracker.step in each frame after the reference's."""
    tracker = new_tracker(args)
    for obj_id in objects:
        tracker.set_reference(frames[0], seen(recording, frames[0].index, obj_id), object_id=DESK_OBJECTS[obj_id])
    tracker.step(frames[0])
    return [_step_ms(tracker.step, dataclasses.replace(frame)) for frame in frames[1:]]


def _step_ms(step: Callable[[RgbdFrame], object], frame: RgbdFrame) -> tuple[float, float]:
    return timed(lambda: step(frame))


def _register(args: argparse.Namespace, outcome: Outcome) -> None:
    with open_data(args.data, "ycbv") as recording:
        truth = truth_of(recording)
        frames = read_all(recording, recording.numbers)
        estimator = new_tracker(args).parts.pose
        jobs = []
        for obj_id in truth.object_ids:
            mesh = truth.mesh(obj_id)
            assert mesh is not None
            model = estimator.prepare(Reference("object", (), mesh))
            jobs += [(frame, seen(recording, frame.index, obj_id), model) for frame in frames]

        def registered() -> list[tuple[float, float]]:
            fresh = [(dataclasses.replace(frame), mask, model) for frame, mask, model in jobs]
            return [timed(lambda job=job: estimator.register(*job)) for job in fresh]

        estimator.register(*jobs[0])
        found = best_of(args.repeats, registered)
    outcome.figures += [
        _time(f"register, given mesh, {len(jobs)} times: p50", found.p50, found, 600.0),
        _time("register, given mesh: p95", found.p95, found, None),
    ]


def _time(name: str, value: float, found: Timing, target: float | None) -> Figure:
    if not name.endswith("p50"):
        return Figure(name, value, "ms", target)
    note = f"CPU time p50: {found.cpu_p50:.1f} ms"
    return Figure(name, value, "ms", target, note=note, ratio=found.cpu_p50 / found.baseline_ms)


def _memory(args: argparse.Namespace, outcome: Outcome) -> None:
    """Peak memory of a process of its own that reads the frames one by one, as the command line does."""
    open_data(args.data, "desk").close()
    command = [sys.executable, str(Path(__file__).resolve()), "--memory-of-loop", "--data", str(args.data)]
    done = subprocess.run([*command, "--device", args.device], capture_output=True, text=True, check=False)
    if done.returncode:
        raise StormError(f"the process that measures memory failed: {done.stderr.strip().splitlines()[-1:]}")
    found = json.loads(done.stdout)
    for count in ("1", "2"):
        outcome.figures.append(
            Figure(f"peak memory of the loop, {count} object{'s' * (count > '1')}", found[count], "MB", 1500.0)
        )


def _memory_of_loop(args: argparse.Namespace) -> None:
    """Write the peak memory after runs with one and with two objects as JSON on standard output."""
    peaks: dict[str, float] = {}
    with open_data(args.data, "desk") as recording:
        for count in (1, 2):
            tracker = new_tracker(args)
            first = recording.read(recording.numbers[0])
            for obj_id in tuple(DESK_OBJECTS)[:count]:
                tracker.set_reference(first, seen(recording, first.index, obj_id), object_id=DESK_OBJECTS[obj_id])
            for number in recording.numbers:
                tracker.step(recording.read(number))
            peaks[str(count)] = timing.peak_rss_mb()
    sys.stdout.write(json.dumps(peaks))


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--frames", type=int, default=99, help="frames of desk (default: 99)")
    options.add_argument("--repeats", type=int, default=3, help="repetitions, of which the best is taken (default: 3)")
    options.add_argument("--memory-of-loop", action="store_true", help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.memory_of_loop:
        _memory_of_loop(arguments)
        sys.exit(0)
    console.print(f"load before: {timing.load():.2f}", highlight=False)
    sys.exit(main(run, arguments, "tracking_speed"))
