"""Weights files: what was written comes back; what was altered or does not fit is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing: pip install storm_ros[learned]")

from storm_ros.som.judging import NETWORK_ALONE, SIGNALS, Weighing  # noqa: E402
from storm_ros.som.loading import WEIGHING, load_som, save_som  # noqa: E402
from storm_ros.som.network import SomNetwork  # noqa: E402
from storm_ros.weights import WeightsError, read_weights, write_weights  # noqa: E402


def test_what_was_written_comes_back(network: SomNetwork, tmp_path: Path) -> None:
    loaded, weighing = load_som(save_som(tmp_path / "w.safetensors", network))
    assert weighing is NETWORK_ALONE
    assert loaded.config == network.config
    for name, values in network.state_dict().items():
        assert torch.allclose(values, loaded.state_dict()[name], atol=2e-3), name


def test_the_weighing_comes_back_and_one_that_does_not_fit_is_refused(network: SomNetwork, tmp_path: Path) -> None:
    count = len(SIGNALS)
    given = Weighing(np.arange(count) / 3.0, np.linspace(-1.0, 2.0, count), 0.1)
    path = save_som(tmp_path / "w.safetensors", network, weighing=given)
    found = load_som(path)[1]
    assert all(np.array_equal(a, b) for a, b in zip(found, given, strict=True))
    arrays, metadata = read_weights(path)
    for text in ("[[1, 2], [3, 4], 5]", "7", "x", metadata[WEIGHING].replace("0.1", "NaN")):
        write_weights(path, arrays, {**metadata, WEIGHING: text})
        with pytest.raises(WeightsError, match="calibrate them anew"):
            load_som(path)


def test_another_size_is_refused(network: SomNetwork, tmp_path: Path) -> None:
    path = save_som(tmp_path / "w.safetensors", network)
    with pytest.raises(WeightsError, match="does not fit the configuration"):
        load_som(path, replace(network.config, channels=32))


def test_a_missing_array_is_refused(network: SomNetwork, tmp_path: Path) -> None:
    path = save_som(tmp_path / "w.safetensors", network)
    arrays, metadata = read_weights(path)
    del arrays["to_query.weight"]
    write_weights(path, arrays, metadata)
    with pytest.raises(WeightsError, match=r"to_query\.weight"):
        load_som(path)


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "w.safetensors", {"a": np.zeros(3, np.float32)}, {"kind": "verifier"})
    with pytest.raises(WeightsError, match="not of the segmenter but of verifier"):
        load_som(path)


def test_weights_that_are_not_finite_are_refused(network: SomNetwork, tmp_path: Path) -> None:
    path = save_som(tmp_path / "w.safetensors", network)
    arrays, metadata = read_weights(path)
    arrays["mask.bias"][:] = np.nan
    write_weights(path, arrays, metadata)
    with pytest.raises(WeightsError, match=r"not finite in mask\.bias"):
        load_som(path)


def test_settings_of_another_version_are_refused(network: SomNetwork, tmp_path: Path) -> None:
    path = save_som(tmp_path / "w.safetensors", network)
    arrays, metadata = read_weights(path)
    write_weights(path, arrays, {**metadata, "config.wings": "2"})
    with pytest.raises(WeightsError, match="another version"):
        load_som(path)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(WeightsError, match="no weights are called 'giant'"):
        load_som("giant")
