"""Errors of the command line."""

from __future__ import annotations

from storm_ros.core.errors import StormError


class UsageError(StormError, ValueError):
    """What was typed cannot be meant; the program ends with code 2."""
