"""From nothing to weights: scenes, segmenter, cases, verifier, figures; each stage goes on where it stopped."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

import csv
import functools
import json
import math
import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from storm_ros.core.config import to_yaml
from storm_ros.core.errors import ConfigError, InputError
from storm_ros.evaluation.report import plain, write_text
from storm_ros.io.files import make_parent
from storm_ros.som.loading import KIND as SOM
from storm_ros.som.loading import save_som
from storm_ros.tom.loading import KIND as TOM
from storm_ros.tom.loading import load_tom, save_tom
from storm_ros.training.chances import weighed
from storm_ros.training.export import trained
from storm_ros.training.making import made, make_cases, make_shard
from storm_ros.training.recipe import FIRST_TO_WEIGH, Recipe, decisive
from storm_ros.training.running import CHECKPOINT, LOG, Report, Stop
from storm_ros.training.settings import TrainConfig
from storm_ros.training.shards import Shards
from storm_ros.training.som import train_som
from storm_ros.training.tom import train_tom
from storm_ros.training.tom_figures import calibrated, checked_cases, figures_of, judge_cases
from storm_ros.training.tom_settings import TomTrainConfig

SOM_FILE, TOM_FILE = "som-nano.safetensors", "tom-nano.safetensors"
STATE, RECIPE = "state.json", "recipe.yaml"
SCENES, HELD_SCENES, CASES, HELD_CASES = "scenes", "held_scenes", "cases", "held_cases"
WEIGHING_SCENES = "weighing_scenes"

Figures = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """What every stage is given.

    Attributes:
        recipe: of the training.
        out: folder of everything.
        device: "cpu" or "cuda".
        measure_som: figures of a segmenter by what they were measured on; given its file and the held-out scenes.
        report: makes a reporter of steps for a training of so many.
        say: shows a line.
        stop: asked between pieces of work; where it says so, a stage ends, to be gone on with.
    """

    recipe: Recipe
    out: Path
    device: str
    measure_som: Callable[[Path, Path, Recipe], Figures]
    report: Callable[[str, int], Report | None]
    say: Callable[[str], None]
    stop: Stop


def run_all(run: Run, *, resume: bool) -> dict[str, Figures]:
    """Do all stages that are not yet done.

    Args:
        run: what, where and how.
        resume: go on with what is in the folder.

    Returns:
        What each stage has to tell: "seconds", "done", and its own figures. Where it was stopped, the last one there is
        not done.

    Raises:
        ConfigError: the folder holds a training that is not to be resumed, or one of another recipe.
        StormError: a stage failed; it can be resumed.
    """
    state = _opened(run, resume=resume)
    threads = run.recipe.som.optim.threads
    if threads:  # sums depend on it in their last digits
        torch.set_num_threads(threads)
    for name, stage in STAGES.items():
        known = state.get(name, {})
        if known.get("done"):
            run.say(f"{name}: done before")
            continue
        began = time.monotonic()
        state[name] = {"seconds": known.get("seconds", 0.0), "done": False}
        try:
            figures = stage(run)
            state[name] |= {**figures, "done": not run.stop()}
        finally:
            state[name]["seconds"] = round(state[name]["seconds"] + time.monotonic() - began, 3)
            write_state(run.out, run.recipe, state)
        if not state[name]["done"]:
            break
    return state


def _opened(run: Run, *, resume: bool) -> dict[str, Figures]:
    """What is done already."""
    path = run.out / STATE
    if not path.exists():
        make_parent(path)
        write_state(run.out, run.recipe, {})
        write_text(run.out / RECIPE, to_yaml(run.recipe))
        return {}
    if not resume:
        raise ConfigError(f"{path} exists: go on with --resume, or choose another folder with --out")
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        before, stages = dict(kept["recipe"]), dict(kept["stages"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} cannot be read ({error}): choose another folder with --out") from None
    now = decisive(run.recipe)
    other = [key for key in sorted(now.keys() | before.keys()) if now.get(key) != before.get(key)]
    if other:
        key = other[0]
        raise ConfigError(
            f"{run.out} holds a training of another recipe: {key} was {before.get(key)!r} and is {now.get(key)!r}"
            f"{f' ({len(other) - 1} more)' if other[1:] else ''}; give the same settings, or another --out"
        )
    return stages


def write_state(out: Path, recipe: Recipe, stages: dict[str, Figures]) -> None:
    """Write what is done, in place of what was there."""
    write_text(out / STATE, json.dumps(plain({"recipe": decisive(recipe), "stages": stages}), indent=1) + "\n")


def _scenes(run: Run) -> Figures:
    data = run.recipe.data
    return _shards(run, SCENES, range(data.shards), held_out=False)


def _held_scenes(run: Run) -> Figures:
    first = run.recipe.data.first_held_out
    return _shards(run, HELD_SCENES, range(first, first + run.recipe.data.held_out), held_out=True)


def _weighing_scenes(run: Run) -> Figures:
    numbers = range(FIRST_TO_WEIGH, FIRST_TO_WEIGH + run.recipe.data.weighing)
    return _shards(run, WEIGHING_SCENES, numbers, held_out=False)


def _shards(run: Run, name: str, numbers: Iterable[int], *, held_out: bool) -> Figures:
    config = run.recipe.som.scenes
    folder = run.out / name
    work = functools.partial(make_shard, folder=folder, config=config, held_out=held_out, device=run.device)
    return _made(run, name, folder, work, numbers, config.scenes, "scenes")


def _cases(run: Run) -> Figures:
    return _case_shards(run, CASES, SCENES, run.recipe.data.cases)


def _held_cases(run: Run) -> Figures:
    return _case_shards(run, HELD_CASES, HELD_SCENES, run.recipe.data.held_out_cases)


def _case_shards(run: Run, name: str, scenes: str, count: int) -> Figures:
    work = functools.partial(
        make_cases, folder=run.out / name, config=run.recipe.tom.cases, scenes=run.out / scenes, shards=count
    )
    return _made(run, name, run.out / name, work, range(count), 1, "shards")


def _made(
    run: Run, name: str, folder: Path, work: Callable[[int], Path], numbers: Iterable[int], each: int, unit: str
) -> Figures:
    """Make shards that are not there yet, each of so many units."""
    missing = [n for n in numbers if not (folder / f"{n:05d}").is_dir()]
    began = time.monotonic()
    for count, path in enumerate(made(work, missing, run.recipe.data.processes, run.stop), 1):
        per_s = count * each / max(time.monotonic() - began, 1e-6)
        run.say(f"{name}: {path.name}, {count} of {len(missing)}, {per_s:.3g} {unit}/s")
    seconds = time.monotonic() - began
    return {"unit": unit, "per_s": len(missing) * each / seconds} if missing and not run.stop() else {"unit": unit}


def _som(run: Run) -> Figures:
    out = run.out / "som"
    config = som_config(run.recipe, run.out)
    train_som(config, resume=True, device=run.device, report=run.report("som", config.optim.steps), stop=run.stop)
    return paces(out / LOG, "pairs")


def som_config(recipe: Recipe, out: Path) -> TrainConfig:
    """The recipe's training of the segmenter, in a folder."""
    return replace(recipe.som, data=str(out / SCENES), out=str(out / "som"))


def _som_file(run: Run) -> Figures:
    """Weigh the candidates on scenes of their own, and write the weights with what comes out of it."""
    network, notes = trained(run.out / "som" / CHECKPOINT, SOM)
    scenes = Shards([run.out / WEIGHING_SCENES])
    weighing, count = None, 0
    try:
        weighing, count = weighed(network, scenes, run.recipe.data.weighing_cases)
    except InputError as error:  # a training that was far too short; its figures will tell
        run.say(f"som_file: {error}; the network's presence alone counts")
    save_som(run.out / SOM_FILE, network, notes, weighing)
    return {"weighed": count}


def _tom(run: Run) -> Figures:
    config = tom_config(run.recipe, run.out)
    train_tom(config, resume=True, device=run.device, report=run.report("tom", config.optim.steps), stop=run.stop)
    return paces(run.out / "tom" / LOG, "cases")


def tom_config(recipe: Recipe, out: Path) -> TomTrainConfig:
    """The recipe's training of the verifier, with the encoder of the segmenter before it."""
    return replace(recipe.tom, data=str(out / CASES), out=str(out / "tom"), encoder=str(out / SOM_FILE))


def _tom_file(run: Run) -> Figures:
    """Calibrate on held-out cases, and write the weights with the threshold that comes out of it."""
    network, notes = trained(run.out / "tom" / CHECKPOINT, TOM)
    tau = calibrated(judge_cases(network, checked_cases([str(run.out / HELD_CASES)])))
    save_tom(run.out / TOM_FILE, network, tau, notes)
    return {"figures": {"tau": tau}}


def _measured(run: Run) -> Figures:
    """Figures of both files as they were written."""
    judged = judge_cases(load_tom(run.out / TOM_FILE)[0], checked_cases([str(run.out / HELD_CASES)]))
    tom: Figures = {"cases": len(judged.right), "right": int(judged.right.sum()), **figures_of(judged)}
    som = run.measure_som(run.out / SOM_FILE, run.out / HELD_SCENES, run.recipe)
    return {"figures": {"som": som, "tom": tom}}


STAGES: dict[str, Callable[[Run], Figures]] = {
    "scenes": _scenes,
    "held_scenes": _held_scenes,
    "som": _som,
    "weighing_scenes": _weighing_scenes,
    "som_file": _som_file,
    "cases": _cases,
    "held_cases": _held_cases,
    "tom": _tom,
    "tom_file": _tom_file,
    "figures": _measured,
}
"""In their order."""


def paces(log: Path, unit: str) -> Figures:
    """How fast a training was, over all its sittings, as its log tells.

    Returns:
        "steps", "unit", how many ("count") and "per_s"; "wait_share" of the time in which it waited for data;
        "gpu_percent" where that is known.
    """
    with log.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    seconds = waited = busy = 0.0
    step = seen = 0
    for row in rows:
        took = (float(row[unit]) - seen) / max(float(row[f"{unit}_per_s"]), 1e-9)
        seconds += took
        waited += float(row.get("wait_s") or 0.0) * (int(row["step"]) - step)
        busy += float(row.get("gpu_percent") or math.nan) * took
        step, seen = int(row["step"]), int(float(row[unit]))
    out: Figures = {"steps": step, "unit": unit, "count": seen, "per_s": seen / max(seconds, 1e-9)}
    out["wait_share"] = waited / max(seconds, 1e-9)
    return out | ({"gpu_percent": busy / seconds} if math.isfinite(busy) and seconds else {})


def resolved(device: str) -> str:
    """The device that "auto", "cpu" or "cuda" means here.

    Raises:
        ConfigError: there is no CUDA device.
    """
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise ConfigError("--device cuda: there is no CUDA device; use cpu or auto")
    return "cuda" if there and device != "cpu" else "cpu"


def device_name(device: str) -> str:
    """What a device is called, with "cpu" or "cuda" behind it."""
    return f"{torch.cuda.get_device_name() if device == 'cuda' else platform.machine()} ({device})"
