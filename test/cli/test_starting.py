"""The command line before it has loaded anything."""

import subprocess
import sys

import pytest

STOPPED = """
import sys

class Stop:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            raise KeyboardInterrupt

from storm_ros.cli.main import main
sys.meta_path.insert(0, Stop())
sys.exit(main(["config"]))
"""


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_the_entry_point_loads_nothing_that_takes_time():
    done = python("import sys, storm_ros.cli.main; print([m for m in ('numpy', 'scipy', 'yaml') if m in sys.modules])")
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("name", ["storm_ros.cli.commands", "argparse", "storm_ros.core.config"])
def test_ctrl_c_while_loading_leaves_one_line(name):
    done = python(STOPPED.format(name=name))
    assert done.returncode == 1
    assert done.stderr == "storm: interrupted\n"
    assert done.stdout == ""


def test_public_names_are_loaded_when_used():
    code = (
        "import storm_ros; from storm_ros import *; print(all(n in dir(storm_ros) for n in storm_ros.__all__), Tracker)"
    )
    done = python(code)
    assert done.stdout.strip() == "True <class 'storm_ros.core.tracker.Tracker'>", done.stderr
    assert "has no attribute 'Trucker'" in python("import storm_ros; storm_ros.Trucker").stderr
