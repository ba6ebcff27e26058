"""Pictures of the clips in which a method failed: some frames in a row, with the truth's and the pose's outlines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.core.errors import OutputError
from storm_ros.evaluation.failures_episodes import episodes
from storm_ros.evaluation.failures_figures import moments_of
from storm_ros.evaluation.failures_records import Clip
from storm_ros.evaluation.failures_run import NAME, Pass
from storm_ros.io.overlay import STATUS_RGB, draw_label, draw_mask
from storm_ros.sim.failures import FailureClip

_COLUMNS, _ROWS = 6, 3
_TRUTH_RGB = (255, 255, 255)
_WRONG_RGB = (255, 0, 255)
_LATE = 10


def failures_of(clip: Clip, method: str) -> list[str]:
    """What a method did wrong in a clip, in words; empty where all went well."""
    run = clip.runs[method]
    out: list[str] = []
    for episode in episodes(moments_of(clip, run)):
        if episode.false_alarm:
            causes = dict(run.lost)
            out.append(f"false alarm in {episode.declared} ({causes[episode.declared or 0]})")
        elif episode.declared is None:
            out.append(f"unnoticed from {episode.start}")
        elif (episode.delay or 0) > _LATE:
            out.append(f"noticed {episode.delay} late")
        if episode.back is not None and episode.found is None:
            out.append(f"not found from {episode.back}")
        elif (episode.frames_until_found or 0) > 2 * _LATE:
            out.append(f"found {episode.frames_until_found} late")
    for find in run.finds:
        if not find.right:
            out.append(f"wrong {'pose' if find.near else 'object (' + find.role + ')'} in {find.frame}")
    return out


def write_sheet(folder: Path, clip: FailureClip, kept: Clip, passes: Mapping[str, Pass], method: str) -> Path | None:
    """Write KIND-NUMBER.png where the method failed.

    White: the truth; in the status's colour: the pose, magenta where it is wrong.

    Returns:
        The file; None where all went well.

    Raises:
        OutputError: it cannot be written.
    """
    wrong = failures_of(kept, method)
    if not wrong:
        return None
    right = kept.right(kept.runs[method])
    tiles = [_tile(clip, kept, passes[method], method, number, right[number]) for number in _chosen(kept, method)]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % _COLUMNS)
    rows = [np.hstack(tiles[i : i + _COLUMNS]) for i in range(0, len(tiles), _COLUMNS)]
    sheet = np.vstack([_title(f"{kept.name} {kept.what}, {kept.object}: {'; '.join(wrong)}", rows[0].shape[1]), *rows])
    done, data = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    assert done
    path = folder / f"{kept.kind}-{kept.number}.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.part")
        draft.write_bytes(bytes(data))
        draft.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from None
    return path


def _chosen(kept: Clip, method: str) -> list[int]:
    """Frames to show: those around what happened, and some spread over the rest."""
    count, last = _COLUMNS * _ROWS, len(kept.visible) - 1
    run = kept.runs[method]
    key = {0, kept.first, kept.last, last, *(f for f, _ in run.lost), *(f.frame for f in run.finds)}
    key |= {min(f + 3, last) for f, _ in run.lost}
    chosen = set(sorted(key)[:count])
    for number in np.linspace(max(kept.first - 3, 0), last, count).round().astype(int):
        if len(chosen) < count:
            chosen.add(int(number))
    return sorted(chosen)


def _tile(clip: FailureClip, kept: Clip, seen: Pass, method: str, number: int, right: bool) -> npt.NDArray[np.uint8]:
    image = clip.read(number).rgb.copy()
    true = clip.ground_truth.mask(number, clip.target_id)
    if true is not None:
        draw_mask(image, true, _TRUTH_RGB)
    outcome = seen.results[number].objects[NAME]
    colour = STATUS_RGB[outcome.status]
    if outcome.mask is not None:
        draw_mask(image, outcome.mask, colour if right else _WRONG_RGB)
    energy = kept.runs[method].energies[method.split()[0]][number]
    error = kept.runs[method].error_mm[number]
    words = [f"{number} {outcome.status.value}", f"vis {kept.visible[number]:.2f}"]
    words += [] if energy is None else [f"E {energy:.2f}"]
    words += [] if error is None else [f"{error:.0f}/{kept.limit_mm:.0f} mm"]
    draw_label(image, "  ".join(words), colour, 0)
    return image


def _title(text: str, width: int) -> npt.NDArray[np.uint8]:
    bar = np.zeros((26, width, 3), np.uint8)
    cv2.putText(bar, text, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return bar
