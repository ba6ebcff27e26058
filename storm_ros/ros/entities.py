"""Publishers, subscriptions and a spin that bear being destroyed while an executor waits for them."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.exceptions import InvalidHandle
from rclpy.executors import Executor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # before Iron
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks


def reliable(depth: int, *, latched: bool = False) -> QoSProfile:
    """Reliable quality of service; latched keeps the last messages for those who come later."""
    durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE, durability=durability)


def make_publisher(node: Any, kind: Any, topic: str, qos: QoSProfile) -> Any:
    """A publisher without event handlers.

    An executor of Jazzy that collects what to wait for while a handler is destroyed ends with InvalidHandle.
    """
    events = PublisherEventCallbacks(use_default_callbacks=False)
    return node.create_publisher(kind, topic, qos, event_callbacks=events)


def make_subscription(
    node: Any, kind: Any, topic: str, callback: Callable[[Any], None], qos: QoSProfile, group: Any
) -> Any:
    """A subscription without event handlers (see `make_publisher`); parameters can override its quality of service."""
    return node.create_subscription(
        kind,
        topic,
        callback,
        qos,
        callback_group=group,
        event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
        qos_overriding_options=QoSOverridingOptions.with_default_policies(),
    )


def spin(executor: Executor, running: Callable[[], bool]) -> None:
    """Spin on although something was destroyed just when the executor looked at it.

    Raises:
        ExternalShutdownException: the context was shut down.
    """
    while running():
        try:
            executor.spin()
        except InvalidHandle:
            continue
