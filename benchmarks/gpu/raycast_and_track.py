"""The same work on a GPU: does it agree with the CPU, and how fast is it?

Renders a mesh, tracks and registers on both devices with the same input and compares the results within tolerances;
times both; then runs the speed benchmark on the GPU (``--skip-speed`` leaves it out). Needs a CUDA device.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tracking_speed
from common.figures import Figure, Outcome, main, parser
from common.runs import new_tracker, read_all
from common.timing import best_of, timed

from storm_ros.core import se3
from storm_ros.core.types import Camera, Mask, Mesh, PoseEstimate, Reference, RgbdFrame, View
from storm_ros.render import RayCaster
from storm_ros.render.device import resolve_device
from storm_ros.sim import turntable_sequence

POSE_MM, POSE_DEG = 0.3, 0.2
REGISTERED_MM, REGISTERED_DEG = 1.0, 1.0
DEPTH_MM = 0.05
SAME_PIXELS = 0.999
_DEGREES, _FRAMES = 30.0, 31
_BATCH, _BATCH_SIDE = 256, 160


@dataclasses.dataclass(frozen=True, eq=False)
class Scene:
    """What both devices get."""

    frames: list[RgbdFrame]
    mask: Mask
    poses: list[np.ndarray]
    mesh: Mesh

    @property
    def reference(self) -> Reference:
        """The mesh with its true pose in the first frame."""
        return Reference("object", (View(self.frames[0], self.mask, self.poses[0]),), self.mesh)


def run(args: argparse.Namespace, outcome: Outcome) -> None:
    """Compare the devices, then measure the speed on the GPU."""
    args.device = resolve_device(args.device)
    if args.device == "cpu":
        outcome.skipped.append("comparison of devices: the CPU was compared with itself, give --device cuda")
    scene = _scene(args.seed)
    for part in (_render, _track, _register):
        part(args.device, scene, outcome)
    outcome.machine["device"] = _device_name(args.device)
    if not args.skip_speed:
        args.device = "cuda" if args.device.startswith("cuda") else args.device
        tracking_speed.run(args, outcome)


def _device_name(device: str) -> str:
    import warp as wp

    return f"{device} ({wp.get_device(device).name}), warp {wp.config.version}"


def _scene(seed: int) -> Scene:
    """A turning box; rendered on the CPU, so that both devices get the very same images."""
    with turntable_sequence(_DEGREES, seed, frames=_FRAMES, device="cpu") as recording:
        truth, target = recording.ground_truth, recording.target_id
        mesh, mask = truth.mesh(target), truth.mask(0, target)
        poses = [truth.pose(n, target) for n in recording.numbers]
        assert mesh is not None
        assert mask is not None
        return Scene(read_all(recording, recording.numbers), mask, [p for p in poses if p is not None], mesh)


def _render(device: str, scene: Scene, outcome: Outcome) -> None:
    camera = scene.frames[0].camera
    casters = {name: RayCaster(name) for name in ("cpu", device)}
    uploaded = {name: caster.upload(scene.mesh) for name, caster in casters.items()}
    images = {name: caster.render(uploaded[name], scene.poses[0], camera) for name, caster in casters.items()}
    one, other = (np.asarray(images[name].depth_m) for name in ("cpu", device))
    hits = float(((one > 0) == (other > 0)).mean())
    both = (one > 0) & (other > 0)
    apart_mm = float(np.percentile(np.abs(one - other)[both], 99.9)) * 1e3 if both.any() else float("nan")
    outcome.figures += [
        Figure("render: pixels hit alike", hits, "", SAME_PIXELS, at_least=True),
        Figure("render: depth difference, 99.9 %", apart_mm, "mm", DEPTH_MM),
    ]
    small = _small(camera)
    many = np.stack([scene.poses[i % len(scene.poses)] for i in range(_BATCH)])
    for name, caster in casters.items():
        work = _batch(caster, uploaded[name], many, small)
        work()
        found = best_of(3, lambda work=work: [timed(work) for _ in range(5)])
        rays = _BATCH * _BATCH_SIDE**2
        outcome.figures.append(
            Figure(f"render, {name}: {_BATCH} poses, to the host", rays / found.p50 / 1e3, "Mrays/s")
        )


def _batch(caster: RayCaster, mesh: Any, poses: np.ndarray, camera: Camera) -> Callable[[], object]:
    return lambda: caster.render(mesh, poses, camera)


def _small(camera: Camera) -> Camera:
    """A square camera of the middle of the image."""
    side = min(camera.width, camera.height) / 2
    x, y = (camera.width - side) / 2, (camera.height - side) / 2
    return camera.window(x, y, side, side, _BATCH_SIDE, _BATCH_SIDE)


def _track(device: str, scene: Scene, outcome: Outcome) -> None:
    """Both track the same frames from the same starts: the true pose of the frame before."""
    found = {name: _tracked(name, scene) for name in ("cpu", device)}
    pairs = list(zip(found["cpu"], found[device], strict=True))
    _compare("track", pairs, POSE_MM, POSE_DEG, outcome)
    score = max(abs(a.score - b.score) for a, b in pairs)
    outcome.figures.append(Figure("track: worst difference of scores", score, "", 0.02))


def _tracked(device: str, scene: Scene) -> list[PoseEstimate]:
    estimator = _estimator(device)
    model = estimator.prepare(scene.reference)
    return [
        estimator.track(dataclasses.replace(frame), model, (start,))
        for frame, start in zip(scene.frames[1:], scene.poses, strict=False)
    ]


def _register(device: str, scene: Scene, outcome: Outcome) -> None:
    found: dict[str, list[PoseEstimate]] = {}
    for name in ("cpu", device):
        estimator = _estimator(name)
        model = estimator.prepare(scene.reference)
        found[name] = [estimator.register(dataclasses.replace(scene.frames[0]), scene.mask, model).best]
    _compare("register", list(zip(found["cpu"], found[device], strict=True)), REGISTERED_MM, REGISTERED_DEG, outcome)


def _estimator(device: str) -> Any:
    return new_tracker(argparse.Namespace(device=device.partition(":")[0])).parts.pose


def _compare(
    name: str, pairs: list[tuple[PoseEstimate, PoseEstimate]], limit_mm: float, limit_deg: float, outcome: Outcome
) -> None:
    apart = [se3.distance(a.cam_T_obj, b.cam_T_obj) * 1e3 for a, b in pairs]
    turned = [float(np.degrees(se3.angle_between(a.cam_T_obj, b.cam_T_obj))) for a, b in pairs]
    outcome.figures += [
        Figure(f"{name}: worst distance of the two poses", max(apart), "mm", limit_mm),
        Figure(f"{name}: worst angle between them", max(turned), "deg", limit_deg),
    ]


if __name__ == "__main__":
    options = parser(__doc__)
    options.set_defaults(device="cuda")
    options.add_argument("--frames", type=int, default=99, help="frames of desk (default: 99)")
    options.add_argument("--repeats", type=int, default=3, help="repetitions, of which the best is taken (default: 3)")
    options.add_argument("--skip-speed", action="store_true", help="only compare the devices")
    sys.exit(main(run, options.parse_args(), "raycast_and_track"))
