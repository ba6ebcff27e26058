import numpy as np
import pytest

from storm_ros.cli import doctor
from storm_ros.cli.doctor import State
from storm_ros.cli.main import main
from storm_ros.core.types import Camera


def test_here_everything_needed_is_there(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for name in ("python", "warp", "devices", "kernel cache", "ray casting", "weights", "ROS 2"):
        assert name in out


def test_a_missing_package_is_a_problem_only_where_it_is_needed():
    needed = doctor.check_package("no_such_package", ("no-such-package",), "tests", needed=True)
    assert needed.state is State.PROBLEM
    assert needed.fix == "pip install no-such-package"
    assert doctor.check_package("no_such_package", ("x",), "tests", needed=False).state is State.ABSENT


def test_one_problem_makes_the_exit_code_1(monkeypatch, capsys):
    broken = doctor.Check("ray casting", State.PROBLEM, "depth is 3 mm off", "reinstall warp-lang")
    monkeypatch.setattr(doctor, "all_checks", lambda: [broken])
    assert main(["doctor"]) == 1
    captured = capsys.readouterr()
    assert "reinstall warp-lang" in captured.out
    assert "cannot run: ray casting" in captured.err


def test_the_spheres_true_depth_and_a_wrong_one():
    camera = Camera(41, 41, 100.0, 100.0, 20.0, 20.0)
    x = (np.arange(41) - 20) / 100.0
    rays = np.stack([*np.meshgrid(x, x), np.ones((41, 41))], -1)
    depth = np.zeros((41, 41))
    for row, col in np.ndindex(41, 41):  # |z * ray - centre| = radius, solved for the nearer z
        a, b, c = rays[row, col] @ rays[row, col], -2 * 0.4, 0.4**2 - 0.05**2
        if b * b - 4 * a * c > 0:
            depth[row, col] = (-b - np.sqrt(b * b - 4 * a * c)) / (2 * a)
    assert doctor.sphere_error(depth, camera, 0.05, 0.4) == (pytest.approx(0.0, abs=1e-9), 0)
    assert doctor.sphere_error(np.where(depth > 0, depth + 0.002, 0), camera, 0.05, 0.4)[0] == pytest.approx(2.0)
    assert doctor.sphere_error(np.zeros((41, 41)), camera, 0.05, 0.4)[0] == np.inf


def test_weights_are_listed_by_their_sum(tmp_path):
    assert doctor.check_weights(tmp_path).state is State.ABSENT
    (tmp_path / "nano.safetensors").write_bytes(b"abc")
    assert "nano.safetensors (ba7816bf8f01)" in doctor.check_weights(tmp_path).detail


@pytest.mark.parametrize(("environment", "state"), [({}, State.ABSENT), ({"ROS_DISTRO": "jazzy"}, None)])
def test_ros_is_never_a_problem(environment, state):
    check = doctor.check_ros(environment)
    assert check.state is not State.PROBLEM
    assert state in (None, check.state)
