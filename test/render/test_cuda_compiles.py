"""The kernels are one code for CPU and CUDA: without a GPU, at least they must compile for one."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import warp as wp

from storm_ros.render.device import resolve_device

ORIN = 87
MODULES = (
    "storm_ros.render.raycast",
    "storm_ros.pose.kernels",
    "storm_ros.pose.judging",
    "storm_ros.sim.kernels",
)


@pytest.mark.parametrize("name", MODULES)
def test_kernels_compile_for_a_jetson_orin(name: str, tmp_path: Path) -> None:
    resolve_device("cpu")
    if not hasattr(wp, "compile_aot_module"):
        pytest.skip(f"Warp {wp.__version__} cannot compile ahead of time")
    wp.compile_aot_module(importlib.import_module(name), device=None, arch=ORIN, module_dir=tmp_path, use_ptx=True)
    assert list(tmp_path.glob("*.sm87.ptx"))
