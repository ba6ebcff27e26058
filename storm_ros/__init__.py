"""Point at an object in one RGB-D image; from then on get its 6D pose, and know when it is lost and found."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)  # joins the interfaces that ROS generates under the same name

from storm_ros.core.config import StormConfig
from storm_ros.core.tracker import Tracker
from storm_ros.core.types import Camera, Mesh, Reference, RgbdFrame, TrackResult, TrackStatus
from storm_ros.factory import create_tracker

__version__ = "0.1.0"

__all__ = [
    "Camera",
    "Mesh",
    "Reference",
    "RgbdFrame",
    "StormConfig",
    "TrackResult",
    "TrackStatus",
    "Tracker",
    "create_tracker",
]
