"""Which device Warp works on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import warp as wp

from storm_ros.core.errors import BackendUnavailableError, ConfigError


def resolve_device(name: str) -> str:
    """Turn "auto", "cpu", "cuda" or "cuda:N" into the name of a device that is there.

    Raises:
        BackendUnavailableError: CUDA was asked for and there is none.
        ConfigError: another name.
    """
    _start_warp()
    cuda = [str(d) for d in wp.get_cuda_devices()]
    if name == "auto":
        return cuda[0] if cuda else "cpu"
    if name == "cpu":
        return "cpu"
    if name == "cuda" or name in cuda:
        if not cuda:
            raise BackendUnavailableError("no CUDA device was found: use --device cpu, or install the NVIDIA driver")
        return cuda[0] if name == "cuda" else name
    if name.startswith("cuda:"):
        found = ", ".join(cuda) or "none"
        raise BackendUnavailableError(f"device {name!r} is not there (CUDA devices found: {found}): use auto or cpu")
    raise ConfigError(f"device {name!r} is unknown: use auto, cpu, cuda or cuda:N")


def _start_warp() -> None:
    """Initialise Warp: fit for several threads; no banner, no compile notes, no warning without an NVIDIA driver."""
    if hasattr(wp.config, "log_level"):
        wp.config.log_level = wp.LOG_ERROR
    else:  # before Warp 1.12
        wp.config.quiet = True
    if hasattr(wp.config, "enable_tiles_in_stack_memory"):
        # on x86 every launch would write to the stack of the last one, which another thread may have left; no kernel
        # here uses tiles on a CPU
        wp.config.enable_tiles_in_stack_memory = None
    with _muted_stderr():
        wp.init()


@contextmanager
def _muted_stderr() -> Iterator[None]:
    """Send what native code writes to the standard error output nowhere; Python's own output is flushed first."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
