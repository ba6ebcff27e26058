"""Reads MCAP files front to back, so that one cut off by a crash or a full disk still gives its whole messages.

The packaged readers ask for the index at the end of the file, which just such a file lacks. Here the records are walked
once: of every image and camera_info message only the header's stamp is looked at and its place remembered.
"""

from __future__ import annotations

import os
import struct
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from storm_ros.core.errors import RecordingError
from storm_ros.io.storage import HEADED_TYPES, STAMP_BYTES, Entry, Topic, header_stamp_ns, unlz4, unzstd

MAGIC = b"\x89MCAP0\r\n"

_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END, _FOOTER = 0x03, 0x04, 0x05, 0x06, 0x0F, 0x02
_LAST_KNOWN, _FIRST_PRIVATE = 0x0F, 0x80
_RECORD = struct.Struct("<BQ")
_MESSAGE_HEAD = struct.Struct("<HIQQ")
_CHUNK_HEAD = struct.Struct("<QQQII")
_PEEK = _RECORD.size + 64
_CACHED_CHUNKS = 3

Read = Callable[[int, int], bytes]


class _CutError(Exception):
    """Records end in the middle of one, or in garbage."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


class _Chunk(NamedTuple):
    """Where the records of a chunk are in the file; compression is '' for none."""

    start: int
    size: int
    compression: str


class McapFile:
    """One MCAP file as a `Storage`.

    Args:
        path: the file.
        unpack: decompressor of every single message, where the bag was recorded so.

    Raises:
        RecordingError: not an MCAP file, or one without a single readable message.
    """

    def __init__(self, path: Path, unpack: Callable[[bytes], bytes] | None = None) -> None:
        self._path, self._unpack = path, unpack
        self._schemas: dict[int, str] = {}
        self._channels: dict[int, tuple[str, str, str]] = {}
        self._counts: dict[int, int] = {}
        self._chunks: list[_Chunk] = []
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._found: list[Entry] = []
        self.damage: str | None = None
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise RecordingError(f"cannot read {path}: {error.strerror or error}") from None
        self._release = weakref.finalize(self, os.close, self._file)
        try:
            self._scan(os.fstat(self._file).st_size)
        except BaseException:
            self.close()
            raise
        self.entries = tuple(self._found)
        self.topics = tuple(
            Topic(name, msgtype, self._counts.get(key, 0)) for key, (name, msgtype, _) in self._channels.items()
        )

    def read(self, entry: Entry) -> bytes:
        """The serialised message.

        Raises:
            RecordingError: its bytes cannot be read.
        """
        chunk, at, size = entry.place
        if not self._release.alive:
            raise RecordingError(f"{self._path} is closed already")
        try:
            with self._lock:
                data = self._source(chunk)(at, size)
            if len(data) != size:
                raise RecordingError(f"{self._path} ends inside the message at byte {at}: it was cut off after opening")
            return self._unpack(data) if self._unpack else data
        except ValueError as error:
            raise RecordingError(f"a message of {self._path} cannot be decompressed: {error}") from None

    def close(self) -> None:
        """Release the file; twice does no harm."""
        self._cache.clear()
        self._release()

    def _pread(self, at: int, size: int) -> bytes:
        return os.pread(self._file, size, at)

    def _source(self, chunk: int) -> Read:
        """Reader of the space that a place in `chunk` counts in: the file, or the decompressed chunk."""
        if chunk < 0 or not self._chunks[chunk].compression:
            return self._pread
        if chunk not in self._cache:
            where = self._chunks[chunk]
            self._cache[chunk] = _decompress(self._pread(where.start, where.size), where.compression)
            while len(self._cache) > _CACHED_CHUNKS:
                self._cache.popitem(last=False)
        data = self._cache[chunk]
        return lambda at, size: data[at : at + size]

    def _scan(self, size: int) -> None:
        head = self._pread(0, len(MAGIC))
        if head != MAGIC:
            what = "is empty" if not size else f"begins with {head!r}"
            raise RecordingError(f"{self._path} {what}: it is not an MCAP file")
        try:
            for opcode, at, length, peek in _walk(self._pread, len(MAGIC), size):
                if opcode == _CHUNK:
                    self._scan_chunk(at, length, peek)
                elif opcode in (_DATA_END, _FOOTER):
                    break
                else:
                    self._take_top(opcode, at, length, peek)
            else:
                self.damage = f"{self._path} ends at byte {size} without its index: the recording was cut off"
        except _CutError as cut:
            self.damage = f"{self._path} is cut off or damaged at byte {cut.at} of {size}"
            self._salvage(cut.at, size)
        if self.damage and not self._counts:
            raise RecordingError(f"{self.damage}: not one whole message could be read before that")

    def _take_top(self, opcode: int, at: int, length: int, peek: bytes) -> None:
        try:
            self._take(-1, self._pread, opcode, at, length, peek)
        except (ValueError, struct.error):
            raise _CutError(at - _RECORD.size) from None

    def _scan_chunk(self, at: int, length: int, peek: bytes) -> None:
        try:
            compression, start, size = _chunk_body(at, length, peek)
            self._chunks.append(_Chunk(start, size, compression))
            number = len(self._chunks) - 1
            source = self._source(number)
            bounds = (0, len(self._cache[number])) if compression else (start, start + size)
            for record in _walk(source, *bounds):
                self._take(number, source, *record)
        except (_CutError, ValueError, struct.error) as error:
            reason = "its records are broken" if isinstance(error, _CutError) else error
            self.damage = f"{self._path}: the chunk at byte {at} is damaged and left out from there: {reason}"

    def _salvage(self, at: int, size: int) -> None:
        """Take the whole messages of a chunk that the end of the file cuts; a compressed one cannot be opened."""
        peek = self._pread(at, _PEEK)
        if len(peek) < _PEEK or peek[0] != _CHUNK:
            return
        try:
            compression, start, _ = _chunk_body(at + _RECORD.size, 2**63, peek[_RECORD.size :])
            if compression:
                return
            self._chunks.append(_Chunk(start, size - start, ""))
            for record in _walk(self._pread, start, size):
                self._take(len(self._chunks) - 1, self._pread, *record)
        except (_CutError, ValueError, struct.error):
            return

    def _take(self, chunk: int, source: Read, opcode: int, at: int, length: int, peek: bytes) -> None:
        if opcode == _MESSAGE:
            channel, _, log_ns, _ = _MESSAGE_HEAD.unpack_from(peek)
            self._counts[channel] = self._counts.get(channel, 0) + 1
            name, msgtype, encoding = self._channels.get(channel, ("", "", ""))
            if msgtype in HEADED_TYPES and encoding == "cdr":
                skip = _MESSAGE_HEAD.size
                place = (chunk, at + skip, length - skip)
                head = peek[skip : skip + STAMP_BYTES]
                if self._unpack:
                    head = self._unpack(source(*place[1:]))[:STAMP_BYTES]
                self._found.append(Entry(header_stamp_ns(head), log_ns, name, place))
        elif opcode == _SCHEMA:
            body = source(at, length)
            self._schemas[struct.unpack_from("<H", body)[0]] = _string(body, 2)[0]
        elif opcode == _CHANNEL:
            body = source(at, length)
            key, schema = struct.unpack_from("<HH", body)
            name, after = _string(body, 4)
            self._channels[key] = (name, self._schemas.get(schema, ""), _string(body, after)[0])


def _walk(read: Read, start: int, end: int) -> Iterator[tuple[int, int, int, bytes]]:
    """Every record between two places: its opcode, where its body is, the body's length and first bytes."""
    at = start
    while at < end:
        head = read(at, _PEEK)
        if len(head) < _RECORD.size:
            raise _CutError(at)
        opcode, length = _RECORD.unpack_from(head)
        body = at + _RECORD.size
        unknown = opcode == 0 or _LAST_KNOWN < opcode < _FIRST_PRIVATE
        if unknown or body + length > end or (opcode == _MESSAGE and length < _MESSAGE_HEAD.size):
            raise _CutError(at)
        yield opcode, body, length, head[_RECORD.size : _RECORD.size + length]
        at = body + length


def _chunk_body(at: int, length: int, peek: bytes) -> tuple[str, int, int]:
    """Compression of a chunk, where its records begin, and their size in the file."""
    compression, after = _string(peek, _CHUNK_HEAD.size - 4)
    (size,) = struct.unpack_from("<Q", peek, after)
    start = at + after + 8
    if start + size > at + length:
        raise ValueError("its size does not fit its record")
    return compression, start, size


def _decompress(data: bytes, compression: str) -> bytes:
    if compression == "zstd":
        return unzstd(data)
    if compression == "lz4":
        return unlz4(data)
    raise ValueError(f"unknown compression {compression!r}")


def _string(body: bytes, at: int) -> tuple[str, int]:
    (size,) = struct.unpack_from("<I", body, at)
    if at + 4 + size > len(body):
        raise ValueError("a text runs over the end of its record")
    return body[at + 4 : at + 4 + size].decode("utf-8", "replace"), at + 4 + size
