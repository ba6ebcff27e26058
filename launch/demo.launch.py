"""A simulated RGB-D camera before the tracker: slow motion, a full occlusion, a jump, over and over; no camera needed.

ros2 launch storm_ros demo.launch.py                # points at the object by itself
ros2 launch storm_ros demo.launch.py rviz:=true point:=false
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

TRACKER = Path(get_package_share_directory("storm_ros")) / "launch" / "tracker.launch.py"

ARGUMENTS = (
    ("point", "true", "true: the camera node points at the object by the service; false: you do"),
    ("play", "true", "false: the scene stands still until `ros2 param set /simulated_camera play true`"),
    ("target", "box", "what moves: box, can, mug, bottle or dragon"),
    ("frames", "240", "length of the show, which then runs backwards"),
    ("width", "640", "of the images, px"),
    ("height", "480", "of the images, px"),
    ("seed", "0", "of everything in the scene"),
    ("rate", "30.0", "images per second"),
    ("hold", "1.0", "the scene starts to move so long after the first subscriber came, s"),
    ("max_age", "0.145", "results of older images are kept back, s; 0: none"),
)


def generate_launch_description() -> LaunchDescription:
    """The tracker with all its arguments, and a camera on its topics."""
    declared = [DeclareLaunchArgument(name, default_value=value, description=text) for name, value, text in ARGUMENTS]
    tracker = IncludeLaunchDescription(PythonLaunchDescriptionSource(str(TRACKER)))
    return LaunchDescription([*declared, tracker, OpaqueFunction(function=_camera)])


def _camera(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The camera node, once the tracker's name and topics are known."""
    given = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    service = f"{LaunchConfiguration('storm_name').perform(context)}/set_reference"
    numbers = {name: int(given[name]) for name in ("frames", "width", "height", "seed")}
    camera = Node(
        package="storm_ros",
        executable="simulated_camera",
        name="simulated_camera",
        parameters=[
            {
                **numbers,
                "target": given["target"],
                "rate": float(given["rate"]),
                "hold": float(given["hold"]),
                "play": given["play"].lower() in ("true", "1"),
                "point_at": service if given["point"].lower() in ("true", "1") else "",
            }
        ],
        remappings=[(topic, LaunchConfiguration(topic)) for topic in ("image", "depth", "camera_info")],
        output="screen",
        emulate_tty=True,
    )
    return [camera]
