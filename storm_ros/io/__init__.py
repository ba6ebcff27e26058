"""Recordings in (BOP scenes, ROS 2 bags, image folders), results out (poses, bags, references)."""

from storm_ros.io.bag_writer import BagWriter
from storm_ros.io.bop import open_bop
from storm_ros.io.converting import convert
from storm_ros.io.folder import open_folder
from storm_ros.io.opening import open_recording
from storm_ros.io.prefetch import read_frames
from storm_ros.io.recording import GroundTruth, Recording
from storm_ros.io.reference import load_reference, save_reference
from storm_ros.io.results import PosesWriter
from storm_ros.io.rosbag import open_bag

__all__ = [
    "BagWriter",
    "GroundTruth",
    "PosesWriter",
    "Recording",
    "convert",
    "load_reference",
    "open_bag",
    "open_bop",
    "open_folder",
    "open_recording",
    "read_frames",
    "save_reference",
]
