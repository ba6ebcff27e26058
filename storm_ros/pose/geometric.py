"""The geometric pose estimator: render and compare on depth and colour, without any learned part."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from storm_ros.core import se3
from storm_ros.core.config import MeshConfig, PoseConfig
from storm_ros.core.types import Mask, Pose, PoseEstimate, Reference, Registration, RgbdFrame
from storm_ros.mesh.fused import Fused, SurfaceFuser
from storm_ros.pose import registration
from storm_ros.pose.assess import assess, shown_area
from storm_ros.pose.images import FrameImages, make_keyframe, upload_frame, view_direction
from storm_ros.pose.samples import PoseModel, Samples, best_keyframe, make_model, with_mesh
from storm_ros.pose.solver import Fit, Terms, fit, warm_up
from storm_ros.pose.surroundings import set_off, surface_goes_on
from storm_ros.pose.view_cache import ViewCache, view_samples
from storm_ros.render import DeviceMesh, RayCaster

_SEARCH_BELOW = 0.45
_REACH_RADII, _REACH_RAD = 2.0, np.deg2rad(45.0)
_PLACES, _STARTS = 11, 3
_FINE_QUALITY = 0.65
_PLAIN_COLOUR_SHARE = 0.03
_USUAL_FILL = 0.8
_KEYFRAME_ANGLE_RAD = np.deg2rad(20.0)
_KEYFRAME_SCORE, _KEYFRAME_COLOUR_ERROR = 0.75, 0.08
_FRAMES_KEPT = 4
"""Frames in use at a time: the one that is tracked in, and those of searches on other threads."""


@dataclass(frozen=True)
class _Level:
    """One resolution of the coarse-to-fine descent."""

    level: int
    share: float
    gate_m: float
    colour_factor: float


_LEVELS = (_Level(2, 0.25, 0.040, 2.0), _Level(1, 0.5, 0.020, 1.4), _Level(0, 1.0, 0.010, 1.0))


class GeometricEstimator:
    """Coarse-to-fine Gauss-Newton on ray-cast depth and reference colours; registration from view hypotheses.

    Kernels are compiled when it is made (once per machine, then cached), not in the first frame.
    Keeps nothing between calls but caches: device copies of the frames in use, and samples of the models by viewpoint.
    """

    def __init__(
        self, config: PoseConfig | None = None, device: str = "cpu", *, mesh: MeshConfig | None = None
    ) -> None:
        """Choose settings and device (see `RayCaster`); `mesh.fused` lets lifted surfaces grow."""
        self.config = config or PoseConfig()
        self.caster = RayCaster(device)
        warm_up(self.caster.device)
        self.fuser = SurfaceFuser(mesh, self.caster.device) if mesh is not None and mesh.fused else None
        self._views: weakref.WeakKeyDictionary[DeviceMesh, ViewCache] = weakref.WeakKeyDictionary()
        self._uploaded: tuple[FrameImages, ...] = ()

    def prepare(self, reference: Reference) -> PoseModel:
        """Put the reference's mesh and views on the device."""
        model = make_model(reference, self.caster, [self._images(view.frame) for view in reference.views])
        self._views[model.mesh] = ViewCache()
        if not reference.views:
            return model
        if self.fuser is not None:
            model = replace(model, fused=self.fuser.start(reference))
        view = reference.views[0]
        return replace(
            model,
            reference_area=shown_area(model, view.cam_T_obj, view.frame.camera, self.caster),
            reference_goes_on=surface_goes_on(view.frame, view.mask, model.radius_m),
        )

    def register(self, frame: RgbdFrame, mask: Mask, model: PoseModel) -> Registration:
        """Find cam_T_obj from nothing but the frame and the mask; see `registration.register`.

        Raises:
            InputError: mask of another size than the frame.
            NoDepthError: fewer than 64 valid depth pixels under the mask.
        """
        return registration.register(self._images(frame), mask, model, self.config, self.caster)

    def track(self, frame: RgbdFrame, model: PoseModel, guesses: Sequence[Pose]) -> PoseEstimate:
        """Correct the best of some guesses to fit the frame.

        When the outcome is poor, the neighbourhood of the guesses is searched for a better start.

        Args:
            frame: the image.
            model: from `prepare` or `remember`.
            guesses: (4, 4) poses cam_T_obj; the first is the most likely.

        Returns:
            The pose with its evidence and covariance; a low score when the object is not there.
        """
        images = self._images(frame)
        start = self._choose(images, model, np.stack([np.asarray(g, dtype=np.float64) for g in guesses]))
        estimate = self._descend(images, model, start)
        if estimate.score >= _SEARCH_BELOW:
            return estimate
        start = self._elsewhere(images, model, np.asarray(guesses[0], dtype=np.float64), estimate.cam_T_obj)
        if start is None:
            return estimate
        fitted = self._fit(images, model, start[None], _LEVELS[1:])
        if fitted is None or not _within_reach(fitted.poses[0], guesses, model.radius_m):
            return estimate
        rival = self._outcome(images, model, fitted)
        if rival.score > _SEARCH_BELOW:
            rival = set_off(frame, model, rival)
        return rival if rival.score > _SEARCH_BELOW else estimate

    def judge(self, frame: RgbdFrame, model: PoseModel, cam_T_obj: Pose) -> PoseEstimate:
        """The evidence for a pose (4, 4) as it is."""
        return self._assess(self._images(frame), model, cam_T_obj)

    def forget(self, model: PoseModel) -> PoseModel:
        """The model with no other keyframes than the reference's; where views are fused, without the last of them.

        Keyframes of the sides that stay fused stay too: without their colours those sides could not be told.
        """
        first, others = model.keyframes[: model.references], model.keyframes[model.references :]
        if self.fuser is None or model.fused is None:
            return replace(model, keyframes=first)
        fused = self.fuser.forgotten(model.fused)
        kept = tuple(key for key in others if self.fuser.shown(fused, key.direction))
        model = replace(model, keyframes=(*first, *kept))
        return model if fused is model.fused else self._grown(model, fused, self.fuser)

    def remember(self, frame: RgbdFrame, model: PoseModel, estimate: PoseEstimate) -> PoseModel:
        """Learn from a good view: a keyframe when none of those kept saw the object from there, and its surface.

        Args:
            frame: the image.
            model: what is known so far.
            estimate: its pose; a low score or a missing mask changes nothing.
        """
        model = self._with_keyframe(frame, model, estimate)
        if self.fuser is None or model.fused is None:
            return model
        if model.fused.stale:  # one good frame later, so that no frame bears both costs
            return self._grown(model, model.fused, self.fuser)
        if not self.fuser.due(model.fused, estimate):
            return model
        return replace(model, fused=self.fuser.fuse(frame, model.fused, estimate))

    def _grown(self, model: PoseModel, fused: Fused, fuser: SurfaceFuser) -> PoseModel:
        """The model with the mesh of what was fused."""
        model = replace(with_mesh(model, fuser.mesh(fused), self.caster), fused=replace(fused, stale=False))
        self._views[model.mesh] = ViewCache()
        return model

    def _with_keyframe(self, frame: RgbdFrame, model: PoseModel, estimate: PoseEstimate) -> PoseModel:
        """Keep a good view as a keyframe when none of those kept saw the object from there."""
        unlike = not estimate.colour_error < _KEYFRAME_COLOUR_ERROR
        if (
            estimate.score < _KEYFRAME_SCORE
            or unlike
            or estimate.mask is None
            or self.config.keyframes <= model.references
        ):
            return model
        direction = view_direction(estimate.cam_T_obj)
        if max(float(other.direction @ direction) for other in model.keyframes) > np.cos(_KEYFRAME_ANGLE_RAD):
            return model
        key = make_keyframe(self._images(frame), estimate.mask, estimate.cam_T_obj, self.caster.device)
        kept, recent = model.keyframes[: model.references], (*model.keyframes[model.references :], key)
        return replace(model, keyframes=(*kept, *recent[-(self.config.keyframes - model.references) :]))

    def _images(self, frame: RgbdFrame) -> FrameImages:
        images = next((images for images in self._uploaded if images.frame is frame), None)
        if images is None:
            images = upload_frame(frame, self.caster.device)
            self._uploaded = (*self._uploaded[1 - _FRAMES_KEPT :], images)
        return images

    def _terms(self, model: PoseModel, pose: Pose, step: _Level) -> Terms:
        """What counts at a level; on a plain object the colours that vary are shading, which moves with the light."""
        c = self.config
        key = best_keyframe(model, pose)
        texture = 0.0 if key is None else key.texture
        weight = c.colour_weight * (_PLAIN_COLOUR_SHARE + (1.0 - _PLAIN_COLOUR_SHARE) * texture)
        return Terms(step.level, c.depth_sigma_m, step.gate_m, c.colour_sigma * step.colour_factor, weight)

    def _cells(self, share: float) -> int:
        return max(12, int(np.sqrt(self.config.samples * share / _USUAL_FILL)))

    def _view(self, model: PoseModel, pose: Pose, step: _Level) -> Samples | None:
        return view_samples(model, pose, self._cells(step.share), step.level, self.caster, self._views[model.mesh])

    def _choose(self, images: FrameImages, model: PoseModel, guesses: npt.NDArray[np.float64]) -> Pose:
        if len(guesses) == 1:
            return guesses[0]
        step = _LEVELS[0]
        samples = self._view(model, guesses[0], step)
        if samples is None:
            return guesses[0]
        sets = np.zeros(len(guesses), np.int64)
        quality = fit(
            images, samples, guesses, self._terms(model, guesses[0], step), 0, self.caster, set_of_view=sets
        ).quality()
        return guesses[int(np.argmax(quality))]

    def _descend(self, images: FrameImages, model: PoseModel, start: Pose) -> PoseEstimate:
        """Fit at the finest level; go through the coarse ones when that does not get there.

        Coarse levels reach far, but at a good start their blurred edges only pull it off.
        """
        begin = np.asarray(start, dtype=np.float64)[None]
        fitted = self._fit(images, model, begin, _LEVELS[-1:])
        if fitted is None or fitted.quality()[0] < _FINE_QUALITY:
            wide = self._fit(images, model, begin, _LEVELS)
            if wide is not None and (fitted is None or wide.quality()[0] > fitted.quality()[0]):
                fitted = wide
        return self._assess(images, model, begin[0]) if fitted is None else self._outcome(images, model, fitted)

    def _outcome(self, images: FrameImages, model: PoseModel, fitted: Fit) -> PoseEstimate:
        return self._assess(images, model, se3.orthonormalised(fitted.poses[0]), _covariance(fitted))

    def _fit(
        self, images: FrameImages, model: PoseModel, pose: npt.NDArray[np.float64], levels: Sequence[_Level]
    ) -> Fit | None:
        """Fit one pose (1, 4, 4) level by level; None when the object is not before the camera."""
        light, last = None, None
        for step in levels:
            samples = self._view(model, pose[0], step)
            if samples is None:
                return last
            terms = self._terms(model, pose[0], step)
            last = fit(images, samples, pose, terms, self.config.iterations, self.caster, light=light)
            pose, light = last.poses, last.light
        return last

    def _assess(
        self, images: FrameImages, model: PoseModel, pose: Pose, covariance: npt.NDArray[np.float64] | None = None
    ) -> PoseEstimate:
        tolerance = self.config.agreement_m
        return assess(images, model, pose, self.caster, tolerance_m=tolerance, covariance=covariance)

    def _elsewhere(self, images: FrameImages, model: PoseModel, guess: Pose, fitted: Pose) -> Pose | None:
        """A better start than what was fitted: the guess shifted across the image, and the best few moved coarsely.

        None where the pose that was fitted agrees as well as any of them.
        """
        step = _LEVELS[0]
        samples = self._view(model, guess, step)
        if samples is None:
            return None
        terms = self._terms(model, guess, step)

        def fits(poses: npt.NDArray[np.float64], iterations: int) -> Fit:
            sets = np.zeros(len(poses), np.int64)
            return fit(images, samples, poses, terms, iterations, self.caster, set_of_view=sets)

        center = guess[:3, :3] @ model.center + guess[:3, 3]
        offsets = np.linspace(-1.6, 1.6, _PLACES) * model.radius_m
        dx, dy, dz = np.meshgrid(offsets, offsets, np.array([-0.06, 0.0, 0.06]) * center[2], indexing="ij")
        shifts = np.stack([dx.ravel(), dy.ravel(), np.zeros(dx.size)], 1) + dz.ravel()[:, None] * center / center[2]
        poses = np.repeat(guess[None], len(shifts), 0)
        poses[:, :3, 3] += shifts
        chosen: list[Pose] = []
        for i in np.argsort(-fits(poses, 0).quality()):
            if all(np.linalg.norm(poses[i, :3, 3] - c[:3, 3]) > 0.5 * model.radius_m for c in chosen):
                chosen.append(poses[i])
            if len(chosen) == _STARTS:
                break
        moved = fits(np.stack([fitted, *chosen]), self.config.iterations)
        best = int(np.argmax(moved.quality()))
        return None if best == 0 else moved.poses[best]


def _within_reach(cam_T_obj: Pose, guesses: Sequence[Pose], radius_m: float) -> bool:
    """Whether an object may have moved from one of the guesses to here between two frames."""
    return any(
        se3.distance(cam_T_obj, guess) < _REACH_RADII * radius_m and se3.angle_between(cam_T_obj, guess) < _REACH_RAD
        for guess in guesses
    )


def _covariance(last: Fit) -> npt.NDArray[np.float64]:
    """(6, 6) covariance of (translation, rotation) from the last Hessian, scaled by the residuals' spread."""
    hessian = last.hessian[0]
    ridge = np.eye(6) * max(1e-9, 1e-9 * float(np.trace(hessian)))
    spread = np.linalg.inv(hessian + ridge)
    order = [3, 4, 5, 0, 1, 2]
    return (0.5 * (spread + spread.T))[np.ix_(order, order)]
