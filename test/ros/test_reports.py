"""The small things a report is made of: meshes for display, rates, mask values, throttling, interface files."""

from __future__ import annotations

import numpy as np
import pytest
from ros_messages import ROOT, box_frame, fields_of

from storm_ros.core.types import Mesh, Reference, TrackResult
from storm_ros.ros.complaints import Problem
from storm_ros.ros.marker import coarse
from storm_ros.ros.snapshot import Snapshot
from storm_ros.ros.statistics import Statistics
from storm_ros.ros.status import node_state
from storm_ros.ros.throttle import Throttle


def sphere(rings: int) -> Mesh:
    """A ball of 5 cm."""
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, rings), np.linspace(0.01, np.pi - 0.01, rings), indexing="ij")
    points = 0.05 * np.stack([np.cos(u) * np.sin(v), np.sin(u) * np.sin(v), np.cos(v)], -1).reshape(-1, 3)
    i = np.arange(rings * rings).reshape(rings, rings)
    a, b, c, d = i[:-1, :-1].ravel(), i[1:, :-1].ravel(), i[1:, 1:].ravel(), i[:-1, 1:].ravel()
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    colors = np.tile(np.array([[255, 0, 51]], np.uint8), (len(points), 1))
    return Mesh(points.astype(np.float32), faces.astype(np.int32), colors=colors)


def test_small_mesh_is_shown_as_it_is():
    mesh = sphere(12)
    corners, colors = coarse(mesh)
    assert np.allclose(corners, mesh.vertices[mesh.faces.ravel()], atol=1e-7)
    assert np.allclose(colors, [1.0, 0.0, 0.2])


def test_large_mesh_is_shown_coarser_but_of_the_same_shape():
    mesh = sphere(150)
    corners, colors = coarse(mesh, max_faces=2000)
    assert 500 < len(corners) // 3 <= 2000
    assert np.abs(np.linalg.norm(corners, axis=1) - 0.05).max() < 0.004
    assert np.allclose(colors, [1.0, 0.0, 0.2])


def test_mesh_without_colours_gets_one():
    mesh = sphere(8)
    _, colors = coarse(Mesh(mesh.vertices, mesh.faces))
    assert len({tuple(c) for c in colors.tolist()}) == 1


def test_rate_and_latency_of_the_last_two_seconds():
    statistics = Statistics()
    for i in range(120):
        statistics.add(i / 30, 0.02 if i < 60 else 0.04, {"track": 5.0})
    now_s = 119 / 30
    assert statistics.rate_hz(now_s) == pytest.approx(30, abs=1)
    assert statistics.latency_ms(now_s) == pytest.approx(40)
    assert statistics.frames == 120
    assert statistics.rate_hz(now_s + 5) == 0.0
    assert np.isnan(statistics.latency_ms(now_s + 5))


@pytest.mark.parametrize("latency_s", [-0.5, 3600.0])
def test_latency_between_unrelated_clocks_is_unknown(latency_s):
    statistics = Statistics()
    statistics.add(0.0, latency_s, {})
    assert np.isnan(statistics.latency_ms(0.0))


def test_throttle_lets_each_kind_through_now_and_then():
    throttle = Throttle()
    passed = [t for t in range(12) if throttle.due("a", float(t), 5.0)]
    assert passed == [0, 5, 10]
    assert throttle.due("b", 11.0, 5.0)


def snapshot(*names: str, lost: dict[str, int] | None = None) -> Snapshot:
    frame, _ = box_frame()
    references = {name: Reference(name, (), sphere(5)) for name in names}
    return Snapshot(None, frame, TrackResult(-1, frame.stamp_ns, {}), references, lost or {})


def test_mask_values():
    assert snapshot("a").mask_value("a") == 255
    assert [snapshot("a", "b").mask_value(name) for name in ("a", "b", "c")] == [1, 2, 0]


def test_time_lost_by_image_stamps():
    stamp_ns = box_frame()[0].stamp_ns
    assert snapshot("a", lost={"a": stamp_ns - 1_500_000_000}).seconds_lost("a") == pytest.approx(1.5)
    assert snapshot("a").seconds_lost("a") == 0.0


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ({"active": False, "stale": True, "problems": [], "objects": 1}, "INACTIVE"),
        ({"active": True, "stale": True, "problems": [Problem("a", "b")], "objects": 1}, "STALE"),
        ({"active": True, "stale": False, "problems": [Problem("a", "b")], "objects": 1}, "BAD_INPUT"),
        ({"active": True, "stale": False, "problems": [Problem("a", "b", blocks=False)], "objects": 1}, "RUNNING"),
        ({"active": True, "stale": False, "problems": [], "objects": 0}, "WAITING"),
    ],
)
def test_state_in_a_word(given, state):
    assert node_state(**given) == state


INTERFACES = sorted([*(ROOT / "msg").glob("*.msg"), *(ROOT / "srv").glob("*.srv")])


@pytest.mark.parametrize("path", INTERFACES, ids=lambda path: path.name)
def test_interfaces_are_valid_definitions(path):
    """Rosbags reads them by the same grammar as ROS."""
    from rosbags.typesys import get_types_from_msg

    parts = path.read_text(encoding="utf-8").split("\n---\n")
    assert len(parts) == (2 if path.suffix == ".srv" else 1)
    for number, text in enumerate(parts):
        types = get_types_from_msg(text, f"storm_ros/msg/{path.stem}")
        _, fields = types[f"storm_ros/msg/{path.stem}"]
        assert [name for name, _ in fields] == [name for _, name in fields_of(path, number)]


def test_all_interfaces_are_there():
    names = {path.name for path in INTERFACES}
    assert names == {
        *("Relocalized.msg", "TrackerStatus.msg", "ObjectStatus.msg"),
        *("SetReference.srv", "ClearReference.srv", "Relocalize.srv", "SaveReference.srv", "LoadReference.srv"),
    }


@pytest.mark.parametrize("path", INTERFACES, ids=lambda path: path.name)
def test_quantities_have_units(path):
    """Every number's comment, or the block comment above it, tells what it is."""
    for line in path.read_text(encoding="utf-8").splitlines():
        code, mark, comment = line.partition("#")
        if code.strip().startswith("float"):
            assert mark, f"{path.name}: {code.strip()} has no comment"
            assert len(comment.strip()) > 5
