"""The files of a rosbag2 recording: found, decompressed where they need it, and opened."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from storm_ros.core.errors import RecordingError
from storm_ros.io import mcap, sqlite
from storm_ros.io.mcap import McapFile
from storm_ros.io.sqlite import SqliteFile
from storm_ros.io.storage import Storage, unzstd

BAG_SUFFIXES = (".mcap", ".db3")

_SHOWN = 8
_SPLIT = re.compile(r"(?P<name>.*)_(?P<number>\d+)(?P<kind>\.\w+)")


def open_storages(path: Path, stack: contextlib.ExitStack) -> tuple[list[Storage], list[str]]:
    """Open all files of a bag; those that cannot be read become notes as long as one can.

    Args:
        path: a bag's folder, or one of its files.
        stack: closes them.

    Returns:
        The files and what is to be said about them, one line each.

    Raises:
        RecordingError: none can be read, or the folder holds more than one recording.
    """
    files, packed, notes = _files(path)
    storages: list[Storage] = []
    failures: list[str] = []
    for file in files:
        try:
            storage = _open_file(file, packed, stack)
        except RecordingError as error:
            failures.append(str(error))
            continue
        stack.callback(storage.close)
        storages.append(storage)
        if storage.damage:
            kept = sum(t.count for t in storage.topics)
            notes.append(f"{storage.damage}; {kept} whole messages before it are used")
    if not storages:
        raise RecordingError(failures[0] if failures else f"{path} holds no .mcap or .db3 file")
    return storages, notes + failures


def _open_file(path: Path, packed: bool, stack: contextlib.ExitStack) -> Storage:
    if path.suffix == ".zstd":
        path = _unpacked(path, stack)
    unpack = unzstd if packed else None
    try:
        with path.open("rb") as file:
            head = file.read(len(sqlite.MAGIC))
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror or error}") from None
    if head.startswith(mcap.MAGIC):
        return McapFile(path, unpack)
    if head == sqlite.MAGIC:
        return SqliteFile(path, unpack)
    what = f"begins with {head[:8]!r}" if head else "is empty"
    raise RecordingError(f"{path} {what}: neither MCAP nor a rosbag2 database; the file is damaged or of another kind")


def _unpacked(path: Path, stack: contextlib.ExitStack) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="storm-bag-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    out = folder / path.stem
    try:
        out.write_bytes(unzstd(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise RecordingError(f"cannot decompress {path}: {error}") from None
    return out


def _files(path: Path) -> tuple[list[Path], bool, list[str]]:
    """Storage files of a bag, whether each message is compressed, and notes."""
    if path.is_file():
        return [path], False, []
    found = sorted(p for p in path.iterdir() if p.name.removesuffix(".zstd").endswith(BAG_SUFFIXES))
    metadata = path / "metadata.yaml"
    if not metadata.is_file():
        _check_one_recording(path, found)
        return found, False, [f"{path} has no metadata.yaml (the recorder was stopped hard): its files are read as is"]
    import yaml

    try:
        info = yaml.safe_load(metadata.read_text(encoding="utf-8"))["rosbag2_bagfile_information"]
        listed = [path / Path(name).name for name in info["relative_file_paths"]]
        packed = str(info.get("compression_mode", "")).lower() == "message"
    except (OSError, yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        _check_one_recording(path, found)
        return found, False, [f"{metadata} cannot be used ({type(error).__name__}: {reason}): files are read as is"]
    return listed or found, packed, []


def _check_one_recording(folder: Path, files: Sequence[Path]) -> None:
    """Several files without a list of them must be the splits of one recording: NAME_0, NAME_1 and so on."""
    splits = [_SPLIT.fullmatch(file.name.removesuffix(".zstd")) for file in files]
    kinds = {(m["name"], m["kind"]) for m in splits if m}
    numbers = sorted(int(m["number"]) for m in splits if m)
    if len(files) < 2 or (None not in splits and len(kinds) == 1 and numbers[0] == 0 and len({*numbers}) == len(files)):
        return
    names = ", ".join(file.name for file in files[:_SHOWN])
    more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
    raise RecordingError(
        f"{folder} holds {len(files)} bag files that are not the parts of one recording ({names}{more}): name one, as "
        f"in {files[0]}"
    )
