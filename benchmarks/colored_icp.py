"""Against Open3D's colored ICP: tracking from frame to frame, on the same crops in the same run.

Model-free: both know the object from the first frame only. Open3D aligns the coloured cloud lifted there (source) to
the cloud of the crop around the last pose (target), by its usual three voxel sizes from coarse to fine;
geometric.track gets the same frame. Colored ICP runs with a narrow and a wide reach of its correspondences, and the
better one of each sequence counts. Both start from their own last pose, without a motion model. Needs the extra
"bench" (open3d).

geometric.track works on one thread, colored ICP on as many as there are: by default both get one core, so that the
times compare like with like; --cores 0 gives them all. The times that count are CPU times of the process (all its
threads), which other work on the machine disturbs least; the table has wall times as well.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from common.figures import Figure, Outcome, console, main, parser
from common.recorded import DESK_OBJECTS, seen, truth_of
from common.runs import Run, errors, judged, median, new_tracker, open_data, read_all
from common.timing import clocks

from storm_ros.core import se3
from storm_ros.core.errors import BackendUnavailableError, RecordingError
from storm_ros.core.types import Camera, Pose, Reference, RgbdFrame
from storm_ros.evaluation.accuracy import Judgement, Truth
from storm_ros.sim import turntable_sequence

SIMULATED = (("box", "realsense"), ("cube", "kinect"), ("mug", "realsense"), ("dragon", "kinect"))
FASTER = 5.0
LOST_CENTRE_MM = 40.0
_DEGREES_A_FRAME = 1.5
_CROP_RADII = 1.2
REACHES = (1.5, 3.0)


@dataclass(frozen=True)
class Schedule:
    """Colored ICP from coarse to fine.

    Attributes:
        voxels_m: voxel size of each scale; normals are taken over twice that.
        iterations: at most so many at each scale.
        reach: correspondence distance in voxels.
    """

    voxels_m: tuple[float, ...] = (0.008, 0.004, 0.002)
    iterations: tuple[int, ...] = (50, 30, 14)
    reach: float = 1.5


class ColoredIcp:
    """Open3D's colored ICP of one object."""

    def __init__(self, reference: Reference, schedule: Schedule) -> None:
        """Prepare the source clouds of every scale, once."""
        self._o3d = open3d()
        self._schedule = schedule
        mesh = reference.mesh
        assert mesh.colors is not None
        self._center = mesh.center
        self._radius = float(np.linalg.norm(mesh.vertices - mesh.center, axis=1).max())
        whole = self._cloud(mesh.vertices.astype(np.float64), mesh.colors)
        self._sources = [self._scaled(whole, voxel) for voxel in schedule.voxels_m]

    def track(self, frame: RgbdFrame, last: Pose) -> Pose:
        """The pose (4, 4) in a frame, from the last one; the last one where nothing can be aligned."""
        points, colors = crop(frame, last, self._center, self._radius)
        if len(points) < 100:
            return last
        whole = self._cloud(points, colors)
        registration = self._o3d.pipelines.registration
        pose = last
        for source, voxel, iterations in zip(
            self._sources, self._schedule.voxels_m, self._schedule.iterations, strict=True
        ):
            criteria = registration.ICPConvergenceCriteria(1e-6, 1e-6, iterations)
            try:
                found = registration.registration_colored_icp(
                    source, self._scaled(whole, voxel), self._schedule.reach * voxel, pose,
                    registration.TransformationEstimationForColoredICP(), criteria,
                )  # fmt: skip
            except RuntimeError:  # no correspondences
                return last
            pose = np.asarray(found.transformation)
        return se3.orthonormalised(pose)

    def _cloud(self, points: np.ndarray, colors: np.ndarray) -> Any:
        cloud = self._o3d.geometry.PointCloud(self._o3d.utility.Vector3dVector(points))
        cloud.colors = self._o3d.utility.Vector3dVector(colors / 255.0)
        return cloud

    def _scaled(self, cloud: Any, voxel: float) -> Any:
        scaled = cloud.voxel_down_sample(voxel)
        scaled.estimate_normals(self._o3d.geometry.KDTreeSearchParamHybrid(radius=2 * voxel, max_nn=30))
        scaled.orient_normals_towards_camera_location()
        return scaled


def crop(frame: RgbdFrame, last: Pose, center: np.ndarray, radius_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) in metres and colours (N, 3) of a frame within a few radii of where the object was."""
    camera: Camera = frame.camera
    reach = _CROP_RADII * radius_m
    middle = last[:3, :3] @ center + last[:3, 3]
    if middle[2] <= reach:
        return np.zeros((0, 3)), np.zeros((0, 3), np.uint8)
    u, v = camera.project(middle)
    du, dv = camera.fx * reach / (middle[2] - reach), camera.fy * reach / (middle[2] - reach)
    rows = slice(max(0, int(v - dv)), max(0, int(v + dv) + 1))
    columns = slice(max(0, int(u - du)), max(0, int(u + du) + 1))
    z = frame.depth_m[rows, columns].astype(np.float64)
    x = (np.arange(columns.start, columns.start + z.shape[1]) - camera.cx) / camera.fx
    y = (np.arange(rows.start, rows.start + z.shape[0]) - camera.cy) / camera.fy
    points = np.stack([x[None, :] * z, y[:, None] * z, z], -1)
    near = (z > 0) & (np.linalg.norm(points - middle, axis=2) < reach)
    return points[near], frame.rgb[rows, columns][near]


def open3d() -> Any:
    """The package.

    Raises:
        BackendUnavailableError: it is not installed.
    """
    try:
        return import_module("open3d")
    except ImportError as error:
        raise BackendUnavailableError(
            f"open3d cannot be used ({error}): pip install 'storm_ros[bench]', and the system library that it may name"
        ) from None


@dataclass(eq=False)
class Pair:
    """Both methods on one sequence."""

    name: str
    setting: str
    ours: Judgement
    theirs: Judgement
    ours_ms: list[tuple[float, float]]
    theirs_ms: list[tuple[float, float]]

    @property
    def faster(self) -> float:
        """Their CPU time in units of ours, medians over the frames."""
        return median([cpu for _, cpu in self.theirs_ms]) / median([cpu for _, cpu in self.ours_ms])

    @property
    def lost(self) -> bool:
        """Whether colored ICP ended off the object, where a crop holds less and takes less time."""
        return bool(errors(self.theirs, "centre_mm")[-5:].mean() > LOST_CENTRE_MM)

    def row(self) -> dict[str, Any]:
        """Errors and times side by side."""
        out: dict[str, Any] = {"sequence": self.name}
        for kind, label in (("add_mm", "ADD"), ("adds_mm", "ADD-S"), ("centre_mm", "centre")):
            out[f"{label} mm"] = median(errors(self.ours, kind))
            out[f"{label} icp"] = median(errors(self.theirs, kind))
        for i, clock in enumerate(("wall", "cpu")):
            out[f"{clock} ms"] = median([ms[i] for ms in self.ours_ms])
            out[f"{clock} icp"] = median([ms[i] for ms in self.theirs_ms])
        out["icp"] = self.setting.removeprefix("icp ")
        out["icp ends"] = "off it" if self.lost else "on it"
        return out


def compare(
    args: argparse.Namespace, title: str, frames: Sequence[RgbdFrame], mask: np.ndarray, truth: Truth, gt_id: int
) -> Pair:
    """Track an object through frames by both, frame by frame in turn."""
    tracker = new_tracker(args)
    reference = tracker.set_reference(frames[0], mask)
    estimator = tracker.parts.pose
    icps = {f"icp {reach:g}": ColoredIcp(reference, Schedule(args.voxels, reach=reach)) for reach in REACHES}
    start = reference.views[0].cam_T_obj
    model = estimator.prepare(reference)
    estimator.track(dataclasses.replace(frames[0]), model, (start,))  # compiles the kernels
    for icp in icps.values():
        icp.track(frames[0], start)
    names = ("ours", *icps)
    runs = Run(poses={name: [] for name in names})
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for frame in frames[1:]:
        runs.numbers.append(frame.index)
        for name in names:
            last = runs.poses[name][-1] if runs.poses[name] else start
            assert last is not None
            began = clocks()
            if name == "ours":
                estimate = estimator.track(frame, model, (last,))
                model = estimator.remember(frame, model, estimate)
                pose = estimate.cam_T_obj
            else:
                pose = icps[name].track(frame, last)
            ended = clocks()
            runs.poses[name].append(pose)
            times[name].append((ended[0] - began[0], ended[1] - began[1]))
    first = frames[0].index
    found = {n: judged(runs, truth, gt_id, first, object_id=n, cam_T_obj_ref=start) for n in names}
    best = min(icps, key=lambda n: median(errors(found[n], "add_mm")))
    return Pair(title, best, found["ours"], found[best], times["ours"], times[best])


def run(args: argparse.Namespace, outcome: Outcome) -> None:
    """Compare on desk and on simulated turntables."""
    if args.cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.cores])
        outcome.machine["cpu_threads_used"] = len(os.sched_getaffinity(0))
    open3d()
    pairs: dict[str, list[Pair]] = {}
    for name, part in (("desk", _desk), ("simulated", _simulated)):
        try:
            pairs[name] = part(args)
        except RecordingError as error:
            outcome.skipped.append(f"{name}: {error}")
    everything = [pair for part in pairs.values() for pair in part]
    outcome.details["tracked from frame to frame, model-free (icp: Open3D's colored ICP)"] = [
        pair.row() for pair in everything
    ]
    voxels = "/".join(f"{1000 * v:g}" for v in args.voxels)
    note = f"open3d {open3d().__version__}, voxels {voxels} mm, {Schedule().iterations} iterations"
    for pair in everything:
        ratio = median(errors(pair.ours, "add_mm")) / median(errors(pair.theirs, "add_mm"))
        outcome.figures.append(Figure(f"{pair.name}: our ADD / theirs", ratio, "", 1.0, note=note))
    for pair in everything:
        off = "; colored ICP lost the object" if pair.lost else ""
        outcome.figures.append(
            Figure(f"{pair.name}: their time / ours", pair.faster, "", FASTER, at_least=True, note="CPU time" + off)
        )


def _desk(args: argparse.Namespace) -> list[Pair]:
    out: list[Pair] = []
    with open_data(args.data, "desk") as recording:
        for obj_id, name in DESK_OBJECTS.items():
            frames = read_all(recording, recording.numbers)  # fresh ones, as those seen before are prepared already
            mask = seen(recording, frames[0].index, obj_id)
            out.append(compare(args, f"desk {name}", frames, mask, truth_of(recording), obj_id))
            console.print(_line(out[-1]), highlight=False)
    return out


def _simulated(args: argparse.Namespace) -> list[Pair]:
    out: list[Pair] = []
    for kind, sensor in SIMULATED:
        count = round(45.0 / _DEGREES_A_FRAME) + 1
        with turntable_sequence(45.0, args.seed, frames=count, kind=kind, sensor=sensor) as recording:
            frames = read_all(recording, recording.numbers)
            truth = recording.ground_truth
            mask = truth.mask(0, recording.target_id)
            assert mask is not None
            out.append(compare(args, f"turn 45°, {kind}, {sensor}", frames, mask, truth, 1))
        console.print(_line(out[-1]), highlight=False)
    return out


def _line(pair: Pair) -> str:
    return "  ".join(f"{k} {v:.3g}" if isinstance(v, float) else str(v) for k, v in pair.row().items())


def _voxels(text: str) -> tuple[float, ...]:
    sizes = tuple(float(part) / 1000.0 for part in text.split(","))
    if len(sizes) != len(Schedule().iterations) or not all(v > 0 for v in sizes):
        raise argparse.ArgumentTypeError(f"{text!r}: three positive voxel sizes in mm are needed, as in 8,4,2")
    return sizes


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument(
        "--voxels", type=_voxels, default=Schedule().voxels_m, help="mm, coarse to fine (default: 8,4,2)"
    )
    options.add_argument("--cores", type=int, default=1, help="CPU cores for both; 0: all (default: 1)")
    sys.exit(main(run, options.parse_args(), "colored_icp"))
