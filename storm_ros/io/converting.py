"""Turns any recording into a ROS 2 bag, losslessly."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from storm_ros.core.errors import RecordingError
from storm_ros.core.types import RgbdFrame
from storm_ros.io.bag_file import BagFile
from storm_ros.io.messages import camera_info_message, depth_message, header, image_message
from storm_ros.io.prefetch import read_frames
from storm_ros.io.recording import Recording

IMAGE_TOPIC = "/camera/color/image_raw"
INFO_TOPIC = "/camera/color/camera_info"
DEPTH_TOPIC = "/camera/aligned_depth_to_color/image_raw"
DEPTH_INFO_TOPIC = "/camera/aligned_depth_to_color/camera_info"


def convert(
    recording: Recording,
    out_path: str | Path,
    *,
    numbers: Sequence[int] | None = None,
    progress: Callable[[int, int], None] | None = None,
    compress: bool = False,
    stop: Callable[[], bool] | None = None,
) -> int:
    """Write a recording as a ROS 2 bag.

    Colour (rgb8), depth, camera and stamps read back the very same. Depth is 16UC1 where whole millimetres hold it
    exactly, else 32FC1. Frames that cannot be read are left out, with the reason in `recording.warnings`.

    Args:
        recording: what to write.
        out_path: ``.mcap`` or ``.db3`` for one file, any other name for a rosbag2 folder (see `BagFile`).
        numbers: which frames; None for all.
        progress: called after each frame with the frames done and their total.
        compress: zstd for the chunks of an MCAP file.
        stop: asked after each frame; when it says True the bag ends there, complete.

    Returns:
        Number of frames written.

    Raises:
        RecordingError: none of the frames can be read.
        OutputError: the place cannot be written.
    """
    chosen = tuple(recording.numbers if numbers is None else numbers)
    done = written = 0
    with (
        BagFile(out_path, compress=compress) as bag,
        contextlib.closing(read_frames(recording, chosen)) as frames,  # pyright: ignore[reportArgumentType]
    ):
        for done, (_, frame) in enumerate(frames, start=1):
            if frame is not None:
                write_frame(bag, frame)
                written += 1
            if progress is not None:
                progress(done, len(chosen))
            if stop is not None and stop():
                break
    if not written:
        raise RecordingError(f"none of {done} frames of {recording.name} could be read: {out_path} is empty")
    return written


def write_frame(bag: BagFile, frame: RgbdFrame, head: Any = None) -> None:
    """Append a frame's colour, depth and camera_info under the names of an aligned RealSense."""
    head = head or header(frame.stamp_ns, frame.frame_id)
    info = camera_info_message(head, frame.camera)
    bag.write(INFO_TOPIC, info, frame.stamp_ns)
    bag.write(DEPTH_INFO_TOPIC, info, frame.stamp_ns)
    bag.write(IMAGE_TOPIC, image_message(head, frame.rgb, "rgb8"), frame.stamp_ns)
    bag.write(DEPTH_TOPIC, depth_message(head, frame.depth_m), frame.stamp_ns)
