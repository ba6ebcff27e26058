"""ROS parameters made from the settings' own text, ranges and choices: one knob, one parameter."""

# pyright: reportMissingImports=false, reportPrivateImportUsage=false
from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from storm_ros.core.config import Knob, StormConfig, check_value, knobs, to_yaml, with_values
from storm_ros.core.errors import ConfigError
from storm_ros.ros.settings import NodeConfig

LIVE = ("gate.", "search.", "object_id", "object_frame", "sync.", "input.", "publish.", "log.")
"""Parameters that can change while the node is configured; the parts are built with all others."""

STORM_DEFAULTS = with_values(StormConfig(), {"search.background": True})
"""A live camera does not wait for a search."""

_FRAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./{}-]*")
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Settings:
    """All settings of a node."""

    storm: StormConfig
    node: NodeConfig


@functools.cache
def all_knobs() -> Mapping[str, Knob]:
    """Every parameter by its name, with its default; those of the node first."""
    return {knob.key: knob for part in (NodeConfig(), STORM_DEFAULTS) for knob in knobs(part)}


def values_of(settings: Settings) -> dict[str, Any]:
    """The value of every parameter."""
    return {knob.key: knob.value for part in (settings.node, settings.storm) for knob in knobs(part)}


def is_live(name: str) -> bool:
    """Whether a parameter can change while the node is configured."""
    return any(name == live or (live.endswith(".") and name.startswith(live)) for live in LIVE)


def settings_from(values: Mapping[str, Any], base: Settings | None = None) -> Settings:
    """Settings of parameter values.

    Args:
        values: by name.
        base: what the others are; the defaults when left out.

    Raises:
        ConfigError: an unknown name, or a value that does not fit.
    """
    base = base or Settings(STORM_DEFAULTS, NodeConfig())
    known = all_knobs()
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f"unknown parameter {name!r}{hint(name, known)}")
        checked(name, value)
    old = values_of(base)
    new = {name: value for name, value in values.items() if value != old[name]}
    own = {name: value for name, value in new.items() if name in _node_names()}
    others = {name: value for name, value in new.items() if name not in own}
    return Settings(with_values(base.storm, others), with_values(base.node, own))


@functools.cache
def _node_names() -> frozenset[str]:
    return frozenset(knob.key for knob in knobs(NodeConfig()))


def checked(name: str, value: Any) -> Any:
    """The value in its parameter's type.

    Raises:
        ConfigError: it does not fit; the message names the parameter, the value and what is allowed.
    """
    value = check_value(all_knobs()[name], value)
    if name == "object_id" and not _ID.fullmatch(value):
        raise ConfigError(f"object_id = {value!r}: letters, digits, '_', '.' and '-' are allowed, and at least one")
    if name == "object_frame" and value:
        _check_frame(value)
    return value


def refusal(name: str, *, configured: bool) -> str | None:
    """Why a parameter cannot change now; None when it can."""
    if not configured or is_live(name):
        return None
    return (
        f"{name} takes effect when the node is configured: clean it up first (ros2 lifecycle set NODE deactivate, then "
        "cleanup), set it, then configure"
    )


def unknown_names(given: Iterable[str]) -> list[str]:
    """One line for every overridden parameter that nothing reads, with the name that may be meant."""
    known = all_knobs()
    ignored = ("use_sim_time", "qos_overrides.", "start_type_description_service")
    return [
        f"parameter {name!r} is unknown and has no effect{hint(name, known)}"
        for name in sorted(given)
        if name not in known and not name.startswith(ignored)
    ]


def parameter_file() -> str:
    """The node's own parameters, and those of the tracker that it presets, as a file in ROS form."""
    lines = [to_yaml(NodeConfig()), "    # For all others see tracker.yaml; the node presets:\n"]
    usual = {knob.key: knob.value for knob in knobs(StormConfig())}
    for knob in knobs(STORM_DEFAULTS):
        if knob.value != usual[knob.key]:
            section, _, name = knob.key.rpartition(".")
            value = str(knob.value).lower() if knob.kind is bool else knob.value
            lines.append(f"    {section}:\n      # {knob.text} ({knob.range_text})\n      {name}: {value}\n")
    return "".join(lines)


def hint(name: str, known: Iterable[str]) -> str:
    """The name that may be meant, as the end of a message; empty when none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f": did you mean {near[0]!r}?" if near else ""


def object_frame(pattern: str, object_id: str) -> str:
    """TF frame of an object; an empty pattern stands for ``storm/<object_id>``."""
    return (pattern or "storm/{object_id}").replace("{object_id}", object_id)


def description(knob: Knob) -> str:
    """What a parameter does, its choices, and when a change takes effect."""
    choices = f" One of: {', '.join(knob.choices)}." if knob.choices else ""
    when = "" if is_live(knob.key) else " Takes effect at configure."
    return f"{knob.text}{choices}{when}"


def descriptor(knob: Knob) -> Any:
    """The rcl_interfaces/ParameterDescriptor of a setting; needs ROS.

    Numbers with a point may be given without one (``gate.tau: 0``), so their type is checked here, not by rclpy.
    """
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

    message = ParameterDescriptor(description=description(knob), dynamic_typing=knob.kind is float)
    if knob.choices:
        message.additional_constraints = knob.range_text
    if knob.low is None or knob.high is None:
        return message
    if knob.kind is int:
        message.integer_range = [IntegerRange(from_value=int(knob.low), to_value=int(knob.high), step=0)]
    elif knob.kind is float:
        bounds = FloatingPointRange(from_value=float(knob.low), to_value=float(knob.high), step=0.0)
        message.floating_point_range = [bounds]
    return message


class Parameters:
    """The parameters of a node: declared from the settings, checked at every change, kept as `Settings`.

    A bad value in a parameter file does not keep the node from coming up: the default takes its place, and
    `faults` says so until the parameter is set to something that fits.
    """

    def __init__(self, node: Any) -> None:
        """Declare every parameter on an rclpy node."""
        self.faults: dict[str, str] = {}
        self._node = node
        values: dict[str, Any] = {}
        for name, knob in all_knobs().items():
            values[name] = self._declare(name, knob)
        self.settings = settings_from(values)

    def unknown(self) -> list[str]:
        """One line for every parameter given that nothing reads."""
        given = getattr(self._node, "_parameter_overrides", {})
        return unknown_names(name for name in given if not self._node.has_parameter(name))

    def accept(self, changes: Mapping[str, Any], *, configured: bool) -> Settings:
        """Settings with some parameters changed; nothing is kept yet.

        Raises:
            ConfigError: a value does not fit, or cannot change now.
        """
        known = all_knobs()
        ours = {name: value for name, value in changes.items() if name in known}
        if not ours:  # of other packages, such as qos_overrides
            return self.settings
        before = values_of(self.settings)
        for name, value in ours.items():
            if value is None:
                raise ConfigError(f"parameter {name!r} cannot be removed: set it to {known[name].value!r} instead")
            reason = refusal(name, configured=configured)
            if reason is not None and checked(name, value) != before[name]:
                raise ConfigError(reason)
        return settings_from(ours, self.settings)

    def keep(self, settings: Settings, names: Iterable[str]) -> None:
        """Make accepted settings the current ones; the parameters named are well again."""
        self.settings = settings
        for name in names:
            self.faults.pop(name, None)

    def _declare(self, name: str, knob: Knob) -> Any:
        from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException

        try:
            value = self._node.declare_parameter(name, knob.value, descriptor(knob)).value
            return checked(name, value)
        except (InvalidParameterTypeException, InvalidParameterValueException, ConfigError) as error:
            given = getattr(self._node, "_parameter_overrides", {}).get(name)
            value = None if given is None else given.value
            self.faults[name] = _fault(name, value, error)
        if self._node.has_parameter(name):
            self._node.undeclare_parameter(name)
        self._node.declare_parameter(name, knob.value, descriptor(knob), ignore_override=True)
        return knob.value


def live_changes(before: Settings, after: Settings) -> Settings:
    """The settings to work with while configured: live ones of `after`, all others of `before`."""
    storm = replace(before.storm, gate=after.storm.gate, search=after.storm.search)
    return Settings(storm, replace(after.node, references=before.node.references, compute=before.node.compute))


def _fault(name: str, value: Any, error: Exception) -> str:
    try:
        checked(name, value)
    except ConfigError as reason:
        return str(reason)
    return f"{name} = {value!r}: {' '.join(str(error).split())}"


def _check_frame(pattern: str) -> None:
    try:
        known = pattern.format(object_id="x")
    except (KeyError, IndexError, ValueError):
        known = ""
    if not _FRAME.fullmatch(pattern) or "{" in known or not known:
        raise ConfigError(
            f"object_frame = {pattern!r}: a TF frame without a leading '/' is needed, such as part or "
            "storm/{object_id}"
        )
