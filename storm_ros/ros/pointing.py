"""Points at an object by the tracker's service, again and again until the tracker is there and has taken it."""
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future

from storm_ros.srv import SetReference

_EVERY_S = 1.0


class Pointer:
    """Calls set_reference with a box in the current image until it succeeds."""

    def __init__(
        self,
        node: Node,
        service: str,
        box: Callable[[], tuple[int, ...]],
        done: Callable[[], None],
        *,
        ready: Callable[[], bool],
    ) -> None:
        """Start trying.

        Args:
            node: that asks.
            service: name of the service, such as ``/storm/set_reference``.
            box: x, y, width, height in pixels at the time of asking.
            done: called once when the tracker has taken the reference.
            ready: whether the tracker listens to the images already; before, it is not asked.
        """
        self._node, self._box, self._done, self._ready = node, box, done, ready
        self._client = node.create_client(SetReference, service)
        self._asked: Future | None = None
        self._told = ""
        self._timer = node.create_timer(_EVERY_S, self._try, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _try(self) -> None:
        if self._asked is not None:
            return
        if not (self._client.service_is_ready() and self._ready()):
            self._tell(
                f"waiting for {self._client.srv_name} and for a subscriber to the images: is the tracker active?"
            )
            return
        request = SetReference.Request(kind=SetReference.Request.BOX, box=[float(v) for v in self._box()])
        asked = self._asked = self._client.call_async(request)
        asked.add_done_callback(self._answered)

    def _answered(self, future: Future) -> None:
        self._asked = None
        answer = future.result()
        if answer is None or not answer.success:
            self._tell(f"{self._client.srv_name}: {answer.message if answer else future.exception()}")
            return
        self._node.get_logger().info(f"pointed at {answer.object_id!r}: {answer.message}")
        self._timer.cancel()
        self._done()

    def _tell(self, text: str) -> None:
        """Log what is waited for, once."""
        if text != self._told:
            self._node.get_logger().info(text)
            self._told = text
