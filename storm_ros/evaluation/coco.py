"""Mask average precision as COCO defines it, by pycocotools."""
# pyright: reportMissingImports=false
# (pycocotools is an extra)

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from storm_ros.core.errors import BackendUnavailableError
from storm_ros.core.types import Candidate, Mask


def mask_ap(cases: Sequence[tuple[Mask | None, Sequence[Candidate]]]) -> float | None:
    """COCO mask AP (IoU 0.50 to 0.95) of candidates in images that show the object once, or not at all.

    Args:
        cases: the true mask, None where the object is absent, and the candidates.

    Returns:
        The AP in [0, 1]; None without any true mask.

    Raises:
        BackendUnavailableError: pycocotools is missing.
    """
    try:
        from pycocotools import mask as rle
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise BackendUnavailableError("average precision needs pycocotools: pip install storm_ros[learned]") from error

    def encoded(mask: Mask) -> Any:
        return rle.encode(np.asfortranarray(mask.astype(np.uint8)))

    truths: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    images = []
    for number, (mask, candidates) in enumerate(cases, start=1):
        height, width = next((m.shape for m in (mask, *(c.mask for c in candidates)) if m is not None), (1, 1))
        images.append({"id": number, "height": height, "width": width})
        if mask is not None:
            code = encoded(mask)
            truths.append({
                "id": len(truths) + 1, "image_id": number, "category_id": 1, "iscrowd": 0, "segmentation": code,
                "area": float(rle.area(code)), "bbox": rle.toBbox(code).tolist(),
            })  # fmt: skip
        found.extend(
            {"image_id": number, "category_id": 1, "segmentation": encoded(c.mask), "score": float(c.score)}
            for c in candidates
        )
    if not truths:
        return None
    if not found:
        return 0.0
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools talks
        truth: Any = COCO()
        truth.dataset = {"info": {}, "images": images, "annotations": truths, "categories": [{"id": 1}]}
        truth.createIndex()
        run: Any = COCOeval(truth, truth.loadRes(found), "segm")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return float(run.stats[0])
