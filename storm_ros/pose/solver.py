"""Gauss-Newton on depth and colour for a batch of poses: the host's side of the kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import warp as wp

from storm_ros.pose import judging, kernels
from storm_ros.pose.images import FrameImages
from storm_ros.pose.samples import Samples
from storm_ros.render import RayCaster

_CUDA_THREADS = 128


@dataclass(frozen=True)
class Terms:
    """Which residuals count, and how far.

    Attributes:
        level: pyramid level of the colour term.
        depth_sigma_m: expected depth error at 1 m.
        depth_gate_m: residuals beyond are outliers.
        colour_sigma: expected intensity error, of 1.
        colour_weight: 0 turns the colour term off.
    """

    level: int
    depth_sigma_m: float
    depth_gate_m: float
    colour_sigma: float
    colour_weight: float


@dataclass(frozen=True, eq=False)
class Fit:
    """Where N poses went, and how well they fit there.

    Attributes:
        poses: (N, 4, 4) cam_T_obj.
        light: (N, 2) gain and offset of the reference's intensities.
        hessian: (N, 6, 6) of (rotation, translation); zero where they were only evaluated.
        stats: (N, 16) sums over the samples, indexed by the names in `kernels`.
    """

    poses: npt.NDArray[np.float64]
    light: npt.NDArray[np.float64]
    hessian: npt.NDArray[np.float64]
    stats: npt.NDArray[np.float64]

    def quality(self) -> npt.NDArray[np.float64]:
        """(N,) share of all samples that agree in depth, times their mean colour weight, in [0, 1]."""
        s = self.stats
        depth = s[:, kernels.INLIERS] / np.maximum(s[:, kernels.TOTAL], 1.0)
        colour = (s[:, kernels.COLOUR_WEIGHT] + 1.0) / (s[:, kernels.COLOURED] + 1.0)
        return depth * colour


def fit(
    images: FrameImages,
    samples: Samples,
    poses: npt.NDArray[np.float64],
    terms: Terms,
    iterations: int,
    caster: RayCaster,
    *,
    light: npt.NDArray[np.float64] | None = None,
    set_of_view: npt.NDArray[np.int64] | None = None,
) -> Fit:
    """Minimise the residuals over N poses by at most so many Gauss-Newton steps each.

    Args:
        images: the frame.
        samples: one set of points per pose, or fewer.
        poses: (N, 4, 4) where to start.
        terms: which residuals count.
        iterations: 0 only evaluates.
        caster: whose device is used.
        light: (N, 2) gain and offset to start with; (1, 0) when left out.
        set_of_view: (N,) which set of `samples` each pose moves; one each, in order, when left out.
    """
    device, count = caster.device, len(poses)
    views = np.zeros((count, kernels.VIEW_FLOATS), dtype=np.float32)
    views[:, :16] = poses.reshape(count, 16)
    views[:, 16:18] = (1.0, 0.0) if light is None else light
    sets: Any = np.zeros(0, np.int32) if set_of_view is None else set_of_view.astype(np.int32)
    out_views = wp.empty((count, kernels.VIEW_FLOATS), dtype=wp.float32, device=device)
    out_stats = wp.empty((count, kernels.STATS), dtype=wp.float32, device=device)
    out_hessian = wp.empty(count, dtype=wp.spatial_matrix, device=device)
    threads = _threads(device)
    wp.launch_tiled(
        kernels.gauss_newton,
        dim=[count],
        inputs=[
            samples.points,
            samples.normals,
            samples.reference,
            caster.array(views, wp.float32),
            caster.array(sets, wp.int32),
            images.k,
            0.5**terms.level,
            images.depth,
            images.grey[terms.level],
            terms.depth_sigma_m,
            terms.depth_gate_m,
            terms.colour_sigma,
            terms.colour_weight,
            iterations,
            threads,
        ],
        outputs=[out_views, out_stats, out_hessian],
        block_dim=threads,
        device=device,
    )
    result = out_views.numpy()
    moved = np.tile(np.eye(4), (count, 1, 1))
    moved[:, :3] = result[:, :12].reshape(count, 3, 4)
    lower = np.tril(out_hessian.numpy().astype(np.float64))
    hessian = lower + np.tril(lower, -1).transpose(0, 2, 1)
    return Fit(moved, result[:, 16:18].astype(np.float64), hessian, out_stats.numpy().astype(np.float64))


def warm_up(device: str) -> None:
    """Compile and load the estimator's kernels for a device."""
    wp.load_module(judging, device=device)
    wp.load_module(kernels, device=device)
    if device != "cpu":
        wp.load_module(kernels, device=device, block_dim=_threads(device))


def _threads(device: str) -> int:
    return 1 if device == "cpu" else _CUDA_THREADS
