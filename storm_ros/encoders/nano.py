"""The nano encoder: a small residual network over colour and depth, trained in this project."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

import math
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from storm_ros.encoders.nano_input import CHANNELS, NanoConfig, input_planes

Network = TypeVar("Network", bound=nn.Module)


class Features(NamedTuple):
    """What the encoder sees in an image: (N, stem, H/2, W/2), (N, fine, H/4, W/4), (N, middle + colour, H/8, W/8)."""

    stem: Tensor
    fine: Tensor
    middle: Tensor


class ChannelNorm(nn.Module):
    """Layer norm over the channels of (N, C, H, W); quick where channels are last in memory."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W)."""
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Residual(nn.Module):
    """Two 3x3 convolutions added to what comes in; nothing is added at the start of the training."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        for parameter in self.second.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        return x + self.second(functional.relu(self.first(self.norm(x))))


class NanoEncoder(nn.Module):
    """Colour and depth planes to features at strides 4 and 8; strides 16 and the whole image give the context."""

    def __init__(self, config: NanoConfig | None = None) -> None:
        super().__init__()
        c = self.config = config or NanoConfig()
        self.stem = nn.Conv2d(CHANNELS, c.stem, 3, stride=2, padding=1)
        self.to_fine = nn.Conv2d(c.stem, c.fine, 3, stride=2, padding=1)
        self.fine = nn.Sequential(*(Residual(c.fine) for _ in range(c.fine_blocks)))
        self.to_middle = nn.Sequential(ChannelNorm(c.fine), nn.Conv2d(c.fine, c.middle, 3, stride=2, padding=1))
        self.middle = nn.Sequential(*(Residual(c.middle) for _ in range(c.middle_blocks)))
        self.to_coarse = nn.Sequential(ChannelNorm(c.middle), nn.Conv2d(c.middle, c.coarse, 3, stride=2, padding=1))
        self.coarse = nn.Sequential(*(Residual(c.coarse) for _ in range(c.coarse_blocks)))
        self.context = nn.Linear(c.coarse, c.coarse)
        self.down = nn.Sequential(ChannelNorm(c.coarse), nn.Conv2d(c.coarse, c.middle, 1))
        self.mixed = nn.Sequential(*(Residual(c.middle) for _ in range(c.middle_blocks)), ChannelNorm(c.middle))
        self.finer = nn.Conv2d(c.middle, c.fine, 1)
        self.fine_norm = ChannelNorm(c.fine)
        self.colour = nn.Conv2d(3, c.colour, 1)
        with torch.no_grad():  # waves over colour space: colours alike give features alike, before anything is learnt
            nn.init.normal_(self.colour.weight, std=c.colour_waves)
            self.colour.bias = nn.Parameter(2.0 * math.pi * torch.rand(c.colour))

    @property
    def channels(self) -> int:
        """Of the features at stride 8."""
        return self.config.middle + self.config.colour

    def forward(self, planes: Tensor) -> Features:
        """Encode images.

        Args:
            planes: (N, 7, H, W) from `input_planes`; H and W multiples of 16.
        """
        stem = functional.relu(self.stem(planes))
        fine = self.fine(self.to_fine(stem))
        middle = self.middle(self.to_middle(fine))
        coarse = self.coarse(self.to_coarse(middle))
        coarse = coarse + self.context(coarse.mean((2, 3)))[:, :, None, None]
        up = functional.interpolate(self.down(coarse), scale_factor=2.0, mode="nearest")
        middle = self.mixed(middle + up)
        fine = fine + functional.interpolate(self.finer(middle), scale_factor=2.0, mode="nearest")
        waves = torch.cos(self.colour(functional.avg_pool2d(planes[:, :3], 8))) * 2.0
        return Features(stem, self.fine_norm(fine), torch.cat([middle, waves], dim=1))


def channels_last(network: Network) -> Network:
    """The same network with the weights of its convolutions laid out for images whose channels are last in memory."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


def planes_tensor(planes: npt.NDArray[np.float32]) -> Tensor:
    """Input planes (N, H, W, 7) as (N, 7, H, W), channels last in memory, without a copy."""
    return torch.from_numpy(np.ascontiguousarray(planes)).permute(0, 3, 1, 2)


class NanoFeatures:
    """The nano encoder as an `Encoder`: colour only, unit-length features at stride 8."""

    def __init__(self, network: NanoEncoder) -> None:
        """Take a trained network."""
        self.network = network.eval()

    @property
    def stride(self) -> int:
        """Pixels per feature cell."""
        return 8

    def encode(self, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Features of an image.

        Args:
            rgb: (H, W, 3) uint8.

        Returns:
            (H // 8, W // 8, C) float32, each of unit length.
        """
        planes = input_planes(rgb, None, 1.0)
        height, width = rgb.shape[:2]
        padded = np.pad(planes, ((0, -height % 16), (0, -width % 16), (0, 0)), mode="edge")
        with torch.inference_mode():
            middle = self.network(planes_tensor(padded[None])).middle
            unit = functional.normalize(middle, dim=1)[0].permute(1, 2, 0)
        return np.ascontiguousarray(unit[: height // 8, : width // 8].numpy())
