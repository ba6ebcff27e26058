"""A plain picture of curves."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

_WIDTH, _PANEL, _MARGIN = 900, 220, 60


def curves(path: Path, series: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Draw one panel a curve, over a common horizontal axis, and write it as PNG in place of what was there.

    Args:
        path: of the image.
        series: points (x, y) by the curve's name.
    """
    image = np.full((_PANEL * max(len(series), 1), _WIDTH, 3), 255, np.uint8)
    for number, (name, points) in enumerate(series.items()):
        if points:
            _panel(image[number * _PANEL : (number + 1) * _PANEL], name, np.asarray(points, dtype=np.float64))
    done, data = cv2.imencode(".png", image)
    assert done
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(data.tobytes())
    os.replace(draft, path)


def _panel(image: np.ndarray, name: str, points: np.ndarray) -> None:
    height, width = image.shape[:2]
    low, high = points.min(0), points.max(0)
    span = np.maximum(high - low, 1e-9)
    x = _MARGIN + (points[:, 0] - low[0]) / span[0] * (width - 1.5 * _MARGIN)
    y = height - 30 - (points[:, 1] - low[1]) / span[1] * (height - 60)
    cv2.rectangle(image, (_MARGIN, 28), (width - _MARGIN // 2, height - 28), (200, 200, 200), 1)
    line = np.rint(np.stack([x, y], -1)).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(image, [line], False, (180, 90, 20), 2, cv2.LINE_AA)
    for text, place in (
        (f"{name}: last {points[-1, 1]:.3g}", (_MARGIN, 20)),
        (f"{high[1]:.3g}", (4, 40)),
        (f"{low[1]:.3g}", (4, height - 30)),
        (f"step {high[0]:.0f}", (width - 130, height - 8)),
    ):
        cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (40, 40, 40), 1, cv2.LINE_AA)
