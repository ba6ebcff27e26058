"""Descriptions of parameters with ranges, for the small nodes."""
# pyright: reportMissingImports=false

from __future__ import annotations

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor


def whole(text: str, low: int, high: int) -> ParameterDescriptor:
    """A whole number that is set at the start."""
    values = [IntegerRange(from_value=low, to_value=high, step=1)]
    return ParameterDescriptor(description=text, read_only=True, integer_range=values)


def number(text: str, low: float, high: float, *, live: bool = False) -> ParameterDescriptor:
    """A number that is set at the start, or any time where it is `live`."""
    values = [FloatingPointRange(from_value=low, to_value=high)]
    return ParameterDescriptor(description=text, read_only=not live, floating_point_range=values)


def fixed(text: str) -> ParameterDescriptor:
    """A text, switch or list that is set at the start."""
    return ParameterDescriptor(description=text, read_only=True)


def live(text: str) -> ParameterDescriptor:
    """A text or switch that can be changed any time."""
    return ParameterDescriptor(description=text)


def choice(text: str, values: tuple[str, ...]) -> ParameterDescriptor:
    """One of a few words, set at the start."""
    return ParameterDescriptor(description=text, read_only=True, additional_constraints=f"one of {', '.join(values)}")
