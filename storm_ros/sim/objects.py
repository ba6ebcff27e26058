"""Procedural objects of 5 to 20 cm: textured metric meshes, centred at the centre of their bounding box, z up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from storm_ros.core.errors import InputError
from storm_ros.core.types import Mesh
from storm_ros.sim import primitives as shapes
from storm_ros.sim.makers import MAKERS, texture_pixels
from storm_ros.sim.textures import Palette, noise_field, random_palette, random_texture

Rng = np.random.Generator

KINDS = tuple(MAKERS)
"""Every kind of object that can be made."""


def make_object(kind: str, shape_seed: int, look_seed: int, palette: Palette | None = None) -> Mesh:
    """An object whose shape and looks can be chosen apart: look-alikes share one of the two.

    Args:
        kind: one of `KINDS`.
        shape_seed: the same seed gives the same shape.
        look_seed: the same seed gives the same colours and print.
        palette: (4, 3) uint8 colours; those of the look seed by default.

    Raises:
        InputError: an unknown kind.
    """
    if kind not in MAKERS:
        raise InputError(f"object kind {kind!r} is unknown: use one of {', '.join(KINDS)}")
    shape, look = np.random.default_rng(shape_seed), np.random.default_rng(look_seed)
    own = random_palette(look)
    mesh = MAKERS[kind](shape, look, own if palette is None else palette)
    return replace(shapes.centred(mesh), name=kind)


def random_object(rng: Rng, kind: str | None = None, palette: Palette | None = None) -> Mesh:
    """A random object, of the given kind and colours where they are given."""
    chosen = str(rng.choice(KINDS)) if kind is None else kind
    shape_seed, look_seed = (int(s) for s in rng.integers(2**31, size=2))
    return make_object(chosen, shape_seed, look_seed, palette)


def printed_box(rng: Rng, size: np.ndarray | None = None) -> Mesh:
    """A package with print on every side, so that its attitude shows in every view."""
    edges = rng.uniform([0.055, 0.045, 0.09], [0.08, 0.065, 0.13]) if size is None else np.asarray(size, dtype=float)
    palette = random_palette(rng)
    width, height = texture_pixels(max(edges[0], edges[1])), texture_pixels(edges[2])
    tiles = [random_texture(rng, width, height, palette, str(rng.choice(["label", "panels"]))) for _ in range(6)]
    texture = np.concatenate([np.concatenate(tiles[:3], axis=1), np.concatenate(tiles[3:], axis=1)])
    return replace(shapes.centred(shapes.box(edges, 0.002)), texture=texture, name="printed box")


def held_board(rng: Rng, width_m: float = 0.3, height_m: float = 0.24) -> Mesh:
    """A board with a forearm and a hand that hold it: x right, y down, z away from who looks; centred on the board."""
    picture = random_texture(rng, 360, 280, pattern="panels")
    board = replace(shapes.box([width_m, height_m, 0.008], 0.002), texture=picture)
    skin = np.array([rng.uniform(150, 225), rng.uniform(105, 165), rng.uniform(85, 130)])
    paint = np.clip(skin * (0.92 + 0.12 * noise_field(rng, 48, 48)[..., None]), 0, 255).astype(np.uint8)
    grip = np.array([0.12 * width_m, 0.5 * height_m - 0.02, -0.02])
    arm = grip + np.array([[0, 0, 0], [0.02, 0.1, -0.02], [0.07, 0.28, -0.06], [0.16, 0.55, -0.1]])
    parts = [board, replace(shapes.tube(arm, [0.03, 0.026, 0.034, 0.042], 20), texture=paint)]
    for k in range(4):
        root = grip + np.array([0.022 * (k - 1.5), -0.005, -0.004])
        bent = root + np.array([[0, 0, 0], [0, -0.03, -0.004], [0, -0.058, 0.004]])
        finger = shapes.tube(bent, [0.01, 0.0095, 0.007], 10)
        parts.append(replace(finger, texture=paint))
    return shapes.join(parts, "held board")


def load_objects(folder: str | Path, limit: int | None = None) -> list[Mesh]:
    """Scanned objects (.glb, metres) of a folder, centred, in the order of their names.

    Raises:
        InputError: no folder, or no .glb file in it.
    """
    from storm_ros.mesh import load_mesh

    root = Path(folder)
    files = sorted(root.glob("*.glb"))[:limit]
    if not files:
        raise InputError(f"no .glb file in {root}: a folder of metric meshes is needed")
    return [load_mesh(file, center=True) for file in files]
