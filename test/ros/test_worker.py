"""The worker processes the newest items, does requests between two of them, and survives what fails."""

from __future__ import annotations

import threading
import time

import pytest

from storm_ros.ros.mailbox import Mailbox
from storm_ros.ros.worker import Worker


class Bench:
    """A worker whose items are recorded."""

    def __init__(self, held: bool = False) -> None:
        self.box: Mailbox[int] = Mailbox()
        self.done: list[int] = []
        self.errors: list[Exception] = []
        self.busy = threading.Event()
        self.go = threading.Event()
        if not held:
            self.go.set()
        self.worker: Worker[int] = Worker(self.box, self.process, self.errors.append)

    def process(self, item: int) -> None:
        self.busy.set()
        self.go.wait(60)
        if item < 0:
            raise RuntimeError("bad item")
        self.done.append(item)
        self.busy.clear()


def wait_until(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.worker.stop()


def test_items_are_processed_while_it_runs(bench):
    bench.worker.start()
    bench.box.put(1)
    wait_until(lambda: bench.done == [1])
    bench.worker.stop()
    bench.box.put(2)
    time.sleep(0.05)
    assert bench.done == [1]
    bench.worker.start()
    wait_until(lambda: bench.done == [1, 2])


def test_failure_is_reported_and_the_next_item_processed(bench):
    bench.worker.start()
    bench.box.put(-1)
    wait_until(lambda: bench.errors)
    bench.box.put(3)
    wait_until(lambda: bench.done == [3])
    assert str(bench.errors[0]) == "bad item"


def test_request_is_done_between_items():
    bench = Bench(held=True)
    bench.worker.start()
    answers: list[bool] = []
    try:
        for number in range(4):
            bench.go.clear()
            bench.box.put(number)
            wait_until(bench.busy.is_set)
            asker = threading.Thread(
                target=lambda: answers.append(bench.worker.between(lambda: not bench.busy.is_set()))
            )
            asker.start()
            time.sleep(0.02)
            bench.go.set()
            asker.join(60)
        assert answers == [True] * 4
        assert bench.done == [0, 1, 2, 3]
    finally:
        bench.go.set()
        bench.worker.stop()


def test_request_raises_what_its_job_raised(bench):
    bench.worker.start()
    with pytest.raises(KeyError, match="missing"):
        bench.worker.between(lambda: {}["missing"])


def test_request_without_a_thread_is_done_at_once(bench):
    assert bench.worker.between(lambda: threading.current_thread().name) == threading.current_thread().name


def test_request_from_within_does_not_wait_for_itself(bench):
    bench.worker.start()
    assert bench.worker.between(lambda: bench.worker.between(lambda: 5)) == 5


def test_requests_are_never_left_waiting_when_it_stops():
    """Requests from many threads while it starts and stops: each is answered."""
    bench = Bench()
    answers: list[int] = []

    def ask(number: int) -> None:
        for _ in range(50):
            answers.append(bench.worker.between(lambda: number))

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        bench.worker.start()
        bench.worker.stop()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert sorted(answers) == sorted([n for n in range(4) for _ in range(50)])


def test_start_and_stop_twice_leave_no_thread():
    bench = Bench()

    def workers() -> int:
        return sum(thread.name == "storm_worker" for thread in threading.enumerate())

    before = workers()
    for _ in range(5):
        bench.worker.start()
        bench.worker.start()
        assert workers() == before + 1
        bench.worker.stop()
        bench.worker.stop()
    assert workers() == before
