"""The baseline segmenter: the reference's feature template, compared everywhere at the scale its depth tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from storm_ros.core.config import SegmenterConfig
from storm_ros.core.errors import InputError
from storm_ros.core.protocols import Encoder
from storm_ros.core.types import Candidate, Mask, Reference, RgbdFrame, View
from storm_ros.som.crops import depth_under

_GRID = 9
_SPACING_PX = 8
_OCTAVES = 3
_MARGIN = 1.15


@dataclass(frozen=True, eq=False)
class Template:
    """How the object looks in one view, on a grid of cells over its bounding square.

    Attributes:
        features: (G, G, C) float32.
        weight: (G, G) share of each cell that the object covers.
        relief_m: (G, G) depth relative to the object's median depth, metres; NaN where unknown.
        mask: (64, 64) float32, the object's mask in the square.
        side_m: side of the square in metres at the object's depth.
        radius_m: half the object's diameter.
    """

    features: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float32]
    relief_m: npt.NDArray[np.float32]
    mask: npt.NDArray[np.float32]
    side_m: float
    radius_m: float


class Place(NamedTuple):
    """A place of an image where a template agrees with it: its score, row and column in pixels, and the template."""

    score: float
    row: int
    column: int
    template: Template


class TemplateSegmenter:
    """Cosine of dense colour and gradient features to the reference's, grouped by depth."""

    def __init__(self, encoder: Encoder, config: SegmenterConfig | None = None) -> None:
        """Take the encoder and the settings."""
        self.encoder = encoder
        self.config = config or SegmenterConfig()
        self._pools = ThreadpoolController()

    def describe(self, reference: Reference) -> tuple[Template, ...]:
        """One template per view of the reference that has depth.

        Raises:
            InputError: none has.
        """
        known = [view for view in reference.views if depth_under(view.frame, view.mask) > 0]
        if not known:
            raise InputError(
                f"reference has no depth under its mask in any of its {len(reference.views)} views: the template needs "
                "it; take a view with depth, or segmenter.name=som"
            )
        return tuple(_template(self.encoder, view, reference.mesh.diameter) for view in known)

    def segment(self, frame: RgbdFrame, description: tuple[Template, ...]) -> tuple[Candidate, ...]:
        """Places where the object may be, best first.

        Args:
            frame: the image; places without depth are not looked at.
            description: from `describe`.
        """
        chosen: list[Candidate] = []
        for place in self.places(frame, description):
            if place.score < self.config.min_score or len(chosen) == self.config.candidates:
                break
            mask = _group(frame, place.row, place.column, place.template)
            if mask.any():
                chosen.append(Candidate(mask, place.score))
        return tuple(chosen)

    def places(
        self, frame: RgbdFrame, description: tuple[Template, ...], spacing_px: int = _SPACING_PX, finest: int = 0
    ) -> Iterator[Place]:
        """Where the object may be, best first, no two at the same place.

        Args:
            frame: the image; places without depth are not looked at.
            description: from `describe`.
            spacing_px: from one place that is tried to the next.
            finest: how often the image is halved at least; 1 takes a third of the time, and sees small things coarsely.
        """
        octaves = _Octaves(self.encoder, frame.rgb)
        # threads of OpenBLAS spin on for tens of milliseconds, and slow down the network that is asked next
        with self._pools.limit(limits=1, user_api="blas"):
            maps = [_score_map(frame, octaves, t, self.encoder.stride, spacing_px, finest) for t in description]
        rows, cols, scores = (np.concatenate(parts) for parts in zip(*maps, strict=True))
        whose = np.repeat(np.arange(len(maps)), [len(one[0]) for one in maps])
        taken = np.zeros(frame.shape, dtype=bool)
        for i in np.argsort(-scores, kind="stable"):
            row, col = int(rows[i]), int(cols[i])
            if taken[row, col]:
                continue
            place = Place(float(scores[i]), row, col, description[whose[i]])
            half = max(2, int(0.5 * place.template.side_m * frame.camera.fx / frame.depth_m[row, col]))
            taken[max(0, row - half // 2) : row + half // 2 + 1, max(0, col - half // 2) : col + half // 2 + 1] = True
            yield place


def _template(encoder: Encoder, view: View, diameter_m: float) -> Template:
    frame, mask = view.frame, view.mask
    rows, cols = np.nonzero(mask)
    top, left = rows.min(), cols.min()
    side = max(int(np.ptp(rows)), int(np.ptp(cols))) + 1
    middle_row, middle_col = top + np.ptp(rows) / 2.0, left + np.ptp(cols) / 2.0
    side_px = side * _MARGIN
    target = _GRID * encoder.stride
    to_square = np.array(
        [
            [side_px / target, 0.0, middle_col - side_px / 2 + 0.5 * side_px / target],
            [0.0, side_px / target, middle_row - side_px / 2 + 0.5 * side_px / target],
        ]
    )
    sharp = cv2.GaussianBlur(frame.rgb, (0, 0), 0.45 * side_px / target) if side_px > 1.5 * target else frame.rgb
    flags = cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(
        sharp, to_square, (target, target), flags=cv2.INTER_LINEAR | flags, borderMode=cv2.BORDER_REPLICATE
    )
    fine = cv2.warpAffine(
        mask.astype(np.float32),
        to_square * [[target / 64, 1, 1], [1, target / 64, 1]],
        (64, 64),
        flags=cv2.INTER_LINEAR | flags,
    )
    weight = cv2.resize(fine, (_GRID, _GRID), interpolation=cv2.INTER_AREA)
    depth = cv2.warpAffine(
        frame.depth_m,
        to_square * [[encoder.stride, 1, 1], [1, encoder.stride, 1]],
        (_GRID, _GRID),
        flags=cv2.INTER_NEAREST | flags,
    )
    median = depth_under(frame, mask)
    relief = np.where((depth > 0) & (weight > 0.5), depth - median, np.nan).astype(np.float32)
    return Template(encoder.encode(crop), weight, relief, fine, side_px / frame.camera.fx * median, diameter_m / 2.0)


class _Octaves:
    """Features of an image at sizes halved again and again, each computed when it is first asked for."""

    def __init__(self, encoder: Encoder, rgb: npt.NDArray[np.uint8]) -> None:
        self._encoder = encoder
        self._images = [rgb]
        self._features: dict[int, npt.NDArray[np.float32]] = {}

    def __getitem__(self, level: int) -> npt.NDArray[np.float32]:
        while len(self._images) <= level:
            self._images.append(np.asarray(cv2.pyrDown(self._images[-1]), np.uint8))
        if level not in self._features:
            self._features[level] = self._encoder.encode(self._images[level])
        return self._features[level]


def _score_map(
    frame: RgbdFrame,
    octaves: _Octaves,
    template: Template,
    stride: int,
    spacing_px: int,
    finest: int,
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Rows, columns and scores of all places looked at."""
    half = spacing_px // 2
    rows, cols = np.meshgrid(
        np.arange(half, frame.shape[0], spacing_px), np.arange(half, frame.shape[1], spacing_px), indexing="ij"
    )
    rows, cols = rows.ravel(), cols.ravel()
    z = frame.depth_m[rows, cols]
    known = z > 0.1
    rows, cols, z = rows[known], cols[known], z[known]
    cell_px = (template.side_m * frame.camera.fx / z / _GRID).astype(np.float32)
    octave = np.clip(np.rint(np.log2(cell_px / stride)), finest, _OCTAVES - 1).astype(int)
    offsets = np.arange(_GRID, dtype=np.float32) - np.float32((_GRID - 1) / 2.0)
    scores = np.zeros(len(rows), dtype=np.float32)
    use = template.weight.ravel() > 0.35
    cells = np.flatnonzero(use)
    target = template.features.reshape(-1, template.features.shape[2])[cells]
    share = template.weight.ravel()[cells]
    relief = template.relief_m.ravel()[cells]
    flat = np.nan_to_num(relief)
    dy, dx = np.repeat(offsets, _GRID)[cells], np.tile(offsets, _GRID)[cells]
    for level in np.unique(octave):
        here = np.flatnonzero(octave == level)
        features = octaves[int(level)]
        pixels = stride * 2**level
        grid = features.shape[:2]
        alike = features.reshape(-1, features.shape[2]) @ target.T  # of each cell of the image to each of the template
        v = rows[here, None].astype(np.float32) + dy * cell_px[here, None]
        u = cols[here, None].astype(np.float32) + dx * cell_px[here, None]
        inside = (v >= 0) & (u >= 0) & (v < frame.shape[0]) & (u < frame.shape[1])
        v, u = np.clip(v, 0, frame.shape[0] - 1).astype(np.int32), np.clip(u, 0, frame.shape[1] - 1).astype(np.int32)
        r, c = np.minimum(v // pixels, grid[0] - 1), np.minimum(u // pixels, grid[1] - 1)
        cosine = alike[r * grid[1] + c, np.arange(len(cells))]
        depth = frame.depth_m[v, u]
        middle = np.median(np.where(depth > 0, depth - flat, z[here, None]), axis=1)
        off = (depth - middle[:, None] - relief) / np.float32(0.5 * template.radius_m)
        agrees = np.where((depth > 0) & np.isfinite(relief), np.exp(-np.square(off)), np.float32(0.6))
        value = np.where(inside, cosine * (np.float32(0.55) + np.float32(0.45) * agrees), np.float32(0.0))
        scores[here] = value @ share / share.sum()
    return rows, cols, scores


def _group(frame: RgbdFrame, row: int, col: int, template: Template) -> Mask:
    """The reference's mask laid over the place, kept where the depth is the object's."""
    z = float(frame.depth_m[row, col])
    side_px = template.side_m * frame.camera.fx / z
    scale = 64.0 / side_px
    to_square = np.array([[scale, 0.0, 32.0 - col * scale], [0.0, scale, 32.0 - row * scale]])
    laid = cv2.warpAffine(
        template.mask, to_square, (frame.shape[1], frame.shape[0]), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    mask = laid > 0.5
    depth = frame.depth_m[mask & (frame.depth_m > 0)]
    if not depth.size:
        return mask & False
    return mask & (np.abs(frame.depth_m - np.median(depth)) < 1.2 * template.radius_m)
