"""Settings of the verifier's training: cases, batches, optimisation."""

from __future__ import annotations

from dataclasses import dataclass, field

from storm_ros.core.config import check_value, knob, knobs
from storm_ros.tom.sizes import TomConfig


@dataclass(frozen=True, kw_only=True)
class TomDataConfig:
    """How cases are made of training scenes."""

    seed: int = knob(0, "Seed of all cases.", low=0)
    episodes: int = knob(3, "Objects of a scene that cases are made of.", low=1, high=32)
    cases: int = knob(12, "Cases of an object.", low=4, high=64)
    views: int = knob(6, "Views kept for its memory; the first is the reference.", low=2, high=17)
    max_angle_deg: float = knob(65.0, "Largest angle between a view and the reference.", low=5.0, high=180.0)
    min_visible: float = knob(0.4, "Least share of an object to be seen in a case of a right pose.", low=0.0, high=1.0)


@dataclass(frozen=True, kw_only=True)
class TomOptimConfig:
    """How the weights are found."""

    seed: int = knob(0, "Seed of the weights, of the order of the data and of its changes.", low=0)
    steps: int = knob(4000, "Optimisation steps.", low=1)
    batch: int = knob(6, "Objects a step and process.", low=1, high=1024)
    cases: int = knob(8, "Cases of each object.", low=2, high=64)
    views: int = knob(4, "Most views of its memory.", low=1, high=17)
    learning_rate: float = knob(1e-3, "Peak learning rate of AdamW.", low=1e-7, high=1.0)
    encoder_share: float = knob(
        0.0, "Learning rate of the encoder, of the rest's; at 0 its features are computed once.", low=0.0, high=1.0
    )
    weight_decay: float = knob(0.01, "Weight decay of AdamW.", low=0.0, high=1.0)
    warm_up: int = knob(100, "Steps over which the learning rate rises.", low=0)
    final_share: float = knob(0.02, "Learning rate at the end, of the peak.", low=0.0, high=1.0)
    clip: float = knob(1.0, "Largest norm of the gradient.", low=1e-6)
    ema: float = knob(0.995, "Share of the old in the moving average of the weights.", low=0.0, high=0.99999)
    precision: str = knob("float32", "Arithmetic of the network.", choices=("float32", "bfloat16"))
    threads: int = knob(0, "Threads on a CPU; 0: as many as there are cores.", low=0, high=256)
    swapped: float = knob(
        0.5, "Of the right cases, the share that is also compared with another object's memory.", low=0.0, high=1.0
    )
    evidence_dropout: float = knob(0.3, "Share of the cases whose figures are withheld.", low=0.0, high=1.0)
    versions: int = knob(
        4, "Versions of a crop: the first as it is, the others with other colours, sharpness and depth.", low=1
    )
    checkpoint_s: float = knob(180.0, "Seconds from one checkpoint to the next.", low=1.0)
    log_every: int = knob(20, "Steps from one line of the log to the next.", low=1)


@dataclass(frozen=True, kw_only=True)
class TomTrainConfig:
    """Everything of one training of the verifier."""

    model: TomConfig = field(default_factory=TomConfig)
    cases: TomDataConfig = field(default_factory=TomDataConfig)
    optim: TomOptimConfig = field(default_factory=TomOptimConfig)
    encoder: str = knob("som-nano", "Weights the encoder starts from: a name, a .safetensors file, or none.")
    data: str = knob("", "Folders of cases, by commas.")
    out: str = knob("tom_out", "Folder of checkpoints, log and plot.")

    def __post_init__(self) -> None:
        for item in knobs(self):
            check_value(item, item.value)
