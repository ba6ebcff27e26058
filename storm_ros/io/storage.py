"""What the two storage formats of rosbag2 have in common: topics, an index of stamps, and messages by index entry."""

from __future__ import annotations

import importlib
import struct
from types import ModuleType
from typing import NamedTuple, Protocol

from storm_ros.core.errors import RecordingError

HEADED_TYPES = frozenset({"sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/CameraInfo"})
"""Message types that are read: all begin with a std_msgs/Header."""

STAMP_BYTES = 12
"""Bytes of a serialised message that hold its stamp: 4 of encapsulation, then seconds and nanoseconds."""


class Topic(NamedTuple):
    """A topic with its type and the number of messages found."""

    name: str
    msgtype: str
    count: int


class Entry(NamedTuple):
    """Where one message is.

    Attributes:
        stamp_ns: of the message's header.
        log_ns: when it was recorded.
        topic: its topic.
        place: where its bytes are, in the storage's own terms.
    """

    stamp_ns: int
    log_ns: int
    topic: str
    place: tuple[int, ...]


class Storage(Protocol):
    """One file of a bag, indexed at once and read by entry."""

    topics: tuple[Topic, ...]
    entries: tuple[Entry, ...]
    damage: str | None
    """Why the end could not be read, in words; None for a whole file."""

    def read(self, entry: Entry) -> bytes:
        """The serialised message.

        Raises:
            RecordingError: its bytes cannot be read.
        """
        ...

    def close(self) -> None:
        """Release the file; twice does no harm."""
        ...


def header_stamp_ns(head: bytes) -> int:
    """Stamp of a serialised message that begins with a std_msgs/Header.

    Args:
        head: at least its first `STAMP_BYTES`.

    Raises:
        ValueError: shorter, or not in CDR.
    """
    if len(head) < STAMP_BYTES or head[0] != 0 or head[1] not in (0, 1):
        raise ValueError("a message does not begin with a header in CDR")
    seconds, nanoseconds = struct.unpack_from("<iI" if head[1] else ">iI", head, 4)
    return seconds * 1_000_000_000 + nanoseconds


def unzstd(data: bytes) -> bytes:
    """Decompress zstd, by whichever package brings it.

    Raises:
        ValueError: damaged data.
        RecordingError: no such package.
    """
    module = _zstd()
    try:
        if module.__name__ == "zstandard":
            return module.ZstdDecompressor().decompressobj().decompress(data)
        return module.decompress(data)
    except module.ZstdError as reason:
        raise ValueError(f"zstd: {reason}") from None


def unlz4(data: bytes) -> bytes:
    """Decompress an lz4 frame.

    Raises:
        ValueError: damaged data.
        RecordingError: the package is missing.
    """
    try:
        import lz4.frame
    except ImportError:
        raise RecordingError("the bag is compressed with lz4: pip install lz4") from None
    try:
        return lz4.frame.decompress(data)
    except RuntimeError as reason:
        raise ValueError(f"lz4: {reason}") from None


def _zstd() -> ModuleType:
    for name in ("compression.zstd", "backports.zstd", "zstandard"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise RecordingError("the bag is compressed with zstd: pip install zstandard")
