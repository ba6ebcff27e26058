"""Reads the SQLite files (.db3) of rosbag2; of a damaged one, the messages before the damage."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

from storm_ros.core.errors import RecordingError
from storm_ros.io.storage import HEADED_TYPES, STAMP_BYTES, Entry, Topic, header_stamp_ns

MAGIC = b"SQLite format 3\x00"


class SqliteFile:
    """One .db3 file as a `Storage`.

    Args:
        path: the file.
        unpack: decompressor of every single message, where the bag was recorded so.

    Raises:
        RecordingError: not a rosbag2 database, or one without a single readable message.
    """

    def __init__(self, path: Path, unpack: Callable[[bytes], bytes] | None = None) -> None:
        self._path, self._unpack = path, unpack
        self._lock = threading.Lock()
        self.damage: str | None = None
        unfinished = any(path.with_name(path.name + end).exists() for end in ("-wal", "-journal"))
        try:
            uri = path.resolve().as_uri() + ("?mode=ro" if unfinished else "?mode=ro&immutable=1")
            self._base = sqlite3.connect(uri, uri=True, check_same_thread=False)
        except sqlite3.Error as error:
            raise RecordingError(f"cannot open {path}: {error}") from None
        self._release = weakref.finalize(self, self._base.close)
        try:
            self._scan()
        except BaseException:
            self.close()
            raise

    def read(self, entry: Entry) -> bytes:
        """The serialised message.

        Raises:
            RecordingError: its bytes cannot be read.
        """
        try:
            with self._lock:
                row = self._base.execute("SELECT data FROM messages WHERE id = ?", entry.place).fetchone()
        except sqlite3.Error as error:
            raise RecordingError(f"message {entry.place[0]} of {self._path} cannot be read: {error}") from None
        if row is None:
            raise RecordingError(f"message {entry.place[0]} of {self._path} is gone: it was changed after opening")
        try:
            return self._unpack(row[0]) if self._unpack else row[0]
        except ValueError as error:
            raise RecordingError(f"message {entry.place[0]} of {self._path} cannot be decompressed: {error}") from None

    def close(self) -> None:
        """Release the file; twice does no harm."""
        self._release()

    def _scan(self) -> None:
        try:
            self._base.execute("PRAGMA writable_schema = ON")  # opened read-only; lets a file cut short be read at all
            rows = self._base.execute("SELECT id, name, type, serialization_format FROM topics").fetchall()
        except sqlite3.Error as error:
            raise RecordingError(f"{self._path} is not a readable rosbag2 database: {error}") from None
        wanted = {key: name for key, name, kind, encoding in rows if kind in HEADED_TYPES and encoding == "cdr"}
        counts: dict[int, int] = {}
        found: list[Entry] = []
        head = "data" if self._unpack else f"substr(data, 1, {STAMP_BYTES})"
        only = f"CASE WHEN topic_id IN ({','.join(map(str, wanted))}) THEN {head} END"
        query = f"SELECT id, topic_id, timestamp, {only} FROM messages ORDER BY id"
        try:
            for key, topic, log_ns, data in self._base.execute(query):
                counts[topic] = counts.get(topic, 0) + 1
                if data is not None:
                    start = self._unpack(data) if self._unpack else data
                    found.append(Entry(header_stamp_ns(start[:STAMP_BYTES]), log_ns, wanted[topic], (key,)))
        except (sqlite3.Error, ValueError) as error:
            self.damage = f"{self._path} is cut off or damaged after {sum(counts.values())} messages ({error})"
            if not counts:
                raise RecordingError(f"{self.damage}: nothing could be read") from None
        self.entries = tuple(found)
        self.topics = tuple(Topic(name, kind, counts.get(key, 0)) for key, name, kind, _ in rows)
