"""Settings of the node itself; those of the tracker are in `storm_ros.core.config`."""

from __future__ import annotations

from dataclasses import dataclass, field

from storm_ros.core.config import check_value, knob, knobs


@dataclass(frozen=True, kw_only=True)
class SyncConfig:
    """How colour and depth images are paired."""

    slop: float = knob(0.03, "Colour and depth stamps may differ by this much, s.", low=0.001, high=1.0)
    queue: int = knob(5, "Images of each kind kept while the other is waited for.", low=2, high=50)


@dataclass(frozen=True, kw_only=True)
class InputConfig:
    """When the camera counts as stopped."""

    stale_after: float = knob(1.0, "The camera has stopped when no image came for this long, s.", low=0.1, high=60.0)


@dataclass(frozen=True, kw_only=True)
class PublishConfig:
    """What is published beside the pose."""

    tf: bool = knob(True, "Publish TF from the camera's optical frame to the object's.")
    mask: bool = knob(True, "Publish the mask, when somebody subscribes.")
    overlay: bool = knob(True, "Publish the image with the results drawn in, when somebody subscribes.")
    detections: bool = knob(True, "Publish Detection3DArray, when vision_msgs is installed and somebody subscribes.")
    marker: bool = knob(True, "Publish the mesh of every object as a marker.")
    max_age: float = knob(0.0, "Results of an image older than this are kept back, s; 0: none.", low=0.0, high=60.0)


@dataclass(frozen=True, kw_only=True)
class ComputeConfig:
    """What the node may take of the machine."""

    threads: int = knob(
        1, "CPU threads of the learned parts; more only where cores are idle beside the camera's.", low=1, high=256
    )


@dataclass(frozen=True, kw_only=True)
class LogConfig:
    """How often a complaint is repeated."""

    every: float = knob(5.0, "The same complaint is logged at most this often, s.", low=0.1, high=3600.0)


@dataclass(frozen=True, kw_only=True)
class NodeConfig:
    """Everything that can be set of the node."""

    object_id: str = knob("object", "Name of an object where a request gives none.")
    object_frame: str = knob("", "TF frame of an object; {object_id} stands for its name; empty: storm/{object_id}.")
    references: str = knob("", "Folders of saved references to start with, separated by commas.")
    sync: SyncConfig = field(default_factory=SyncConfig)
    input: InputConfig = field(default_factory=InputConfig)
    publish: PublishConfig = field(default_factory=PublishConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    log: LogConfig = field(default_factory=LogConfig)

    def __post_init__(self) -> None:
        for knob_ in knobs(self):
            check_value(knob_, knob_.value)
