"""Features of all crops under an encoder that is not trained, computed once and kept on disk."""
# pyright: reportMissingImports=false
# (PyTorch is an extra)

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from storm_ros.encoders.nano import planes_tensor
from storm_ros.encoders.nano_input import input_planes
from storm_ros.tom.network import TomNetwork
from storm_ros.tom.sizes import TOKENS
from storm_ros.training.tom_batches import crop_version
from storm_ros.training.tom_settings import TomTrainConfig
from storm_ros.training.tom_shards import CaseShards


class KnownFeatures:
    """Features (L, F) of every crop in every version."""

    def __init__(self, values: npt.NDArray[np.float16], shards: CaseShards, versions: int) -> None:
        """Take what was computed: (crops * versions, L, F)."""
        self._values, self._first, self._versions = values, shards.crop_first, versions

    def of(self, episode: int, place: int, version: int) -> npt.NDArray[np.float32]:
        """Features (L, F) of a crop of an episode, in one of its versions."""
        row = (int(self._first[episode]) + place) * self._versions + version
        return np.asarray(self._values[row], np.float32)


def known_features(network: TomNetwork, shards: CaseShards, config: TomTrainConfig, path: Path) -> KnownFeatures:
    """Features of all crops; read from disk where they were computed before with the same encoder and data.

    Args:
        network: whose encoder is used.
        shards: the cases.
        config: seed and number of versions.
        path: of the .npy file.
    """
    versions = config.optim.versions
    shape = (int(shards.crop_first[-1]) * versions, TOKENS, network.encoder.channels)
    token = path.with_suffix(".txt")
    wanted = _fingerprint(network, shards, config)
    if not (path.is_file() and token.is_file() and token.read_text(encoding="utf-8") == wanted):
        _write(network, shards, config, path, shape)
        draft = token.with_name(f".{token.name}.{os.getpid()}")
        draft.write_text(wanted, encoding="utf-8")
        os.replace(draft, token)
    return KnownFeatures(np.load(path, mmap_mode="r"), shards, versions)


def _write(
    network: TomNetwork, shards: CaseShards, config: TomTrainConfig, path: Path, shape: tuple[int, int, int]
) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    values = np.lib.format.open_memmap(draft, mode="w+", dtype=np.float16, shape=shape)
    device = next(network.parameters()).device
    row = 0
    for index in range(len(shards)):
        episode = shards.episode(index)
        planes = []
        for place in range(len(episode.crops)):
            for version in range(config.optim.versions):
                crop = crop_version(episode, (config.optim.seed, index), place, version)
                planes.append(input_planes(crop.rgb, crop.depth_m, crop.camera.fx))
        with torch.inference_mode():
            made = network.encode(planes_tensor(np.stack(planes)).to(device))
        values[row : row + len(planes)] = made.cpu().numpy().astype(np.float16)
        row += len(planes)
    values.flush()
    del values
    os.replace(draft, path)


def _fingerprint(network: TomNetwork, shards: CaseShards, config: TomTrainConfig) -> str:
    """What the features depend on, as a text."""
    digest = hashlib.sha256()
    for _, values in sorted(network.encoder.state_dict().items()):
        digest.update(values.cpu().numpy().tobytes())
    digest.update(np.ascontiguousarray(shards.crop_first).tobytes())
    digest.update(f"{config.optim.seed} {config.optim.versions}".encode())
    for index in range(0, len(shards), 16):
        digest.update(shards.episode(index).crops[0].rgb.tobytes())
    return digest.hexdigest()
