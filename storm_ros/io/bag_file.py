"""Writes ROS 2 bags that appear at their place when they are complete.

- ``NAME.mcap`` and ``NAME.db3`` become one file. Foxglove opens the .mcap as it is, and so does
  ``ros2 bag play NAME.mcap`` (Jazzy and later find the storage out; Humble wants ``-s mcap`` before the name).
  No ``metadata.yaml`` is needed: MCAP carries what it says inside.
- any other name becomes a rosbag2 folder: ``NAME/NAME.mcap`` with ``NAME/metadata.yaml``.

Until `close` the messages lie in a hidden folder ``.NAME.partial-*`` beside the result. `close` also runs when an error
or Ctrl-C ends the ``with`` block: what was written so far is then a complete bag. After a hard kill the .mcap in that
folder holds all but the last megabyte, and `storm_ros.io.open_recording` reads it (it needs no index).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from storm_ros.core.errors import OutputError
from storm_ros.io.files import make_sibling_folder, output_error, replace_folder
from storm_ros.io.messages import typestore

if TYPE_CHECKING:
    from typing_extensions import Self

_METADATA_VERSION = 8  # the newest that ROS 2 Humble reads too
_LONE = (".mcap", ".db3")


def check_place(path: Path) -> None:
    """Prove that a bag may be written to a place: a lone file there is replaced, anything else is not.

    Raises:
        OutputError: something else lies there.
    """
    if path.is_dir() or (path.exists() and path.suffix not in _LONE):
        raise OutputError(f"cannot write {path}: it exists already; remove it or choose another name")


class BagFile:
    """A bag under construction.

    Args:
        path: where it is to be; its ending chooses the kind (see the module's text).
        compress: zstd for the chunks of an MCAP file: smaller, slower.

    Raises:
        OutputError: the place cannot be written, or holds a folder already.
        BackendUnavailableError: `rosbags` is missing.
    """

    def __init__(self, path: str | Path, *, compress: bool = False) -> None:
        self._path = Path(path)
        self._store = typestore()
        self._lone = self._path.suffix in _LONE
        check_place(self._path)
        self._folder = make_sibling_folder(self._path)
        self._connections: dict[str, Any] = {}
        self._writer: Any = None
        try:
            self._writer = self._open(compress and self._path.suffix != ".db3")
        except OSError as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise output_error(self._path, error) from None

    def write(self, topic: str, message: Any, log_ns: int, *, latched: bool = False) -> None:
        """Append one message.

        Args:
            topic: its topic; the type must stay the same.
            message: made by `storm_ros.io.messages.make`.
            log_ns: time of recording, nanoseconds.
            latched: late subscribers get it too when the bag is played (transient local).

        Raises:
            OutputError: the bag is closed, or the disk is full.
        """
        if self._writer is None:
            raise OutputError(f"cannot write {self._path}: it is closed already")
        try:
            if topic not in self._connections:
                self._connections[topic] = self._writer.add_connection(
                    topic, message.__msgtype__, typestore=self._store, offered_qos_profiles=_qos(latched)
                )
            data = self._store.serialize_cdr(message, message.__msgtype__)
            self._writer.write(self._connections[topic], max(int(log_ns), 0), data)
        except OSError as error:
            raise output_error(self._path, error) from None

    def close(self) -> None:
        """Complete the bag and move it to its place; twice does no harm.

        Raises:
            OutputError: the disk is full, or the place cannot be written.
        """
        writer, self._writer = self._writer, None
        if writer is None:
            return
        bag = self._folder / self._path.stem
        try:
            writer.close()
            if self._lone:
                os.replace(bag / self._path.name, self._path)
            else:
                replace_folder(bag, self._path)
        except OSError as error:
            raise output_error(self._path, error) from None
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, compress: bool) -> Any:
        from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

        plugin = StoragePlugin.SQLITE3 if self._path.suffix == ".db3" else StoragePlugin.MCAP
        writer = Writer(self._folder / self._path.stem, version=_METADATA_VERSION, storage_plugin=plugin)
        if compress:
            writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        writer.open()
        return writer


def _qos(latched: bool) -> list:
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    forever = QosTime(0x7FFFFFFF, 0xFFFFFFFF)
    return [
        Qos(
            QosHistory.KEEP_LAST,
            1 if latched else 10,
            QosReliability.RELIABLE,
            QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
            forever,
            forever,
            QosLiveliness.AUTOMATIC,
            forever,
            False,
        )
    ]
