"""Starts the tracker, takes it through its life cycle and shows it in RViz if wanted.

ros2 launch storm_ros tracker.launch.py image:=/camera/color/image_raw depth:=/camera/depth/image camera_info:=/camera/color/camera_info

The demo and the replay include this file: its arguments are theirs, too, and `storm_name` tells them the node's full name.
"""  # noqa: E501

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetLaunchConfiguration,
)
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessStart
from launch.events import matches_action
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

SHARE = Path(get_package_share_directory("storm_ros"))
OUTPUTS = ("pose", "mask", "overlay", "marker", "detections", "status", "relocalized")

ARGUMENTS = (
    ("config", "", "parameter file with what is to differ from config/tracker.yaml and config/node.yaml"),
    ("image", "/camera/camera/color/image_raw", "topic of the colour image; the default is a RealSense's"),
    ("depth", "/camera/camera/aligned_depth_to_color/image_raw", "topic of the depth registered to the colour image"),
    ("camera_info", "/camera/camera/color/camera_info", "topic of the colour camera's camera_info"),
    ("namespace", "", "namespace of the node, for several side by side"),
    ("name", "storm", "name of the node: topics are <namespace>/<name>/pose and so on"),
    ("object_id", "", "name of an object where a request gives none; empty: as in the parameter file"),
    ("object_frame", "", "TF frame of the object, may hold {object_id}; empty: as in the parameter file"),
    ("references", "", "folders of saved references to start with, separated by commas"),
    ("device", "", "auto, cpu or cuda; empty: as in the parameter file"),
    ("max_age", "", "results of older images are kept back, s; 0: none; empty: as in the parameter file"),
    ("use_sim_time", "false", "true: take the time from /clock, as with a bag or a simulator"),
    ("autostart", "true", "true: configure and activate the node; false: leave that to `ros2 lifecycle set`"),
    ("rviz", "false", "true: open RViz"),
    ("rviz_config", str(SHARE / "rviz" / "storm.rviz"), "what RViz shows"),
    ("fixed_frame", "", "RViz's fixed frame; empty: as in its file"),
    ("log_level", "info", "debug, info, warn or error"),
)


def number(text: str) -> float | str:
    """The number that a text is; another text as it is: the node says what is wrong with it."""
    try:
        return float(text)
    except ValueError:
        return text


PARAMETERS = {  # what arguments set, and how their text is read
    "object_id": ("object_id", str),
    "object_frame": ("object_frame", str),
    "references": ("references", str),
    "device": ("device.name", str),
    "max_age": ("publish.max_age", number),
}


def generate_launch_description() -> LaunchDescription:
    """The arguments, and what is made of them."""
    declared = [DeclareLaunchArgument(name, default_value=value, description=text) for name, value, text in ARGUMENTS]
    return LaunchDescription([*declared, OpaqueFunction(function=_nodes)])


def _nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The tracker, its life cycle and RViz."""
    given = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    tracker = LifecycleNode(
        package="storm_ros",
        executable="storm_node",
        name=given["name"],
        namespace=given["namespace"],
        parameters=[*_files(given["config"]), _overrides(given)],
        remappings=[(topic, given[topic]) for topic in ("image", "depth", "camera_info")],
        arguments=["--ros-args", "--log-level", f"{given['name']}:={given['log_level']}"],
        output="screen",
        emulate_tty=True,
    )
    full = SetLaunchConfiguration("storm_name", f"/{_full_name(given)}")
    return [full, *_life_cycle(tracker), tracker, _rviz(given)]


def _full_name(given: dict[str, str]) -> str:
    """Namespace and name of the node, without a slash before them."""
    return "/".join(part for part in (*given["namespace"].split("/"), given["name"]) if part)


def _files(chosen: str) -> list[str]:
    """Parameter files, a later one before an earlier one: the tracker's, the node's presets, the user's."""
    shipped = [str(SHARE / "config" / name) for name in ("tracker.yaml", "node.yaml")]
    return [*shipped, chosen] if chosen else shipped


def _overrides(given: dict[str, str]) -> dict[str, str | float | bool]:
    """Parameters that were given on the command line."""
    chosen: dict[str, str | float] = {
        parameter: kind(given[name]) for name, (parameter, kind) in PARAMETERS.items() if given[name]
    }
    return {**chosen, "use_sim_time": given["use_sim_time"].lower() in ("true", "1")}


def _life_cycle(tracker: LifecycleNode) -> list[LaunchDescriptionEntity]:
    """Configure the node once it runs, activate it once it is configured; say what to do where that fails."""
    wanted = IfCondition(LaunchConfiguration("autostart"))

    def change(transition: int) -> EmitEvent:
        event = ChangeState(lifecycle_node_matcher=matches_action(tracker), transition_id=transition)
        return EmitEvent(event=event)

    started = OnProcessStart(target_action=tracker, on_start=[change(Transition.TRANSITION_CONFIGURE)])
    configured = OnStateTransition(
        target_lifecycle_node=tracker,
        start_state="configuring",
        goal_state="inactive",
        entities=[change(Transition.TRANSITION_ACTIVATE)],
    )
    hint = LogInfo(msg="storm could not be configured: see its message above; then ros2 lifecycle set <node> configure")
    failed = OnStateTransition(
        target_lifecycle_node=tracker, start_state="configuring", goal_state="unconfigured", entities=[hint]
    )
    return [RegisterEventHandler(handler, condition=wanted) for handler in (started, configured, failed)]


def _rviz(given: dict[str, str]) -> Node:
    """RViz on the topics of this very node."""
    remappings = [(f"/storm/{output}", f"/{_full_name(given)}/{output}") for output in OUTPUTS]
    frame = ["-f", given["fixed_frame"]] if given["fixed_frame"] else []
    return Node(
        package="rviz2",
        executable="rviz2",
        name="rviz",
        namespace=given["namespace"],
        arguments=["-d", given["rviz_config"], *frame],
        remappings=[*remappings, ("/storm/image", given["image"])],
        parameters=[{"use_sim_time": given["use_sim_time"].lower() in ("true", "1")}],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
