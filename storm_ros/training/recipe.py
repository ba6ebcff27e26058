"""Recipes: everything that decides what a pair of weights becomes, from the scenes to the figures."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from storm_ros.core.config import check_value, knob, knobs, load_yaml
from storm_ros.core.errors import ConfigError
from storm_ros.training.settings import TrainConfig
from storm_ros.training.tom_settings import TomTrainConfig

CONFIG = Path(__file__).resolve().parents[2] / "config"
SOM_RECIPE, TOM_RECIPE, PRESETS = "train_som_nano.yaml", "train_tom_nano.yaml", "train"

SCENES_PER_CASE_SHARD = 32
FIRST_TO_WEIGH = 20000
"""Number of the first shard that candidates are weighed by: beyond those trained with, streamed or not."""

_WITHOUT_EFFECT = ("data.processes", "som.stream.ahead", "som.stream.makers", "som.stream.readers")
_DECIDED_HERE = ("som.data", "som.out", "tom.data", "tom.out", "tom.encoder")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The data on disk."""

    shards: int = knob(8, "Shards of scenes to train with; where som streams its own, for tom alone.", low=1, high=9000)
    held_out: int = knob(2, "Shards of scenes with held-out scans, to calibrate and measure with.", low=1, high=1000)
    first_held_out: int = knob(9000, "Number of the first of these.", low=9000)
    weighing: int = knob(3, "Shards of scenes of their own, of the training's objects, to weigh candidates by.", low=1)
    weighing_cases: int = knob(1800, "Cases made of these.", low=1)
    cases: int = knob(4, "Shards of cases for tom, of 32 of the scenes each.", low=1, high=1000)
    held_out_cases: int = knob(1, "The same of held-out scenes.", low=1, high=1000)
    processes: int = knob(1, "Processes that make shards.", low=1, high=256)


@dataclass(frozen=True, kw_only=True)
class FigureConfig:
    """What is measured in the end."""

    cases: int = knob(200, "Simulated cases of held-out scenes.", low=1)
    methods: str = knob("som", "Segmenters to measure, by commas; see storm evaluate som --help.")
    recordings: str = knob("../shared/data", "Folder with ycbv, desk and kitchen; what is absent is left out.")
    every: int = knob(5, "Every Nth frame of the recordings.", low=1)
    absent: int = knob(20, "Images of other recordings in which each object is asked for in vain.", low=0)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything of a training from nothing to the weights."""

    som: TrainConfig = field(default_factory=TrainConfig)
    tom: TomTrainConfig = field(default_factory=TomTrainConfig)
    data: DataConfig = field(default_factory=DataConfig)
    figures: FigureConfig = field(default_factory=FigureConfig)

    def __post_init__(self) -> None:
        for item in knobs(self):
            check_value(item, item.value)


def presets() -> tuple[str, ...]:
    """Names of the presets that are there."""
    return tuple(sorted(path.stem for path in (CONFIG / PRESETS).glob("*.yaml")))


def preset(name: str) -> Recipe:
    """The recipe of a preset: that of the shipped weights, with what the preset's file changes.

    Raises:
        ConfigError: no such preset, or its files do not fit.
    """
    known = presets()
    if not known:
        raise ConfigError(
            f"no presets in {CONFIG / PRESETS}: they come with the sources; run storm train all from a checkout "
            "(pip install -e .)"
        )
    if name not in known:
        raise ConfigError(f"--preset {name}: one of {', '.join(known)} is needed")
    som = dataclasses.replace(load_yaml(CONFIG / SOM_RECIPE, TrainConfig()), data="", out="")
    tom = dataclasses.replace(load_yaml(CONFIG / TOM_RECIPE, TomTrainConfig()), data="", out="", encoder="")
    return load_yaml(CONFIG / PRESETS / f"{name}.yaml", Recipe(som=som, tom=tom))


def checked(recipe: Recipe) -> Recipe:
    """The recipe, once nothing in it contradicts the rest.

    Raises:
        ConfigError: a setting that is decided by the run, or more cases than scenes.
    """
    values = decisive(recipe)
    for key in _DECIDED_HERE:
        if values[key]:
            raise ConfigError(f"{key} = {values[key]!r}: storm train all decides it; leave it out")
    scenes = recipe.som.scenes.scenes
    for shards, cases, name in ((recipe.data.shards, recipe.data.cases, "cases"),
                                (recipe.data.held_out, recipe.data.held_out_cases, "held_out_cases")):  # fmt: skip
        if cases > shards * scenes:
            raise ConfigError(f"data.{name} = {cases}: {shards * scenes} scenes give no more than as many shards")
    return recipe


def decisive(recipe: Recipe) -> dict[str, object]:
    """Settings that have an effect on what comes out, by their key."""
    return {item.key: item.value for item in knobs(recipe) if item.key not in _WITHOUT_EFFECT}


def case_scenes(available: int, shards: int, number: int) -> list[int]:
    """Numbers of the scenes that a shard of cases is made of: all shards together go through all scenes evenly.

    Args:
        available: number of scenes.
        shards: of cases.
        number: of this one.
    """
    wanted = min(available, shards * SCENES_PER_CASE_SHARD)
    chosen = [place * available // wanted for place in range(wanted)]
    return chosen[number * wanted // shards : (number + 1) * wanted // shards]
