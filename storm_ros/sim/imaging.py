"""From light to the picture a cheap colour camera delivers: blur, white balance, vignette, noise, JPEG."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.sim.sensor import smooth_normal

Floats = npt.NDArray[np.float32]

_LONGEST_SMEAR_PX = 24.0
_SLACK_PX = 256


@dataclass(frozen=True, kw_only=True)
class ColourCamera:
    """A colour camera's weaknesses.

    Attributes:
        exposure: gain; at 1 a white sheet in full light is just white.
        white_balance: (3,) gains of red, green and blue.
        sharpness_px: radius of the lens's blur.
        vignette: how much darker the corners are, of 1.
        noise: standard deviation, of 255, where it is bright; half as much again in the dark.
        shutter: share of the time between frames during which the shutter is open (motion blur); 0 for none.
        jpeg_quality: 1 to 100; 0 leaves the picture as it is.
    """

    exposure: float = 1.0
    white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    sharpness_px: float = 0.6
    vignette: float = 0.12
    noise: float = 2.0
    shutter: float = 0.25
    jpeg_quality: int = 0


def ideal_camera() -> ColourCamera:
    """No blur, no noise, no compression."""
    return ColourCamera(sharpness_px=0.0, vignette=0.0, noise=0.0, shutter=0.0, jpeg_quality=0)


def random_camera(rng: np.random.Generator) -> ColourCamera:
    """A camera with random weaknesses, for training."""
    red, blue = rng.uniform(0.8, 1.2, 2)
    return ColourCamera(
        exposure=float(rng.uniform(0.45, 1.15)),
        white_balance=(float(red), 1.0, float(blue)),
        sharpness_px=float(rng.uniform(0.4, 1.1)),
        vignette=float(rng.uniform(0.0, 0.35)),
        noise=float(rng.choice([rng.uniform(0.5, 3), rng.uniform(3, 12)])),
        shutter=float(rng.uniform(0.0, 0.6)),
        jpeg_quality=int(rng.integers(55, 98)),
    )


def develop(
    radiance: Floats, camera: ColourCamera, rng: np.random.Generator, flow: Floats | None = None
) -> npt.NDArray[np.uint8]:
    """Take the picture.

    Args:
        radiance: (H, W, 3) float32, linear, RGB.
        camera: its weaknesses.
        rng: the source of the noise.
        flow: (H, W, 2) pixels moved while the shutter was open; None for no motion blur.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    light = radiance if flow is None else _smeared(radiance, flow)
    if camera.sharpness_px > 0:
        light = cv2.GaussianBlur(light, (5, 5), camera.sharpness_px)
    height, width = light.shape[:2]
    red, green, blue = (camera.exposure * gain * 255.0**2 for gain in camera.white_balance)
    picture = cv2.sqrt(cv2.multiply(light, _gains(height, width, red, green, blue, camera.vignette)))
    row, column = (int(v) for v in rng.integers(_SLACK_PX, size=2))
    grain = _grain(height + _SLACK_PX, width + _SLACK_PX)[row : row + height, column : column + width]
    out = np.asarray(cv2.addWeighted(picture, 1.0, grain, camera.noise, 0.0, dtype=cv2.CV_8U), dtype=np.uint8)
    return out if camera.jpeg_quality <= 0 else _compressed(out, camera.jpeg_quality)


def _smeared(image: Floats, flow: Floats, samples: int = 4) -> Floats:
    """Average along the motion, where there is any."""
    height, width = image.shape[:2]
    xs, ys = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    # blurred, as the smear of what moves reaches over its outline
    flow = np.clip(cv2.blur(flow, (9, 9)), -_LONGEST_SMEAR_PX, _LONGEST_SMEAR_PX)
    total = image.copy()
    for k in range(1, samples):
        share = np.float32(k / (samples - 1))
        x, y = xs - share * flow[..., 0], ys - share * flow[..., 1]
        total += cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return total / np.float32(samples)


@lru_cache(maxsize=4)
def _gains(height: int, width: int, red: float, green: float, blue: float, vignette: float) -> Floats:
    """What the light is multiplied with, darker towards the corners."""
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    return ((1 - vignette * (x**2 + y**2) / 2)[..., None] * [red, green, blue]).astype(np.float32)


@lru_cache(maxsize=4)
def _grain(height: int, width: int) -> Floats:
    """Grain in brightness, and coarser in colour as cameras' own filters leave it; random cuts of it are used."""
    rng = np.random.default_rng(0)
    coarse = np.stack([smooth_normal(rng, (height, width), 1.0) for _ in range(3)], axis=-1)
    return np.float32(0.8) * (coarse + rng.standard_normal((height, width, 1), dtype=np.float32))


def _compressed(picture: npt.NDArray[np.uint8], quality: int) -> npt.NDArray[np.uint8]:
    done, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(decoded[..., ::-1], dtype=np.uint8)
