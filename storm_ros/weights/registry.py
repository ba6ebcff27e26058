"""The weights this package ships, each with its checksum, licence and model card."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from storm_ros.weights.files import WeightsError, file_sha256

FOLDER = Path(__file__).parent
INDEX = "registry.json"


@dataclass(frozen=True)
class Entry:
    """Weights of one network.

    Attributes:
        name: what a configuration calls them.
        file: in the folder of weights.
        sha256: of that file.
        licence: SPDX name.
        card: file that tells how they were made and what they can do.
        text: one line about them.
    """

    name: str
    file: str
    sha256: str
    licence: str
    card: str
    text: str

    @property
    def path(self) -> Path:
        """Where the file is."""
        return FOLDER / self.file


def entries(folder: Path = FOLDER) -> tuple[Entry, ...]:
    """All that is registered, by name.

    Raises:
        WeightsError: the registry itself is damaged.
    """
    try:
        listed = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        return tuple(Entry(name=name, **values) for name, values in sorted(listed.items()))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"list of weights {folder / INDEX} cannot be read ({error}): install the package anew"
        ) from error


def find(name: str) -> Entry:
    """The entry of a name.

    Raises:
        WeightsError: nothing is registered under it.
    """
    known = {entry.name: entry for entry in entries()}
    if name not in known:
        raise WeightsError(
            f"no weights are called {name!r}: there are {', '.join(known) or 'none'}; or give the path of a "
            ".safetensors file"
        )
    return known[name]


def verified(entry: Entry) -> Path:
    """The file of an entry, once its checksum is found right.

    Raises:
        WeightsError: missing, or not the file that was registered.
    """
    if not entry.path.is_file():
        raise WeightsError(f"weights {entry.name}: {entry.path} is missing; install the package anew")
    found = file_sha256(entry.path)
    if found != entry.sha256:
        raise WeightsError(
            f"weights {entry.name}: the SHA-256 of {entry.path} is {found[:12]}… but {entry.sha256[:12]}… is "
            "registered: the file was altered or damaged; install the package anew"
        )
    return entry.path
