"""From the clips of the tracking-failure benchmark to its figures; every figure is defined in docs/failures.md."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from storm_ros.core.types import LossCause
from storm_ros.evaluation import failures_ranking, metrics
from storm_ros.evaluation.failures_episodes import Episode, Moment, episodes
from storm_ros.evaluation.failures_records import Clip, Number, Run
from storm_ros.evaluation.visibility import Visibility, fraction, visibility
from storm_ros.sim.failure_scripts import Delivery

MAX_DELAY = 20
"""Longer delays share one bin of the histogram."""

GOOD_SHARE = 0.95
"""A calibrated threshold leaves this share of the good frames below it."""


def moments_of(clip: Clip, run: Run) -> list[Moment]:
    """A run's frames with their truth; frozen frames are judged by what they show, and may be called stale."""
    causes = dict(run.lost)
    right = clip.right(run)
    out: list[Moment] = []
    for i, share in enumerate(clip.visible):
        stale = clip.delivery[i] == Delivery.FROZEN.value and causes.get(i) == LossCause.STALE_INPUT.value
        seen = visibility(share, in_truth=True)
        out.append(Moment(seen, run.reported[i], right[i], declared=i in causes and not stale))
    return out


def method_figures(clips: Sequence[Clip], method: str) -> dict[str, Any]:
    """How a method fared as a user would run it.

    Returns:
        Counts, and shares, medians and areas made of them; None where there is nothing to make them of.
    """
    runs = [(clip, clip.runs[method]) for clip in clips]
    moments = [moments_of(clip, run) for clip, run in runs]
    found = [episode for run in moments for episode in episodes(run)]
    losses = [e for e in found if not e.false_alarm]
    alarms = [e for e in found if e.false_alarm]
    recoverable = [e for e in found if e.back is not None]
    finds = [find for _, run in runs for find in run.finds]
    good = sum(m.good for run in moments for m in run)
    absent = [m for run in moments for m in run if m.visibility is Visibility.ABSENT]
    wrong_object = sum(not find.right and not find.near for find in finds)
    return {
        "clips": len(clips),
        "good_frames": good,
        "losses": len(losses),
        "unnoticed": sum(e.declared is None for e in losses),
        "delay_median": _median(_delay(e) for e in losses),
        "delays": _histogram(losses),
        "false_alarms": len(alarms),
        "false_alarms_per_1000": 1000.0 * len(alarms) / good if good else None,
        "recoverable": len(recoverable),
        "recovered": sum(e.found is not None for e in recoverable),
        "recovered_fraction": fraction(sum(e.found is not None for e in recoverable), len(recoverable)),
        "frames_until_found_median": _median(_until_found(e) for e in recoverable),
        "finds": len(finds),
        "wrong_object": wrong_object,
        "wrong_object_fraction": fraction(wrong_object, len(finds)),
        "wrong_object_roles": dict(Counter(f.role for f in finds if not f.right and not f.near)),
        "wrong_pose": sum(not find.right and find.near for find in finds),
        "pose_while_absent": fraction(sum(m.reported for m in absent), len(absent)),
        "causes": dict(Counter(cause for _, run in runs for _, cause in run.lost)),
        "add_auc": _auc(_errors(clip, run) for clip, run in runs),
        "add_auc_no_recovery": _auc(_errors(clip, run, until_lost=True) for clip, run in runs),
        "add_auc_held": _auc(_errors(clip, clip.held) for clip in clips),
        "verify_ms": _median(run.verify_ms for _, run in runs if run.verify_ms is not None),
        "step_ms": _median(run.step_ms for _, run in runs if run.step_ms is not None),
    }


def _delay(episode: Episode) -> float:
    return math.inf if episode.delay is None else float(episode.delay)


def _until_found(episode: Episode) -> float:
    frames = episode.frames_until_found
    return math.inf if frames is None else float(frames)


def _median(values: Iterable[float]) -> Number:
    """The median; None of nothing, or where it is infinite (more than half were never noticed, or found)."""
    some = sorted(values)
    if not some:
        return None
    low, high = some[(len(some) - 1) // 2], some[len(some) // 2]
    return 0.5 * (low + high) if math.isfinite(high) else None


def _histogram(losses: Sequence[Episode]) -> dict[str, Any]:
    delays = [e.delay for e in losses if e.delay is not None]
    return {
        "frames": [delays.count(k) for k in range(MAX_DELAY + 1)],
        "later": sum(d > MAX_DELAY for d in delays),
        "unnoticed": sum(e.declared is None for e in losses),
    }


def _errors(clip: Clip, run: Run, *, until_lost: bool = False) -> list[Number]:
    """Errors of the frames that show the object, the reference's own left out; None without a pose."""
    end = run.lost[0][0] if until_lost and run.lost else len(clip.visible)
    return [
        run.error_mm[i] if run.reported[i] and i < end else None
        for i, share in enumerate(clip.visible)
        if i > 0 and visibility(share, in_truth=True) is Visibility.VISIBLE
    ]


def _auc(errors: Iterable[Sequence[Number]]) -> Number:
    pooled = [e for some in errors for e in some]
    return metrics.auc(pooled) if pooled else None


def held_energies(
    clips: Sequence[Clip], verifier: str, smoothing: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Energies of the good and of the bad frames of the held passes; frozen ones, which none can tell, are left out.

    Args:
        clips: with their held passes.
        verifier: whose energies.
        smoothing: share of the new energy in the moving average; None: the energy of each frame by itself.
    """
    sides: tuple[list[float], list[float]] = ([], [])
    for clip in clips:
        average = math.nan
        energies = clip.held.energies[verifier]
        for i, moment in enumerate(moments_of(clip, clip.held)):
            energy = energies[i]
            value = math.nan if energy is None else float(energy)
            if smoothing is not None:
                if math.isfinite(value):
                    average = value if math.isnan(average) else smoothing * value + (1.0 - smoothing) * average
                    value = average
                elif math.isfinite(average):
                    value = math.inf  # the gate calls such a frame bad
            if i > 0 and moment.reported and clip.delivery[i] != Delivery.FROZEN.value:
                sides[moment.bad].append(value)
    return np.array(sides[0], dtype=np.float64), np.array(sides[1], dtype=np.float64)


def ranking_figures(good: np.ndarray, bad: np.ndarray) -> dict[str, Any]:
    """How well energies tell good frames from bad ones."""
    return {
        "good": len(good),
        "bad": len(bad),
        "auroc": failures_ranking.auroc(good, bad),
        "aupr": failures_ranking.aupr(good, bad),
        "fpr_at_95_tpr": failures_ranking.fpr_at_tpr(good, bad, 0.95),
    }


def calibrated_threshold(clips: Sequence[Clip], verifier: str) -> float:
    """The energy that `GOOD_SHARE` of the good frames stay below; NaN without any."""
    good, _ = held_energies(clips, verifier)
    finite = good[np.isfinite(good)]
    return float(np.quantile(finite, GOOD_SHARE)) if len(finite) else math.nan


def summary(clips: Sequence[Clip], methods: Sequence[str], smoothing: float) -> dict[str, Any]:
    """All figures: of every method, over all clips and by kind, and of every verifier's energies.

    Args:
        clips: of one run.
        methods: their names.
        smoothing: share of the new energy in the gate's moving average.
    """
    kinds = list(dict.fromkeys(clip.kind for clip in clips))
    groups: Mapping[str, list[Clip]] = {kind: [c for c in clips if c.kind == kind] for kind in kinds}
    verifiers = list(dict.fromkeys(name for clip in clips for name in clip.held.energies))
    return {
        "clips": len(clips),
        "frames": sum(len(clip.visible) for clip in clips),
        "clips_by_kind": {kind: len(group) for kind, group in groups.items()},
        "methods": {name: method_figures(clips, name) for name in methods},
        "by_kind": {kind: {name: method_figures(group, name) for name in methods} for kind, group in groups.items()},
        "energies": {
            name: {
                **ranking_figures(*held_energies(clips, name)),
                "smoothed": ranking_figures(*held_energies(clips, name, smoothing)),
                "by_kind": {kind: ranking_figures(*held_energies(group, name)) for kind, group in groups.items()},
            }
            for name in verifiers
        },
    }
