"""How well the verifier tells right poses from wrong ones, on cases it was not trained with; and its threshold."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from storm_ros.core.errors import InputError
from storm_ros.evaluation.failures_ranking import auroc
from storm_ros.tom.energy import CALIBRATED_PERCENTILE, threshold_of
from storm_ros.tom.evidence import joint_energy, own_energy
from storm_ros.tom.network import TomNetwork
from storm_ros.training.tom import BatchLogits, run_case_batch
from storm_ros.training.tom_batches import CaseBatch, make_case_batch
from storm_ros.training.tom_cases import KINDS
from storm_ros.training.tom_settings import TomOptimConfig
from storm_ros.training.tom_shards import CaseShards

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Judged:
    """Energies of cases by several methods.

    Attributes:
        energies: (N,) by the method's name.
        right: (N,) bool.
        kind: (N,) index in `KINDS`.
    """

    energies: dict[str, Floats]
    right: npt.NDArray[np.bool_]
    kind: npt.NDArray[np.uint8]


def judge_cases(network: TomNetwork, shards: CaseShards, limit: int = 0) -> Judged:
    """Energies of all cases: by the network (tom), by the pose's own score (inlier), by the mean features (cosine).

    Args:
        network: with weights.
        shards: cases that it was not trained with.
        limit: most objects; 0: all.
    """
    answer = BatchLogits(network.eval())
    energies: dict[str, list[Floats]] = {"tom": [], "inlier": [], "cosine": []}
    right, kind = [], []
    device = next(network.parameters()).device
    for index in range(min(len(shards), limit) if limit else len(shards)):
        batch = make_case_batch(shards, TomOptimConfig(), (0, index), [index], every=True)
        with torch.inference_mode():
            logits = run_case_batch(answer, batch, device).double().cpu().numpy()
            features = network.encode(torch.from_numpy(batch.planes).permute(0, 3, 1, 2).to(device)).cpu().numpy()
        figures = batch.figures.astype(np.float64)
        energies["tom"].append(joint_energy(logits, figures))
        energies["inlier"].append(own_energy(figures))
        energies["cosine"].append(-nearest_cosine(batch, features))
        right.append(batch.right)
        kind.append(batch.kind)
    return Judged({k: np.concatenate(v) for k, v in energies.items()}, np.concatenate(right), np.concatenate(kind))


def nearest_cosine(batch: CaseBatch, features: npt.NDArray[np.float32]) -> Floats:
    """(P,) cosine of each case's mean feature, under its predicted mask, with that of its memory's nearest view."""
    cells = round(features.shape[1] ** 0.5)
    size = batch.places.shape[1] // cells
    mask = batch.places[..., 0].reshape(-1, cells, size, cells, size).mean((2, 4)).reshape(len(features), -1) + 1e-3
    mean = (features * mask[..., None]).sum(1)
    mean = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-6)
    cosine = np.einsum("pc,pvc->pv", mean[batch.now], mean[batch.memory]).astype(np.float64)
    return np.where(batch.usable, cosine, -1.0).max(1)


def figures_of(judged: Judged) -> dict[str, dict[str, float]]:
    """AUROC and the share of wrong cases that pass where 95 % of the right ones do, by method; also by kind of wrong.

    Returns:
        By method: auroc, fpr95, and auroc_KIND, fpr95_KIND for each kind with at least five wrong cases.
    """
    out: dict[str, dict[str, float]] = {}
    for name, energies in judged.energies.items():
        good = energies[judged.right]
        row = {"auroc": auroc(good, energies[~judged.right]), "fpr95": fpr_at(good, energies[~judged.right])}
        for number, kind in enumerate(KINDS):
            bad = energies[~judged.right & (judged.kind == number)]
            if len(bad) >= 5:
                row[f"auroc_{kind}"], row[f"fpr95_{kind}"] = auroc(good, bad), fpr_at(good, bad)
        out[name] = row
    return out


def fpr_at(good: Floats, bad: Floats, share: float = 0.95) -> float:
    """Share of the wrong cases at or below the energy that a share of the right ones stays within; NaN without any."""
    if not len(good) or not len(bad):
        return float("nan")
    return float((bad <= np.quantile(good, share)).mean())


def calibrated(judged: Judged, method: str = "tom") -> float:
    """The threshold: 95th percentile of the energy of right cases.

    Raises:
        InputError: too few of them.
    """
    return threshold_of([float(e) for e in judged.energies[method][judged.right]], CALIBRATED_PERCENTILE)


def checked_cases(folders: Sequence[str]) -> CaseShards:
    """The cases of some folders.

    Raises:
        InputError: there are none, or none is right.
    """
    shards = CaseShards(folders)
    if not any(shards.episode(i).right.any() for i in range(len(shards))):
        raise InputError(f"no right case in {', '.join(folders)}: make more with storm train cases")
    return shards
