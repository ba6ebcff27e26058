"""RViz's configuration against what the node really publishes. RViz itself is not started."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.ros

ROOT = Path(__file__).resolve().parents[2]
TYPES = {
    "rviz_default_plugins/Image": "sensor_msgs/msg/Image",
    "rviz_default_plugins/Marker": "visualization_msgs/msg/Marker",
    "rviz_default_plugins/Pose": "geometry_msgs/msg/PoseStamped",
}
WITHOUT_TOPIC = {"rviz_default_plugins/Grid", "rviz_default_plugins/TF"}
BY_LAUNCH = "/storm/image"
"""The camera's image; the launch file maps it to the camera's topic."""


@pytest.fixture(scope="module")
def shown() -> dict:
    return yaml.safe_load((ROOT / "rviz" / "storm.rviz").read_text(encoding="utf-8"))["Visualization Manager"]


def test_every_display_is_of_a_known_class(shown) -> None:
    classes = [display["Class"] for display in shown["Displays"]]
    assert set(classes) <= TYPES.keys() | WITHOUT_TOPIC
    assert set(classes) >= TYPES.keys() | {"rviz_default_plugins/TF"}, "pose, TF, mask and overlay, mesh"
    assert shown["Global Options"]["Fixed Frame"] == "camera_color_optical_frame"


def test_every_display_listens_to_what_the_node_publishes(shown, ros_domain) -> None:
    from rclpy.qos import (
        DurabilityPolicy,
        LivelinessPolicy,
        QoSCompatibility,
        QoSProfile,
        ReliabilityPolicy,
        qos_check_compatible,
    )
    from ros_bench import Bench, wait_until

    bench = Bench(ros_domain(), **{"verifier.name": "inlier", "segmenter.name": "template"})
    try:
        bench.node.trigger_configure()
        topics = {d["Topic"]["Value"]: d for d in shown["Displays"] if "Topic" in d}
        assert {"/storm/pose", "/storm/mask", "/storm/overlay", "/storm/marker"} <= topics.keys()
        topics.pop(BY_LAUNCH)
        for topic, display in topics.items():

            def published(topic: str = topic) -> list:
                return bench.helper.get_publishers_info_by_topic(topic)

            (publisher,) = wait_until(published, what=topic)
            assert publisher.topic_type == TYPES[display["Class"]], topic
            wanted = QoSProfile(
                depth=1,
                liveliness=LivelinessPolicy.AUTOMATIC,
                reliability=ReliabilityPolicy[display["Topic"]["Reliability Policy"].upper().replace(" ", "_")],
                durability=DurabilityPolicy[display["Topic"]["Durability Policy"].upper().replace(" ", "_")],
            )
            compatibility, why = qos_check_compatible(publisher.qos_profile, wanted)
            assert compatibility == QoSCompatibility.OK, f"{topic}: {why}"
    finally:
        bench.close()


def test_the_launch_file_maps_every_topic_of_it(shown) -> None:
    """So that a node of another name or namespace is shown, too."""
    import runpy

    outputs = runpy.run_path(str(ROOT / "launch" / "tracker.launch.py"))["OUTPUTS"]
    used = {d["Topic"]["Value"] for d in shown["Displays"] if "Topic" in d}
    assert used <= {f"/storm/{output}" for output in outputs} | {BY_LAUNCH}
