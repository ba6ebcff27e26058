"""Size of the verifying network, known without the package that computes it."""

from __future__ import annotations

from dataclasses import dataclass, field

from storm_ros.core.config import check_value, knob, knobs
from storm_ros.core.errors import ConfigError
from storm_ros.encoders.nano_input import NanoConfig

CROP_PX = 64
"""Side of a crop in pixels."""

CELL_PX = 8
"""Side in pixels of the piece of a crop that one token stands for."""

TOKENS = (CROP_PX // CELL_PX) ** 2
"""Tokens of a crop."""


@dataclass(frozen=True, kw_only=True)
class TomConfig:
    """Size of the verifying network."""

    encoder: NanoConfig = field(default_factory=NanoConfig)
    channels: int = knob(64, "Channels of a token.", low=8, high=1024)
    heads: int = knob(4, "Attention heads.", low=1, high=32)
    blocks: int = knob(2, "Times that the tokens ask the memory.", low=1, high=8)
    asked: int = knob(6, "Views that are asked beside the reference's first: those seen from the nearest side.", low=0)
    places: int = knob(32, "Channels that tell where a token lies on the object.", low=4, high=256)
    geometry: bool = knob(True, "Tokens know where they lie in the object's frame (off: an ablation).")
    colours: bool = knob(True, "Colours are compared place by place, too (off: an ablation).")
    evidence: bool = knob(True, "The pose estimate's own figures are a token, too (off: an ablation).")

    def check(self) -> None:
        """See that the sizes go together.

        Raises:
            ConfigError: they do not, or one of them is out of its range.
        """
        for item in knobs(self):
            check_value(item, item.value)
        if self.channels % self.heads:
            raise ConfigError(f"channels = {self.channels} with heads = {self.heads}: it must be a multiple of them")
