"""Everything `pick.py` needs of this package: the tracker, its objects in MoveIt's planning scene, the camera's place.

ros2 launch $(ros2 pkg prefix --share storm_ros)/examples/pick/pick.launch.py planning_frame:=base_link object_id:=cup
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

LAUNCH = Path(get_package_share_directory("storm_ros")) / "launch"
POSE = ("x", "y", "z", "yaw", "pitch", "roll")

ARGUMENTS = (
    ("demo", "false", "true: a simulated camera, no camera needed"),
    ("planning_frame", "base_link", "MoveIt's planning frame"),
    ("shape", "hull", "shape of the object in the scene: mesh, hull or box"),
    ("camera_frame", "camera_link", "frame of the camera that camera_pose places"),
    ("camera_pose", "", "x,y,z,yaw,pitch,roll of it in planning_frame, by hand-eye calibration; empty: TF has it"),
)


def generate_launch_description() -> LaunchDescription:
    """The tracker or the demo with all their arguments, and what stands between them and MoveIt."""
    declared = [DeclareLaunchArgument(name, default_value=value, description=text) for name, value, text in ARGUMENTS]
    return LaunchDescription([*declared, OpaqueFunction(function=_nodes)])


def _nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    given = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    name = "demo.launch.py" if given["demo"].lower() in ("true", "1") else "tracker.launch.py"
    tracker = IncludeLaunchDescription(PythonLaunchDescriptionSource(str(LAUNCH / name)))
    scene = Node(
        package="storm_ros",
        executable="scene_publisher",
        name="scene_publisher",
        parameters=[{"planning_frame": given["planning_frame"], "shape": given["shape"]}],
        output="screen",
    )
    return [tracker, scene, *_camera(given)]


def _camera(given: dict[str, str]) -> list[LaunchDescriptionEntity]:
    """The camera's place, where nobody else publishes it."""
    if not given["camera_pose"]:
        return []
    numbers = given["camera_pose"].split(",")
    if len(numbers) != len(POSE):
        raise RuntimeError(
            f"camera_pose:={given['camera_pose']} has {len(numbers)} numbers: {','.join(POSE)} are needed"
        )
    placed = [part for name, value in zip(POSE, numbers, strict=True) for part in (f"--{name}", value)]
    frames = ["--frame-id", given["planning_frame"], "--child-frame-id", given["camera_frame"]]
    return [Node(package="tf2_ros", executable="static_transform_publisher", arguments=[*placed, *frames])]
