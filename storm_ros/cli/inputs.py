"""Opens the recording that was named on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from storm_ros.cli.errors import UsageError
from storm_ros.io.opening import BAG, kind_of, open_recording
from storm_ros.io.recording import Recording


def open_input(path: str, bag_options: Mapping[str, Any]) -> Recording:
    """Open a recording of any kind.

    Args:
        path: of the recording.
        bag_options: what `storm_ros.cli.options.bag_options` made of the command line.

    Raises:
        UsageError: options of ROS recordings for another kind.
        RecordingError: it cannot be read.
    """
    if bag_options and (kind := kind_of(path)) != BAG:
        names = " and ".join(dict.fromkeys("--slop" if key == "slop_s" else "--topics" for key in bag_options))
        raise UsageError(f"{names}: only for ROS recordings, and {path} is {kind}")
    return open_recording(path, **bag_options)
