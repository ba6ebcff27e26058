"""The shipped parts satisfy their contracts."""

from __future__ import annotations

import importlib.util
import sys

import pytest

import storm_ros
from storm_ros.core import protocols
from storm_ros.core.config import GateConfig, StormConfig, VerifierConfig, with_values
from storm_ros.core.errors import BackendUnavailableError
from storm_ros.factory import build_gate, build_parts, build_verifier, create_tracker, decided
from storm_ros.tom import InlierVerifier


def test_default_parts_satisfy_their_protocols() -> None:
    parts = build_parts(StormConfig())
    assert isinstance(parts.mesh_builder, protocols.MeshBuilder)
    assert isinstance(parts.segmenter, protocols.Segmenter)
    assert isinstance(parts.pose, protocols.PoseEstimator)
    assert isinstance(parts.verifier, protocols.Verifier)
    assert isinstance(parts.gate, protocols.Gate)


def test_settings_reach_the_parts() -> None:
    config = with_values(StormConfig(), {"gate.tau": 0.7, "pose.samples": 500, "segmenter.candidates": 2})
    tracker = create_tracker(config)
    assert tracker.config == decided(config)
    assert tracker.parts.gate.config.tau == 0.7
    assert tracker.parts.pose.config.samples == 500
    assert tracker.parts.segmenter.config.candidates == 2


@pytest.mark.parametrize(("tau", "expected"), [(0.0, -0.7), (0.4, 0.4), (-1.5, -1.5)])
@pytest.mark.parametrize("name", ["energy", "adaptive"])
def test_the_gate_takes_the_verifiers_own_threshold_unless_told_otherwise(
    name: str, tau: float, expected: float
) -> None:
    verifier = InlierVerifier()
    verifier.tau = -0.7
    gate = build_gate(GateConfig(name=name, tau=tau), verifier)
    assert gate.start().threshold == expected
    assert gate.step(gate.start(), expected + 0.1).bad_frames == 1
    assert gate.step(gate.start(), expected - 0.1).bad_frames == 0


def test_auto_means_the_learned_parts_where_they_run(monkeypatch: pytest.MonkeyPatch) -> None:
    here = decided(StormConfig())
    installed = importlib.util.find_spec("torch") is not None
    assert (here.segmenter.name, here.verifier.name) == (("som", "tom") if installed else ("template", "inlier"))
    monkeypatch.setitem(sys.modules, "torch", None)
    without = decided(StormConfig())
    assert (without.segmenter.name, without.verifier.name) == ("template", "inlier")
    named = with_values(StormConfig(), {"segmenter.name": "som", "verifier.name": "inlier"})
    assert decided(named) == named


def test_tom_without_torch_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [m for m in sys.modules if m.split(".")[0] == "torch" or m.startswith("storm_ros.tom.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BackendUnavailableError, match=r"pip install storm_ros\[learned\], or use verifier.name=inlier"):
        build_verifier(VerifierConfig(name="tom"))


def test_public_names_are_importable_from_the_package() -> None:
    for name in storm_ros.__all__:
        assert getattr(storm_ros, name) is not None
    with pytest.raises(AttributeError):
        storm_ros.no_such_name  # noqa: B018


def test_cuda_without_a_device_says_so() -> None:
    import warp as wp

    if wp.is_cuda_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(BackendUnavailableError, match="no CUDA device was found: use --device cpu"):
        build_parts(with_values(StormConfig(), {"device.name": "cuda"}))
