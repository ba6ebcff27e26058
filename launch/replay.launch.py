"""Plays a recording before the tracker: a bag (.mcap, .db3, folder), a BOP scene or a folder of images.

ros2 launch storm_ros replay.launch.py bag:=/path/recording.mcap box:=200,140,90,110 clock:=true
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, LogInfo, OpaqueFunction
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

SHARE = Path(get_package_share_directory("storm_ros"))
TOPICS = {
    "image": "/camera/camera/color/image_raw",
    "depth": "/camera/camera/aligned_depth_to_color/image_raw",
    "camera_info": "/camera/camera/color/camera_info",
}

ARGUMENTS = (
    ("bag", "", "the recording; needed"),
    ("box", "", "x,y,width,height of the object in the first frame, px: point at it, then play"),
    ("references", "", "folders of saved references to start with, separated by commas"),
    ("clock", "false", "true: keep the recorded stamps, publish /clock and let the tracker use it"),
    ("loop", "false", "true: begin again at the end"),
    ("rate", "1.0", "how fast: 0.5 is half as fast as recorded"),
    ("first", "0", "number of the first frame"),
    ("last", "-1", "number of the last frame; -1: the recording's last"),
    ("play", "true", "false: wait at the first frame until `ros2 param set /player play true`"),
    ("hold", "1.0", "it starts so long after the first subscriber came, s"),
    ("frame_id", "", "optical frame of the camera; empty: as recorded"),
    ("bag_image", "", "topic of the colour images in a bag that has several"),
    ("bag_depth", "", "topic of the depth images in a bag that has several"),
    ("bag_info", "", "topic of the camera_info in a bag that has several"),
    ("namespace", "", "namespace of the tracker"),
    ("name", "storm", "name of the tracker"),
    ("object_id", "", "name of the object; empty: as in the parameter file"),
    ("object_frame", "", "TF frame of the object; empty: as in the parameter file"),
    ("device", "", "auto, cpu or cuda; empty: as in the parameter file"),
    ("config", "", "parameter file with what is to differ for the tracker"),
    ("autostart", "true", "true: configure and activate the tracker"),
    ("rviz", "false", "true: open RViz"),
    ("log_level", "info", "of the tracker: debug, info, warn or error"),
)
PASSED_ON = ("namespace", "name", "object_id", "object_frame", "references", "device", "config", "autostart", "rviz")
TEXTS = ("frame_id", "bag_image", "bag_depth", "bag_info")


def generate_launch_description() -> LaunchDescription:
    """The arguments, and what is made of them."""
    declared = [DeclareLaunchArgument(name, default_value=value, description=text) for name, value, text in ARGUMENTS]
    return LaunchDescription([*declared, OpaqueFunction(function=_nodes)])


def _nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The player and the tracker."""
    given = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    tracker = "/" + "/".join(part for part in (*given["namespace"].split("/"), given["name"]) if part)
    player = Node(
        package="storm_ros",
        executable="player",
        name="player",
        parameters=[_player(given, tracker)],
        remappings=list(TOPICS.items()),
        output="screen",
        emulate_tty=True,
        on_exit=[LogInfo(msg="the recording has ended; the tracker runs on until Ctrl-C")],
    )
    source = PythonLaunchDescriptionSource(str(SHARE / "launch" / "tracker.launch.py"))
    arguments = {**TOPICS, **{name: given[name] for name in PASSED_ON}}
    arguments |= {"use_sim_time": given["clock"], "log_level": given["log_level"]}
    return [player, IncludeLaunchDescription(source, launch_arguments=arguments.items())]


def _player(given: dict[str, str], tracker: str) -> dict[str, object]:
    """Parameters of the player; a relative path is taken from where the launch was started."""
    if not given["bag"]:
        raise RuntimeError("no recording was named: ros2 launch storm_ros replay.launch.py bag:=/path/recording.mcap")
    parameters: dict[str, object] = {name: given[name] for name in TEXTS if given[name]}
    parameters |= {name: given[name].lower() in ("true", "1") for name in ("clock", "loop", "play")}
    parameters |= {name: float(given[name]) for name in ("rate", "hold")}
    parameters |= {name: int(given[name]) for name in ("first", "last")}
    if given["box"]:
        box = [float(part) for part in given["box"].split(",")]
        if len(box) != 4:
            raise RuntimeError(f"box:={given['box']} has {len(box)} numbers: x,y,width,height are needed")
        parameters |= {"box": box, "point_at": f"{tracker}/set_reference"}
    return {**parameters, "recording": str(Path(given["bag"]).expanduser().resolve())}
