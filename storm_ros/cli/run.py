"""The run itself: reads frames, steps the tracker, and writes what comes out, whatever ends it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from storm_ros.cli.outputs import Outputs, object_frames
from storm_ros.cli.plan import Plan, is_due
from storm_ros.cli.progress import RunProgress
from storm_ros.cli.stopping import StopRequest
from storm_ros.cli.targets import Target
from storm_ros.core.config import StormConfig
from storm_ros.core.errors import InputError, StormError
from storm_ros.core.types import Mask, Mesh, Reference, RgbdFrame, TrackResult
from storm_ros.evaluation.recorder import RunRecorder

if TYPE_CHECKING:
    from storm_ros.io import BagWriter, PosesWriter, Recording

PICTURES = 15
"""Overlay pictures in a report."""


class TrackerLike(Protocol):
    """What a run needs of a tracker."""

    @property
    def config(self) -> StormConfig:
        """Its settings."""
        ...

    def set_reference(
        self, frame: RgbdFrame, mask: Mask, *, object_id: str = "object", mesh: Mesh | None = None
    ) -> Reference:
        """Track what the mask shows."""
        ...

    def add_reference(self, reference: Reference) -> Reference:
        """Track what a saved reference shows."""
        ...

    def step(self, frame: RgbdFrame) -> TrackResult:
        """Process a frame."""
        ...


@dataclass(eq=False)
class Run:
    """A run, while it goes on and afterwards.

    Attributes:
        targets: the objects.
        plan: the frames.
        recorder: what came out so far.
        references: of the objects whose frame was reached.
        setup_ms: time to set each of them.
        seconds: wall time, reading and writing included.
        interrupted: whether it was cut short by Ctrl-C.
        failure: the error that ended it, if one did.
    """

    targets: Sequence[Target]
    plan: Plan
    recorder: RunRecorder = field(default_factory=RunRecorder)
    references: dict[str, Reference] = field(default_factory=dict)
    setup_ms: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    interrupted: bool = False
    failure: StormError | None = None


def run(
    tracker: TrackerLike,
    recording: Recording,
    targets: Sequence[Target],
    plan: Plan,
    outputs: Outputs,
    *,
    reverse: bool = False,
    quiet: bool = False,
) -> Run:
    """Track the targets through the frames of a plan, writing poses as they come.

    Ctrl-C ends it after the frame at hand, an error at once; what was written until then stays, and the result says
    which it was.

    Args:
        tracker: with no reference yet.
        recording: to read from.
        targets: the objects.
        plan: the frames, in order.
        outputs: where to write.
        reverse: whether the plan runs backwards; time goes on from the first frame's stamp all the same, so that motion
            and gaps are what they were.
        quiet: show no progress.
    """
    state = Run(targets, plan, RunRecorder(pictures=PICTURES if outputs.html else 0))
    outputs.clear()
    started = time.perf_counter()
    try:
        with StopRequest() as stop, outputs.poses() as poses, contextlib.ExitStack() as stack:
            progress = stack.enter_context(RunProgress(len(plan.numbers), quiet=quiet))
            try:
                _loop(state, tracker, recording, _Sinks(poses, progress, outputs, stack), stop, reverse)
            finally:
                stop.finish()  # the bag is completed below
            state.interrupted = stop.requested and state.recorder.frames < _readable(state)
    except KeyboardInterrupt:
        state.interrupted = True
    except StormError as error:
        state.failure = error
    except OSError as error:
        state.failure = StormError(f"{error.filename or outputs.folder}: {error.strerror or error}")
    state.seconds = time.perf_counter() - started
    return state


def _readable(state: Run) -> int:
    return len(state.plan.numbers) - len(state.recorder.unreadable)


@dataclass(eq=False)
class _Sinks:
    """Where the results of a step go; the bag is begun at the first step, when the first meshes are known."""

    poses: PosesWriter
    progress: RunProgress
    outputs: Outputs
    stack: contextlib.ExitStack
    bag: BagWriter | None = None

    def begin_bag(self, state: Run, recording: Recording, frame: RgbdFrame) -> None:
        if self.outputs.bag is None or self.bag is not None:
            return
        from storm_ros.io import BagWriter

        names = object_frames(state.targets)
        bag = BagWriter(self.outputs.bag, recording.camera, frame.frame_id, names, references=state.references)
        self.bag = self.stack.enter_context(contextlib.closing(bag))


def _loop(
    state: Run, tracker: TrackerLike, recording: Recording, sinks: _Sinks, stop: StopRequest, reverse: bool
) -> None:
    from storm_ros.io import read_frames
    from storm_ros.io.recording import mirrored_in_time

    waiting = list(state.targets)
    start_ns: int | None = None
    obj_ids = {target.object_id: target.obj_id for target in state.targets}
    with contextlib.closing(read_frames(recording, state.plan.numbers)) as frames:  # pyright: ignore[reportArgumentType]
        for number, frame in frames:
            if frame is None:
                state.recorder.add_unreadable(number)
                sinks.progress.advance()
                continue
            start_ns = frame.stamp_ns if start_ns is None else start_ns
            frame = mirrored_in_time(frame, start_ns) if reverse else frame
            for target in [t for t in waiting if is_due(t, number, reverse=reverse)]:
                waiting.remove(target)
                _set_reference(state, tracker, target, sinks.outputs)
            sinks.begin_bag(state, recording, frame)
            _step(state, tracker, number, frame, recording.scene_id, obj_ids, sinks)
            if stop.requested:
                return


def _set_reference(state: Run, tracker: TrackerLike, target: Target, outputs: Outputs) -> None:
    started = time.perf_counter()
    if target.saved is not None:
        reference = tracker.add_reference(target.saved)
    else:
        assert target.frame is not None
        assert target.mask is not None
        try:
            reference = tracker.set_reference(target.frame, target.mask, object_id=target.object_id, mesh=target.mesh)
        except InputError as error:
            raise type(error)(f"reference of {target.object_id} (frame {target.number}): {error}") from None
    state.setup_ms[target.object_id] = (time.perf_counter() - started) * 1000.0
    state.references[target.object_id] = reference
    state.recorder.add_reference(reference, -1 if target.number is None else target.number)
    if (folder := outputs.reference_folder(target.object_id, several=len(state.targets) > 1)) is not None:
        from storm_ros.io import save_reference

        save_reference(folder, reference)


def _step(
    state: Run,
    tracker: TrackerLike,
    number: int,
    frame: RgbdFrame,
    scene_id: int,
    obj_ids: dict[str, int],
    sinks: _Sinks,
) -> None:
    started = time.perf_counter()
    result = tracker.step(frame)
    seconds = time.perf_counter() - started
    for object_id, obj in result.objects.items():
        if obj.cam_T_obj is not None:
            sinks.poses.write(scene_id, number, obj_ids[object_id], obj.score, obj.cam_T_obj, seconds)
    if sinks.bag is not None:
        sinks.bag.write(frame, result)
    state.recorder.add(frame, number, result, seconds)
    sinks.progress.update(result, seconds)


def mesh_names(state: Run) -> dict[str, str]:
    """Where each object's mesh came from."""
    return {
        name: f"{reference.mesh.name} ({len(reference.mesh.vertices)} vertices, {_size_mm(reference.mesh)} mm)"
        for name, reference in state.references.items()
    }


def _size_mm(mesh: Mesh) -> str:
    return " x ".join(f"{side * 1000:.0f}" for side in mesh.bounds[1] - mesh.bounds[0])
