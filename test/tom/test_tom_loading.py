"""Weights of the verifier: what is written is read, and what does not fit is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing: pip install storm_ros[learned]")

from storm_ros.tom.loading import KIND, load_tom, save_tom  # noqa: E402
from storm_ros.tom.sizes import TomConfig  # noqa: E402
from storm_ros.weights import WeightsError, read_weights, write_weights  # noqa: E402


@pytest.fixture
def saved(network: Any, tmp_path: Path) -> Path:
    return save_tom(tmp_path / "w.safetensors", network, 1.25, {"note": "of a test"})


def test_there_and_back(network: Any, saved: Path) -> None:
    loaded, tau = load_tom(saved)
    assert tau == 1.25
    assert loaded.config == network.config
    theirs = network.state_dict()
    assert all(torch.allclose(v, theirs[k], atol=2e-3, rtol=2e-3) for k, v in loaded.state_dict().items())
    assert read_weights(saved)[1]["note"] == "of a test"


def test_another_size_is_refused(saved: Path) -> None:
    with pytest.raises(WeightsError, match="does not fit the configuration"):
        load_tom(saved, TomConfig())


def test_another_kind_is_refused(tmp_path: Path) -> None:
    other = write_weights(tmp_path / "o.safetensors", {"a": np.zeros(2, np.float16)}, {"kind": "storm_ros.som"})
    with pytest.raises(WeightsError, match="not of the verifier but of storm_ros"):
        load_tom(other)


def test_a_changed_byte_is_noticed(saved: Path) -> None:
    data = bytearray(saved.read_bytes())
    data[-5] ^= 0xFF
    saved.write_bytes(bytes(data))
    with pytest.raises(WeightsError, match="altered or damaged"):
        load_tom(saved)


def test_values_that_are_not_finite_are_refused(network: Any, tmp_path: Path) -> None:
    with torch.no_grad():
        network.judge[-1].bias.fill_(float("nan"))
    path = save_tom(tmp_path / "w.safetensors", network, 0.0)
    with pytest.raises(WeightsError, match=r"not finite in judge\.3\.bias"):
        load_tom(path)


def test_a_threshold_that_is_no_number_is_refused(saved: Path, tmp_path: Path) -> None:
    arrays, metadata = read_weights(saved)
    for text in ("nan", "high"):
        path = write_weights(tmp_path / "t.safetensors", arrays, {**metadata, "tau": text})
        with pytest.raises(WeightsError, match="number is needed"):
            load_tom(path)
    assert metadata["kind"] == KIND.name


def test_settings_of_another_version_are_refused(saved: Path, tmp_path: Path) -> None:
    arrays, metadata = read_weights(saved)
    path = write_weights(tmp_path / "t.safetensors", arrays, {**metadata, "config.wings": "2"})
    with pytest.raises(WeightsError, match="another version"):
        load_tom(path)
