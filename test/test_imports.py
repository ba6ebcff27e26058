"""Who may import whom: the layers point one way, ROS stays in ros/, heavy packages in the modules that wrap them."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "storm_ros"
ROOT = "<root>"  # modules right below the package

PARTS = {"som", "pose", "tom", "mot", "mesh", "encoders", "render", "core"}
MAY_IMPORT = {
    "core": set(),
    "weights": {"core"},
    "render": {"core"},
    "encoders": {"core", "weights"},
    "mesh": {"core", "render"},
    "pose": {"core", "render", "encoders", "mesh", "weights"},
    "som": {"core", "render", "encoders", "mesh", "weights"},
    "tom": {"core", "render", "encoders", "weights"},
    "mot": {"core", "render", "encoders", "som", "weights"},
    "sim": {"core", "render", "mesh"},
    "io": {"core", "mesh"},
    "evaluation": {*PARTS, "io", "sim", ROOT},
    "training": {*PARTS, "io", "sim", "evaluation", "weights", ROOT},
    "cli": {*PARTS, "io", "sim", "evaluation", "training", "weights", "ros", ROOT},
    "ros": {*PARTS, "io", "sim", "evaluation", "weights", ROOT},
    ROOT: {*PARTS, "weights"},
}
CORE_PACKAGES = {"numpy", "scipy", "yaml"}  # yaml only inside the function that reads a file
ROS_PACKAGES = {
    "ament_index_python",
    "builtin_interfaces",
    "cv_bridge",
    "diagnostic_msgs",
    "diagnostic_updater",
    "geometry_msgs",
    "launch",
    "launch_ros",
    "lifecycle_msgs",
    "message_filters",
    "moveit_msgs",
    "rcl_interfaces",
    "rclpy",
    "rosgraph_msgs",
    "rosidl_runtime_py",
    "sensor_msgs",
    "shape_msgs",
    "std_msgs",
    "tf2_msgs",
    "tf2_ros",
    "tf_transformations",
    "vision_msgs",
    "visualization_msgs",
}
NETWORKS = {  # modules made of torch; the others import them inside the functions that need them
    "encoders/inference.py",
    "encoders/nano.py",
    "encoders/network_files.py",
    "evaluation/failures_cosine.py",
    "som/attention.py",
    "som/loading.py",
    "som/network.py",
    "som/segmenter.py",
    "tom/loading.py",
    "tom/network.py",
    "tom/traced.py",
    "tom/verifier.py",
    "training/chances.py",
    "training/export.py",
    "training/losses.py",
    "training/pipeline.py",
    "training/readers.py",
    "training/running.py",
    "training/som.py",
    "training/tom.py",
    "training/tom_features.py",
    "training/tom_figures.py",
}
WRAPPED_BY: dict[str, set[str]] = {
    "torch": NETWORKS,
    "pycocotools": {"evaluation/coco.py"},
    "transformers": set(),
    "open3d": set(),
    "sam2": set(),
    "rosbags": {"io/bag_file.py", "io/messages.py"},
    "trimesh": {"mesh/file.py", "mesh/write.py", "cli/doctor.py"},
}

MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def layer_of(module: str) -> str:
    return module.split("/")[0] if "/" in module else ROOT


def top(name: str) -> str:
    return name.split(".")[0]


@cache
def imports(module: str) -> tuple[tuple[str, int, bool], ...]:
    """Each imported module's dotted name, its line, and whether it is imported inside a function."""
    tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"))
    return tuple(_imports(tree, package=["storm_ros", *module.split("/")[:-1]], nested=False))


def _imports(node: ast.AST, package: list[str], nested: bool) -> Iterator[tuple[str, int, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, child.lineno, nested) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = [] if not child.level else package[: len(package) - child.level + 1]
            name = ".".join([*base, child.module] if child.module else base)
            # "from storm_ros import io" names a layer by its alias
            names = [f"{name}.{alias.name}" for alias in child.names] if name == "storm_ros" else [name]
            yield from ((full, child.lineno, nested) for full in names)
        elif isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            yield from _imports(child, package, nested=True)
        else:
            yield from _imports(child, package, nested or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


def own_layer(name: str) -> str | None:
    parts = name.split(".")
    if parts[0] != "storm_ros":
        return None
    return parts[1] if len(parts) > 1 and (PACKAGE / parts[1]).is_dir() else ROOT


def test_every_folder_has_its_rule() -> None:
    folders = {layer_of(module) for module in MODULES}
    assert folders <= set(MAY_IMPORT)
    assert {"core", "mesh", "render", ROOT} <= folders


def test_rules_have_no_circle() -> None:
    """Folders can be put in an order in which each imports earlier ones only (the root's own modules aside)."""
    left = {layer: allowed - {ROOT} for layer, allowed in MAY_IMPORT.items() if layer != ROOT}
    while left:
        free = [layer for layer, allowed in left.items() if not allowed & set(left)]
        assert free, f"a circle among {sorted(left)}"
        for layer in free:
            del left[layer]


def test_layers_point_one_way() -> None:
    wrong = []
    for module in MODULES:
        layer = layer_of(module)
        for name, line, _ in imports(module):
            target = own_layer(name)
            if target is not None and target != layer and target not in MAY_IMPORT[layer]:
                wrong.append(f"{module}:{line} imports {name}: {layer} may import {sorted(MAY_IMPORT[layer])}")
    assert not wrong, "\n".join(wrong)


def test_core_needs_numpy_and_scipy_only() -> None:
    allowed = CORE_PACKAGES | {"storm_ros"} | set(sys.stdlib_module_names)
    in_core = [module for module in MODULES if layer_of(module) == "core"]
    wrong = [f"{m}:{line} {name}" for m in in_core for name, line, _ in imports(m) if top(name) not in allowed]
    assert not wrong, "\n".join(wrong)


def test_ros_stays_in_ros() -> None:
    elsewhere = [module for module in MODULES if layer_of(module) != "ros"]
    wrong = [f"{m}:{line} {name}" for m in elsewhere for name, line, _ in imports(m) if top(name) in ROS_PACKAGES]
    assert not wrong, "\n".join(wrong)


def test_heavy_packages_stay_where_they_are_wrapped() -> None:
    wrong = [
        f"{module}:{line} imports {name}: only {sorted(WRAPPED_BY[top(name)]) or 'no module yet'} may"
        for module in MODULES
        for name, line, _ in imports(module)
        if top(name) in WRAPPED_BY and module not in WRAPPED_BY[top(name)]
    ]
    assert not wrong, "\n".join(wrong)


def test_heavy_packages_are_loaded_when_used() -> None:
    at_top = [
        f"{module}:{line} {name}"
        for module in MODULES
        for name, line, nested in imports(module)
        if top(name) in WRAPPED_BY and not nested and not (top(name) == "torch" and module in NETWORKS)
    ]
    assert not at_top, "\n".join(at_top)


def test_networks_are_loaded_when_used() -> None:
    named = {f"storm_ros.{module.removesuffix('.py').replace('/', '.')}" for module in NETWORKS}
    at_top = [
        f"{module}:{line} {name}"
        for module in MODULES
        for name, line, nested in imports(module)
        if name in named and not nested and module not in NETWORKS
    ]
    assert not at_top, "\n".join(at_top)


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = [*WRAPPED_BY, "cv2", "warp", "rclpy", "rich"]
    code = f"import sys, storm_ros; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert done.stdout.strip() == "[]"
