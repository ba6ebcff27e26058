"""Size of the segmenting network, known without the package that computes it."""

from __future__ import annotations

from dataclasses import dataclass, field

from storm_ros.core.config import check_value, knob, knobs
from storm_ros.core.errors import ConfigError
from storm_ros.encoders.nano_input import NanoConfig

MAX_VIEWS = 16
"""Most views of one reference."""

REFERENCE_MARGIN = 1.3
"""Side of a reference crop relative to the object's longer side."""


LOOK_MARGIN = 2.0
"""Width of a close look relative to the object's expected size."""

FIT_MARGIN = 1.4
"""Width of a look at an object that was found, relative to its size."""

LOOK_PX = 128
"""Side of a close look in pixels."""


@dataclass(frozen=True, kw_only=True)
class SomConfig:
    """Size of the segmenting network."""

    encoder: NanoConfig = field(default_factory=NanoConfig)
    channels: int = knob(64, "Channels of a pair of query and reference.", low=8, high=1024)
    heads: int = knob(4, "Attention heads.", low=1, high=32)
    blocks: int = knob(2, "Fusion blocks; the first half attends to the original reference.", low=1, high=12)
    mask_channels: int = knob(32, "Channels of the mask decoder at stride 4.", low=4, high=512)
    sharp: int = knob(0, "Channels of the mask decoder at stride 2; 0: the mask stays at stride 4.", low=0, high=256)
    reference_px: int = knob(64, "Side of a reference crop in pixels.", low=32, high=256)
    text: int = knob(512, "Length of a text embedding.", low=1, high=4096)
    alignment: bool = knob(True, "Carry the reference's objectness onto the query (off: an ablation).")
    deep: bool = knob(True, "Deep blocks attend to the refined reference (off: an ablation).")

    def check(self) -> None:
        """See that the sizes go together.

        Raises:
            ConfigError: they do not, or one of them is out of its range.
        """
        for item in knobs(self):
            check_value(item, item.value)
        if self.channels % self.heads or self.reference_px % 16:
            raise ConfigError(
                f"channels = {self.channels} with heads = {self.heads}, reference_px = {self.reference_px}: channels "
                "must be a multiple of heads, reference_px of 16"
            )
