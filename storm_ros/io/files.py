"""Files that appear whole or not at all: written beside their place, then moved there."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from storm_ros.core.errors import OutputError


def output_error(path: Path, error: OSError) -> OutputError:
    """The one-line error of an output that could not be written."""
    reason = error.strerror or str(error)
    return OutputError(f"cannot write {path}: {reason}; choose another place or make it writable")


def make_parent(path: Path) -> None:
    """Create the folder a file is to lie in.

    Raises:
        OutputError: it cannot be created.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(path, error) from None


@contextlib.contextmanager
def sibling_folder(path: Path) -> Iterator[Path]:
    """A temporary folder in the same folder as `path`, removed at the end.

    Raises:
        OutputError: it cannot be created.
    """
    folder = make_sibling_folder(path)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_sibling_folder(path: Path) -> Path:
    """A new hidden folder in the same folder as `path`, so that a move from it to `path` is atomic.

    Raises:
        OutputError: it cannot be created.
    """
    make_parent(path)
    try:
        return Path(tempfile.mkdtemp(prefix=f".{path.name}.partial-", dir=path.parent))
    except OSError as error:
        raise output_error(path, error) from None


def replace_folder(new: Path, path: Path) -> None:
    """Put the folder `new` in the place of `path`; what lay there before is removed once the new one stands."""
    old = new.with_name(new.name + ".old")
    try:
        if path.exists():
            os.replace(path, old)
        os.replace(new, path)
    except OSError as error:
        if old.exists() and not path.exists():
            os.replace(old, path)
        raise output_error(path, error) from None
    shutil.rmtree(old, ignore_errors=True)
