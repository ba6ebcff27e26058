"""Where weights come from, and the cards that tell it: recipe, seeds, data, figures."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from storm_ros import __version__
from storm_ros.core.config import knobs
from storm_ros.training.recipe import Recipe

_PACKAGES = ("torch", "numpy", "opencv-python-headless", "warp-lang")
_LICENCE = "Apache-2.0"


def provenance() -> dict[str, Any]:
    """Version of the package, commit of its sources (None where they are not known) and versions beside it."""
    root = Path(__file__).resolve().parents[2]
    commit = _git(root, "rev-parse", "HEAD")
    changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", "storm_ros", "config")
    return {
        "storm_ros": __version__, "commit": commit, "changed": None if changed is None else bool(changed),
        "python": platform.python_version(), **{name: _version(name) for name in _PACKAGES},
    }  # fmt: skip


def _git(root: Path, *words: str) -> str | None:
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def som_card(recipe: Recipe, report: Mapping[str, Any]) -> str:
    """The card of the segmenter, in Markdown."""
    c, scenes, optim = recipe.som, recipe.som.scenes, recipe.som.optim
    stage = report["stages"]["som"]
    pairs = stage["count"]
    data = (
        f"{recipe.data.shards} shards of {scenes.scenes} scenes, made before (seed {scenes.seed})"
        if not c.stream.shards
        else f"made while it trained: {c.stream.shards} shards of {scenes.scenes} scenes in use at a time, "
        f"{c.stream.fresh} of them new in each round (seed {scenes.seed})"
    )
    found = [
        [source, method, *(_number(row.get(name)) for name, _ in _SOM_COLUMNS)]
        for source, methods in report["figures"]["som"].items()
        for method, row in methods.items()
    ]
    return _card(
        "som-nano", "The Segmenting Object Module with the nano encoder.", report,
        f"Simulated scenes only (`storm train scenes`): {data}. {scenes.queries} query images and {scenes.objects} "
        f"objects a scene, of which {scenes.shown} are shown; {scenes.references} reference crops of each from another "
        f"arrangement. Measured on {recipe.data.held_out} shards with held-out scans and other procedural objects.",
        f"{optim.steps} steps of {optim.batch} scenes, {optim.looks} looks each and {optim.pairs} references a look: "
        f"{pairs} pairs; AdamW, {optim.precision}, peak learning rate {optim.learning_rate:g}, moving average "
        f"{optim.ema:g}, seed {optim.seed}; started from {c.start or 'random weights'}. {_speed(stage)}",
        ["measured on", "method", *(title for _, title in _SOM_COLUMNS)], found, recipe.som,
    )  # fmt: skip


_SOM_COLUMNS = (
    ("cases", "cases"), ("mean_iou", "mean IoU"), ("hit_rate", "hit at rank 1"), ("found_rate", "found"),
    ("silent_rate", "silent"), ("presence_auroc", "presence AUROC"), ("mask_ap", "mask AP"),
)  # fmt: skip


def tom_card(recipe: Recipe, report: Mapping[str, Any]) -> str:
    """The card of the verifier, in Markdown."""
    cases, optim = recipe.tom.cases, recipe.tom.optim
    stage, tom = report["stages"]["tom"], report["figures"]["tom"]
    found = [
        [name, _number(row["auroc"]), _number(row["fpr95"])] for name, row in tom.items() if isinstance(row, Mapping)
    ]
    return _card(
        "tom-nano", "The Tracking Object Module with the nano encoder.", report,
        f"Simulated only: {recipe.data.cases} shards of cases (`storm train cases`), {cases.episodes} objects of each "
        f"scene, up to {cases.cases} cases of each, seed {cases.seed}. Held out: {tom['cases']} cases, {tom['right']} "
        "of them right; the threshold was calibrated on these, too.",
        f"{optim.steps} steps of {optim.batch} objects with {optim.cases} cases each; AdamW, {optim.precision}, peak "
        f"learning rate {optim.learning_rate:g}, moving average {optim.ema:g}, seed {optim.seed}. The encoder is that "
        f"of the som-nano beside this file{'' if optim.encoder_share else ' and was not trained on'}. Threshold tau: "
        f"{_number(report['figures']['tau'])}. {_speed(stage)}",
        ["method", "AUROC", "FPR95"], found, recipe.tom,
    )  # fmt: skip


def _card(
    name: str, what: str, report: Mapping[str, Any], data: str, training: str, columns: Sequence[str],
    rows: Sequence[Sequence[str]], settings: Any,
) -> str:  # fmt: skip
    package = report["package"]
    commit = package["commit"] or "not known"
    changed = ", with changes that are not in it" if package["changed"] else ""
    versions = ", ".join(f"{key} {package[key]}" for key in ("python", *_PACKAGES) if package[key])
    table = [" | ".join(columns), " | ".join("---" for _ in columns), *(" | ".join(row) for row in rows)]
    file = f"{name}.safetensors"
    lines = [
        f"# {name}", "", what, "", f"- Licence of the weights: {_LICENCE}",
        f"- File: `{file}`, half precision, SHA-256 `{report['files'][file]}`",
        f"- Made by: `{report['command']}` on {report['device']}",
        f"- storm_ros {package['storm_ros']}, commit {commit}{changed}; {versions}",
        "", "## Data", "", data, "", "## Training", "", training, "", "## Figures", "",
        "As `storm evaluate som` and `storm train export-tom` measure them; `docs/training.md` has the commands.", "",
        *(f"| {line} |" for line in table),
        "", "## Settings", "", "```",
        *(f"{item.key} = {item.value}" for item in knobs(settings)), "```", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _speed(stage: Mapping[str, Any]) -> str:
    busy = f", GPU busy {stage['gpu_percent']:.0f} %" if stage.get("gpu_percent") is not None else ""
    return f"{stage['per_s']:.3g} {stage['unit']}/s, {stage['wait_share']:.0%} of the time waiting for data{busy}."


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
