"""One clip of the tracking-failure benchmark: every method tracks through it, and is compared with the truth.

The clip's frames are rendered once. Then the tracker runs over them

- once *held*: the first method's gate says of every frame whether it is bad, but never gives the track up, so that
  there are energies of wrong poses, too; all verifiers are asked about the very same poses;
- once for each method, as a user would run it.

A pose is right when its ADD, or ADD-S for a body whose shape is the same all round, is at most a tenth of the object's
diameter. The tracker makes its own model of the first frame, so its poses are aligned to the truth there, and only
there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from storm_ros.core import se3
from storm_ros.core.config import StormConfig
from storm_ros.core.errors import InputError
from storm_ros.core.protocols import Gate, Verifier
from storm_ros.core.tracker import Parts, Tracker
from storm_ros.core.types import EventType, LossCause, Mesh, Pose, RgbdFrame, TrackResult, TrackStatus
from storm_ros.evaluation.failures_probe import HeldGate, Probe
from storm_ros.evaluation.failures_records import Clip, Find, Run, rounded
from storm_ros.evaluation.metrics import VertexErrors, alignment
from storm_ros.evaluation.visibility import FOUND_DIAMETERS
from storm_ros.sim.failure_scripts import Delivery
from storm_ros.sim.failures import FailureClip

NAME = "target"

_TURN_RAD = 0.45  # no divisor of a turn by which a box or a prism comes to look the same
_SAME_DIAMETERS = 0.02
_NEAR_DIAMETERS = 0.5


@dataclass(frozen=True, eq=False)
class Method:
    """A verifier with its gate."""

    verifier: Verifier
    gate: Gate


@dataclass(frozen=True, eq=False)
class Pass:
    """A run of the tracker with all that pictures of it need."""

    run: Run
    results: tuple[TrackResult, ...]


@dataclass(frozen=True, eq=False)
class Truth:
    """What is true of a clip's target, in the frames as they are shown."""

    clip: FailureClip
    errors: VertexErrors
    symmetric: bool
    diameter_m: float
    obj_T_gt: Pose

    def shown(self, number: int) -> int:
        """The frame whose scene a frame shows: an earlier one while the camera is frozen."""
        while self.clip.delivery(number) is Delivery.FROZEN:
            number -= 1
        return number

    def pose(self, number: int) -> Pose:
        """cam_T_gt (4, 4)."""
        pose = self.clip.ground_truth.pose(self.shown(number), self.clip.target_id)
        assert pose is not None
        return pose

    def visible(self, number: int) -> float:
        """Share of the object that the frame shows, in colour and depth."""
        if self.clip.delivery(number) in (Delivery.NO_DEPTH, Delivery.BLACK):
            return 0.0
        return self.clip.ground_truth.visible_fraction(self.shown(number), self.clip.target_id) or 0.0

    def error_mm(self, number: int, cam_T_obj: Pose) -> float:
        """ADD, or ADD-S of a symmetric body, in millimetres."""
        compare = self.errors.adds if self.symmetric else self.errors.add
        return compare(cam_T_obj @ self.obj_T_gt, self.pose(number)) * 1000.0


def run_clip(
    clip: FailureClip, parts: Parts, config: StormConfig, methods: Mapping[str, Method], others: Mapping[str, Verifier]
) -> tuple[Clip, dict[str, Pass]]:
    """Let every method track through a clip.

    Args:
        clip: to be tracked through.
        parts: the implementations, of which a method replaces verifier and gate.
        config: settings.
        methods: by name; the first also makes the held pass.
        others: further verifiers whose energies are wanted in the held pass.

    Returns:
        What is kept of the clip, and the passes by name ("held" among them) for pictures.

    Raises:
        InputError: the target cannot be a reference in the first frame.
    """
    started = time.monotonic()
    frames = [clip.read(n) for n in clip.numbers]
    mask = clip.ground_truth.mask(0, clip.target_id)
    mesh = clip.ground_truth.mesh(clip.target_id)
    assert mask is not None
    assert mesh is not None
    first = next(iter(methods.values()))
    main = next(iter(methods))
    asked = {main: first.verifier, **{k: v for k, v in others.items() if k != main}}
    truth: Truth | None = None
    passes: dict[str, Pass] = {}
    for name, verifiers, gate in (
        ("held", asked, HeldGate(first.gate)),
        *((name, {name: m.verifier}, m.gate) for name, m in methods.items()),
    ):
        probe = Probe(verifiers)
        synchronous = replace(config, search=replace(config.search, background=False))
        with Tracker(replace(parts, verifier=probe, gate=gate), synchronous) as tracker:
            reference = tracker.set_reference(frames[0], mask, object_id=NAME)
            if truth is None:
                truth = truth_of(clip, mesh, reference.views[0].cam_T_obj)
            passes[name] = _pass(truth, frames, tracker, probe)
    assert truth is not None
    h = clip.happening
    kept = Clip(
        kind=clip.kind,
        number=clip.number,
        what=h.what,
        object=mesh.name,
        limit_mm=FOUND_DIAMETERS * truth.diameter_m * 1000.0,
        rule="ADD-S" if truth.symmetric else "ADD",
        first=h.first,
        last=min(h.last, len(frames) - 1),
        visible=tuple(round(truth.visible(n), 4) for n in clip.numbers),
        delivery=tuple(clip.delivery(n).value for n in clip.numbers),
        runs={name: passes[name].run for name in methods},
        held=passes["held"].run,
        seconds=round(time.monotonic() - started, 2),
    )
    return kept, passes


def truth_of(clip: FailureClip, mesh: Mesh, cam_T_obj_ref: Pose) -> Truth:
    """The truth of a clip's target, for poses in the frame of a reference at its first frame."""
    cam_T_gt = clip.ground_truth.pose(0, clip.target_id)
    if cam_T_gt is None:
        raise InputError(f"{clip.name}: the target is not in the first frame")
    errors = VertexErrors(mesh.vertices)
    return Truth(
        clip, errors, is_round(mesh, errors), mesh.diameter, alignment(np.asarray(cam_T_obj_ref, np.float64), cam_T_gt)
    )


def is_round(mesh: Mesh, errors: VertexErrors | None = None) -> bool:
    """Whether a body has the same shape after any turn about one of its own axes, as a can or a ball."""
    compare = errors or VertexErrors(mesh.vertices)
    centre = se3.transform(np.eye(3), mesh.center)
    for axis in np.eye(3):
        turned = centre @ se3.transform(se3.so3_exp(axis * _TURN_RAD), np.zeros(3)) @ se3.inverse(centre)
        if compare.adds(turned, np.eye(4)) < _SAME_DIAMETERS * mesh.diameter:
            return True
    return False


def _pass(truth: Truth, frames: Sequence[RgbdFrame], tracker: Tracker, probe: Probe) -> Pass:
    """Run the tracker over the frames and compare."""
    count = len(frames)
    error_mm = np.full(count, np.nan)
    energies = {name: np.full(count, np.nan) for name in probe.verifiers}
    reported: list[bool] = []
    results: list[TrackResult] = []
    lost: list[tuple[int, str]] = []
    finds: list[Find] = []
    verify_ms, step_ms = [], []
    for number, frame in enumerate(frames):
        asked_before = len(probe.heard)
        result = tracker.step(frame)
        outcome = result.objects[NAME]
        results.append(result)
        reported.append(outcome.cam_T_obj is not None)
        gone = next((e for e in result.events if e.type is EventType.LOST), None)
        heard = probe.heard[asked_before:]
        if gone is not None:
            lost.append((number, (gone.cause or LossCause.ENERGY).value))
        asked = None
        if outcome.cam_T_obj is not None:  # of what was asked, the last is what was decided on
            asked = next((h for h in reversed(heard) if np.array_equal(h.cam_T_obj, outcome.cam_T_obj)), None)
        elif gone is not None and heard:
            asked = heard[0]
        pose = outcome.cam_T_obj if asked is None else asked.cam_T_obj
        if pose is not None:
            error_mm[number] = truth.error_mm(number, pose)
        if asked is not None:
            for name, energy in asked.energies.items():
                energies[name][number] = energy
        for event in result.events:
            if event.type in (EventType.FOUND, EventType.RELOCALIZED) and outcome.cam_T_obj is not None and number > 0:
                finds.append(_find(truth, number, outcome.cam_T_obj, event.frames_lost or 0, error_mm[number]))
        if outcome.status is TrackStatus.TRACKING and "track" in result.timing_ms:
            verify_ms.append(result.timing_ms.get("verify", 0.0))
            step_ms.append(result.timing_ms["total"])
    run = Run(
        reported=tuple(reported),
        error_mm=rounded(error_mm, 2),
        energies={name: rounded(values, 4) for name, values in energies.items()},
        lost=tuple(lost),
        finds=tuple(finds),
        verify_ms=round(median(verify_ms), 3) if verify_ms else None,
        step_ms=round(median(step_ms), 3) if step_ms else None,
    )
    return Pass(run, tuple(results))


def _find(truth: Truth, number: int, cam_T_obj: Pose, frames_lost: int, error_mm: float) -> Find:
    seen = truth.visible(number) > 0.1
    apart_m = se3.distance(cam_T_obj @ truth.obj_T_gt, truth.pose(number))
    return Find(
        frame=number,
        right=bool(seen and error_mm <= FOUND_DIAMETERS * truth.diameter_m * 1000.0),
        role=truth.clip.role_at(truth.shown(number), cam_T_obj @ truth.obj_T_gt),
        near=bool(seen and apart_m <= _NEAR_DIAMETERS * truth.diameter_m),
        frames_lost=frames_lost,
    )
