"""The launch files for real: launch_testing starts them, in a domain of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.ros

HERE = Path(__file__).parent


def launched(name: str, domain: int, folder: Path) -> None:
    """Run a launch_test in a domain of its own; all of it has to pass."""
    paths = os.pathsep.join(filter(None, (str(HERE / "launched"), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "ROS_DOMAIN_ID": str(domain), "ROS_LOG_DIR": str(folder / "log"), "PYTHONPATH": paths}
    command = [sys.executable, "-m", "launch_testing.launch_test", str(HERE / "launched" / name)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=2400, check=False)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"


@pytest.mark.slow
def test_demo(ros_domain, tmp_path) -> None:
    """Reference by service, pose within 10 mm of the truth in TF, hidden, found again."""
    launched("demo.py", ros_domain(), tmp_path)


@pytest.mark.slow
def test_pick(ros_domain, tmp_path) -> None:
    """The example: planning scene, pose and TF, three motions; the robot and its planner are played."""
    pytest.importorskip(
        "moveit_msgs.action", reason="moveit_msgs has no actions here: install ros-$ROS_DISTRO-moveit-msgs"
    )
    launched("pick.py", ros_domain(), tmp_path)


@pytest.mark.slow
def test_two_trackers_on_a_bag_with_its_clock(ros_domain, tmp_path) -> None:
    """Namespaces, use_sim_time, and a bag that begins again."""
    launched("side_by_side.py", ros_domain(), tmp_path)
