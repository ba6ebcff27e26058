"""Plays any recording that the package reads as an RGB-D camera: in its own time (with /clock) or as if it were now."""
# pyright: reportMissingImports=false

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from rclpy.utilities import try_shutdown
from rosgraph_msgs.msg import Clock as ClockMessage

from storm_ros.core.errors import InputError, StormError
from storm_ros.core.types import RgbdFrame
from storm_ros.io.opening import BAG, kind_of, open_recording
from storm_ros.io.prefetch import read_frames
from storm_ros.io.recording import Recording
from storm_ros.ros.conversions import fill_time
from storm_ros.ros.parameter_kinds import fixed, live, number, whole
from storm_ros.ros.pointing import Pointer
from storm_ros.ros.program import run
from storm_ros.ros.rgbd_publisher import RgbdPublisher

_CLOCK_HZ = 100.0
_REPEAT_HZ = 10.0
"""How often a frame is repeated while the recording stands still."""

_LATE_S = 0.2

PARAMETERS: tuple[tuple[str, Any, ParameterDescriptor], ...] = (
    ("recording", "", fixed("Bag (.mcap, .db3 or folder), BOP scene or folder of images to play.")),
    ("play", True, live("False: stop where it is, and repeat that frame.")),
    ("rate", 1.0, number("How fast: 0.5 is half as fast as it was recorded.", 0.01, 100.0, live=True)),
    ("loop", False, fixed("Begin again at the end.")),
    ("first", 0, whole("Number of the first frame.", 0, 2**31 - 1)),
    ("last", -1, whole("Number of the last frame; -1: the recording's last.", -1, 2**31 - 1)),
    ("clock", False, fixed("Keep the recorded stamps and publish /clock; else the stamps are of now.")),
    ("frame_id", "", fixed("Optical frame of the camera; empty: as recorded, else camera_color_optical_frame.")),
    ("bag_image", "", fixed("Topic of the colour images in a bag, where there are several.")),
    ("bag_depth", "", fixed("Topic of the depth images in a bag, where there are several.")),
    ("bag_info", "", fixed("Topic of the camera_info in a bag, where there are several.")),
    ("point_at", "", fixed("Service to point at the object with in the first frame; empty: somebody else does.")),
    ("box", [0.0, 0.0, 0.0, 0.0], fixed("x, y, width, height of the object in the first frame, px, for point_at.")),
    ("hold", 1.0, number("It starts this long after the first subscriber came, s.", 0.0, 3600.0)),
)


class Player(Node):
    """Publishes a recording's frames at their pace."""

    def __init__(self, **kwargs: Any) -> None:
        """Declare the parameters, open the recording and start playing.

        Raises:
            StormError: the recording cannot be read, or does not have the frames asked for.
        """
        super().__init__("player", **kwargs)
        for name, value, descriptor in PARAMETERS:
            self.declare_parameter(name, value, descriptor)
        self._recording = open_recording(self._value("recording"), **self._bag_options())
        self._numbers = chosen(self._recording, self._value("first"), self._value("last"))
        shown = self._recording.read(self._numbers[0])
        self._rgbd = RgbdPublisher(self, self._value("frame_id") or shown.frame_id or "camera_color_optical_frame")
        self._clock_publisher = self.create_publisher(ClockMessage, "/clock", 10) if self._value("clock") else None
        self._watched_at: float | None = None
        self._due = 0.0
        self._stop, self._pointed = threading.Event(), threading.Event()
        self._pointer: Pointer | None = None
        if self._value("point_at"):
            box = tuple(int(v) for v in self._value("box"))
            self._pointer = Pointer(
                self, self._value("point_at"), lambda: box, self._pointed.set, ready=lambda: self._rgbd.watched
            )
        else:
            self._pointed.set()
        self.failed: StormError | None = None
        self._thread = threading.Thread(target=self._run, name="player", daemon=True)
        self._thread.start()

    def destroy_node(self) -> None:
        """Stop playing, then everything else."""
        self._stop.set()
        self._thread.join()
        self._recording.close()
        super().destroy_node()

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _bag_options(self) -> dict[str, Any]:
        path = self._value("recording")
        if not path:
            raise InputError("no recording was named: set the parameter 'recording', or give the launch file bag:=PATH")
        if kind_of(path) != BAG:
            return {}
        return {f"{name}_topic": self._value(f"bag_{name}") or None for name in ("image", "depth", "info")}

    def _run(self) -> None:
        """The thread that plays; ROS is shut down at the end."""
        try:
            self._play_once()
            while self._value("loop") and not self._stop.is_set():
                self._play_once()
            self.get_logger().info(f"{self._recording.name}: played to the end")
        except StormError as error:
            self.failed = error
        if not self._stop.is_set():
            try_shutdown()

    def _play_once(self) -> None:
        """Show every frame when it is due; while it stands still, time goes on with the same image."""
        stood_ns, last_ns = 0, None
        self._due = time.monotonic()
        for frame in self._frames():
            if last_ns is not None:
                self._wait(last_ns + stood_ns, frame.stamp_ns - last_ns)
            while self._stands() and not self._stop.is_set():
                self._show(frame, frame.stamp_ns + stood_ns)
                self._stop.wait(1.0 / _REPEAT_HZ)
                stood_ns += round(1e9 / _REPEAT_HZ)
                self._due = time.monotonic()
            if self._stop.is_set():
                return
            self._show(frame, frame.stamp_ns + stood_ns)
            last_ns = frame.stamp_ns

    def _frames(self) -> Iterator[RgbdFrame]:
        for number_, frame in read_frames(self._recording, self._numbers):
            if frame is None:
                self.get_logger().warning(f"frame {number_} is left out: {self._recording.warnings[-1]}")
            else:
                yield frame

    def _stands(self) -> bool:
        """Whether to stay at a frame: told to, not looked at for long enough, or the object was not pointed at yet."""
        if self._watched_at is None and self._rgbd.watched:
            self._watched_at = time.monotonic()
        looked = self._watched_at is not None and time.monotonic() - self._watched_at >= self._value("hold")
        return not (looked and self._pointed.is_set() and self._value("play"))

    def _wait(self, from_ns: int, gap_ns: int) -> None:
        """Wait for the next frame, with /clock running on; what is too late already is not made up for."""
        rate = self._value("rate")
        self._due = max(self._due + gap_ns * 1e-9 / rate, time.monotonic() - _LATE_S)
        while not self._stop.is_set() and (left := self._due - time.monotonic()) > 0:
            self._tick(from_ns + max(0, gap_ns - round(left * rate * 1e9)))
            self._stop.wait(min(left, 1.0 / _CLOCK_HZ))

    def _show(self, frame: RgbdFrame, stamp_ns: int) -> None:
        self._tick(stamp_ns)
        if self._clock_publisher is None:
            stamp_ns = self.get_clock().now().nanoseconds
        self._rgbd.publish(frame.rgb, frame.depth_m, frame.camera, stamp_ns)

    def _tick(self, now_ns: int) -> None:
        if self._clock_publisher is not None:
            message = ClockMessage()
            fill_time(message.clock, now_ns)
            self._clock_publisher.publish(message)


def chosen(recording: Recording, first: int, last: int) -> list[int]:
    """Numbers of the frames from the first to the last; -1 as the last stands for the end.

    Raises:
        InputError: there are none.
    """
    numbers = [n for n in recording.numbers if first <= n and (last < 0 or n <= last)]
    if not numbers:
        raise InputError(
            f"frames {first} to {last if last >= 0 else 'the end'} are not in {recording.name}: it has "
            f"{recording.numbers[0]} to {recording.numbers[-1]}"
        )
    return numbers


def main(args: list[str] | None = None) -> int:
    """Run the node until the recording ends or it is interrupted."""
    return run("player", Player, args=args)


if __name__ == "__main__":
    sys.exit(main())
