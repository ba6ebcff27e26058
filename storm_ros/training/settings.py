"""Settings of the training: scenes, batches, optimisation."""

from __future__ import annotations

from dataclasses import dataclass, field

from storm_ros.core.config import check_value, knob, knobs
from storm_ros.som.sizes import LOOK_PX, SomConfig

HELD_OUT = (
    "blue_cup,doraemon_bowl,glue_2,large_clamp,orion_pie,plastic_banana,plastic_plum,remote_controller_2,shampoo,"
    "stapler_1"
)
"""Scanned objects that no training scene may hold; the held-out scenes do."""


@dataclass(frozen=True, kw_only=True)
class SceneConfig:
    """What the training scenes hold, and how they are looked at."""

    seed: int = knob(0, "Seed of all scenes.", low=0)
    scenes: int = knob(64, "Scenes in a shard; they share one stock of objects and rooms.", low=1, high=4096)
    objects: int = knob(8, "Objects of a scene.", low=2, high=32)
    shown: int = knob(6, "Objects that its query images show; the others are asked for in vain.", low=1, high=32)
    queries: int = knob(3, "Query images of a scene.", low=1, high=16)
    references: int = knob(2, "Reference crops of an object.", low=1, high=16)
    width: int = knob(256, "Columns of a query image.", low=32, high=1024)
    height: int = knob(192, "Rows of a query image.", low=32, high=1024)
    reference_px: int = knob(96, "Side of a reference crop in pixels.", low=32, high=256)
    close_share: float = knob(0.5, "Share of the query images that are crops around an object.", low=0.0, high=1.0)
    exposure_spread: float = knob(0.15, "Standard deviation of the logarithm of exposure between pictures.", low=0.0)
    balance_spread: float = knob(0.04, "The same of red and blue against green.", low=0.0)
    stock: int = knob(48, "Procedural objects in a shard's stock.", low=4, high=1024)
    rooms: int = knob(12, "Furnished rooms in a shard's stock.", low=1, high=1024)
    scans: int = knob(24, "Scanned objects in a shard's stock, recoloured ones included.", low=0, high=1024)
    scan_models: int = knob(
        0, "Different scanned objects among them, of all that there are; 0: any. Fewer: more copies in other colours.",
        low=0, high=1024,
    )  # fmt: skip
    household: str = knob("../shared/data/household", "Folder of scanned objects (.glb, metres); may be absent.")
    held_out: str = knob(HELD_OUT, "Names of scanned objects kept out of the training, by commas.")


@dataclass(frozen=True, kw_only=True)
class StreamConfig:
    """Scenes that are made while the training goes on; what comes out depends on shards and fresh alone."""

    shards: int = knob(0, "Shards in use at a time, made on the way; 0: those of data, made before.", low=0, high=4096)
    fresh: int = knob(1, "Shards that are new in each round through those in use.", low=1, high=4096)
    ahead: int = knob(2, "Shards that are made before their turn.", low=0, high=4096)
    makers: int = knob(1, "Processes that make shards; 0: a thread.", low=0, high=256)
    readers: int = knob(0, "Processes that make batches, of a stream or not; 0: a thread.", low=0, high=256)


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """How the weights are found."""

    seed: int = knob(0, "Seed of the weights, of the order of the data and of its changes.", low=0)
    steps: int = knob(20000, "Optimisation steps.", low=1)
    batch: int = knob(2, "Scenes a step and process.", low=1, high=1024)
    looks: int = knob(5, "Looks at each scene.", low=1, high=256)
    pairs: int = knob(6, "References asked for in each look.", low=1, high=64)
    absent_share: float = knob(0.4, "Share of the references that a look does not show.", low=0.0, high=1.0)
    close_share: float = knob(0.75, "Share of looks that are close: sized for an object.", low=0.0, high=1.0)
    false_share: float = knob(
        0.5, "Share of the close looks at what is not the object, most at what is like it.", low=0.0, high=1.0
    )
    paint_share: float = knob(
        0.5, "Share of the close looks where a thing beside what is wanted gets its colours.", low=0.0, high=1.0
    )
    unknown_size: float = knob(0.1, "Share of the close looks without a known size.", low=0.0, high=1.0)
    width: int = knob(LOOK_PX, "Columns of a look.", low=32, high=4096)
    height: int = knob(LOOK_PX, "Rows of a look.", low=32, high=4096)
    views: int = knob(2, "Most views of a reference; fewer are drawn at random.", low=1, high=16)
    learning_rate: float = knob(1e-3, "Peak learning rate of AdamW.", low=1e-7, high=1.0)
    weight_decay: float = knob(0.01, "Weight decay of AdamW.", low=0.0, high=1.0)
    warm_up: int = knob(300, "Steps over which the learning rate rises.", low=0)
    final_share: float = knob(0.02, "Learning rate at the end, of the peak.", low=0.0, high=1.0)
    clip: float = knob(1.0, "Largest norm of the gradient.", low=1e-6)
    ema: float = knob(0.998, "Share of the old in the moving average of the weights.", low=0.0, high=0.99999)
    precision: str = knob("float32", "Arithmetic of the network.", choices=("float32", "bfloat16"))
    threads: int = knob(0, "Threads on a CPU; 0: as many as there are cores.", low=0, high=256)
    depth_dropout: float = knob(0.15, "Share of the images whose depth is withheld.", low=0.0, high=1.0)
    augment: bool = knob(True, "Change colours, sharpness and depth at random.")
    focal: float = knob(20.0, "Weight of the focal loss of the mask.", low=0.0)
    dice: float = knob(1.0, "Weight of the dice loss of the mask.", low=0.0)
    tversky: float = knob(0.1, "Weight of the Tversky loss of the mask.", low=0.0)
    coarse: float = knob(0.5, "Weight of the alignment maps' own losses.", low=0.0)
    presence: float = knob(0.5, "Weight of the presence loss.", low=0.0)
    iou: float = knob(0.5, "Weight of the loss of the predicted IoU.", low=0.0)
    match: float = knob(0.3, "Weight of the alignment matrices' loss against true correspondence.", low=0.0)
    contrast: float = knob(0.3, "Weight of the contrastive loss of the tokens over all references.", low=0.0)
    reach: float = knob(0.2, "Distance, of an object's size, up to which two points correspond.", low=0.01, high=2.0)
    temperature: float = knob(0.1, "Of the contrastive loss.", low=0.01, high=10.0)
    checkpoint_s: float = knob(180.0, "Seconds from one checkpoint to the next.", low=1.0)
    log_every: int = knob(20, "Steps from one line of the log to the next.", low=1)


def _checked(config: object) -> None:
    for item in knobs(config):
        check_value(item, item.value)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything of one training."""

    model: SomConfig = field(default_factory=SomConfig)
    scenes: SceneConfig = field(default_factory=SceneConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    stream: StreamConfig = field(default_factory=StreamConfig)
    data: str = knob("", "Folders of shards, by commas.")
    out: str = knob("train_out", "Folder of checkpoints, log and plot.")
    start: str = knob("", "Weights to start from: a name or a .safetensors file; empty for none.")

    def __post_init__(self) -> None:
        _checked(self)
