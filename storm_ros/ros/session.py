"""All that exists while the node is configured: tracker, publishers, worker, inputs, and the watch on them."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportPrivateImportUsage=false
from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType

from storm_ros.core.errors import StormError
from storm_ros.core.tracker import ObjectState, Tracker
from storm_ros.core.types import RgbdFrame, TrackEvent, TrackResult
from storm_ros.ros import status
from storm_ros.ros.complaints import Problem, late, unusable, without_depth
from storm_ros.ros.conversions import frame_of, stamp_ns
from storm_ros.ros.doctor import DEPTH, Doctor
from storm_ros.ros.inputs import Inputs, Pair, topics
from storm_ros.ros.mailbox import Mailbox
from storm_ros.ros.objects import put_object, set_live
from storm_ros.ros.parameters import Settings
from storm_ros.ros.publishing import Publishers
from storm_ros.ros.references import Scene
from storm_ros.ros.snapshot import Snapshot
from storm_ros.ros.statistics import Statistics
from storm_ros.ros.throttle import Throttle
from storm_ros.ros.worker import Worker

_TICK_S = 0.2
_DIAGNOSTICS_S = 1.0


class Session:
    """The working node between configure and cleanup.

    Callbacks only fill the mailbox; the worker computes and publishes; a timer watches the input and reports.
    """

    def __init__(self, node: Any, tracker: Tracker, settings: Settings) -> None:
        self._tracker: Tracker | None = tracker
        self.settings = settings
        self.publishers = Publishers(node, settings)
        self.snapshot: Snapshot | None = None
        self._node = node
        self._active = self._closed = False
        self._watching = threading.Lock()
        self._problems: tuple[Problem, ...] = ()
        self._statistics = Statistics()
        self._reported_s = self._done_s = 0.0
        self._throttle = Throttle()
        self._mailbox: Mailbox[Pair] = Mailbox()
        self.worker: Worker[Pair] = Worker(self._mailbox, self._process, self._failed)
        node_settings = settings.node
        self._doctor = Doctor(
            topics(node), slop_s=node_settings.sync.slop, stale_after_s=node_settings.input.stale_after
        )
        self._inputs = Inputs(node, self._doctor, self._mailbox.put, self._failed, node_settings.sync)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # simulated time may stand still
        watch = MutuallyExclusiveCallbackGroup()
        self._timer = node.create_timer(_TICK_S, self._tick, callback_group=watch, clock=steady)

    @property
    def tracker(self) -> Tracker:
        """The tracker; none after `close`."""
        if self._tracker is None:
            raise StormError("the node was cleaned up: configure it again")
        return self._tracker

    def activate(self) -> None:
        """Listen to the camera and begin to compute."""
        self._mailbox.clear()
        self._statistics = Statistics()
        self._done_s = time.monotonic()
        self._doctor.start(self._done_s)
        self._inputs.restart(self.settings.node.sync)
        self._active = True
        self.worker.start()
        self._inputs.subscribe()

    def deactivate(self) -> None:
        """Stop to listen and to compute; objects and models stay. Twice does no harm."""
        self._active = False
        self._inputs.close()
        self.worker.stop()
        self._mailbox.discard()
        self._problems = ()

    def close(self) -> None:
        """Give up everything, also what an executor may still hold by a callback of this. Twice does no harm."""
        self.deactivate()
        with self._watching:  # a report under way still needs its publishers
            self._closed = True
            self._node.destroy_timer(self._timer)
            self.publishers.close()
        tracker, self._tracker, self.snapshot = self._tracker, None, None
        if tracker is not None:
            tracker.close()

    def change(self, settings: Settings) -> None:
        """Take over changed settings between two frames."""

        def take_over() -> list[str]:
            frames = {name: self.publishers.frame_of(name) for name in self.tracker.references}
            pairing = settings.node.sync != self.settings.node.sync
            self.settings = self.publishers.settings = settings
            self._doctor.slop_s = settings.node.sync.slop
            self._doctor.stale_after_s = settings.node.input.stale_after
            if pairing:
                self._inputs.pair_by(settings.node.sync)
            set_live(self.tracker, settings.storm)
            return [name for name, frame in frames.items() if self.publishers.frame_of(name) != frame]

        for name in self.worker.between(take_over):
            self.publishers.show_mesh(name, self.tracker.references[name].mesh)

    def add(self, state: ObjectState) -> None:
        """Put an object into the tracker between two frames."""
        reference = state.reference

        def swap() -> None:
            now_ns = None if self.snapshot is None else self.snapshot.frame.stamp_ns
            put_object(self.tracker, state, now_ns)
            self.publishers.add_object(reference.object_id)

        self.worker.between(swap)
        self.publishers.show_mesh(reference.object_id, reference.mesh)

    def remove(self, names: Sequence[str]) -> None:
        """Take objects out of the tracker between two frames."""

        def take_out() -> None:
            for name in names:
                self.tracker.clear_reference(name)
                self.publishers.remove_object(name)

        self.worker.between(take_out)

    def search_again(self, names: Sequence[str]) -> None:
        """Give up the poses of objects between two frames."""

        def give_up() -> None:
            last = self.snapshot
            for name in names:
                result = self.tracker.relocalize(name, 0 if last is None else last.frame.stamp_ns)
                if last is not None:
                    self._without(result, last)

        self.worker.between(give_up)

    def scene(self) -> Scene:
        """What a request can point at now."""
        snapshot, names = self.snapshot, tuple(self.tracker.references)
        camera = None if snapshot is None else snapshot.frame.camera
        why = self._why_no_image(snapshot)
        if why or snapshot is None:
            return Scene(None, why, camera, objects=names)
        masks = {name: obj.mask for name, obj in snapshot.result.objects.items() if obj.mask is not None}
        return Scene(snapshot.frame, "", camera, masks, names)

    def _why_no_image(self, snapshot: Snapshot | None) -> str:
        if not self._active:
            return "the node is not active (ros2 lifecycle set NODE activate)"
        if snapshot is not None and time.monotonic() - snapshot.arrived_s <= self.settings.node.input.stale_after:
            return ""
        problems = self._doctor.problems(time.monotonic(), self._inputs.publishers)
        return problems[0].text if problems else "none was processed yet, try again in a moment"

    def _process(self, pair: Pair) -> None:
        if not self._doctor.usable():  # turned bad since the pair was complete
            return
        started = time.perf_counter()
        try:
            frame = frame_of(pair.image, pair.depth, pair.info)
            if not frame.depth_m[::4, ::4].any():
                self._doctor.note(without_depth(topics(self._node)[DEPTH]), time.monotonic())
            converted = time.perf_counter()
            result = self.tracker.step(frame)
        except StormError as error:
            self._doctor.note(unusable(str(error)), time.monotonic())
            return
        stepped = time.perf_counter()
        self._report(pair.image.header, frame, result, pair.arrived_s)
        done = time.perf_counter()
        stages = {"convert": (converted - started) * 1e3, **result.timing_ms, "publish": (done - stepped) * 1e3}
        latency_s = self._age_s(pair.image.header)
        self._done_s = time.monotonic()
        self._statistics.add(self._done_s, latency_s, stages)
        if result.events:
            self._publish_status()

    def _report(self, header: Any, frame: RgbdFrame, result: TrackResult, arrived_s: float) -> None:
        self._remember(header, frame, result, arrived_s)
        assert self.snapshot is not None
        self.publishers.publish(self.snapshot, lambda: self._in_time(header))

    def _in_time(self, header: Any) -> bool:
        """Whether an image is young enough for what was found in it to be published; what is kept back is noted."""
        age_s, most_s = self._age_s(header), self.settings.node.publish.max_age
        if 0.0 < most_s < age_s:
            self._doctor.note(late(age_s, most_s), time.monotonic())
            return False
        return True

    def _age_s(self, header: Any) -> float:
        """How long ago an image was taken, by the clock of its stamp."""
        return (self._node.get_clock().now().nanoseconds - stamp_ns(header.stamp)) * 1e-9

    def _remember(self, header: Any, frame: RgbdFrame, result: TrackResult, arrived_s: float) -> None:
        objects = self.tracker.state.objects
        lost_ns = {name: o.loss.stamp_ns for name, o in objects.items() if o.loss is not None}
        self.snapshot = Snapshot(header, frame, result, self.tracker.references, lost_ns, arrived_s)
        for event in result.events:
            self._node.get_logger().info(describe(event))

    def _failed(self, error: Exception) -> None:
        self._doctor.note(Problem("internal", f"internal error, please report it: {error!r}"), time.monotonic())
        if self._throttle.due("internal", time.monotonic(), self.settings.node.log.every):
            self._node.get_logger().error("".join(traceback.format_exception(error)))

    def _tick(self) -> None:
        with self._watching:
            if self._closed:
                return
            try:
                self._watch()
            except Exception as error:  # noqa: BLE001 - a timer that raises would end the executor
                self._failed(error)

    def _watch(self) -> None:
        now_s = time.monotonic()
        graph = self._inputs.publishers
        problems = tuple(self._doctor.problems(now_s, graph)) if self._active else ()
        changed = {p.key for p in problems} != {p.key for p in self._problems}
        if self._problems and not problems and self._active:
            self._node.get_logger().info("the input is good again")
        self._problems = problems
        for problem in problems:
            if self._throttle.due(problem.key, now_s, self.settings.node.log.every):
                log = self._node.get_logger()
                (log.error if problem.blocks else log.warning)(problem.text)
        if self._active and self._overdue(now_s):
            self._expire()
        message = self._publish_status()
        if changed or now_s - self._reported_s >= _DIAGNOSTICS_S:
            self._reported_s = now_s
            now = self._node.get_clock().now().to_msg()
            name = self._node.get_fully_qualified_name()
            array = status.diagnostics_message(now, name, message.state, message, self.snapshot, problems)
            self.publishers.publish_diagnostics(array)

    def _overdue(self, now_s: float) -> bool:
        return now_s - self._done_s > self.settings.node.input.stale_after

    def _expire(self) -> None:
        """Withdraw the poses: the camera has stopped, or sends nothing that can be used."""

        def withdraw() -> None:
            last = self.snapshot
            if not self._overdue(time.monotonic()):  # the worker was busy with an image
                return
            if last is None or all(obj.cam_T_obj is None for obj in last.result.objects.values()):
                return
            self._without(self.tracker.expire(last.frame.stamp_ns), last)

        self.worker.between(withdraw)

    def _without(self, result: TrackResult, last: Snapshot) -> None:
        """Make known that poses were withdrawn without a new image."""
        objects = {**last.result.objects, **result.objects}
        self._remember(last.header, last.frame, replace(result, objects=objects), last.arrived_s)
        self._publish_status()

    def _publish_status(self) -> Any:
        now_s = time.monotonic()
        frames = {name: self.publishers.frame_of(name) for name in self.tracker.references}
        stale = self._active and self._doctor.stale(now_s)
        state = status.node_state(active=self._active, stale=stale, problems=self._problems, objects=len(frames))
        dropped = self._mailbox.dropped
        message = status.status_message(state, self.snapshot, self._statistics, dropped, self._problems, frames, now_s)
        self.publishers.publish_status(message)
        return message


def describe(event: TrackEvent) -> str:
    """An event in one line."""
    words = [f"{event.object_id}: {event.type.value}"]
    if event.cause is not None:
        words.append(f"cause {event.cause.value}")
    if event.seconds_lost is not None:
        words.append(f"after {event.seconds_lost:.2f} s ({event.frames_lost} frames)")
    if event.jump_m is not None and event.jump_rad is not None:
        words.append(f"jump {event.jump_m:.3f} m, {event.jump_rad:.2f} rad")
    if event.energy is not None and event.threshold is not None:
        words.append(f"energy {event.energy:.2f} (threshold {event.threshold:.2f})")
    return ", ".join(words)
