"""The mailbox holds the newest item, counts what was lost, and never lets its reader fall behind."""

from __future__ import annotations

import threading
import time

from storm_ros.ros.mailbox import Mailbox


def test_only_the_newest_is_taken_and_the_others_are_counted():
    box: Mailbox[int] = Mailbox()
    for number in range(5):
        box.put(number)
    assert (box.take(0), box.received, box.dropped) == (4, 5, 4)
    assert box.take(0) is None


def test_taken_items_are_not_dropped():
    box: Mailbox[int] = Mailbox()
    for number in range(3):
        box.put(number)
        assert box.take(0) == number
    assert (box.received, box.dropped) == (3, 0)


def test_discarded_items_are_not_counted_as_dropped():
    box: Mailbox[int] = Mailbox()
    box.put(1)
    box.discard()
    box.put(2)
    assert (box.take(0), box.dropped) == (2, 0)


def test_clear_counts_from_zero():
    box: Mailbox[int] = Mailbox()
    box.put(1)
    box.put(2)
    box.wake()
    box.clear()
    assert (box.received, box.dropped, box.take(0)) == (0, 0, None)


def test_wake_ends_the_wait_without_an_item():
    box: Mailbox[int] = Mailbox()
    taken: list[object] = []
    reader = threading.Thread(target=lambda: taken.append(box.take(90)))
    reader.start()
    time.sleep(0.05)
    box.wake()
    reader.join(60)
    assert not reader.is_alive()
    assert taken == [None]


def test_put_ends_the_wait():
    box: Mailbox[int] = Mailbox()
    taken: list[object] = []
    reader = threading.Thread(target=lambda: taken.append(box.take(90)))
    reader.start()
    time.sleep(0.05)
    box.put(7)
    reader.join(60)
    assert taken == [7]


def test_fast_writer_and_slow_reader():
    """What is read is never older than what was there when the reader came; every item is read or counted."""
    box: Mailbox[int] = Mailbox()
    count = 400
    newest = 0

    def write() -> None:
        nonlocal newest
        for number in range(1, count + 1):
            newest = number
            box.put(number)
            time.sleep(0.0002)

    writer = threading.Thread(target=write)
    writer.start()
    read: list[int] = []
    while writer.is_alive() or box.received < count:
        before = box.received
        item = box.take(0.05)
        if item is not None:
            assert item >= before
            read.append(item)
        time.sleep(0.003)
    last = box.take(0)
    if last is not None:
        read.append(last)
    writer.join()
    assert read == sorted(set(read))
    assert read[-1] == newest == count
    assert len(read) + box.dropped == box.received == count
    assert box.dropped > 0
