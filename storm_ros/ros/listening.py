"""Takes the messages of some subscriptions on a thread of its own, which waits for nothing else.

An executor of rclpy looks at everything the node has, twice for each message: 90 messages a second of a camera cost it
a fifth of a core, and the thread that computes has to wait for it again and again.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportPrivateImportUsage=false
from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.exceptions import InvalidHandle
from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy

_LOOK_NS = 500_000_000
"""How often it looks whether the context is still there."""


class NotByExecutors(CallbackGroup):
    """What is in this group is left alone by executors; a `Listener` takes its messages."""

    def can_execute(self, entity: Any) -> bool:
        """Never by an executor."""
        return False

    def beginning_execution(self, entity: Any) -> bool:
        """Never by an executor."""
        return False

    def ending_execution(self, entity: Any) -> None:
        """Nothing was begun."""


class Listener:
    """Calls the subscriptions' callbacks, one after the other, from now until `close`.

    Args:
        context: rclpy's.
        subscriptions: in the group `NotByExecutors`; those first here are asked first.
        failed: called with an exception that a callback raised; the thread goes on.
    """

    def __init__(self, context: Any, subscriptions: Sequence[Any], failed: Callable[[Exception], None]) -> None:
        self._context = context
        self._subscriptions = tuple(subscriptions)
        self._failed = failed
        self._stopping = False
        self._wake = GuardCondition(callback=None, callback_group=None, context=context)
        self._thread = threading.Thread(target=self._run, name="storm_listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread after the message at hand; the subscriptions stay. Twice does no harm."""
        if self._stopping:
            return
        self._stopping = True
        self._wake.trigger()
        self._thread.join()
        self._wake.destroy()

    def _run(self) -> None:
        try:
            wait_set = _rclpy.WaitSet(len(self._subscriptions), 1, 0, 0, 0, 0, self._context.handle)
            while not self._stopping and self._context.ok():
                self._take(wait_set)
        except InvalidHandle:  # the context was shut down, or a subscription destroyed, from outside
            return

    def _take(self, wait_set: Any) -> None:
        """Wait for messages, and take one of each subscription that has some."""
        with ExitStack() as held:
            held.enter_context(self._context.handle)
            wait_set.clear_entities()
            for subscription in self._subscriptions:
                held.enter_context(subscription.handle)
                wait_set.add_subscription(subscription.handle)
            wait_set.add_guard_condition(self._wake.handle)
            wait_set.wait(_LOOK_NS)
            ready = wait_set.get_ready_entities("subscription")
            for subscription in self._subscriptions:
                if subscription.handle.pointer in ready and not self._stopping:
                    taken = subscription.handle.take_message(subscription.msg_type, False)
                    if taken is not None:
                        self._call(subscription.callback, taken[0])

    def _call(self, callback: Callable[[Any], None], message: Any) -> None:
        try:
            callback(message)
        except Exception as error:  # noqa: BLE001 - one bad message must not end the thread
            self._failed(error)
