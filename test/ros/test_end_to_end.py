"""The launch files for real: launch_testing starts them, in a domain of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.ros

HERE = Path(__file__).parent


@pytest.mark.slow
def test_demo(ros_domain, tmp_path) -> None:
    """Reference by service, pose within 10 mm of the truth in TF, hidden, found again."""
    environment = {**os.environ, "ROS_DOMAIN_ID": str(ros_domain()), "ROS_LOG_DIR": str(tmp_path / "log")}
    command = [sys.executable, "-m", "launch_testing.launch_test", str(HERE / "launched" / "demo.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
