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

TRACKER = Path(get_package_share_directory("storm_ros")) / "launch" / "tracker.launch.py"

ARGUMENTS = (
    ("bag", "", "the recording; needed"),
    ("box", "", "x,y,width,height of the object in the first frame, px: point at it, then play"),
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
)
TEXTS = ("frame_id", "bag_image", "bag_depth", "bag_info")


def generate_launch_description() -> LaunchDescription:
    """The tracker with all its arguments, and a player on its topics."""
    declared = [DeclareLaunchArgument(name, default_value=value, description=text) for name, value, text in ARGUMENTS]
    source = PythonLaunchDescriptionSource(str(TRACKER))
    tracker = IncludeLaunchDescription(source, launch_arguments=[("use_sim_time", LaunchConfiguration("clock"))])
    checked, player = OpaqueFunction(function=_check), OpaqueFunction(function=_player)
    return LaunchDescription([*declared, checked, tracker, player])


def _check(context: LaunchContext) -> None:
    """Complain before anything starts."""
    _parameters(context, "")


def _player(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The player, once the tracker's name and topics are known."""
    player = Node(
        package="storm_ros",
        executable="player",
        name="player",
        parameters=[_parameters(context, LaunchConfiguration("storm_name").perform(context))],
        remappings=[(topic, LaunchConfiguration(topic)) for topic in ("image", "depth", "camera_info")],
        output="screen",
        emulate_tty=True,
        on_exit=[LogInfo(msg="the recording has ended; the tracker runs on until Ctrl-C")],
    )
    return [player]


def _parameters(context: LaunchContext, tracker: str) -> dict[str, object]:
    """Parameters of the player; a relative path is taken from where the launch was started."""
    given = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
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
