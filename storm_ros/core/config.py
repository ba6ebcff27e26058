"""Configuration: frozen dataclasses are the one source of every default, unit, range and help text."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from storm_ros.core.errors import ConfigError

T = TypeVar("T")


def knob(
    default: Any,
    text: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """A dataclass field with its help text and its range or choices."""
    return field(default=default, metadata={"text": text, "low": low, "high": high, "choices": choices})


@dataclass(frozen=True, kw_only=True)
class DeviceConfig:
    """Where the work is done."""

    name: str = knob("auto", "Compute device: auto takes CUDA where there is one.", choices=("auto", "cpu", "cuda"))


@dataclass(frozen=True, kw_only=True)
class MeshConfig:
    """How a reference view becomes a surface."""

    stride: int = knob(1, "Pixels between the vertices of a lifted surface.", low=1, high=16)
    max_jump: float = knob(0.02, "Depth step between neighbours, relative to the depth, that cuts.", low=1e-4, high=1.0)
    max_grazing_deg: float = knob(80.0, "Angle between view ray and normal above which a face is cut.", low=10, high=90)
    erode_px: int = knob(1, "Pixels taken off the mask's rim before lifting: depth bleeds there.", low=0, high=20)
    smooth_px: float = knob(1.5, "Radius of the edge-keeping depth smoothing before lifting; 0: none.", low=0, high=10)
    fused: bool = knob(True, "Fuse new views into a lifted surface while it is tracked, so that its far side grows.")
    fused_voxels: int = knob(80, "Voxels along the longest side of the fused volume.", low=32, high=160)
    fused_step_deg: float = knob(6.0, "Turn to the nearest fused view before another is fused.", low=1.0, high=45.0)


@dataclass(frozen=True, kw_only=True)
class PoseConfig:
    """The geometric pose estimator (render and compare on depth and colour)."""

    samples: int = knob(1000, "Model points compared per frame at the finest level.", low=100, high=50000)
    iterations: int = knob(10, "Gauss-Newton steps per level.", low=1, high=50)
    depth_sigma_m: float = knob(
        0.005, "Expected depth error at 1 m, metres (grows with depth squared).", low=1e-4, high=0.1
    )
    agreement_m: float = knob(0.009, "Depth difference at 1 m that still agrees, metres.", low=1e-3, high=0.1)
    colour_sigma: float = knob(0.06, "Expected intensity error, of 1.", low=1e-3, high=1.0)
    colour_weight: float = knob(6.0, "Weight of the photometric term; 0 turns it off.", low=0.0, high=100.0)
    hypotheses_views: int = knob(42, "Icosphere viewpoints of a registration.", low=12, high=642)
    hypotheses_turns: int = knob(12, "In-plane turns per viewpoint of a registration.", low=1, high=72)
    refined: int = knob(12, "Hypotheses that are refined.", low=1, high=256)
    keyframes: int = knob(6, "Views kept for the colour term; the reference is always one of them.", low=1, high=32)


@dataclass(frozen=True, kw_only=True)
class SegmenterConfig:
    """Where the object is looked for when there is no pose."""

    name: str = knob("auto", "Segmenter; auto: som where PyTorch is installed.", choices=("auto", "som", "template"))
    weights: str = knob("som-nano", "Weights of som: a name of `storm weights list` or a .safetensors file.")
    presence: float = knob(0.3, "Candidates less likely than this to be the object are dropped.", low=0.0, high=1.0)
    crops: int = knob(3, "Places that som looks at again, closer; 0: the whole image only.", low=0, high=16)
    hints: bool = knob(True, "Som looks closer at the place that template names, too, unless it is sure before.")
    candidates: int = knob(4, "Candidates that are registered and checked per search.", low=1, high=32)
    min_score: float = knob(0.55, "Candidates that template scores below this are dropped.", low=0.0, high=1.0)


@dataclass(frozen=True, kw_only=True)
class VerifierConfig:
    """Whether what is tracked is still the object."""

    name: str = knob("auto", "Verifier; auto: tom where PyTorch is installed.", choices=("auto", "tom", "inlier"))
    weights: str = knob("tom-nano", "Weights of tom: a name of `storm weights list` or a .safetensors file.")
    memory: int = knob(16, "Good views that tom keeps beside the reference (K).", low=0, high=64)
    confidence: float = knob(0.97, "Chance of being right from which tom keeps a view.", low=0.5, high=1.0)


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """When the verifier's energy means that the track is lost."""

    name: str = knob("energy", "Gate; adaptive learns the threshold from the track.", choices=("energy", "adaptive"))
    tau: float = knob(
        0.0, "Smoothed energy above which a frame is bad; 0: the verifier's own (0 of inlier).", low=-20.0, high=20.0
    )
    patience: int = knob(3, "Bad frames in a row before the track is lost (L).", low=1, high=100)
    smoothing: float = knob(0.5, "Share of the new energy in the moving average.", low=0.01, high=1.0)
    alarm_rate: float = knob(
        0.001, "False alarms per frame that adaptive stays below, for energies like those before.", low=1e-6, high=0.1
    )
    reach: float = knob(1.0, "How far adaptive may move the threshold from tau, either way.", low=0.0, high=10.0)


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """The search for an object that was never found, or is lost."""

    every: int = knob(2, "Frames from one search of an object to its next.", low=1, high=100)
    min_score: float = knob(0.78, "Score, less the hidden share, that a found pose must reach.", low=0.0, high=1.0)
    min_probability: float = knob(
        0.82, "Chance of being right, by the verifier and on average, that a found pose must reach.", low=0.0, high=1.0
    )
    margin: float = knob(
        3.0, "A found pose's energy may lie so far above what was usual while tracked.", low=0.0, high=40.0
    )
    rivals: bool = knob(True, "What looks alike in the reference's own image is known: a found pose must be better.")
    min_in_view: float = knob(
        0.35, "A track is out of view when less of the model lies in the image.", low=0.0, high=1.0
    )
    min_depth: float = knob(0.15, "A track has no depth when less of the model has any.", low=0.0, high=1.0)
    confirm: int = knob(2, "Further frames that a found pose must hold before it is reported.", low=0, high=30)
    max_gap_s: float = knob(2.0, "A pose is stale after so long without an image, seconds; 0: never.", low=0, high=3600)
    background: bool = knob(False, "Search on a thread of its own, so that no frame waits for it (live cameras).")


@dataclass(frozen=True, kw_only=True)
class StormConfig:
    """Everything that can be set."""

    device: DeviceConfig = field(default_factory=DeviceConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    pose: PoseConfig = field(default_factory=PoseConfig)
    segmenter: SegmenterConfig = field(default_factory=SegmenterConfig)
    verifier: VerifierConfig = field(default_factory=VerifierConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    search: SearchConfig = field(default_factory=SearchConfig)

    def __post_init__(self) -> None:
        for knob_ in knobs(self):
            check_value(knob_, knob_.value)


@dataclass(frozen=True)
class Knob:
    """One setting with all that is known of it; `key` is dotted, as in ``gate.tau``."""

    key: str
    kind: type
    value: Any
    text: str
    low: float | None
    high: float | None
    choices: tuple[str, ...] | None

    @property
    def range_text(self) -> str:
        """The range or the choices in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.low is None or self.high is None:
            return "true or false" if self.kind is bool else "any"
        return f"{self.low:g} to {self.high:g}"


def knobs(config: Any, prefix: str = "") -> Iterator[Knob]:
    """Every setting of a configuration, in the order it is written in."""
    hints = _type_hints(type(config))
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if dataclasses.is_dataclass(value):
            yield from knobs(value, f"{prefix}{f.name}.")
        else:
            meta = f.metadata
            yield Knob(prefix + f.name, hints[f.name], value, meta["text"], meta["low"], meta["high"], meta["choices"])


@functools.cache
def _type_hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def check_value(knob_: Knob, value: Any) -> Any:
    """Return the value in the knob's type.

    Raises:
        ConfigError: wrong type, outside the range, or not one of the choices.
    """
    given = value
    if isinstance(value, str) and knob_.kind is not str:
        value = _parse(knob_, value)
    if knob_.kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, knob_.kind) or (knob_.kind is not bool and isinstance(value, bool)):
        raise ConfigError(f"{knob_.key} = {given!r}: {_article(knob_.kind)} is needed ({knob_.range_text})")
    if knob_.choices and value not in knob_.choices:
        raise ConfigError(f"{knob_.key} = {given!r}: it must be {knob_.range_text}")
    if isinstance(value, (int, float)):
        too_low = knob_.low is not None and not value >= knob_.low
        too_high = knob_.high is not None and not value <= knob_.high
        if too_low or too_high:
            raise ConfigError(f"{knob_.key} = {given!r} is out of range: {knob_.range_text}")
    return value


def _article(kind: type) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}[kind]


def _parse(knob_: Knob, text: str) -> Any:
    try:
        if knob_.kind is bool:
            return {"true": True, "false": False}[text.strip().lower()]
        return knob_.kind(text)
    except (ValueError, KeyError):
        raise ConfigError(f"{knob_.key} = {text!r}: {_article(knob_.kind)} is needed ({knob_.range_text})") from None


def with_values(config: T, values: Mapping[str, Any]) -> T:
    """A configuration with some settings replaced.

    Args:
        config: any configuration dataclass.
        values: by dotted key, as in ``{"gate.tau": 0.3}``; strings are parsed.

    Raises:
        ConfigError: an unknown key, or a value that does not fit.
    """
    known = {k.key: k for k in knobs(config)}
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"unknown setting {key!r}{_closest(key, known)}")
        config = _replace(config, key.split("."), check_value(known[key], value))
    return config


def _closest(key: str, known: Iterable[str]) -> str:
    import difflib

    names = list(known)
    near = difflib.get_close_matches(key, names, n=1)
    return f": did you mean {near[0]!r}?" if near else f"; known are {', '.join(names)}"


def _replace(config: Any, path: list[str], value: Any) -> Any:
    if len(path) == 1:
        return dataclasses.replace(config, **{path[0]: value})
    return dataclasses.replace(config, **{path[0]: _replace(getattr(config, path[0]), path[1:], value)})


def from_assignments(config: T, assignments: Iterable[str]) -> T:
    """Apply command-line settings such as ``gate.tau=0.3``.

    Raises:
        ConfigError: one without ``=``, an unknown key, or a value that does not fit.
    """
    values: dict[str, str] = {}
    for text in assignments:
        key, sign, value = text.partition("=")
        if not sign:
            raise ConfigError(f"setting {text!r} has no '=': write KEY=VALUE, as in gate.tau=0.3")
        values[key.strip()] = value.strip()
    return with_values(config, values)


def load_yaml(path: str | Path, config: T) -> T:
    """Apply a parameter file in ROS form (``/**: ros__parameters: …``; nested or dotted keys).

    Raises:
        ConfigError: not readable, not in that form, an unknown key, or a value that does not fit.
    """
    import yaml

    try:
        tree = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"config file {path}: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"config file {path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict) or not all(
        isinstance(node, dict) and isinstance(node.get("ros__parameters"), dict) for node in tree.values()
    ):
        raise ConfigError(f"config file {path} is not in ROS form: '/**:' with 'ros__parameters:' below it is needed")
    values: dict[str, Any] = {}
    for node in tree.values():
        values.update(_flatten(node["ros__parameters"]))
    return with_values(config, values)


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def to_yaml(config: Any) -> str:
    """The configuration as a parameter file in ROS form, each setting under its help text and range."""
    lines = ["/**:", "  ros__parameters:"]
    section = None
    for k in knobs(config):
        head, _, name = k.key.rpartition(".")
        if head and head != section:
            lines.append(f"    {head}:")
            section = head
        indent = "      " if head else "    "
        value = {True: "true", False: "false"}.get(k.value, k.value) if k.kind is bool else k.value
        lines.append(f"{indent}# {k.text} ({k.range_text})")
        lines.append(f"{indent}{name}: {value if value != '' else chr(34) * 2}")
    return "\n".join(lines) + "\n"
