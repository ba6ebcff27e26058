"""``storm doctor``: what is installed, what works, and how to mend what does not."""

from __future__ import annotations

import argparse
import enum
import hashlib
import importlib
import importlib.util
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from storm_ros.core.errors import StormError

MIN_PYTHON = (3, 10)

# (import name, distribution names, what it is for)
NEEDED = (
    ("numpy", ("numpy",), "everything"),
    ("scipy", ("scipy",), "everything"),
    ("cv2", ("opencv-python-headless", "opencv-python", "opencv-contrib-python"), "images"),
    ("warp", ("warp-lang",), "ray casting"),
    ("trimesh", ("trimesh",), "mesh files"),
    ("yaml", ("PyYAML",), "parameter files"),
    ("rich", ("rich",), "this command line"),
    ("rosbags", ("rosbags",), "ROS 2 recordings without ROS"),
)
OPTIONAL = (
    ("torch", ("torch",), "learned encoders"),
    ("transformers", ("transformers",), "the full-size encoders"),
    ("open3d", ("open3d",), "the comparison in the benchmarks"),
)


class State(enum.Enum):
    """Outcome of a check."""

    OK = "ok"
    ABSENT = "not there"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Check:
    """One line of the table: what was looked at, how it is, and how to mend it where that is needed."""

    name: str
    state: State
    detail: str
    fix: str = ""


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "doctor",
        help="check the installation",
        description="Show what is installed and try the ray caster; exit code 0 when the default set-up can run.",
    )
    parser.set_defaults(run=run_command)


def run_command(args: argparse.Namespace) -> int:
    """Run the command: 0 when the default set-up can run, else 1."""
    checks = all_checks()
    problems = [c for c in checks if c.state is State.PROBLEM]
    _show(checks)
    if problems:
        names = ", ".join(c.name for c in problems)
        sys.stderr.write(f"storm: error: the default set-up cannot run: {names}\n")
    return 1 if problems else 0


def all_checks() -> list[Check]:
    """Look at everything; whatever is broken becomes a line, never an exception."""
    checks = [check_python()]
    checks += [check_package(name, dists, use, needed=True) for name, dists, use in NEEDED]
    checks += [check_package(name, dists, use, needed=False) for name, dists, use in OPTIONAL]
    for name, check in (("devices", check_devices), ("kernel cache", check_cache), ("ray casting", check_ray_casting)):
        checks.append(_guarded(name, check))
    return [*checks, check_weights(_weights_folder()), check_ros(os.environ)]


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except ImportError as error:
        return Check(name, State.PROBLEM, f"cannot be tried: {error}", "install the packages above first")
    except (StormError, OSError, RuntimeError, ValueError, AttributeError, TypeError) as error:
        return Check(name, State.PROBLEM, f"{type(error).__name__}: {' '.join(str(error).split())}", _REINSTALL)


_REINSTALL = "reinstall the package (pip install --force-reinstall storm_ros)"


def check_python() -> Check:
    """The interpreter."""
    found = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info < MIN_PYTHON:
        return Check("python", State.PROBLEM, found, "Python 3.10 or newer is needed")
    return Check("python", State.OK, found)


def check_package(name: str, distributions: Iterable[str], use: str, *, needed: bool) -> Check:
    """Whether a package is there; one that is needed is imported, too."""
    pip_name = next(iter(distributions))
    if importlib.util.find_spec(name) is None:
        state = State.PROBLEM if needed else State.ABSENT
        return Check(name, state, f"not installed; for {use}", f"pip install {pip_name}" if needed else "")
    version = next((v for v in map(_version, distributions) if v), "version unknown")
    if needed:
        try:
            importlib.import_module(name)
        except (ImportError, OSError) as error:
            return Check(name, State.PROBLEM, f"{version}, but importing it fails: {error}", f"reinstall {pip_name}")
    return Check(name, State.OK, version)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def check_devices() -> Check:
    """Compute devices that Warp sees."""
    from storm_ros.render.device import resolve_device

    default = resolve_device("auto")
    import warp as wp

    names = ", ".join(f"{d.alias} ({d.name})" for d in wp.get_devices())
    return Check("devices", State.OK, f"{names}; auto takes {default}")


def check_cache() -> Check:
    """Whether compiled kernels can be kept."""
    from storm_ros.render.device import resolve_device

    resolve_device("cpu")
    import warp as wp

    folder = Path(wp.config.kernel_cache_dir or tempfile.gettempdir())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Check(
            "kernel cache",
            State.PROBLEM,
            f"{folder}: {error.strerror or error}",
            "make it writable, or set WARP_CACHE_PATH to a folder that is",
        )
    return Check("kernel cache", State.OK, str(folder))


def check_ray_casting() -> Check:
    """Cast rays at a sphere of 5 cm at 40 cm, and compare with its true depth."""
    import numpy as np
    import trimesh

    from storm_ros.core import se3
    from storm_ros.core.types import Camera, Mesh
    from storm_ros.render.raycast import RayCaster

    radius_m, distance_m = 0.05, 0.4
    ball = trimesh.creation.icosphere(subdivisions=5, radius=radius_m)
    mesh = Mesh(np.asarray(ball.vertices, np.float32), np.asarray(ball.faces, np.int32), name="sphere")
    camera = Camera(160, 120, 150.0, 150.0, 79.5, 59.5)
    caster = RayCaster("cpu")
    depth_m = caster.render(caster.upload(mesh), se3.transform(np.eye(3), [0, 0, distance_m]), camera).depth_m[0]
    error_mm, differing = sphere_error(depth_m, camera, radius_m, distance_m)
    detail = f"sphere on the CPU: depth within {error_mm:.3f} mm, {differing} rim pixels differ"
    if error_mm > 0.2 or differing > 60:
        return Check("ray casting", State.PROBLEM, detail + "; 0.2 mm and 60 are allowed", "reinstall warp-lang")
    return Check("ray casting", State.OK, detail)


def sphere_error(depth_m: Any, camera: Any, radius_m: float, distance_m: float) -> tuple[float, int]:
    """Compare a depth map (H, W) of a sphere on the optical axis with the truth.

    Returns:
        95th percentile of the depth error in mm where both see it, and the number of pixels where only one does.
    """
    import numpy as np

    x = (np.arange(camera.width) - camera.cx) / camera.fx
    y = (np.arange(camera.height) - camera.cy) / camera.fy
    squared = x[None, :] ** 2 + y[:, None] ** 2 + 1.0
    inside = distance_m**2 - squared * (distance_m**2 - radius_m**2)
    truth = np.where(inside > 0, (distance_m - np.sqrt(np.maximum(inside, 0))) / squared, 0.0)
    both = (truth > 0) & (depth_m > 0)
    if not both.any():
        return float("inf"), int((truth > 0).sum())
    error_mm = float(np.percentile(np.abs(depth_m - truth)[both], 95)) * 1000.0
    return error_mm, int(((truth > 0) != (depth_m > 0)).sum())


def _weights_folder() -> Path:
    return Path(__file__).resolve().parents[1] / "weights"


def check_weights(folder: Path) -> Check:
    """Weights that are shipped, by the beginning of their SHA-256."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        return Check("weights", State.ABSENT, "none shipped; the default set-up needs none")
    shown = (f"{f.name} ({hashlib.sha256(f.read_bytes()).hexdigest()[:12]})" for f in files)
    return Check("weights", State.OK, ", ".join(shown))


def check_ros(environment: Any) -> Check:
    """Whether a ROS 2 is sourced."""
    distro = environment.get("ROS_DISTRO")
    usable = importlib.util.find_spec("rclpy") is not None
    if distro and usable:
        return Check("ROS 2", State.OK, distro)
    if distro:
        return Check("ROS 2", State.ABSENT, f"{distro} is sourced, but this Python has no rclpy", _ROS_FIX)
    return Check("ROS 2", State.ABSENT, "not sourced; only the node needs it", "")


_ROS_FIX = "use the system's Python, or a virtual environment made with --system-site-packages"


def _show(checks: Iterable[Check]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    styles = {State.OK: "green", State.ABSENT: "dim", State.PROBLEM: "bold red"}
    table = Table("part", "state", "found", title="storm doctor", title_justify="left")
    table.columns[2].overflow = "fold"
    for check in checks:
        detail = check.detail + (f"\n-> {check.fix}" if check.fix else "")
        table.add_row(check.name, Text(check.state.value, style=styles[check.state]), Text(detail))
    Console().print(table)
