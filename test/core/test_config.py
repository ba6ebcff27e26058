"""Settings: one place for default, range and text; wrong ones say what is right."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from storm_ros.core.config import (
    GateConfig,
    StormConfig,
    check_value,
    from_assignments,
    knob,
    knobs,
    load_yaml,
    to_yaml,
    with_values,
)
from storm_ros.core.errors import ConfigError, StormError

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "tracker.yaml"
KNOBS = {k.key: k for k in knobs(StormConfig())}


@dataclass(frozen=True, kw_only=True)
class SwitchConfig:
    on: bool = knob(False, "A switch.")
    free: float = knob(1.0, "A number without a range.")


def test_every_knob_is_complete_and_its_default_fits() -> None:
    assert len(KNOBS) > 20
    for k in KNOBS.values():
        assert k.text.endswith((".", ")")), k.key
        assert check_value(k, k.value) == k.value
        if k.kind in (int, float):
            assert k.low is not None, k.key
            assert k.high is not None, k.key
            assert k.low < k.high
        if k.kind is str and not k.key.endswith(".weights"):  # a name or a file
            assert k.choices, k.key


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        pytest.param("gate.tau", 21.0, "gate.tau = 21.0 is out of range: -20 to 20", id="above"),
        pytest.param("gate.patience", 0, "gate.patience = 0 is out of range: 1 to 100", id="below"),
        pytest.param("gate.tau", math.nan, "gate.tau = nan is out of range", id="nan"),
        pytest.param("gate.tau", "inf", "gate.tau = 'inf' is out of range", id="infinite"),
        pytest.param("gate.tau", "high", "gate.tau = 'high': a number is needed (-20 to 20)", id="text"),
        pytest.param("gate.patience", 2.5, "a whole number is needed (1 to 100)", id="not whole"),
        pytest.param("gate.patience", "2.5", "gate.patience = '2.5': a whole number", id="not whole as text"),
        pytest.param("gate.patience", True, "gate.patience = True: a whole number", id="bool for int"),
        pytest.param("gate.tau", True, "gate.tau = True: a number is needed", id="bool for float"),
        pytest.param("gate.tau", None, "gate.tau = None: a number is needed", id="none"),
        pytest.param("device.name", "tpu", "device.name = 'tpu': it must be one of auto, cpu, cuda", id="choice"),
        pytest.param("device.name", 3, "device.name = 3: a text is needed", id="number for choice"),
        pytest.param("gate.taU", 0.1, "unknown setting 'gate.taU': did you mean 'gate.tau'?", id="typing error"),
        pytest.param("xyzzy", 0.1, "unknown setting 'xyzzy'; known are device.name, ", id="unknown"),
        pytest.param("gate", 0.1, "unknown setting 'gate'", id="section"),
    ],
)
def test_wrong_settings_name_key_value_and_range(key: str, value: Any, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_values(StormConfig(), {key: value})
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, StormError)
    assert isinstance(caught.value, ValueError)


def test_wrong_value_in_the_constructor_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"gate\.patience = 0 is out of range"):
        StormConfig(gate=GateConfig(patience=0))


def test_settings_replace_only_what_they_name() -> None:
    config = from_assignments(StormConfig(), ["gate.tau=0.3", " mesh.stride = 2 ", "device.name=cpu"])
    assert (config.gate.tau, config.mesh.stride, config.device.name) == (0.3, 2, "cpu")
    default = {k.key: k.value for k in knobs(StormConfig())}
    changed = {k.key for k in knobs(config) if default[k.key] != k.value}
    assert changed == {"gate.tau", "mesh.stride", "device.name"}


def test_whole_number_serves_as_float() -> None:
    tau = with_values(StormConfig(), {"gate.tau": 1}).gate.tau
    assert (tau, type(tau)) == (1.0, float)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("FALSE", False), (" True ", True)])
def test_switches_are_read(text: str, value: bool) -> None:
    assert with_values(SwitchConfig(), {"on": text}).on is value


@pytest.mark.parametrize("text", ["1", "yes", ""])
def test_what_is_no_switch_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="true or false is needed"):
        with_values(SwitchConfig(), {"on": text})


def test_number_without_a_range_takes_any() -> None:
    assert with_values(SwitchConfig(), {"free": -1e9}).free == -1e9


def test_assignment_without_equals_sign_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"setting 'gate\.tau' has no '='"):
        from_assignments(StormConfig(), ["gate.tau"])


def test_yaml_comes_back() -> None:
    config = from_assignments(StormConfig(), ["gate.tau=-1.5", "mesh.stride=4", "device.name=cuda"])
    tree = yaml.safe_load(to_yaml(config))
    values = tree["/**"]["ros__parameters"]
    assert values["gate"]["tau"] == -1.5
    flat = {f"{section}.{name}": v for section, part in values.items() for name, v in part.items()}
    assert with_values(StormConfig(), flat) == config


def test_yaml_file_comes_back(tmp_path: Path) -> None:
    config = from_assignments(StormConfig(), ["gate.tau=-1.5", "pose.samples=200"])
    (tmp_path / "c.yaml").write_text(to_yaml(config))
    assert load_yaml(tmp_path / "c.yaml", StormConfig()) == config


def test_dotted_keys_and_named_nodes_are_read(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("/storm:\n  ros__parameters:\n    gate.tau: 2.0\n    mesh: {stride: 3}\n")
    config = load_yaml(tmp_path / "c.yaml", StormConfig())
    assert (config.gate.tau, config.mesh.stride) == (2.0, 3)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param(None, "No such file", id="missing"),
        pytest.param("", "is not in ROS form", id="empty"),
        pytest.param("gate: {tau: 1.0}", "is not in ROS form", id="plain"),
        pytest.param("- 1", "is not in ROS form", id="list"),
        pytest.param("a: [", "is not valid YAML", id="broken"),
        pytest.param("/**: {ros__parameters: {gate: {tau: 99.0}}}", "gate.tau = 99.0 is out of range", id="range"),
        pytest.param("/**: {ros__parameters: {gates: {tau: 1.0}}}", "did you mean 'gate.tau'", id="key"),
    ],
)
def test_wrong_files_say_why_in_one_line(tmp_path: Path, content: str | None, text: str) -> None:
    path = tmp_path / "c.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        load_yaml(path, StormConfig())
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_shipped_file_agrees_with_the_defaults() -> None:
    assert SHIPPED.read_text(encoding="utf-8") == to_yaml(StormConfig()), "write it anew as CONTRIBUTING.md says"
    assert load_yaml(SHIPPED, StormConfig()) == StormConfig()


def test_configuration_cannot_be_changed_in_place() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        StormConfig().gate.tau = 1.0  # type: ignore[misc]
