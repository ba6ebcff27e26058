"""Point at an object in one RGB-D image; from then on get its 6D pose, and know when it is lost and found."""

from pkgutil import extend_path
from typing import TYPE_CHECKING

__path__ = extend_path(__path__, __name__)  # joins the interfaces that ROS generates under the same name

if TYPE_CHECKING:
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

_HOMES = {
    "StormConfig": "core.config",
    "Tracker": "core.tracker",
    "create_tracker": "factory",
    **dict.fromkeys(("Camera", "Mesh", "Reference", "RgbdFrame", "TrackResult", "TrackStatus"), "core.types"),
}


def __getattr__(name: str) -> object:
    """Load a public name when it is first used: the command line comes up without waiting for numpy."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
