"""Seeded texture images: what printed boxes, cans, tables and walls look like.

Every pattern is a function ``(rng, width, height, palette) -> (height, width, 3) uint8 RGB``.
"""

from __future__ import annotations

import colorsys
import itertools
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Palette = npt.NDArray[np.uint8]
"""(4, 3) uint8 RGB: the ground, two inks and an accent."""

Pattern = Callable[[np.random.Generator, int, int, Palette], Image]


def random_palette(rng: np.random.Generator) -> Palette:
    """Four colours that a maker of packaging would put together."""
    hue = rng.random()
    vivid = _hsv(hue, rng.uniform(0.5, 0.95), rng.uniform(0.45, 0.95))
    other = _hsv(hue + rng.choice([0.08, 0.33, 0.5, 0.62]), rng.uniform(0.35, 0.95), rng.uniform(0.35, 0.95))
    light = _hsv(hue, rng.uniform(0.0, 0.12), rng.uniform(0.82, 0.96))
    dark = _hsv(hue + 0.5, rng.uniform(0.0, 0.5), rng.uniform(0.06, 0.28))
    order = [[vivid, light, dark, other], [light, vivid, dark, other], [light, dark, vivid, other],
             [dark, light, vivid, other], [vivid, other, light, dark]][rng.integers(5)]  # fmt: skip
    return np.array(order, dtype=np.uint8)


def _hsv(hue: float, saturation: float, value: float) -> list[int]:
    return [round(255 * c) for c in colorsys.hsv_to_rgb(hue % 1.0, saturation, value)]


def noise_field(
    rng: np.random.Generator, width: int, height: int, cells: float = 4.0, octaves: int = 4, gain: float = 0.5
) -> npt.NDArray[np.float32]:
    """Smooth random field (fractal value noise).

    Args:
        rng: the source of randomness.
        width: columns.
        height: rows.
        cells: bumps across the longer side in the coarsest octave.
        octaves: how many, each twice as fine as the one before.
        gain: strength of an octave relative to the one before.

    Returns:
        (height, width) float32 in [0, 1].
    """
    out = np.zeros((height, width), np.float32)
    longest = max(width, height)
    for octave in range(octaves):
        step = longest / (cells * 2**octave)
        if step < 1.0:
            break
        grid = rng.random((int(height / step) + 4, int(width / step) + 4), dtype=np.float32)
        shift_x, shift_y = rng.random(2)
        to_grid = np.array([[1 / step, 0, 1 + shift_x], [0, 1 / step, 1 + shift_y]], np.float32)
        out += gain**octave * cv2.warpAffine(
            grid, to_grid, (width, height), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT
        )
    low, high = float(out.min()), float(out.max())
    return np.clip((out - low) / max(high - low, 1e-6), 0.0, 1.0).astype(np.float32)


def mix(field: npt.NDArray[np.floating], first: npt.ArrayLike, second: npt.ArrayLike) -> Image:
    """Blend two RGB colours by a field (H, W) in [0, 1]."""
    a, b = np.asarray(first, np.float32), np.asarray(second, np.float32)
    blended = a + np.asarray(field, np.float32)[..., None] * (b - a)
    return np.clip(blended + 0.5, 0, 255).astype(np.uint8)


def flat(rng: np.random.Generator, width: int, height: int, palette: Palette) -> Image:
    """One colour, with the faint unevenness of paint."""
    ground = palette[0].astype(np.float32)
    return mix(noise_field(rng, width, height, 3, 2), ground * 0.95, np.minimum(ground * 1.03, 255))


def stripes(rng: np.random.Generator, width: int, height: int, palette: Palette) -> Image:
    """Stripes of random widths and direction."""
    angle = rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    along = x * np.cos(angle) + y * np.sin(angle)
    period = rng.uniform(0.08, 0.3) * max(width, height)
    phase = (along / period) % 1.0
    edges = np.sort(rng.uniform(0.1, 0.95, 2))
    return palette[(phase > edges[0]).astype(int) + (phase > edges[1])]


def checks(rng: np.random.Generator, width: int, height: int, palette: Palette) -> Image:
    """A chequered pattern, some squares in other colours."""
    cell = max(4, int(rng.uniform(0.06, 0.2) * max(width, height)))
    rows, columns = height // cell + 1, width // cell + 1
    board = (np.add.outer(np.arange(rows), np.arange(columns)) % 2).astype(int)
    board[rng.random(board.shape) < 0.15] = rng.integers(2, 4)
    return palette[np.kron(board, np.ones((cell, cell), int))[:height, :width]]


def clouds(rng: np.random.Generator, width: int, height: int, palette: Palette) -> Image:
    """Fractal noise between two colours, with patches of a third."""
    image = mix(noise_field(rng, width, height, rng.uniform(3, 9), 5, 0.6), palette[0], palette[1])
    patches = noise_field(rng, width, height, rng.uniform(3, 8), 3) > 0.62
    image[patches] = (0.4 * image[patches] + 0.6 * palette[3]).astype(np.uint8)
    return image


def wood(rng: np.random.Generator, width: int, height: int, palette: Palette) -> Image:
    """Planks with grain along x; the palette only tints it."""
    tone = _hsv(rng.uniform(0.05, 0.1), rng.uniform(0.35, 0.65), rng.uniform(0.45, 0.85))
    dark = np.array(tone) * rng.uniform(0.6, 0.8)
    squeezed = cv2.resize(noise_field(rng, max(width // 12, 4), height, height / 18, 4, 0.7), (width, height))
    rings = 0.5 + 0.5 * np.sin(squeezed * rng.uniform(10, 25) + np.linspace(0, 6, height)[:, None])
    grain = 0.55 * squeezed + 0.25 * rings + 0.2 * noise_field(rng, width, height, 60, 3)
    planks = rng.integers(3, 8)
    shade = rng.uniform(0.0, 0.3, planks)[np.minimum(np.arange(height) * planks // height, planks - 1)]
    return mix(np.clip(grain * 0.8 + shade[:, None], 0, 1), 0.95 * np.array(tone) + 0.05 * palette[0], dark)


def speckle(rng: np.random.Generator, width: int, height: int, palette: Palette) -> Image:
    """Dots of several sizes on a plain ground, as on stone or enamel."""
    image = flat(rng, width, height, palette)
    for _ in range(rng.integers(60, 300)):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        colour = [int(c) for c in palette[rng.integers(1, 4)]]
        cv2.circle(image, centre, int(rng.integers(1, max(2, min(width, height) // 30))), colour, -1, cv2.LINE_AA)
    return image


def write_line(rng: np.random.Generator, image: Image, x: int, y: int, width: int, size: int, colour: Palette) -> None:
    """Draw one line of invented letters into an image: strokes between the points of a 3 by 4 grid."""
    ink = [int(c) for c in colour]
    thickness = max(1, size // 7)
    step, end = max(2, int(size * 0.75)), x + width
    while x + step <= end:
        if rng.random() < 0.85:
            nodes = rng.integers((0, 0), (3, 4), (int(rng.integers(3, 6)), 2)) * [size * 0.25, size / 3.0]
            points = (nodes + np.array([x, y])).astype(np.int32).reshape(-1, 1, 2)
            cv2.polylines(image, [points], False, ink, thickness, cv2.LINE_AA)
        x += step


def logo(rng: np.random.Generator, width: int, height: int, palette: Palette) -> Image:
    """A plain ground with one large emblem."""
    image = flat(rng, width, height, palette)
    size = int(min(width, height) * rng.uniform(0.25, 0.42))
    centre = (int(width * rng.uniform(0.35, 0.65)), int(height * rng.uniform(0.35, 0.65)))
    _emblem(rng, image, centre, size, palette)
    return image


def _emblem(rng: np.random.Generator, image: Image, centre: tuple[int, int], size: int, palette: Palette) -> None:
    for shrink, ink in ((1.0, 1), (0.7, 2), (0.45, 3)):
        colour = [int(c) for c in palette[ink]]
        sides = int(rng.choice([3, 4, 5, 6, 40]))
        turn = np.linspace(0, 2 * np.pi, sides, endpoint=False) + rng.uniform(0, np.pi)
        spokes = size * shrink * (1.0 if sides == 40 else rng.uniform(0.6, 1.1, sides))
        points = np.stack([np.cos(turn), np.sin(turn)], -1) * np.reshape(spokes, (-1, 1)) + centre
        cv2.fillPoly(image, [points.astype(np.int32)], colour, cv2.LINE_AA)


def label(rng: np.random.Generator, width: int, height: int, palette: Palette) -> Image:
    """A printed label: blocks of colour, an emblem, a heading, lines of small print and a bar code."""
    image = flat(rng, width, height, palette)
    ink = [[int(c) for c in colour] for colour in palette]
    for _ in range(rng.integers(1, 4)):
        x, y = int(rng.integers(-width // 4, width)), int(rng.integers(-height // 4, height))
        corner = (x + int(rng.integers(width // 6, width)), y + int(rng.integers(height // 8, height // 2 + 1)))
        cv2.rectangle(image, (x, y), corner, ink[rng.integers(1, 4)], -1)
    for _ in range(rng.integers(1, 3)):
        place = (int(rng.uniform(0.15, 0.85) * width), int(rng.uniform(0.15, 0.85) * height))
        _emblem(rng, image, place, int(min(width, height) * rng.uniform(0.12, 0.3)), palette)
    size = max(6, int(min(width, height) * rng.uniform(0.14, 0.26)))
    top = int(rng.uniform(0.05, 0.55) * height)
    write_line(rng, image, int(0.06 * width), top, int(0.88 * width), size, palette[rng.integers(1, 3)])
    small = max(4, size // 3)
    for line in range(rng.integers(2, 6)):
        write_line(rng, image, int(0.08 * width), top + int(1.3 * size) + int(line * small * 1.7),
                   int(rng.uniform(0.4, 0.85) * width), small, palette[rng.integers(1, 3)])  # fmt: skip
    if rng.random() < 0.4:
        _bar_code(rng, image)
    return image


def _bar_code(rng: np.random.Generator, image: Image) -> None:
    height, width = image.shape[:2]
    w, h = max(12, width // 4), max(8, height // 6)
    x, y = int(rng.integers(0, max(1, width - w))), int(rng.integers(0, max(1, height - h)))
    image[y : y + h, x : x + w] = 240
    inside = image[y + 1 : y + h - 2, x + 2 : x + w - 2]
    bars = np.repeat(rng.random(w // 2) < 0.5, 2)[: inside.shape[1]]
    inside[:, : len(bars)][:, bars] = 25


def panels(rng: np.random.Generator, width: int, height: int, palette: Palette) -> Image:
    """A collage of pictures, as on a toy cube or a magazine."""
    rows, columns = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    image = np.empty((height, width, 3), np.uint8)
    ys, xs = np.linspace(0, height, rows + 1).astype(int), np.linspace(0, width, columns + 1).astype(int)
    for y0, y1 in itertools.pairwise(ys):
        for x0, x1 in itertools.pairwise(xs):
            pattern = (clouds, label, logo, stripes, speckle)[rng.integers(5)]
            colours = palette if rng.random() < 0.4 else random_palette(rng)
            image[y0:y1, x0:x1] = pattern(rng, x1 - x0, y1 - y0, rng.permutation(colours))
    return image


def page(rng: np.random.Generator, width: int, height: int, palette: Palette) -> Image:
    """A white sheet with lines of print and perhaps a picture."""
    image = np.full((height, width, 3), int(rng.integers(222, 246)), np.uint8)
    dark = np.array([45, 45, 50], np.uint8)
    write_line(rng, image, width // 10, height // 14, int(width * 0.7), max(6, height // 14), dark)
    size = max(4, height // 40)
    picture = int(rng.integers(height // 5, height // 2)) if rng.random() < 0.6 else 0
    for y in range(height // 6 + picture, int(height * 0.93), int(size * 1.8)):
        write_line(rng, image, width // 10, y, int(width * rng.uniform(0.5, 0.8)), size, dark)
    if picture > 16:
        left, right = width // 10, width - width // 10
        image[height // 6 : height // 6 + picture - 8, left:right] = clouds(rng, right - left, picture - 8, palette)
    return image


PATTERNS: dict[str, Pattern] = {
    "flat": flat, "stripes": stripes, "checks": checks, "clouds": clouds, "wood": wood, "speckle": speckle,
    "logo": logo, "label": label, "panels": panels, "page": page,
}  # fmt: skip
"""Every pattern by its name."""


def random_texture(
    rng: np.random.Generator, width: int, height: int, palette: Palette | None = None, pattern: str | None = None
) -> Image:
    """A texture of a random (or the named) pattern, slightly softened as print is.

    Args:
        rng: the source of randomness.
        width: columns.
        height: rows.
        palette: (4, 3) colours; random by default.
        pattern: a key of `PATTERNS`; random by default, printed ones more often.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    palette = random_palette(rng) if palette is None else palette
    if pattern is None:
        names = ["flat", "stripes", "checks", "clouds", "wood", "speckle", "logo", "label", "panels"]
        pattern = str(rng.choice(names, p=[0.14, 0.06, 0.05, 0.1, 0.05, 0.06, 0.14, 0.3, 0.1]))
    image = PATTERNS[pattern](rng, width, height, palette)
    return np.asarray(cv2.GaussianBlur(image, (3, 3), 0.6), dtype=np.uint8)
