"""What a depth camera makes of true depth: noise, quantisation, shadows, ragged edges, holes.

Depth comes from disparity (structured light and stereo alike), so its error grows with the square of the distance:
``sigma_z = sigma_d * z**2 / (focal * baseline)``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from storm_ros.core.errors import InputError

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class DepthSensor:
    """A depth camera, registered to the colour camera.

    Attributes:
        name: for reports.
        focal_px: focal length of the depth imager in pixels.
        baseline_m: distance of its second imager (or projector), which sits to the right; metres.
        disparity_noise_px: standard deviation of the disparity in pixels.
        correlation_px: radius over which the noise is smooth; 0: every pixel on its own.
        disparity_step_px: disparities are multiples of this; 0: not quantised.
        depth_step_m: depths are multiples of this, metres; 0: not quantised.
        scale_error: relative error of the calibration; 0.01 reads 1 % too far.
        shadows: whether surfaces hidden from the second imager have no depth.
        edge_jump: step in depth, relative to the depth, that makes an edge.
        edge_width_px: how far the trouble reaches from an edge.
        edge_jitter_px: standard deviation of an outline's place.
        edge_drop_rate: share of the pixels at edges without depth.
        flying_rate: share of the pixels at edges with a depth between the two surfaces.
        hole_rate: share of all pixels lost in holes.
        hole_size_px: typical size of these holes.
        grazing_deg: angle between view ray and normal above which depth begins to be lost.
        dark_level: brightness, of 1, below which depth begins to be lost.
        dark_loss: share lost where it is black.
        shift_px: offset of depth against colour, (x, y).
        near_m: no depth nearer than this.
        far_m: no depth farther than this.
    """

    name: str = "perfect"
    focal_px: float = 600.0
    baseline_m: float = 0.05
    disparity_noise_px: float = 0.0
    correlation_px: float = 0.0
    disparity_step_px: float = 0.0
    depth_step_m: float = 0.0
    scale_error: float = 0.0
    shadows: bool = False
    edge_jump: float = 0.02
    edge_width_px: int = 2
    edge_jitter_px: float = 0.0
    edge_drop_rate: float = 0.0
    flying_rate: float = 0.0
    hole_rate: float = 0.0
    hole_size_px: float = 5.0
    grazing_deg: float = 90.0
    dark_level: float = 0.0
    dark_loss: float = 0.0
    shift_px: tuple[float, float] = (0.0, 0.0)
    near_m: float = 0.0
    far_m: float = 100.0

    def __post_init__(self) -> None:
        if self.focal_px <= 0 or self.baseline_m <= 0:
            figures = f"focal_px={self.focal_px}, baseline_m={self.baseline_m}"
            raise InputError(f"depth sensor has {figures}: both must be positive")
        for key in ("edge_drop_rate", "flying_rate", "hole_rate", "dark_loss"):
            if not 0.0 <= getattr(self, key) <= 1.0:
                raise InputError(f"depth sensor has {key}={getattr(self, key)}: a share from 0 to 1 is needed")

    def sigma_m(self, depth_m: float) -> float:
        """Standard deviation of a depth in metres, before quantisation."""
        return self.disparity_noise_px * depth_m**2 / (self.focal_px * self.baseline_m)

    def step_m(self, depth_m: float) -> float:
        """Distance in metres between neighbouring depths that the disparity step allows."""
        return self.disparity_step_px * depth_m**2 / (self.focal_px * self.baseline_m)


def perfect() -> DepthSensor:
    """Depth as it is."""
    return DepthSensor()


def kinect() -> DepthSensor:
    """Structured light of the first Kinect and the Xtion: 1/8 pixel steps (3 mm at 1 m), wide shadows, few holes."""
    return DepthSensor(
        name="kinect", focal_px=580.0, baseline_m=0.075, disparity_noise_px=0.06, correlation_px=0.8,
        disparity_step_px=0.125, depth_step_m=0.001, shadows=True, edge_width_px=2, edge_jitter_px=0.7,
        edge_drop_rate=0.3, flying_rate=0.01, hole_rate=0.003, hole_size_px=6.0, grazing_deg=72.0, dark_level=0.03,
        dark_loss=0.6, shift_px=(0.5, -0.5), near_m=0.4, far_m=5.0,
    )  # fmt: skip


def realsense() -> DepthSensor:
    """Active stereo of the D400 kind: finer steps, smooth wavy noise, bloated outlines and flying pixels."""
    return DepthSensor(
        name="realsense", focal_px=610.0, baseline_m=0.05, disparity_noise_px=0.05, correlation_px=2.0,
        disparity_step_px=1 / 32, depth_step_m=0.001, shadows=True, edge_width_px=3, edge_jitter_px=1.0,
        edge_drop_rate=0.12, flying_rate=0.06, hole_rate=0.004, hole_size_px=10.0, grazing_deg=78.0, dark_level=0.01,
        dark_loss=0.3, shift_px=(0.3, 0.2), near_m=0.17, far_m=8.0,
    )  # fmt: skip


SENSORS = {"perfect": perfect, "kinect": kinect, "realsense": realsense}
"""Every preset by its name."""


def random_sensor(rng: np.random.Generator) -> DepthSensor:
    """A sensor of one of the two kinds with every figure varied, for training."""
    base = (kinect, realsense)[rng.integers(2)]()
    varied = {
        key: float(getattr(base, key) * rng.uniform(0.5, 1.6))
        for key in ("disparity_noise_px", "correlation_px", "edge_jitter_px", "edge_drop_rate", "flying_rate",
                    "hole_rate", "hole_size_px", "dark_loss")
    }  # fmt: skip
    shift = rng.normal(0, 0.7, 2)
    return replace(
        base, shift_px=(float(shift[0]), float(shift[1])), scale_error=float(rng.normal(0, 0.002)),
        grazing_deg=float(rng.uniform(68, 84)), **varied,
    )  # fmt: skip


def sense_depth(
    depth_m: Floats,
    sensor: DepthSensor,
    rng: np.random.Generator,
    *,
    cosine: Floats | None = None,
    luminance: Floats | None = None,
) -> Floats:
    """Depth as a sensor would report it.

    Args:
        depth_m: (H, W) true depth in metres, 0 where nothing is hit.
        sensor: the camera.
        rng: the source of randomness; the same state gives the same image.
        cosine: (H, W) of the angle between view ray and surface normal; without it no loss at grazing angles.
        luminance: (H, W) brightness in [0, 1]; without it no loss on dark surfaces.

    Returns:
        (H, W) float32 metres, 0 where there is none.
    """
    true = np.ascontiguousarray(depth_m, dtype=np.float32)
    shape = (true.shape[0], true.shape[1])
    lost = (true <= 0) | (true < sensor.near_m) | (true > sensor.far_m)
    edges, low, high = _edges(true, sensor)
    loss_field = smooth_normal(rng, shape, 1.5)
    lost |= edges & (loss_field < ndtri(sensor.edge_drop_rate))
    if cosine is not None and sensor.grazing_deg < 90:
        limit = float(np.cos(np.radians(sensor.grazing_deg)))
        lost |= loss_field + 3.0 * (1 - 2 * cosine / max(limit, 1e-6)) > 0  # none at the limit, all when edge-on
    if luminance is not None and sensor.dark_loss > 0 and sensor.dark_level > 0:
        lost |= (luminance < sensor.dark_level) & (smooth_normal(rng, shape, 3.0) < ndtri(sensor.dark_loss))
    if sensor.hole_rate > 0:
        lost |= smooth_normal(rng, shape, sensor.hole_size_px / 2) < ndtri(sensor.hole_rate)
    if sensor.shadows:
        lost |= _shadowed(true, sensor)
    measured = true
    if sensor.flying_rate > 0:
        between = rng.random(shape, dtype=np.float32)
        flying = edges & (between < sensor.flying_rate)
        share = between[flying] / np.float32(sensor.flying_rate)
        measured = true.copy()
        measured[flying] = low[flying] + share * (high[flying] - low[flying])
    measured = np.where(lost, np.float32(0), measured)
    measured = _displaced(measured, edges, sensor, rng)
    return _with_noise(measured, sensor, rng)


def _edges(depth: Floats, sensor: DepthSensor) -> tuple[npt.NDArray[np.bool_], Floats, Floats]:
    """Pixels near a depth step, and the nearest and farthest depth around each pixel."""
    kernel = np.ones((3, 3), np.uint8)
    low, high = cv2.erode(depth, kernel), cv2.dilate(depth, kernel)
    step = (high - low > sensor.edge_jump * depth) & (low > 0)
    if sensor.edge_width_px > 1:
        size = 2 * sensor.edge_width_px - 1
        step = cv2.dilate(step.astype(np.uint8), np.ones((size, size), np.uint8)) > 0
    return step, low.astype(np.float32), high.astype(np.float32)


def _shadowed(depth: Floats, sensor: DepthSensor) -> npt.NDArray[np.bool_]:
    """Surfaces that something nearer, to their right, hides from the second imager."""
    with np.errstate(divide="ignore"):
        disparity = np.where(depth > 0, np.float32(sensor.focal_px * sensor.baseline_m) / depth, np.float32(0))
    seen_at = np.arange(depth.shape[1], dtype=np.float32) - disparity
    leftmost = np.minimum.accumulate(seen_at[:, ::-1], axis=1)[:, ::-1]
    return seen_at > leftmost + 1.0


def _displaced(depth: Floats, edges: npt.NDArray[np.bool_], sensor: DepthSensor, rng: np.random.Generator) -> Floats:
    """The map shifted against the colour image, its outlines frayed."""
    if sensor.edge_jitter_px <= 0 and sensor.shift_px == (0.0, 0.0):
        return depth
    xs, ys = _pixel_grid(depth.shape[0], depth.shape[1])
    near = edges.astype(np.float32) * np.float32(sensor.edge_jitter_px)
    x = xs + near * smooth_normal(rng, (depth.shape[0], depth.shape[1]), 1.0) - np.float32(sensor.shift_px[0])
    y = ys + near * smooth_normal(rng, (depth.shape[0], depth.shape[1]), 1.0) - np.float32(sensor.shift_px[1])
    return cv2.remap(depth, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0.0).astype(np.float32)


@lru_cache(maxsize=4)
def _pixel_grid(height: int, width: int) -> tuple[Floats, Floats]:
    xs, ys = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return xs, ys


def _with_noise(depth: Floats, sensor: DepthSensor, rng: np.random.Generator) -> Floats:
    valid = depth > 0
    scale = np.float32(sensor.focal_px * sensor.baseline_m)
    disparity = scale / np.maximum(depth * np.float32(1 + sensor.scale_error), np.float32(1e-3))
    if sensor.disparity_noise_px > 0:
        noise = smooth_normal(rng, (depth.shape[0], depth.shape[1]), sensor.correlation_px)
        disparity += np.float32(sensor.disparity_noise_px) * noise
    if sensor.disparity_step_px > 0:
        disparity = np.rint(disparity / np.float32(sensor.disparity_step_px)) * np.float32(sensor.disparity_step_px)
    valid &= disparity > 0
    out = scale / np.maximum(disparity, np.float32(1e-6))
    if sensor.depth_step_m > 0:
        out = np.rint(out / np.float32(sensor.depth_step_m)) * np.float32(sensor.depth_step_m)
    return np.where(valid, out, np.float32(0)).astype(np.float32)


def smooth_normal(rng: np.random.Generator, shape: tuple[int, int], radius_px: float) -> Floats:
    """Normal noise of unit variance, smooth over a radius (to a quarter of a pixel): a random cut of a stored field.

    Returns:
        (H, W) float32, read only.
    """
    height, width = shape
    field = _stored_field(height + _SLACK_PX, width + _SLACK_PX, round(4 * radius_px))
    row, column = (int(v) for v in rng.integers(_SLACK_PX + 1, size=2))
    cut = field[row : row + height, column : column + width]
    return cut[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]


_SLACK_PX = 224


@lru_cache(maxsize=32)
def _stored_field(height: int, width: int, quarter_radius: int) -> Floats:
    white = np.random.default_rng(quarter_radius).standard_normal((height, width), dtype=np.float32)
    if quarter_radius == 0:
        return white
    sigma = quarter_radius / 4
    field = cv2.GaussianBlur(white, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    inner = field[int(3 * sigma) : height - int(3 * sigma), int(3 * sigma) : width - int(3 * sigma)]
    field = ((field - inner.mean()) / inner.std()).astype(np.float32)
    field.flags.writeable = False
    return field
