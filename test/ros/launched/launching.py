"""What the launched tests share: time to end on a slow machine, and what a clean end is."""

from launch import LaunchDescription
from launch.actions import SetLaunchConfiguration
from launch_testing.actions import ReadyToTest
from launch_testing.asserts import assertExitCodes

PATIENCE_S = 60


def tested(*entities):
    """A description of what is started; nothing is killed because a busy machine takes long to end it."""
    patience = [SetLaunchConfiguration(name, str(PATIENCE_S)) for name in ("sigterm_timeout", "sigkill_timeout")]
    return LaunchDescription([*patience, *entities, ReadyToTest()])


def assert_ended_cleanly(proc_info, proc_output):
    """Every process ended with 0 and none of them wrote a traceback."""
    assertExitCodes(proc_info)
    for process in proc_info.processes():
        text = b"".join(output.text for output in proc_output[process]).decode(errors="replace")
        assert "Traceback" not in text, text
