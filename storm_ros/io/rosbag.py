"""ROS 2 recordings: a rosbag2 folder, or a lone .mcap or .db3 file.

Only stamps are read when a bag is opened; images are read and decoded one frame at a time, in any order. A bag that was
cut off (the recorder was killed, the disk was full, ``metadata.yaml`` is missing) gives the frames before the damage,
and a warning.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from storm_ros.core.errors import RecordingError
from storm_ros.core.types import Camera, RgbdFrame
from storm_ros.io.bag_folder import open_storages
from storm_ros.io.messages import camera_of, color_of, depth_of, parse
from storm_ros.io.recording import NANOSECONDS, RecordingBase, rate_of
from storm_ros.io.storage import Entry, Storage, Topic
from storm_ros.io.topics import COMPRESSED, choose_topics, info_beside

_OTHER_CAMERA_PX = 1.0


class Message(NamedTuple):
    """A message by the file it is in."""

    entry: Entry
    storage: Storage

    def read(self) -> bytes:
        """Its serialised bytes."""
        return self.storage.read(self.entry)


def open_bag(
    path: str | Path,
    *,
    image_topic: str | None = None,
    depth_topic: str | None = None,
    info_topic: str | None = None,
    slop_s: float = 0.02,
    rate_hz: float = 30.0,
) -> BagRecording:
    """Open a ROS 2 recording.

    Args:
        path: rosbag2 folder (with or without metadata.yaml), .mcap file or .db3 file.
        image_topic: colour topic; None picks by type and name.
        depth_topic: depth topic, registered to the colour image; None picks by type and name.
        info_topic: camera_info topic of the colour image; None picks the one beside it.
        slop_s: largest difference in seconds between the stamps of colour and depth of one frame.
        rate_hz: frame rate to report where the stamps tell none.

    Raises:
        RecordingError: not a bag, nothing readable in it, or a topic is missing.
    """
    return BagRecording(
        Path(path),
        image_topic=image_topic,
        depth_topic=depth_topic,
        info_topic=info_topic,
        slop_s=slop_s,
        rate_hz=rate_hz,
    )


class BagRecording(RecordingBase):
    """Frames of a bag, numbered from 0 in the order of their stamps; see `open_bag`."""

    def __init__(
        self,
        path: Path,
        *,
        image_topic: str | None,
        depth_topic: str | None,
        info_topic: str | None,
        slop_s: float,
        rate_hz: float,
    ) -> None:
        if not 0 <= slop_s < float("inf"):
            raise RecordingError(f"slop_s is {slop_s} (--slop): a finite time of 0 seconds or more is needed")
        self._stack = contextlib.ExitStack()
        try:
            storages, notes = open_storages(path, self._stack)
            topics = _joined(storages)
            self._chosen = choose_topics(
                topics, image_topic=image_topic, depth_topic=depth_topic, info_topic=info_topic
            )
            colors, depths, self._infos = (_messages(storages, t.name) for t in self._chosen)
            pairs = pair_stamps(_stamps(colors), _stamps(depths), round(slop_s * NANOSECONDS))
            if not pairs:
                raise RecordingError(
                    f"no image of {self._chosen.image.name} has a depth image of {self._chosen.depth.name} within "
                    f"{slop_s:g} s: {_nearest_text(colors, depths)}; raise slop_s "
                    "(--slop SECONDS) or synchronise the cameras"
                )
            self._pairs = [(colors[i], depths[j]) for i, j in pairs]
            rate = rate_of([color.entry.stamp_ns for color, _ in self._pairs], rate_hz)
            super().__init__(str(path), range(len(pairs)), rate_hz=rate)
            self.warnings.extend(notes)
            if alone := len(colors) - len(pairs):
                self.warnings.append(
                    f"{alone} of {len(colors)} colour images have no depth within {slop_s:g} s (--slop SECONDS)"
                )
            self._info_stamps = np.array(_stamps(self._infos), dtype=np.int64)
            self._cameras: dict[bytes, Camera] = {}
            self._camera = self._camera_at(self._pairs[0][0].entry.stamp_ns)
            self._check_cameras(topics, storages)
        except BaseException:
            self._stack.close()
            raise

    @property
    def camera(self) -> Camera:
        """Intrinsics of the first frame."""
        return self._camera

    @property
    def topics(self) -> tuple[str, str, str]:
        """Names of the colour, depth and camera_info topics that are read."""
        return self._chosen.image.name, self._chosen.depth.name, self._chosen.info.name

    def close(self) -> None:
        """Release files; twice does no harm."""
        self._stack.close()

    def _read(self, number: int) -> RgbdFrame:
        color, depth = self._pairs[number]
        image = parse(color.read(), self._chosen.image.msgtype)
        depth_image = parse(depth.read(), self._chosen.depth.msgtype)
        return RgbdFrame(
            color_of(image, self._chosen.image.msgtype == COMPRESSED),
            depth_of(depth_image, self._chosen.depth.msgtype == COMPRESSED),
            self._camera_at(color.entry.stamp_ns),
            stamp_ns=color.entry.stamp_ns,
            index=number,
            frame_id=image.header.frame_id or RgbdFrame.frame_id,
        )

    def _camera_at(self, stamp_ns: int) -> Camera:
        """The camera of the camera_info nearest in time; equal ones are parsed once."""
        nearest = int(np.abs(self._info_stamps - stamp_ns).argmin())
        data = self._infos[nearest].read()
        body = data[:4] + data[12:]  # all but the stamp
        if body not in self._cameras:
            message = parse(data, self._chosen.info.msgtype)
            try:
                self._cameras[body] = camera_of(message)
            except ValueError as error:
                raise RecordingError(f"{self._chosen.info.name}: {error}") from None
            if np.any(np.asarray(message.d) != 0):
                text = f"{self._chosen.info.name} has lens distortion, which is not undone: use rectified images"
                if text not in self.warnings:
                    self.warnings.append(text)
        return self._cameras[body]

    def _check_cameras(self, topics: Sequence[Topic], storages: Sequence[Storage]) -> None:
        """Warn where depth has another camera than colour: it is then not registered."""
        info = info_beside(self._chosen.depth.name, topics)
        if info is None or info.name == self._chosen.info.name:
            return
        message: Any = parse(_messages(storages, info.name)[0].read(), info.msgtype)
        mine, other = self._camera, np.asarray(message.k, dtype=np.float64)
        if np.abs(other - mine.k.ravel()).max() > _OTHER_CAMERA_PX:
            self.warnings.append(
                f"{self._chosen.depth.name} has another camera matrix than {self._chosen.image.name}: it is not "
                "registered to the colour image; record aligned depth (align_depth.enable:=true)"
            )


def pair_stamps(colors_ns: Sequence[int], depths_ns: Sequence[int], slop_ns: int) -> list[tuple[int, int]]:
    """Pair every colour stamp with the nearest depth stamp; a depth image serves one colour image only.

    Args:
        colors_ns: ascending stamps.
        depths_ns: ascending stamps.
        slop_ns: largest difference.

    Returns:
        Pairs of indices, ascending.
    """
    if not len(colors_ns) or not len(depths_ns):
        return []
    a, b = np.asarray(colors_ns, dtype=np.int64), np.asarray(depths_ns, dtype=np.int64)
    after = np.clip(np.searchsorted(b, a), 0, len(b) - 1)
    before = np.clip(after - 1, 0, len(b) - 1)
    nearest = np.where(np.abs(b[before] - a) <= np.abs(b[after] - a), before, after)
    gap = np.abs(b[nearest] - a)
    best: dict[int, int] = {}
    for i in np.flatnonzero(gap <= slop_ns):
        j = int(nearest[i])
        if j not in best or gap[i] < gap[best[j]]:
            best[j] = int(i)
    return sorted((i, j) for j, i in best.items())


def _nearest_text(colors: Sequence[Message], depths: Sequence[Message]) -> str:
    if not colors or not depths:
        return f"there are {len(colors)} colour and {len(depths)} depth images"
    a, b = np.array(_stamps(colors)), np.array(_stamps(depths))
    gap_ns = min(int(np.abs(b - stamp).min()) for stamp in a)
    return f"the closest two are {gap_ns / NANOSECONDS:.3f} s apart"


def _stamps(messages: Sequence[Message]) -> list[int]:
    return [m.entry.stamp_ns for m in messages]


def _messages(storages: Sequence[Storage], topic: str) -> list[Message]:
    """Messages of a topic by stamp; where the driver left every stamp 0, the times of recording stand in."""
    found = [Message(e, s) for s in storages for e in s.entries if e.topic == topic]
    if not any(m.entry.stamp_ns for m in found):
        found = [Message(m.entry._replace(stamp_ns=m.entry.log_ns), m.storage) for m in found]
    return sorted(found, key=lambda m: (m.entry.stamp_ns, m.entry.log_ns))


def _joined(storages: Sequence[Storage]) -> list[Topic]:
    counts: dict[tuple[str, str], int] = {}
    for topic in (t for s in storages for t in s.topics):
        key = (topic.name, topic.msgtype)
        counts[key] = counts.get(key, 0) + topic.count
    return [Topic(name, msgtype, count) for (name, msgtype), count in counts.items()]
