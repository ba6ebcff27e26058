"""Fixtures shared by all tests."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from storm_ros.render.raycast import RayCaster

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with a reason, what this machine has not what is needed for."""
    missing = {}
    if importlib.util.find_spec("rclpy") is None:
        missing["ros"] = "rclpy is missing: source a ROS 2 and run make test-ros"
    if any(item.get_closest_marker("gpu") for item in items) and not _has_cuda():
        missing["gpu"] = "there is no CUDA device"
    for item in items:
        for marker, reason in missing.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


def _has_cuda() -> bool:
    import warp

    warp.config.quiet = True
    return warp.get_cuda_device_count() > 0


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real recordings (BOP layout); the test is skipped where they are absent."""
    if not (DATA / "desk").is_dir():
        pytest.skip("the real recordings are not here: ../shared/data is absent")
    return DATA


@pytest.fixture(scope="session")
def raycaster() -> RayCaster:
    """One ray caster on the CPU for all tests: compiling its kernels takes seconds."""
    from storm_ros.render.raycast import RayCaster

    return RayCaster("cpu")
