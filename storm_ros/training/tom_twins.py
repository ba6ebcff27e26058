"""Look-alikes for the verifier's cases, made of an object's own pixels.

They have its shape in other looks, or its looks in other proportions, and are put in its place, beside or before it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.core import se3
from storm_ros.core.types import Mask, Pose, RgbdFrame

Rng = np.random.Generator
Pixels = npt.NDArray[np.uint8]

_LEAST_CHANGE = 14.0  # mean distance of the colours in CIELAB after both are made equally light
_LEAST_INSIDE = 0.75  # share of a look-alike that the image shows
_TRIES = 3


@dataclass(frozen=True, eq=False)
class Twin:
    """An image with a look-alike, the look-alike's pose (4, 4), and the share of the object that it hides."""

    frame: RgbdFrame
    cam_T_twin: Pose
    hidden: float


def repainted(rgb: Pixels, own: Mask, rng: Rng, other: Pixels | None = None) -> Pixels | None:
    """The image with an object in other looks: other hues and a dye, another print, or two other colours.

    Args:
        rgb: (H, W, 3) image.
        own: (H, W) pixels of the object.
        rng: of the looks.
        other: (S, S, 3) picture that may serve as a print.

    Returns:
        None where none of a few tries looks clearly different, however light both are.
    """
    rows, cols = np.nonzero(own)
    if not len(rows):
        return None
    there = np.s_[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1]
    part, mask = np.ascontiguousarray(rgb[there]), own[there]
    for _ in range(_TRIES):
        kind = rng.choice(3, p=(0.45, 0.35, 0.2) if other is not None else (0.7, 0.0, 0.3))
        made = (_dyed(part, rng), _printed(part, other, mask, rng) if other is not None else part,
                _two_coloured(part, mask, rng))[int(kind)]  # fmt: skip
        if _difference(part[mask], made[mask]) < _LEAST_CHANGE:
            continue
        whole = cv2.dilate(mask.astype(np.float32), np.ones((3, 3), np.uint8))
        cover = cv2.GaussianBlur(whole, (0, 0), float(rng.uniform(0.5, 1.6)))
        out = rgb.copy()
        out[there] = np.rint(part + (made.astype(np.float32) - part) * cover[..., None]).astype(np.uint8)
        return out
    return None


def twin_elsewhere(
    frame: RgbdFrame, painted: Pixels, own: Mask, cam_T_obj: Pose, rng: Rng, *, front: bool, stretched: bool
) -> Twin | None:
    """Put a copy of an object beside it, or nearer to the camera in front of it.

    Args:
        frame: the image.
        painted: (H, W, 3) image to take the copy's colours from, see `repainted`.
        own: (H, W) pixels of the object, all of it visible.
        cam_T_obj: (4, 4) its pose.
        rng: of where.
        front: in front, or beside.
        stretched: whether the copy has other proportions.

    Returns:
        None where it would be out of the image, or hidden.
    """
    rows, cols = np.nonzero(own & (frame.depth_m > 0))
    if len(rows) < 30:
        return None
    size = np.array([np.ptp(cols), np.ptp(rows)], np.float64) + 1.0
    middle = np.array([cols.min() + cols.max(), rows.min() + rows.max()]) / 2.0
    nearer = rng.uniform(0.6, 0.88) if front else rng.uniform(0.92, 1.1)
    zoom = np.array([1.0, 1.0])
    if stretched:
        zoom[int(rng.integers(2))] = rng.uniform(1.35, 1.6) if rng.random() < 0.5 else rng.uniform(0.6, 0.75)
    zoom = zoom / nearer
    if front:
        goal = middle + rng.uniform(-0.35, 0.35, 2) * size
    else:
        away = 0.5 * (1.0 + zoom) * size * rng.uniform(0.95, 1.3)
        goal = middle + np.array([rng.choice([-1.0, 1.0]) * away[0], rng.uniform(-0.25, 0.25) * size[1]])
    to_source = np.array([
        [1.0 / zoom[0], 0.0, middle[0] - goal[0] / zoom[0]], [0.0, 1.0 / zoom[1], middle[1] - goal[1] / zoom[1]]
    ])  # fmt: skip
    height, width = frame.shape
    linear, nearest = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    cover = np.asarray(cv2.warpAffine(own.astype(np.float32), to_source, (width, height), flags=linear))
    colours = np.asarray(cv2.warpAffine(painted, to_source, (width, height), flags=linear))
    depth = np.asarray(cv2.warpAffine(frame.depth_m, to_source, (width, height), flags=nearest))
    farther = (nearer - 1.0) * float(np.median(frame.depth_m[rows, cols]))
    depth = np.where(depth > 0, np.maximum(depth + np.float32(farther), 0.15), 0.0).astype(np.float32)
    shown = (cover > 0.5) & ((frame.depth_m <= 0) | (depth <= 0) | (depth < frame.depth_m + 0.01))
    if shown.sum() < _LEAST_INSIDE * own.sum() * zoom[0] * zoom[1]:
        return None
    rgb, new_depth = frame.rgb.copy(), frame.depth_m.copy()
    blend = np.where(shown, np.clip(cover, 0.0, 1.0), 0.0)[..., None]
    rgb = np.rint(rgb + (colours.astype(np.float32) - rgb) * blend).astype(np.uint8)
    new_depth[shown] = depth[shown]
    pose = _carried(frame, cam_T_obj, middle, goal, zoom, nearer)
    return Twin(replace(frame, rgb=rgb, depth_m=new_depth), pose, float((shown & own).sum() / own.sum()))


def relit(frame: RgbdFrame, rng: Rng) -> RgbdFrame:
    """The image with more or less light of a slightly other colour, as a camera delivers it."""
    gain = np.exp(rng.uniform(np.log(0.3), np.log(1.9))) * np.exp(rng.uniform(-0.15, 0.15) * np.array([1.0, 0.0, -1.0]))
    light = (np.arange(256) / 255.0)[:, None] ** 2.2 * gain
    curve = np.rint(255.0 * np.clip(light, 0.0, 1.0) ** (1.0 / 2.2)).astype(np.uint8)
    return replace(frame, rgb=np.stack([curve[frame.rgb[..., c], c] for c in range(3)], axis=-1))


def _carried(
    frame: RgbdFrame, cam_T_obj: Pose, middle: npt.NDArray[np.float64], goal: npt.NDArray[np.float64],
    zoom: npt.NDArray[np.float64], nearer: float,
) -> Pose:  # fmt: skip
    """The pose at which an object looks as it does, elsewhere in the image."""
    camera, old = frame.camera, cam_T_obj[:3, 3]
    u, v = goal + (camera.project(old[None])[0] - middle) * zoom
    ray = np.array([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, 1.0])
    new = ray * float(old[2]) * nearer
    a, b = old / np.linalg.norm(old), ray / np.linalg.norm(ray)
    axis = np.cross(a, b)
    sine = float(np.linalg.norm(axis))
    turn = se3.so3_exp(axis / max(sine, 1e-12) * np.arctan2(sine, float(a @ b)))
    return se3.transform(turn @ cam_T_obj[:3, :3], new)


def _dyed(rgb: Pixels, rng: Rng) -> Pixels:
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + rng.uniform(40, 140)) % 180
    hue = np.array([[[rng.uniform(0, 180), rng.uniform(80, 230), rng.uniform(60, 230)]]])
    dye = np.asarray(cv2.cvtColor(hue.astype(np.uint8), cv2.COLOR_HSV2RGB)[0, 0], np.float32)
    turned = np.asarray(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB), np.float32)
    share = rng.uniform(0.0, 0.6)
    return np.asarray((1.0 - share) * turned + share * dye, np.float32).astype(np.uint8)


def _printed(rgb: Pixels, other: Pixels, mask: Mask, rng: Rng) -> Pixels:
    """Another picture, under the object's own light and shade."""
    height, width = rgb.shape[:2]
    turned = np.rot90(other, int(rng.integers(4)))
    picture = cv2.resize(np.ascontiguousarray(turned), (width, height), interpolation=cv2.INTER_AREA)
    lightness = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) + 1.0
    weight = mask.astype(np.float32)
    sigma = max(0.12 * max(height, width), 1.0)
    smooth = cv2.GaussianBlur(lightness * weight, (0, 0), sigma) / (cv2.GaussianBlur(weight, (0, 0), sigma) + 1e-3)
    shade = np.clip(smooth / max(float(smooth[mask].mean()), 1.0), 0.5, 1.6)
    return np.clip(picture.astype(np.float32) * shade[..., None], 0, 255).astype(np.uint8)


def _two_coloured(rgb: Pixels, mask: Mask, rng: Rng) -> Pixels:
    """Its dark parts in one colour, its light ones in another."""
    lightness = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    low, high = np.percentile(lightness[mask], (5, 95))
    share = np.clip((lightness - low) / max(float(high - low), 40.0), 0.0, 1.0)[..., None]
    dark, light = rng.uniform(10, 240, (2, 3))
    return (dark * (1.0 - share) + light * share).astype(np.uint8)


def _difference(before: Pixels, after: Pixels) -> float:
    a, b = (cv2.cvtColor(p[None].astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)[0] for p in (before, after))
    apart = b - a
    apart[:, 0] -= apart[:, 0].mean()
    return float(np.linalg.norm(apart, axis=1).mean())
