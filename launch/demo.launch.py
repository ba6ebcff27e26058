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

SHARE = Path(get_package_share_directory("storm_ros"))
TOPICS = {
    "image": "/camera/camera/color/image_raw",
    "depth": "/camera/camera/aligned_depth_to_color/image_raw",
    "camera_info": "/camera/camera/color/camera_info",
}

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
PASSED_ON = ("namespace", "name", "object_id", "object_frame", "device", "config", "autostart", "rviz", "log_level")


def generate_launch_description() -> LaunchDescription:
    """The arguments, and what is made of them."""
    declared = [DeclareLaunchArgument(name, default_value=value, description=text) for name, value, text in ARGUMENTS]
    return LaunchDescription([*declared, OpaqueFunction(function=_nodes)])


def _nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The camera and the tracker."""
    given = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    tracker = "/" + "/".join(part for part in (*given["namespace"].split("/"), given["name"]) if part)
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
                "point_at": f"{tracker}/set_reference" if given["point"].lower() in ("true", "1") else "",
            }
        ],
        remappings=list(TOPICS.items()),
        output="screen",
        emulate_tty=True,
    )
    source = PythonLaunchDescriptionSource(str(SHARE / "launch" / "tracker.launch.py"))
    arguments = {**TOPICS, **{name: given[name] for name in PASSED_ON}}
    return [camera, IncludeLaunchDescription(source, launch_arguments=arguments.items())]
