"""The shipped parts satisfy their contracts."""

from __future__ import annotations

import pytest

import storm_ros
from storm_ros.core import protocols
from storm_ros.core.config import StormConfig, with_values
from storm_ros.core.errors import BackendUnavailableError
from storm_ros.factory import build_parts, create_tracker


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
    assert tracker.config is config
    assert tracker.parts.gate.config.tau == 0.7
    assert tracker.parts.pose.config.samples == 500
    assert tracker.parts.segmenter.config.candidates == 2


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
