"""Reading ahead: order, unreadable frames, and a thread that never stays behind."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from storm_ros.core.errors import RecordingError
from storm_ros.core.types import RgbdFrame
from storm_ros.io import open_bop, read_frames


def running() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == "storm-read-frames"]


def test_order_and_content(recording: Any, frames: list[RgbdFrame]) -> None:
    got = list(read_frames(recording, [3, 0, 5]))
    assert [n for n, _ in got] == [3, 0, 5]
    assert all(np.array_equal(f.rgb, frames[n].rgb) for n, f in got)
    assert running() == []


def test_unreadable_frame_is_none_with_a_reason(scene: Path) -> None:
    (scene / "depth" / "000001.png").write_bytes(b"x")
    recording = open_bop(scene)
    got = [(n, frame is None) for n, frame in read_frames(recording, recording.numbers)]
    assert got == [(0, False), (1, True), (2, False), (3, False)]
    assert len(recording.warnings) == 1
    assert "000001.png" in recording.warnings[0]


def test_number_that_is_not_there_is_none(recording: Any) -> None:
    assert next(iter(read_frames(recording, [99])))[1] is None
    assert "numbered 0 to 5" in recording.warnings[0]


def test_thread_ends_when_the_consumer_stops(recording: Any) -> None:
    iterator = read_frames(recording, [0] * 1000)
    next(iterator)
    assert len(running()) == 1
    iterator.close()
    assert running() == []


def test_thread_ends_when_the_consumer_fails(recording: Any) -> None:
    def consume() -> None:
        for _ in read_frames(recording, [0] * 1000):
            raise KeyError("consumer")

    with pytest.raises(KeyError, match="consumer"):
        consume()
    assert running() == []


def test_other_errors_of_the_reader_reach_the_consumer(recording: Any) -> None:
    def broken(number: int) -> NoReturn:
        raise MemoryError(f"frame {number}")

    recording.read = broken
    with pytest.raises(MemoryError, match="frame 2"):
        list(read_frames(recording, [2, 3]))
    assert running() == []


def test_reads_only_a_little_ahead(recording: Any) -> None:
    asked = []
    plain = recording.read
    recording.read = lambda n: (asked.append(n), plain(n))[1]
    iterator = read_frames(recording, [i % 6 for i in range(100)], ahead=2)
    next(iterator)
    iterator.close()
    assert len(asked) <= 5


def test_ahead_must_be_positive(recording: Any) -> None:
    with pytest.raises(ValueError, match="ahead = 0"):
        next(read_frames(recording, [0], ahead=0))


def test_closed_bag_says_so(recording: Any, tmp_path: Path) -> None:
    from storm_ros.io import convert, open_bag

    convert(recording, tmp_path / "a.mcap")
    bag = open_bag(tmp_path / "a.mcap")
    bag.close()
    bag.close()
    with pytest.raises(RecordingError, match="closed already"):
        bag.read(0)
