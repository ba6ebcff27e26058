"""Looking up a texture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def sample_texture(texture: npt.NDArray[np.uint8], uv: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Colours of a texture at texture coordinates, bilinear, repeating outside [0, 1].

    Args:
        texture: (h, w, 3) uint8.
        uv: (N, 2) coordinates, (0, 0) at the texture's bottom left; not finite counts as 0.

    Returns:
        (N, 3) uint8.
    """
    height, width = texture.shape[:2]
    uv = np.nan_to_num(np.asarray(uv, dtype=np.float64), posinf=0.0, neginf=0.0)
    x = uv[:, 0] * width - 0.5
    y = (1.0 - uv[:, 1]) * height - 0.5
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    dx, dy = (x - left)[:, None], (y - top)[:, None]
    colour = np.zeros((len(uv), 3))
    for row, row_weight in ((top, 1.0 - dy), (top + 1, dy)):
        for column, column_weight in ((left, 1.0 - dx), (left + 1, dx)):
            colour += texture[row % height, column % width] * (row_weight * column_weight)
    return np.round(colour).astype(np.uint8)
