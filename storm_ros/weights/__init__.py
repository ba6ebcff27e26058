"""Weights that come with the package: which there are, how they are read, whether they are intact."""

from storm_ros.weights.files import WeightsError, read_weights, write_weights
from storm_ros.weights.registry import Entry, entries, find, verified

__all__ = ["Entry", "WeightsError", "entries", "find", "read_weights", "verified", "write_weights"]
