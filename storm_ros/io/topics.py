"""Which topics of a bag are the colour image, the depth image and the camera's intrinsics."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from storm_ros.core.errors import RecordingError
from storm_ros.io.storage import Topic

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
INFO = "sensor_msgs/msg/CameraInfo"

_IMAGE_TYPES = (IMAGE, COMPRESSED)
_ALIGNED = ("aligned", "registered", "depth_to_color", "depth_to_rgb")
_COLOR_WORDS = ("color", "colour", "rgb")
_POOR_WORDS = ("infra", "ir/", "mask", "overlay", "mono", "theora", "confidence")


class Chosen(NamedTuple):
    """Names of the topics to read."""

    image: Topic
    depth: Topic
    info: Topic


def choose_topics(
    topics: Sequence[Topic],
    *,
    image_topic: str | None = None,
    depth_topic: str | None = None,
    info_topic: str | None = None,
) -> Chosen:
    """Pick the topics to read: the given ones, else by type and name.

    Raises:
        RecordingError: one is missing or has no message; the message lists what the bag holds.
    """
    filled = [t for t in topics if t.count]
    depth = _given(topics, depth_topic, _IMAGE_TYPES, "depth_topic") or _best(
        [t for t in filled if _is_depth(t)], _depth_rank
    )
    if depth is None:
        raise RecordingError(
            f"the bag has no depth topic (a {IMAGE} with 'depth' in its name); name it with depth_topic "
            f"(--topics depth=TOPIC); {_listed(topics)}"
        )
    colors = [t for t in filled if t.msgtype in _IMAGE_TYPES and not _is_depth(t) and t.name != depth.name]
    image = _given(topics, image_topic, _IMAGE_TYPES, "image_topic") or _best(colors, _color_rank)
    if image is None:
        raise RecordingError(
            f"the bag has no colour image topic ({IMAGE}); name it with image_topic (--topics image=TOPIC); "
            f"{_listed(topics)}"
        )
    infos = [t for t in filled if t.msgtype == INFO]
    info = _given(topics, info_topic, (INFO,), "info_topic") or _nearest_info(image.name, infos)
    if info is None:
        raise RecordingError(
            f"the bag has no {INFO} topic for {image.name}: record its camera_info too, or name it with info_topic "
            "(--topics info=TOPIC); "
            f"{_listed(topics)}"
        )
    return Chosen(image, depth, info)


def info_beside(name: str, topics: Collection[Topic]) -> Topic | None:
    """The camera_info topic in the namespace of an image topic, if there is one."""
    for base in (_namespace(name), _namespace(_namespace(name))):
        for topic in topics:
            if topic.msgtype == INFO and topic.count and topic.name == f"{base}/camera_info":
                return topic
    return None


def _is_depth(topic: Topic) -> bool:
    name = topic.name.lower()
    return topic.msgtype in _IMAGE_TYPES and "depth" in name and not name.endswith(("depth/color", "theora"))


def _depth_rank(topic: Topic) -> tuple:
    name = topic.name.lower()
    packed = topic.msgtype == COMPRESSED
    return not any(word in name for word in _ALIGNED), packed, packed and "compresseddepth" not in name, name


def _color_rank(topic: Topic) -> tuple:
    name = topic.name.lower()
    good = any(word in name for word in _COLOR_WORDS)
    return any(word in name for word in _POOR_WORDS), not good, topic.msgtype == COMPRESSED, "raw" in name, name


def _best(topics: Sequence[Topic], rank) -> Topic | None:  # noqa: ANN001 - either of the two above
    return min(topics, key=rank, default=None)


def _given(topics: Sequence[Topic], name: str | None, types: Sequence[str], option: str) -> Topic | None:
    if name is None:
        return None
    for topic in topics:
        if topic.name == name and topic.msgtype in types:
            if not topic.count:
                raise RecordingError(f"{option} {name} has no messages; {_listed(topics)}")
            return topic
    raise RecordingError(f"{option} {name} ({' or '.join(types)}) is not in the bag; {_listed(topics)}")


def _nearest_info(image: str, infos: Sequence[Topic]) -> Topic | None:
    beside = info_beside(image, infos)
    if beside is not None:
        return beside
    return max(infos, key=lambda t: (_shared_parts(t.name, image), "depth" not in t.name), default=None)


def _shared_parts(a: str, b: str) -> int:
    """How many leading parts two topic names have in common."""
    same = [x == y for x, y in zip(a.split("/"), b.split("/"), strict=False)]
    return [*same, False].index(False)


def _namespace(name: str) -> str:
    return name.rpartition("/")[0]


def _listed(topics: Sequence[Topic]) -> str:
    if not topics:
        return "it holds no topics at all"
    return "it holds " + ", ".join(f"{t.name} ({t.msgtype}, {t.count} messages)" for t in sorted(topics))
