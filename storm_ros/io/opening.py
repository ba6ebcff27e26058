"""Opens whatever kind of recording a path holds."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from storm_ros.core.errors import RecordingError
from storm_ros.io import mcap, sqlite
from storm_ros.io.bag_folder import BAG_SUFFIXES
from storm_ros.io.bop import find_scenes, open_bop
from storm_ros.io.folder import open_folder
from storm_ros.io.recording import Recording
from storm_ros.io.rosbag import open_bag

BAG = "a ROS 2 bag"

_KINDS = (
    "a BOP scene (folder with scene_camera.json), a rosbag2 recording (folder, .mcap or .db3 file), "
    "or a folder with rgb/, depth/ and camera.json"
)


def open_recording(path: str | Path, **options: Any) -> Recording:
    """Open a recording of any kind.

    Args:
        path: a BOP scene folder (or a dataset with a single scene), a rosbag2 folder, a .mcap or .db3 file, or a folder
            with rgb/, depth/ and camera.json.
        options: ``rate_hz`` for all; ``image_topic``, ``depth_topic``, ``info_topic`` and ``slop_s`` for bags
            (see `open_bag`). None stands for the default.

    Raises:
        RecordingError: missing, of no known kind, not readable, or an option that this kind does not have.
    """
    path = Path(path)
    opener, kind = _opener(path)
    given = {key: value for key, value in options.items() if value is not None}
    known = [name for name in inspect.signature(opener).parameters if name != "path"]
    if unknown := sorted(given.keys() - set(known)):
        raise RecordingError(
            f"{path} is {kind}, which has no option {', '.join(unknown)}: known are {', '.join(known)}"
        )
    return opener(path, **given)


def kind_of(path: str | Path) -> str:
    """What kind of recording lies at a path, in words; `BAG` for those of ROS 2.

    Raises:
        RecordingError: missing, or of no known kind.
    """
    return _opener(Path(path))[1]


def _opener(path: Path) -> tuple[Callable[..., Recording], str]:
    if not path.exists():
        raise RecordingError(f"{path} does not exist: give {_KINDS}")
    if path.is_file():
        if path.suffix in BAG_SUFFIXES or _head(path).startswith((mcap.MAGIC, sqlite.MAGIC)):
            return open_bag, BAG
        if path.suffix == ".bag":
            raise RecordingError(f"{path} is a ROS 1 bag: convert it first (rosbags-convert --src {path} --dst OUT)")
        raise RecordingError(f"{path} is a file of unknown kind ({path.suffix or 'no ending'}): give {_KINDS}")
    try:
        names = sorted(p.name for p in path.iterdir())
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror or error}") from None
    if "metadata.yaml" in names or any(n.removesuffix(".zstd").endswith(BAG_SUFFIXES) for n in names):
        return open_bag, BAG
    if "camera.json" in names:
        return open_folder, "an image folder"
    if find_scenes(path):
        return open_bop, "a BOP scene"
    if {"rgb", "depth"} <= set(names):
        raise RecordingError(f"{path} has rgb/ and depth/ but no camera.json: add one with fx, fy, cx and cy")
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    raise RecordingError(f"{path} holds {shown or 'nothing'}: give {_KINDS}")


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror or error}") from None
