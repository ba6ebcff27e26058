"""Cases for the verifier: what the real estimator makes of right and wrong starts in simulated scenes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from storm_ros.core import se3
from storm_ros.core.errors import InputError
from storm_ros.core.types import Camera, Mask, Pose, PoseEstimate, Reference, RgbdFrame, View
from storm_ros.mesh import LiftedMeshBuilder
from storm_ros.pose import GeometricEstimator
from storm_ros.pose.samples import PoseModel
from storm_ros.tom.crops import Crop, Shape, cut_crop, shape_of
from storm_ros.tom.evidence import evidence
from storm_ros.training.tom_labels import Truth, label_of
from storm_ros.training.tom_occluders import covered
from storm_ros.training.tom_settings import TomDataConfig
from storm_ros.training.tom_twins import relit, repainted, twin_elsewhere

Rng = np.random.Generator
Scene = dict[str, npt.NDArray[np.generic]]

KINDS = ("tracked", "covered", "pulled", "turned", "other", "drifted", "hidden", "gone", "registered", "twin")
"""Where a case comes from: followed from nearby, partly covered, from far, turned, on another object, left off the
object, wholly covered, in an image without it, registered anew, or on a look-alike."""

MIN_PIXELS, MIN_REFERENCE_PX = 100, 200
DEPTH_STEP_M = 0.0005


@dataclass(frozen=True, eq=False)
class Case:
    """A pose in an image, and whether it is right.

    Attributes:
        crop: around the object as the pose has it.
        figures: of the estimate, see `evidence`.
        right: whether it is.
        kind: index in `KINDS`.
        source: number of the image in its scene.
    """

    crop: Crop
    figures: npt.NDArray[np.float32]
    right: bool
    kind: int
    source: int


@dataclass(frozen=True, eq=False)
class Episode:
    """An object: views its memory may hold, and cases. The first view is the reference, its source is -1."""

    shape: Shape
    views: list[Crop]
    sources: list[int]
    cases: list[Case] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class _Object:
    """An object of a scene as the estimator knows it."""

    number: int
    model: PoseModel
    shape: Shape
    vertices: npt.NDArray[np.float64]
    scene_T_lifted: Pose


def scene_episodes(scene: Scene, config: TomDataConfig, estimator: GeometricEstimator, rng: Rng) -> Iterator[Episode]:
    """Episodes of a scene as `make_scene` returns it.

    Args:
        scene: its arrays.
        config: how many of what.
        estimator: the one that is used in tracking, too.
        rng: of all choices.
    """
    made = 0
    for number in rng.permutation(scene["ref_visible"].shape[0]):
        if made == config.episodes:
            return
        episode = _episode(scene, int(number), config, estimator, rng)
        if episode is not None:
            made += 1
            yield episode


def _episode(
    scene: Scene, number: int, config: TomDataConfig, estimator: GeometricEstimator, rng: Rng
) -> Episode | None:
    usable = [j for j in range(scene["ref_visible"].shape[1]) if _usable(scene, number, j)]
    if not usable:
        return None
    first = int(rng.choice(usable))
    frame, mask = _reference_frame(scene, number, first)
    try:
        mesh, pose = LiftedMeshBuilder().build(frame, mask)
    except InputError:
        return None
    if mesh.diameter < 0.02:
        return None
    model = estimator.prepare(Reference("object", (View(frame, mask, pose),), mesh))
    shape = shape_of(mesh)
    vertices = mesh.vertices[:: max(1, len(mesh.vertices) // 300)].astype(np.float64)
    known = _Object(
        number, model, shape, vertices,
        se3.inverse(np.asarray(scene["ref_cam_T_obj"][number, first], np.float64)) @ pose,
    )  # fmt: skip
    crop = cut_crop(frame, mask, pose, shape)
    assert crop is not None
    episode = Episode(shape, [crop], [-1])
    angle = np.asarray(scene["angle_deg"])[:, number, first]
    _other_references(scene, known, first, usable, config, episode)
    images = range(len(scene["rgb"]))
    seen = [k for k in images if angle[k] <= config.max_angle_deg and _share(scene, k, number) > config.min_visible]
    blind = [k for k in images if scene["visible"][k, number] == 0]
    for k in seen:
        frame = _query_frame(scene, k)
        estimate = estimator.judge(frame, model, _true_pose(scene, k, known))
        view = cut_crop(frame, estimate.mask, estimate.cam_T_obj, shape)
        if view is not None and estimate.score > 0.4 and len(episode.views) < config.views:
            episode.views.append(view)
            episode.sources.append(k)
    if seen:
        for k in rng.permutation(seen)[:2]:
            _cases_where_seen(scene, int(k), known, config, estimator, rng, episode)
    if blind and len(episode.cases) < config.cases and rng.random() < (0.4 if seen else 1.0):
        _cases_where_gone(scene, int(rng.choice(blind)), known, estimator, rng, episode, first)
    return episode if len(episode.cases) >= 2 else None


def _other_references(
    scene: Scene, known: _Object, first: int, usable: list[int], config: TomDataConfig, episode: Episode
) -> None:
    """Other reference views as views of the memory."""
    poses = np.asarray(scene["ref_cam_T_obj"][known.number], np.float64)
    for j in usable:
        near = np.degrees(se3.angle_between(poses[first], poses[j])) <= config.max_angle_deg
        if j != first and near and len(episode.views) < config.views:
            frame, mask = _reference_frame(scene, known.number, j)
            view = cut_crop(frame, mask, poses[j] @ known.scene_T_lifted, known.shape)
            if view is not None:
                episode.views.append(view)
                episode.sources.append(-1)


def _cases_where_seen(
    scene: Scene, k: int, known: _Object, config: TomDataConfig, estimator: GeometricEstimator, rng: Rng, out: Episode
) -> None:
    frame, true = _query_frame(scene, k), _true_pose(scene, k, known)
    owner = np.asarray(scene["owner"][k])
    own = owner == known.number + 1
    at_truth = estimator.judge(frame, known.model, true)
    truth = Truth(true, known.vertices, known.shape.radius_m, at_truth.colour_error)

    def add(image: RgbdFrame, estimate: PoseEstimate, kind: str, right: bool | None) -> None:
        right = label_of(estimate, truth) if right is None else right
        if right is not None:
            _keep(out, image, estimate, kind, right, k, known.shape)

    def follow(image: RgbdFrame, guess: Pose, left: float = 0.0) -> PoseEstimate:
        """What tracking makes of a guess; a share of them is left as it is, which takes far less time."""
        if rng.random() < left:
            return estimator.judge(image, known.model, guess)
        return estimator.track(image, known.model, (guess,))

    add(frame, follow(frame, _shaken(true, rng, 0.004, 3.0)), "tracked", None)
    add(frame, estimator.judge(frame, known.model, _shaken(true, rng, 0.0025, 2.0)), "tracked", None)
    part = covered(scene, frame, own, known.number, rng, whole=False)
    if part is not None and _share(scene, k, known.number) * (1.0 - part.share) > config.min_visible:
        add(part.frame, follow(part.frame, _shaken(true, rng, 0.004, 3.0)), "covered", None)
    whole = covered(scene, frame, own, known.number, rng, whole=True)
    if whole is not None:
        add(whole.frame, follow(whole.frame, _shaken(true, rng, 0.004, 3.0), 0.7), "hidden", False)
    add(frame, follow(frame, _shaken(true, rng, 0.5 * known.shape.radius_m, 15.0)), "pulled", None)
    turned = true.copy()
    turned[:3, :3] = se3.so3_exp(_direction(rng) * np.radians(rng.uniform(30, 180))) @ true[:3, :3]
    add(frame, follow(frame, turned, 0.5), "turned", None)
    shift = _direction(rng) * [1.0, 1.0, 0.3] * rng.uniform(0.1, 2.0) * known.shape.radius_m * 1.5
    moved = true.copy()
    moved[:3, 3] += shift
    add(frame, estimator.judge(frame, known.model, moved), "drifted", None)
    target = _other_object(scene, k, known.number, rng)
    if target is not None:
        add(frame, follow(frame, _placed_on(frame, owner == target + 1, true), 0.4), "other", None)
    if rng.random() < 0.25:
        chosen = own if target is None or rng.random() < 0.4 else owner == target + 1
        found = _registered(estimator, frame, chosen, known)
        if found is not None:
            add(frame, found, "registered", None)
    if rng.random() < 0.6:
        light = relit(frame, rng)
        add(light, follow(light, _shaken(true, rng, 0.003, 2.0), 0.5), "tracked", None)
    for image, start, right in _with_twins(scene, k, known, frame if part is None else part.frame,
                                           own if part is None else own & ~part.front, true, rng):  # fmt: skip
        estimate = follow(image, _shaken(start, rng, 0.003, 2.0), 0.3)
        if right:
            add(image, estimate, "tracked", None)
        elif right is None or label_of(estimate, truth) is False:
            add(image, estimate, "twin", False)


def _with_twins(
    scene: Scene, k: int, known: _Object, covered_frame: RgbdFrame, left: Mask, true: Pose, rng: Rng
) -> Iterator[tuple[RgbdFrame, Pose, bool | None]]:
    """Images with look-alikes, where to start, and whether the object is there: None where the twin is in its place.

    Args:
        scene: its arrays.
        k: number of the image.
        known: the object.
        covered_frame: the image with something in front of a part of the object, or as it is.
        left: (H, W) pixels of the object that are visible then.
        true: (4, 4) its pose.
        rng: of all choices.
    """
    frame, own = _query_frame(scene, k), np.asarray(scene["owner"][k]) == known.number + 1
    prints = [_print_of(scene, int(n)) for n in rng.permutation(scene["ref_mask"].shape[0]) if n != known.number][:1]
    other = prints[0] if prints else None
    for _ in range(2):
        if rng.random() < 0.8:
            image, shown = (covered_frame, left) if rng.random() < 0.3 else (frame, own)
            looks = repainted(image.rgb, shown, rng, other)
            if looks is not None:
                yield replace(image, rgb=looks), true, None
    if _share(scene, k, known.number) < 0.85 or rng.random() < 0.2:
        return
    stretched, front = rng.random() < 0.45, rng.random() < 0.5
    looks = frame.rgb if stretched else repainted(frame.rgb, own, rng, other)
    twin = None
    if looks is not None:
        twin = twin_elsewhere(frame, looks, own, true, rng, front=front, stretched=stretched)
    if twin is not None:
        yield twin.frame, twin.cam_T_twin, False
        if twin.hidden < 0.3:
            yield twin.frame, true, True


def _print_of(scene: Scene, number: int) -> npt.NDArray[np.uint8] | None:
    """The middle of a reference picture of an object; None where it shows little of it."""
    mask = np.asarray(scene["ref_mask"][number, 0], bool)
    rows, cols = np.nonzero(mask)
    if len(rows) < MIN_REFERENCE_PX:
        return None
    r0, r1, c0, c1 = (int(v) for v in (*np.percentile(rows, (20, 80)), *np.percentile(cols, (20, 80))))
    return np.asarray(scene["ref_rgb"][number, 0], np.uint8)[r0 : r1 + 1, c0 : c1 + 1]


def _cases_where_gone(
    scene: Scene, k: int, known: _Object, estimator: GeometricEstimator, rng: Rng, out: Episode, first: int
) -> None:
    frame = _query_frame(scene, k)
    start = np.asarray(scene["ref_cam_T_obj"][known.number, first], np.float64) @ known.scene_T_lifted
    for _ in range(2):
        target = _other_object(scene, k, known.number, rng)
        if target is not None and rng.random() < 0.6:
            where = np.asarray(scene["owner"][k]) == target + 1
        else:
            where = np.zeros(frame.shape, bool)
            row, col = int(rng.integers(20, frame.shape[0] - 20)), int(rng.integers(20, frame.shape[1] - 20))
            where[row - 6 : row + 6, col - 6 : col + 6] = True
        if not (frame.depth_m[where] > 0).any():
            continue
        if rng.random() < 0.2:
            estimate = _registered(estimator, frame, where, known)
        else:
            estimate = estimator.track(frame, known.model, (_placed_on(frame, where, start),))
        if estimate is not None:
            _keep(out, frame, estimate, "gone", False, k, known.shape)


def _registered(estimator: GeometricEstimator, frame: RgbdFrame, mask: Mask, known: _Object) -> PoseEstimate | None:
    try:
        return estimator.register(frame, mask, known.model).best
    except InputError:
        return None


def _keep(
    out: Episode, frame: RgbdFrame, estimate: PoseEstimate, kind: str, right: bool, source: int, shape: Shape
) -> None:
    if estimate.in_view < 0.35 or estimate.depth_coverage < 0.15:
        return  # such frames are given up without asking for an energy
    crop = cut_crop(frame, estimate.mask, estimate.cam_T_obj, shape)
    if crop is not None:
        out.cases.append(Case(crop, evidence(estimate), right, KINDS.index(kind), source))


def _usable(scene: Scene, number: int, view: int) -> bool:
    pixels = int(np.asarray(scene["ref_mask"][number, view]).sum())
    return float(scene["ref_visible"][number, view]) > 0.6 and pixels > MIN_REFERENCE_PX


def _share(scene: Scene, k: int, number: int) -> float:
    pixels, whole = int(scene["visible"][k, number]), int(scene["whole"][k, number])
    return pixels / max(whole, 1) if pixels >= MIN_PIXELS else 0.0


def _reference_frame(scene: Scene, number: int, view: int) -> tuple[RgbdFrame, Mask]:
    frame = _frame(
        scene["ref_rgb"][number, view], scene["ref_depth"][number, view], scene["ref_focal"][number, view],
        scene["ref_centre"][number, view],
    )  # fmt: skip
    return frame, np.asarray(scene["ref_mask"][number, view], bool)


def _query_frame(scene: Scene, k: int) -> RgbdFrame:
    return _frame(scene["rgb"][k], scene["depth"][k], scene["focal"][k], scene["centre"][k])


def _frame(rgb: np.ndarray, depth: np.ndarray, focal: np.ndarray, centre: np.ndarray) -> RgbdFrame:
    height, width = rgb.shape[:2]
    camera = Camera(width, height, float(focal), float(focal), float(centre[0]), float(centre[1]))
    return RgbdFrame(np.asarray(rgb, np.uint8), np.asarray(depth, np.float32) * np.float32(DEPTH_STEP_M), camera)


def _true_pose(scene: Scene, k: int, known: _Object) -> Pose:
    return np.asarray(scene["cam_T_obj"][k, known.number], np.float64) @ known.scene_T_lifted


def _other_object(scene: Scene, k: int, number: int, rng: Rng) -> int | None:
    """Another object that the image shows; every other time the one of the most similar colour."""
    others = [n for n in np.flatnonzero(np.asarray(scene["visible"][k]) >= MIN_PIXELS) if n != number]
    if not others:
        return None
    if rng.random() < 0.5:
        return int(rng.choice(others))
    mask = np.asarray(scene["ref_mask"][number, 0], bool)
    if not mask.any():
        return int(rng.choice(others))
    wanted = np.asarray(scene["ref_rgb"][number, 0])[mask].mean(0)
    owner, rgb = np.asarray(scene["owner"][k]), np.asarray(scene["rgb"][k])
    return int(min(others, key=lambda n: float(np.abs(rgb[owner == n + 1].mean(0) - wanted).sum())))


def _placed_on(frame: RgbdFrame, mask: Mask, cam_T_obj: Pose) -> Pose:
    """A pose (4, 4) moved to where the depth under a mask lies, turned as it is seen from there."""
    rows, cols = np.nonzero(mask & (frame.depth_m > 0))
    out = cam_T_obj.copy()
    if len(rows):
        z = float(np.median(frame.depth_m[rows, cols]))
        camera = frame.camera
        x, y = (
            (float(np.median(cols)) - camera.cx) * z / camera.fx,
            (float(np.median(rows)) - camera.cy) * z / camera.fy,
        )
        out[:3, 3] = x, y, z
    return out


def _shaken(pose: Pose, rng: Rng, move_m: float, turn_deg: float) -> Pose:
    out = pose.copy()
    out[:3, 3] += rng.normal(0, move_m, 3)
    out[:3, :3] = se3.so3_exp(rng.normal(0, np.radians(turn_deg), 3)) @ out[:3, :3]
    return out


def _direction(rng: Rng) -> npt.NDArray[np.float64]:
    way = rng.normal(size=3)
    return way / np.linalg.norm(way)
