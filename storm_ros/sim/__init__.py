"""Simulated RGB-D recordings: procedural objects on a table, a depth sensor's faults, and the exact truth."""

from storm_ros.sim.imaging import ColourCamera, develop, random_camera
from storm_ros.sim.objects import KINDS, load_objects, make_object, random_object
from storm_ros.sim.rendering import SceneRenderer, Shot
from storm_ros.sim.scene import Instance, Scene, furnished, random_scene
from storm_ros.sim.scripts import demo_sequence, tabletop_sequence, turntable_sequence
from storm_ros.sim.sensor import DepthSensor, kinect, perfect, random_sensor, realsense, sense_depth
from storm_ros.sim.sequence import Phase, Script, SimulatedRecording, SimulatedTruth
from storm_ros.sim.shading import Light

__all__ = [
    "KINDS",
    "ColourCamera",
    "DepthSensor",
    "Instance",
    "Light",
    "Phase",
    "Scene",
    "SceneRenderer",
    "Script",
    "Shot",
    "SimulatedRecording",
    "SimulatedTruth",
    "demo_sequence",
    "develop",
    "furnished",
    "kinect",
    "load_objects",
    "make_object",
    "perfect",
    "random_camera",
    "random_object",
    "random_scene",
    "random_sensor",
    "realsense",
    "sense_depth",
    "tabletop_sequence",
    "turntable_sequence",
]
