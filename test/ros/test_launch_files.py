"""What the launch files start, with which topics and parameters; nothing is started here."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.ros

ROOT = Path(__file__).resolve().parents[2]


def started(file: str, /, **given: str) -> list:
    """The nodes that a launch file would start, those of included files too."""
    from launch import LaunchContext
    from launch.actions import IncludeLaunchDescription, OpaqueFunction
    from launch.launch_description_sources import PythonLaunchDescriptionSource
    from launch_ros.actions import Node

    context = LaunchContext()
    context.launch_configurations.update(given)
    description = PythonLaunchDescriptionSource(str(ROOT / "launch" / file)).get_launch_description(context)
    nodes = []
    entities = list(description.entities)
    while entities:
        entity = entities.pop(0)
        condition = getattr(entity, "condition", None)
        if condition is not None and not condition.evaluate(context):
            continue
        if isinstance(entity, Node):
            nodes.append(entity)
        elif isinstance(entity, IncludeLaunchDescription | OpaqueFunction) or not hasattr(entity, "node_executable"):
            entities = [*(entity.visit(context) or []), *entities]
    return [(node, context) for node in nodes]


def executables(nodes: list) -> list[str]:
    return [node.node_executable for node, _ in nodes]


@pytest.mark.parametrize("name", ["tracker.launch.py", "demo.launch.py", "replay.launch.py"])
def test_every_argument_says_what_it_is(name) -> None:
    from launch import LaunchContext
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    description = PythonLaunchDescriptionSource(str(ROOT / "launch" / name)).get_launch_description(LaunchContext())
    arguments = description.get_launch_arguments()
    assert len(arguments) >= 12
    assert all(len(argument.description) > 5 for argument in arguments)


def test_tracker_alone() -> None:
    assert executables(started("tracker.launch.py")) == ["storm_node"]


def test_rviz_when_wanted() -> None:
    assert executables(started("tracker.launch.py", rviz="true")) == ["storm_node", "rviz2"]


def test_demo_brings_a_camera() -> None:
    assert executables(started("demo.launch.py", namespace="left")) == ["storm_node", "simulated_camera"]


@pytest.mark.parametrize(
    ("file", "given", "max_age"),
    [
        ("tracker.launch.py", {}, None),
        ("tracker.launch.py", {"max_age": "0.2"}, 0.2),
        ("demo.launch.py", {}, 0.145),
        ("demo.launch.py", {"max_age": "0"}, 0),
        ("demo.launch.py", {"max_age": ""}, None),
        ("demo.launch.py", {"max_age": "soon"}, "soon"),
    ],
)
def test_the_demo_keeps_back_what_is_too_old(file, given, max_age) -> None:
    """The tracker by itself does so only when it is told to: on a slow machine it would fall silent."""
    from launch_ros.utilities import evaluate_parameters

    node, context = started(file, **given)[0]
    set_ = {}
    for values in evaluate_parameters(context, node._Node__parameters):
        set_ |= values if isinstance(values, dict) else {}
    assert set_.get("publish.max_age") == max_age
    assert set_["use_sim_time"] is False


def test_replay_brings_a_player(tmp_path) -> None:
    nodes = started("replay.launch.py", bag=str(tmp_path / "x.mcap"), box="1,2,30,40", clock="true")
    assert executables(nodes) == ["storm_node", "player"]


@pytest.mark.parametrize("name", ["demo.launch.py", "replay.launch.py"])
def test_the_trackers_arguments_are_those_of_all(name, tmp_path) -> None:
    """What is not named here has the tracker's default, in the camera node too."""
    from launch import LaunchContext
    from launch.launch_description_sources import PythonLaunchDescriptionSource
    from launch.utilities import perform_substitutions

    def arguments(of: str) -> set[str]:
        description = PythonLaunchDescriptionSource(str(ROOT / "launch" / of)).get_launch_description(LaunchContext())
        return {argument.name for argument in description.get_launch_arguments()}

    assert arguments("tracker.launch.py") < arguments(name)
    nodes = started(name, bag=str(tmp_path), image="/left/rgb", namespace="left", name="eye", box="1,2,3,4")
    topics = [
        {
            perform_substitutions(context, list(inside)): perform_substitutions(context, list(outside))
            for inside, outside in node._Node__remappings
        }
        for node, context in nodes
    ]
    assert topics[0] == topics[1]
    assert topics[0]["image"] == "/left/rgb"
    assert topics[0]["depth"] == "/camera/camera/aligned_depth_to_color/image_raw"
    assert nodes[0][1].launch_configurations["storm_name"] == "/left/eye"


@pytest.mark.parametrize(
    ("given", "said"), [({}, "no recording was named"), ({"bag": "x.mcap", "box": "1,2,3"}, "x,y,width,height")]
)
def test_replay_refuses(given, said) -> None:
    with pytest.raises(RuntimeError, match=said):
        started("replay.launch.py", **given)


def test_the_security_policy_names_what_the_nodes_use() -> None:
    """Every service and topic of the table in docs/ros.md is granted."""
    from xml.etree import ElementTree

    root = ElementTree.parse(ROOT / "config" / "sros2_policy.xml").getroot()
    profile = next(p for p in root.iter("profile") if p.get("node") == "storm")
    granted = {element.text for element in profile.iter() if element.tag in ("topic", "service")}
    services = {
        f"~/{name}" for name in ("set_reference", "clear_reference", "relocalize", "save_reference", "load_reference")
    }
    topics = {f"~/{name}" for name in ("pose", "mask", "relocalized", "status", "detections", "overlay", "marker")}
    assert services | topics | {"/tf", "/diagnostics"} <= granted


def test_the_users_file_has_the_last_word() -> None:
    import runpy

    files_of = runpy.run_path(str(ROOT / "launch" / "tracker.launch.py"))["_files"]
    shipped = [Path(path).name for path in files_of("")]
    assert shipped == ["tracker.yaml", "node.yaml"], "the node's presets come after the tracker's defaults"
    assert files_of("/mine.yaml")[-1] == "/mine.yaml"
