"""The input doctor: says in plain words what is wrong with the camera's messages, and what to do about it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from storm_ros.ros.complaints import (
    ImageFacts,
    InfoFacts,
    Problem,
    Publisher,
    depth_facts_problems,
    image_facts,
    image_facts_problems,
    info_facts,
    info_facts_problems,
    silence,
    stopped,
    unpaired,
)

IMAGE, DEPTH, INFO = "image", "depth", "camera_info"
TYPES = {IMAGE: "sensor_msgs/msg/Image", DEPTH: "sensor_msgs/msg/Image", INFO: "sensor_msgs/msg/CameraInfo"}

_NOTE_S = 1.5
"""A note that is not repeated is forgotten after this long."""

Graph = Callable[[str], Sequence[Publisher]]
"""Publishers of one of the inputs, by its key."""


@dataclass
class _Input:
    """What is known of one topic."""

    topic: str
    count: int = 0
    arrived_s: float = 0.0
    facts: Any = None
    stamps: deque[int] = field(default_factory=lambda: deque(maxlen=10))


class Doctor:
    """Watches the three inputs and tells what keeps them from being used; thread-safe.

    Problems that come from a message last until a better message comes; notes (of single images) fade when they are
    not repeated. So right input makes it well again by itself.
    """

    def __init__(self, topics: Mapping[str, str], *, slop_s: float, stale_after_s: float) -> None:
        """Take the full names of the topics by their key, for the messages."""
        self.slop_s = slop_s
        self.stale_after_s = stale_after_s
        self._lock = threading.Lock()
        self._topics = dict(topics)
        self.start(0.0)

    def start(self, now_s: float) -> None:
        """Forget everything and begin to watch, at a time of a steady clock in seconds."""
        with self._lock:
            self._inputs = {key: _Input(self._topics[key]) for key in (IMAGE, DEPTH, INFO)}
            self._notes: dict[str, tuple[Problem, float]] = {}
            self._started_s = self._paired_s = now_s
            self._content: list[Problem] = []

    def saw_image(self, message: Any, stamp_ns: int, now_s: float) -> None:
        """Take note of a colour image."""
        self._saw(IMAGE, image_facts(message), stamp_ns, now_s)

    def saw_depth(self, message: Any, stamp_ns: int, now_s: float) -> None:
        """Take note of a depth image."""
        self._saw(DEPTH, image_facts(message), stamp_ns, now_s)

    def saw_info(self, message: Any, now_s: float) -> None:
        """Take note of a camera_info."""
        self._saw(INFO, info_facts(message), 0, now_s)

    def saw_pair(self, now_s: float) -> None:
        """A colour image found its depth image."""
        with self._lock:
            self._paired_s = now_s

    def note(self, problem: Problem, now_s: float) -> None:
        """Report what came out of a single image; it is forgotten unless it is repeated."""
        with self._lock:
            self._notes[problem.key] = (problem, now_s)

    def usable(self) -> bool:
        """Whether the messages at hand can be used, as far as their fields tell."""
        with self._lock:
            return not any(problem.blocks for problem in self._content)

    def stale(self, now_s: float) -> bool:
        """Whether no colour image came for too long."""
        with self._lock:
            seen = self._inputs[IMAGE]
            return now_s - (seen.arrived_s if seen.count else self._started_s) > self.stale_after_s

    def problems(self, now_s: float, graph: Graph | None = None) -> list[Problem]:
        """All that is wrong now, the most basic first.

        Args:
            now_s: time by the steady clock.
            graph: who publishes an input; asked only about silent ones.
        """
        with self._lock:
            self._notes = {k: (p, t) for k, (p, t) in self._notes.items() if now_s - t <= _NOTE_S}
            notes = [problem for problem, _ in self._notes.values()]
            silent = [(key, i) for key, i in self._inputs.items() if self._is_silent(key, i, now_s)]
            content = [] if silent else list(self._content)
            explained = silent or content or any(note.blocks for note in notes)
            pairing = None if explained else self._pairing(now_s)
        found = [self._silence(key, i, now_s, graph) for key, i in silent]
        return [*found, *content, *([pairing] if pairing else []), *notes]

    def _saw(self, key: str, facts: ImageFacts | InfoFacts, stamp_ns: int, now_s: float) -> None:
        with self._lock:
            seen = self._inputs[key]
            seen.count += 1
            seen.arrived_s = now_s
            seen.stamps.append(stamp_ns)
            if facts != seen.facts:
                seen.facts = facts
                self._content = self._judge()

    def _judge(self) -> list[Problem]:
        image, depth, info = (self._inputs[key] for key in (IMAGE, DEPTH, INFO))
        found: list[Problem] = []
        if image.facts:
            found += image_facts_problems(image.facts, image.topic)
        if depth.facts:
            found += depth_facts_problems(depth.facts, image.facts, depth.topic, image.topic)
        if info.facts:
            found += info_facts_problems(info.facts, image.facts, info.topic, image.topic)
        return found

    def _is_silent(self, key: str, seen: _Input, now_s: float) -> bool:
        if key == INFO and seen.count:  # some drivers send it once
            return False
        return now_s - (seen.arrived_s if seen.count else self._started_s) > self.stale_after_s

    def _silence(self, key: str, seen: _Input, now_s: float, graph: Graph | None) -> Problem:
        publishers = graph(key) if graph is not None else None
        if seen.count and (publishers is None or publishers):
            return stopped(key, seen.topic, now_s - seen.arrived_s)
        return silence(key, seen.topic, TYPES[key], publishers, ever=bool(seen.count))

    def _pairing(self, now_s: float) -> Problem | None:
        if now_s - self._paired_s <= self.stale_after_s:
            return None
        image, depth = self._inputs[IMAGE], self._inputs[DEPTH]
        if not image.stamps or not depth.stamps:
            return None
        gap_s = min(abs(a - b) for a in image.stamps for b in depth.stamps) * 1e-9
        return unpaired(gap_s, self.slop_s, image.topic, depth.topic)
