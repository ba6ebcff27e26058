"""How far an object known from one view can be turned: with and without fusing new views into its surface.

Two kinds of recordings of a whole turn, simulated with sensor noise: the object turns on a table before a still camera
(turntable), or a hand-held camera goes round it and its neighbours (orbit). Objects are procedural ones and, where the
folder `household` is among the recordings, scans. The frame is aligned to the truth in the first frame only.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
from common.figures import Figure, Outcome, console, main, parser
from common.runs import errors, follow, judged, median
from common.timing import peak_rss_mb

import storm_ros
from storm_ros.core.config import StormConfig, from_assignments, with_values
from storm_ros.core.types import Camera, Mesh
from storm_ros.mesh import load_mesh
from storm_ros.sim import SimulatedRecording, turntable_sequence
from storm_ros.sim.objects import make_object, printed_box, random_object
from storm_ros.sim.paths import HandHeld, Orbit, Static
from storm_ros.sim.scene import Instance, footprint_radius, furnished, place_on_table, resting_pose
from storm_ros.sim.sensor import SENSORS
from storm_ros.sim.sequence import Phase, Script

PROCEDURAL = ("printed box", "can", "mug", "dragon")
SCANS = ("suger_1", "stapler_1", "shampoo", "doraemon_bowl")
PATHS = ("turntable", "orbit")
TARGET_MM = 5.0
_WRONG_DIAMETERS = 0.1
_RATE_HZ = 30.0
_NEIGHBOURS = ("can", "box", "cube")


def run(args: argparse.Namespace, outcome: Outcome) -> None:
    """Every object on every path, without and with fused views."""
    rows: list[dict[str, Any]] = []
    for name in args.objects or (*PROCEDURAL, *SCANS):
        mesh = _object(args, name)
        if mesh is None:
            outcome.skipped.append(f"{name}: {args.data / 'household'} has no such scan")
            continue
        for path in args.paths:
            rows.extend(_compared(args, name, path, mesh))
            console.print(*(_line(row) for row in rows[-2:]), sep="\n", highlight=False)
    outcome.details["a whole turn, known from its first view"] = rows
    for fused in (False, True):
        chosen = [row for row in rows if row["fused"] is fused]
        held = [row for row in chosen if row["wrong at deg"] is None]
        word = "fused" if fused else "not fused"
        note = f"{len(chosen)} turns; lost or off by more than a tenth of the size counts as an end"
        ends = [360.0 if row["wrong at deg"] is None else row["wrong at deg"] for row in chosen]
        worst = max((row["ADD-S mm"] for row in chosen), default=float("nan"))
        outcome.figures += [
            Figure(f"{word}: tracked through 360 degrees", len(held), "", len(chosen) if fused else None, True, note),
            Figure(f"{word}: where it ends, median", median(ends), "deg"),
            Figure(f"{word}: median ADD-S of the worst turn", worst, "mm", TARGET_MM if fused else None),
            Figure(f"{word}: time a frame, median of p50", median([row["ms p50"] for row in chosen]), "ms"),
            Figure(f"{word}: time a frame, median of p95", median([row["ms p95"] for row in chosen]), "ms"),
        ]
    volumes = [row["volumes MB"] for row in rows if row["fused"]]
    outcome.figures.append(Figure("fused: memory of the volumes, at most", max(volumes, default=None), "MB"))
    outcome.figures.append(Figure("peak memory of this process", peak_rss_mb(), "MB", note="rendering included"))


def _object(args: argparse.Namespace, name: str) -> Mesh | None:
    rng = np.random.default_rng([args.seed, 7])
    if name == "printed box":
        return printed_box(rng)
    if name not in SCANS:
        return make_object(name, int(rng.integers(2**31)), int(rng.integers(2**31)))
    file = args.data / "household" / f"{name}.glb"
    return load_mesh(file, center=True) if file.is_file() else None


def orbit_sequence(mesh: Mesh, seed: int, *, frames: int, sensor: str, device: str) -> SimulatedRecording:
    """A hand-held camera goes once round an object that stands among others on a table, 0.6 m away.

    Args:
        mesh: the object.
        seed: of everything else.
        frames: length.
        sensor: name of a depth camera.
        device: of the ray caster.
    """
    rng = np.random.default_rng([seed, 8])
    start = resting_pose(mesh, 0.0, 0.0, rng.uniform(0, 2 * np.pi))
    others = [random_object(rng, kind) for kind in _NEIGHBOURS]
    free = [(0.0, 0.0, footprint_radius(mesh, start) + 0.05)]
    places = place_on_table(rng, others, (-0.26, 0.26, -0.26, 0.26), keep_free=free, lie=1.0)
    bodies = [Instance(i, m, p) for i, (m, p) in enumerate(zip([mesh, *others], [start, *places], strict=True), 1)]
    once = 2 * np.pi * _RATE_HZ / max(frames - 1, 1)
    camera = HandHeld(Orbit((0.0, 0.0, float(start[2, 3])), 0.6, 0.65, -np.pi / 2, once), int(rng.integers(2**31)))
    still = tuple(Static(body.world_T_obj) for body in bodies)
    script = Script(camera, still, frames, _RATE_HZ, (Phase("turn", 0, frames - 1),), 1)
    view = Camera(640, 480, 611.2, 611.2, 319.5, 239.5)
    scene = furnished(rng, tuple(bodies), clutter=0)
    return SimulatedRecording("orbit", scene, script, view, sensor=SENSORS[sensor](), seed=seed, device=device)


def _compared(args: argparse.Namespace, name: str, path: str, mesh: Mesh) -> list[dict[str, Any]]:
    shared: dict[str, Any] = {"frames": args.frames, "sensor": args.sensor, "device": args.device}
    if path == "orbit":
        recording = orbit_sequence(mesh, args.seed, **shared)
    else:
        recording = turntable_sequence(360.0, args.seed, mesh=mesh, **shared)
    with recording:
        frames = [recording.read(number) for number in recording.numbers]
        return [_tracked(args, name, path, recording, frames, fused) for fused in (False, True)]


def _tracked(
    args: argparse.Namespace, name: str, path: str, recording: SimulatedRecording, frames: list[Any], fused: bool
) -> dict[str, Any]:
    config = from_assignments(StormConfig(), args.assignments)
    tracker = storm_ros.create_tracker(with_values(config, {"device.name": args.device, "mesh.fused": fused}))
    truth, target = recording.ground_truth, recording.target_id
    mask, mesh = truth.mask(0, target), truth.mesh(target)
    assert mask is not None
    assert mesh is not None
    reference = tracker.set_reference(frames[0], mask)
    done = follow(tracker, frames)
    judgement = judged(done, truth, target, 0, cam_T_obj_ref=reference.views[0].cam_T_obj)
    adds, per_frame = errors(judgement, "adds_mm"), 360.0 / max(args.frames - 1, 1)
    wrong = np.flatnonzero(adds > _WRONG_DIAMETERS * 1e3 * mesh.diameter)
    known = tracker.state.objects["object"].model
    return {
        "object": name,
        "path": path,
        "fused": fused,
        "wrong at deg": float((wrong[0] + 1) * per_frame) if len(wrong) else None,
        "lost at deg": " ".join(f"{n * per_frame:.0f}" for n in done.losses("object")) or "-",
        "ADD-S mm": median(adds),
        "ADD-S worst": float(adds.max()),
        "ADD mm": median(errors(judgement, "add_mm")),
        "ms p50": float(np.percentile(done.total_ms, 50)),
        "ms p95": float(np.percentile(done.total_ms, 95)),
        "views": 1 if known.fused is None else len(known.fused.directions),
        "faces": len(known.mesh.mesh.faces),
        "volumes MB": 0.0 if known.fused is None else known.fused.nbytes / 1e6,
    }


def _line(row: dict[str, Any]) -> str:
    return "  ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--objects", nargs="+", choices=(*PROCEDURAL, *SCANS), help="objects (default: all)")
    arguments.add_argument("--paths", nargs="+", choices=PATHS, default=PATHS, help="kinds of turn (default: both)")
    arguments.add_argument("--frames", type=int, default=121, help="frames of a turn (default: 121, 3 degrees each)")
    arguments.add_argument("--sensor", choices=tuple(SENSORS), default="realsense", help="depth camera simulated")
    arguments.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], dest="assignments", help="one setting; repeatable"
    )
    sys.exit(main(run, arguments.parse_args(), "turning"))
