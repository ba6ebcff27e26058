"""Errors of the package: each says what was needed, what came and what to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class StormError(Exception):
    """Base of every error this package raises on purpose."""


class ConfigError(StormError, ValueError):
    """An unknown configuration key, or a value of the wrong type or out of range."""


class InputError(StormError, ValueError):
    """An image, mask, camera or mesh that cannot be used; the message names the fix."""


class NoDepthError(InputError):
    """Too few valid depth pixels where depth is needed."""


class RecordingError(StormError, OSError):
    """A recording or dataset that cannot be read: missing, truncated, or without the needed topics."""


class OutputError(StormError, OSError):
    """A result that cannot be written."""


class BackendUnavailableError(StormError, ImportError):
    """An optional package is missing; the message names the pip extra that brings it."""


class ReferenceMissingError(StormError, LookupError):
    """An object was asked for that has no reference."""


@contextlib.contextmanager
def needs_torch(what: str, otherwise: str = "") -> Iterator[None]:
    """Around the import of a part that is made of PyTorch.

    Args:
        what: needs it.
        otherwise: what does without.

    Raises:
        BackendUnavailableError: PyTorch is missing.
    """
    try:
        yield
    except ImportError as error:
        if error.name != "torch":
            raise
        instead = f", or use {otherwise}" if otherwise else ""
        raise BackendUnavailableError(f"{what} needs PyTorch: pip install storm_ros[learned]{instead}") from error
