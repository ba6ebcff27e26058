"""What can be wrong with a camera's messages, in plain words that name the fix. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from storm_ros.ros.conversions import COLOUR_ENCODINGS, DEPTH_ENCODINGS, pixel_bytes


@dataclass(frozen=True)
class Problem:
    """Something wrong with the input.

    Attributes:
        key: which kind, so that the same one is not repeated too often.
        text: what came, what is needed, what to do.
        blocks: whether images cannot be used because of it; otherwise it is a warning.
    """

    key: str
    text: str
    blocks: bool = True


@dataclass(frozen=True)
class ImageFacts:
    """The fields of an Image, without its pixels."""

    width: int
    height: int
    encoding: str
    step: int
    data_bytes: int
    frame_id: str


@dataclass(frozen=True)
class InfoFacts:
    """The fields of a CameraInfo that matter."""

    width: int
    height: int
    k: tuple[float, ...]
    distorted: bool


@dataclass(frozen=True)
class Publisher:
    """Who publishes a topic.

    Attributes:
        node: its full name.
        msgtype: such as ``sensor_msgs/msg/Image``.
        compatible: whether its quality of service fits the subscription's.
    """

    node: str
    msgtype: str
    compatible: bool = True


def image_facts(message: Any) -> ImageFacts:
    """The fields of a sensor_msgs/Image."""
    return ImageFacts(
        int(message.width),
        int(message.height),
        str(message.encoding),
        int(message.step),
        len(message.data),
        str(message.header.frame_id),
    )


def info_facts(message: Any) -> InfoFacts:
    """The fields of a sensor_msgs/CameraInfo."""
    k = tuple(float(v) for v in message.k)
    distorted = any(abs(float(v)) > 1e-9 for v in message.d)
    return InfoFacts(int(message.width), int(message.height), k, distorted)


def image_facts_problems(facts: ImageFacts, topic: str) -> list[Problem]:
    """What is wrong with a colour image."""
    if facts.encoding not in COLOUR_ENCODINGS:
        return [Problem("image_encoding", f"image on {topic} has encoding {facts.encoding!r}: {_colour_fix(facts)}")]
    found = _size_problems("image", facts, topic)
    if not facts.frame_id:
        text = (
            f"image on {topic} has an empty header.frame_id: TF cannot name the camera; set the driver's frame "
            "parameter (such as camera_frame_id)"
        )
        found.append(Problem("image_frame", text, blocks=False))
    return found


def depth_facts_problems(facts: ImageFacts, image: ImageFacts | None, topic: str, image_topic: str) -> list[Problem]:
    """What is wrong with a depth image, alone and beside its colour image."""
    if facts.encoding not in DEPTH_ENCODINGS:
        return [Problem("depth_encoding", f"depth on {topic} has encoding {facts.encoding!r}: {_depth_fix(facts)}")]
    found = _size_problems("depth", facts, topic)
    if image is None or found:
        return found
    if (facts.width, facts.height) != (image.width, image.height):
        text = (
            f"depth on {topic} is {facts.width}x{facts.height} but the image on {image_topic} is "
            f"{image.width}x{image.height}: turn on aligned depth (align_depth.enable:=true) and remap 'depth' to it, "
            "or register it (depth_image_proc register)"
        )
        found.append(Problem("depth_size", text))
    elif facts.frame_id and image.frame_id and facts.frame_id != image.frame_id:
        text = (
            f"depth on {topic} is in frame {facts.frame_id!r} but the image on {image_topic} is in "
            f"{image.frame_id!r}: if it is not registered to the image, remap 'depth' to the aligned depth topic"
        )
        found.append(Problem("depth_frame", text, blocks=False))
    return found


def info_facts_problems(facts: InfoFacts, image: ImageFacts | None, topic: str, image_topic: str) -> list[Problem]:
    """What is wrong with a camera_info, alone and beside its image."""
    k = np.asarray(facts.k)
    if k.size != 9 or not np.isfinite(k).all() or k[0] <= 0 or k[4] <= 0:
        state = "all zero" if k.size and not k.any() else f"not usable (fx={k[0]:g}, fy={k[4]:g})"
        text = (
            f"camera matrix K of camera_info on {topic} is {state}: the camera is not calibrated; calibrate it "
            "(ros2 run camera_calibration cameracalibrator) or give its driver a camera_info_url"
        )
        return [Problem("info_k", text)]
    found = []
    if image is not None and (facts.width, facts.height) != (image.width, image.height):
        text = (
            f"camera_info on {topic} is for {facts.width}x{facts.height} but the image on {image_topic} is "
            f"{image.width}x{image.height}: remap 'camera_info' to that of this very image, or calibrate at this size"
        )
        found.append(Problem("info_size", text))
    if facts.distorted:
        text = (
            f"camera_info on {topic} has lens distortion, which is not corrected here: poses near the image's rim are "
            "off; remap 'image' to the rectified image (image_rect_color) and use its camera_info"
        )
        found.append(Problem("info_distorted", text, blocks=False))
    return found


def stopped(key: str, topic: str, seconds: float) -> Problem:
    """An input that came and comes no more."""
    return Problem(
        f"silent_{key}",
        f"no {key} on {topic} for {seconds:.1f} s: the camera has stopped; check its driver, cable and network",
    )


def silence(key: str, topic: str, msgtype: str, publishers: Sequence[Publisher] | None, *, ever: bool) -> Problem:
    """An input of which nothing comes, by who publishes it."""
    if publishers is None:
        text = f"no {key} on {topic}: start the camera, or remap '{key}' to its topic"
    elif not publishers:
        now = "has no publisher any more: start the camera again" if ever else "has no publisher: start the camera"
        text = f"no {key}: {topic} {now}, or remap '{key}' to the right topic (ros2 topic list)"
    elif all(p.msgtype != msgtype for p in publishers):
        other = publishers[0]
        text = f"no {key}: {topic} carries {other.msgtype} from {other.node} but {msgtype} is needed{_raw(other, key)}"
    elif not any(p.compatible for p in publishers):
        text = (
            f"no {key}: the quality of service of {publishers[0].node} on {topic} does not fit the subscription: set "
            f"the parameter qos_overrides.{topic}.subscription.reliability (and durability) to what it offers"
        )
    else:
        text = (
            f"no {key} on {topic}, though {publishers[0].node} publishes it: it sends nothing yet, or the network "
            "drops it (ros2 topic hz; large images over Wi-Fi need a smaller rate or size)"
        )
    return Problem(f"silent_{key}", text)


def unpaired(gap_s: float, slop_s: float, image_topic: str, depth_topic: str) -> Problem:
    """Colour and depth come, but their stamps never meet."""
    return Problem(
        "unpaired",
        f"images on {image_topic} and {depth_topic} do not pair: their stamps differ by at least {gap_s:.3f} s and "
        f"sync.slop is {slop_s:g} s: turn on the camera's frame synchronisation, or raise sync.slop",
    )


def backward(topic: str, seconds: float) -> Problem:
    """A stamp that is earlier than one before it."""
    return Problem(
        "stamp_backward",
        f"stamps on {topic} run backwards by {seconds:.3f} s: is there a second publisher on it (ros2 topic info -v), "
        "or a recording played backwards? Let one camera publish, with stamps that rise",
    )


def repeated(topic: str) -> Problem:
    """A stamp that came before."""
    return Problem(
        "stamp_repeated",
        f"stamps on {topic} do not advance: let the driver fill header.stamp with the time of every image",
    )


def unusable(message: str) -> Problem:
    """An image that could not be converted."""
    return Problem("content", message)


def without_depth(topic: str) -> Problem:
    """A depth image of which no pixel is valid."""
    return Problem(
        "no_depth",
        f"depth on {topic} has no valid pixel: check that the emitter is on, that nothing covers the camera and that "
        "the scene is not nearer than its least distance (0.2 m to 0.5 m)",
        blocks=False,
    )


def late(age_s: float, most_s: float) -> Problem:
    """What was found in an image, but too late to be published."""
    return Problem(
        "late",
        f"results were kept back because their image was {age_s * 1e3:.0f} ms old and publish.max_age is "
        f"{most_s * 1e3:.0f} ms: free the processor, lower the camera's rate or size, set verifier.name to inlier, or "
        "raise publish.max_age",
        blocks=False,
    )


def _size_problems(what: str, facts: ImageFacts, topic: str) -> list[Problem]:
    pixel = pixel_bytes(facts.encoding)
    assert pixel is not None
    row = facts.width * pixel
    needed = facts.step * (facts.height - 1) + row
    if facts.width > 0 and facts.height > 0 and facts.step >= row and facts.data_bytes >= needed:
        return []
    text = (
        f"{what} on {topic} says {facts.width}x{facts.height} {facts.encoding} in rows of {facts.step} bytes but has "
        f"{facts.data_bytes} bytes: {facts.height} rows of at least {row} bytes are needed; fix its publisher"
    )
    return [Problem(f"{what}_bytes", text)]


def _colour_fix(facts: ImageFacts) -> str:
    known = ", ".join(COLOUR_ENCODINGS[:5])
    if facts.encoding in DEPTH_ENCODINGS:
        return f"that is a depth image; remap 'image' to the colour image ({known})"
    if facts.encoding.startswith("bayer"):
        return f"one of {known} is needed; run it through image_proc (debayer)"
    return f"one of {known} is needed; set the driver's colour format"


def _depth_fix(facts: ImageFacts) -> str:
    needed = "16UC1 (millimetres) or 32FC1 (metres) is needed"
    if facts.encoding in COLOUR_ENCODINGS:
        return f"that is a colour image; remap 'depth' to the depth image ({needed})"
    return f"{needed}; set the driver's depth format"


def _raw(other: Publisher, key: str) -> str:
    if not re.search(r"Compressed|Theora|Packet", other.msgtype):
        return f": remap '{key}' to the right topic"
    return f": decompress it (ros2 run image_transport republish) or remap '{key}' to the raw topic"
