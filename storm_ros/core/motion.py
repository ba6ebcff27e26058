"""Where an object may be next: constant velocity in SE(3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from storm_ros.core import se3
from storm_ros.core.types import Pose

_MAX_GAP_S = 0.5


@dataclass(frozen=True, eq=False)
class Motion:
    """The last pose of a track and how fast it was changing.

    Attributes:
        cam_T_obj: (4, 4) last pose.
        stamp_ns: its time.
        velocity: (6,) metres and radians per second, in the camera's axes about the object's origin; zero at first.
    """

    cam_T_obj: Pose
    stamp_ns: int
    velocity: npt.NDArray[np.float64]


def at_rest(cam_T_obj: Pose, stamp_ns: int) -> Motion:
    """The motion of a track that starts here."""
    return Motion(np.array(cam_T_obj, dtype=np.float64), stamp_ns, np.zeros(6))


def moved(motion: Motion, cam_T_obj: Pose, stamp_ns: int) -> Motion:
    """The motion after a new pose; stamps that do not advance leave the velocity at zero."""
    seconds = (stamp_ns - motion.stamp_ns) * 1e-9
    if seconds <= 0.0 or seconds > _MAX_GAP_S:
        return at_rest(cam_T_obj, stamp_ns)
    turn = se3.so3_log(cam_T_obj[:3, :3] @ motion.cam_T_obj[:3, :3].T)
    velocity = np.concatenate([cam_T_obj[:3, 3] - motion.cam_T_obj[:3, 3], turn]) / seconds
    return Motion(np.array(cam_T_obj, dtype=np.float64), stamp_ns, velocity)


def predicted(motion: Motion, stamp_ns: int) -> tuple[Pose, ...]:
    """Likely poses at a later time: moved on at the same velocity, and where it was."""
    seconds = (stamp_ns - motion.stamp_ns) * 1e-9
    if seconds <= 0.0 or seconds > _MAX_GAP_S or not motion.velocity.any():
        return (motion.cam_T_obj,)
    pose = motion.cam_T_obj.copy()
    pose[:3, 3] += motion.velocity[:3] * seconds
    pose[:3, :3] = se3.so3_exp(motion.velocity[3:] * seconds) @ pose[:3, :3]
    return (pose, motion.cam_T_obj)
