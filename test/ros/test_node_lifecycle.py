"""Transitions of the node: each can be repeated, frees what it made, and says why it failed."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ros, pytest.mark.slow]

OK, FAILED, ERROR = "transition_success", "transition_failure", "transition_error"


@pytest.fixture
def make_bench(ros_domain):
    from ros_bench import PATIENT, Bench

    made = []

    def make(**options):
        bench = Bench(ros_domain(), **{**PATIENT, **options})
        made.append(bench)
        return bench

    yield make
    for bench in made:
        bench.close()


def state(bench) -> str:
    return bench.node._state_machine.current_state[1]


def do(bench, name: str) -> str:
    return getattr(bench.node, f"trigger_{name}")().to_label()


def resources(node) -> dict[str, int]:
    """What the node and the process hold."""
    return {
        "publishers": len(list(node.publishers)),
        "subscriptions": len(list(node.subscriptions)),
        "services": len(list(node.services)),
        "timers": len(list(node.timers)),
        "threads": len(os.listdir("/proc/self/task")),  # those of native libraries, too
        "files": len(os.listdir("/proc/self/fd")),
    }


def memory_mb() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_cycles_in_traffic_leave_nothing_behind(make_bench):
    """Ten times through all states while the camera sends; the first cycles fill caches, then nothing grows."""
    from ros_bench import wait_until

    bench = make_bench()
    bench.camera.start()
    seen = []
    for cycle in range(10):
        assert do(bench, "configure") == OK
        assert do(bench, "activate") == OK
        if cycle % 3 == 0:
            assert bench.point().success
            bench.fresh("storm/pose", 2)
        else:
            time.sleep(0.1)
        tracker = weakref.ref(bench.node.session.tracker)
        assert do(bench, "deactivate") == OK
        assert do(bench, "cleanup") == OK
        assert bench.node.session is None
        wait_until(lambda tracker=tracker: gc.collect() >= 0 and tracker() is None, what="what still holds the models")
        bench.forget()
        bench.camera.sent.clear()
        if cycle == 3:
            held = resources(bench.node)
        if cycle >= 3:
            seen.append(memory_mb())
    wait_until(lambda: resources(bench.node) == held, 20, f"what is held to be {held}, not {resources(bench.node)}")
    assert min(seen[-3:]) - min(seen[:3]) < 10.0


def test_one_thread_computes_whichever_calls(make_bench, monkeypatch):
    """What libraries keep for each thread that computes is kept once, not for each thread of the executor."""
    import storm_ros.ros.node as node
    import storm_ros.ros.services as services

    seen = []

    def noted(function):
        def call(*args, **options):
            seen.append(threading.current_thread())
            return function(*args, **options)

        return call

    monkeypatch.setattr(node, "load", noted(node.load))
    monkeypatch.setattr(services, "build_reference", noted(services.build_reference))
    bench = make_bench()
    bench.camera.start()
    for _ in range(2):
        assert do(bench, "configure") == OK  # here; services are called on threads of the executor
        assert do(bench, "activate") == OK
        assert bench.point().success
        assert do(bench, "deactivate") == OK
        assert do(bench, "cleanup") == OK
    assert len(seen) == 4
    assert len(set(seen)) == 1, seen


def test_nothing_is_published_unless_active(make_bench):
    bench = make_bench()
    bench.camera.start()
    do(bench, "configure")
    do(bench, "activate")
    assert bench.point().success
    bench.expect("storm/pose", 2)
    assert do(bench, "deactivate") == OK
    bench.expect_status(lambda m: m.state == "INACTIVE")
    bench.silent("storm/pose", "/tf", "storm/mask")
    assert do(bench, "activate") == OK
    bench.fresh("storm/pose", 2)


def test_lifecycle_services_from_outside(make_bench):
    from lifecycle_msgs.msg import State, Transition
    from lifecycle_msgs.srv import ChangeState, GetState

    bench = make_bench()
    change = bench.helper.create_client(ChangeState, "storm/change_state")
    get = bench.helper.create_client(GetState, "storm/get_state")
    assert change.wait_for_service(60)
    assert get.wait_for_service(60)
    for transition, expected in [
        (Transition.TRANSITION_CONFIGURE, State.PRIMARY_STATE_INACTIVE),
        (Transition.TRANSITION_ACTIVATE, State.PRIMARY_STATE_ACTIVE),
        (Transition.TRANSITION_DEACTIVATE, State.PRIMARY_STATE_INACTIVE),
        (Transition.TRANSITION_CLEANUP, State.PRIMARY_STATE_UNCONFIGURED),
        (Transition.TRANSITION_UNCONFIGURED_SHUTDOWN, State.PRIMARY_STATE_FINALIZED),
    ]:
        request = ChangeState.Request(transition=Transition(id=transition))
        assert bench.answer(change.call_async(request)).success
        assert bench.answer(get.call_async(GetState.Request())).current_state.id == expected


def test_failing_configure_says_why_and_can_be_repeated(make_bench, tmp_path):
    from rclpy.parameter import Parameter

    bench = make_bench(references=str(tmp_path / "nothing"))
    assert do(bench, "configure") == FAILED
    assert state(bench) == "unconfigured"
    assert bench.node.session is None
    assert list(bench.node.timers) == []
    assert do(bench, "configure") == FAILED
    (result,) = bench.node.set_parameters([Parameter("references", value="")])
    assert result.successful
    assert do(bench, "configure") == OK


def test_bad_parameter_file_does_not_keep_the_node_from_coming_up(make_bench):
    from rclpy.parameter import Parameter

    bench = make_bench(**{"gate.tau": 99.0, "gate.patience": "three", "gate.smoothing": 1})
    assert set(bench.node._knobs.faults) == {"gate.tau", "gate.patience"}
    assert "-20 to 20" in bench.node._knobs.faults["gate.tau"]
    assert bench.node.settings.storm.gate.smoothing == 1.0
    assert do(bench, "configure") == FAILED
    results = bench.node.set_parameters([Parameter("gate.tau", value=0.5), Parameter("gate.patience", value=4)])
    assert all(result.successful for result in results)
    assert do(bench, "configure") == OK
    assert bench.node.session.tracker.parts.gate.start().threshold == 0.5


def test_parameters_have_ranges_and_texts(make_bench):
    node = make_bench().node
    tau = node.describe_parameter("gate.tau")
    assert (tau.floating_point_range[0].from_value, tau.floating_point_range[0].to_value) == (-20.0, 20.0)
    assert "energy" in tau.description
    patience = node.describe_parameter("gate.patience")
    assert (patience.integer_range[0].from_value, patience.integer_range[0].to_value) == (1, 100)
    assert "one of auto, cpu, cuda" in node.describe_parameter("device.name").additional_constraints
    assert node.get_parameter("search.background").value is True


def test_bug_in_a_transition_is_an_error_and_the_node_recovers(make_bench, monkeypatch):
    import storm_ros.ros.node as module

    bench = make_bench()
    real = module.Session

    def broken(*args):
        raise RuntimeError("a bug")

    monkeypatch.setattr(module, "Session", broken)
    assert do(bench, "configure") == ERROR
    assert state(bench) == "unconfigured"
    monkeypatch.setattr(module, "Session", real)
    assert do(bench, "configure") == OK


def test_missing_package_is_told(make_bench, monkeypatch):
    import storm_ros.ros.node as module

    def without(*args):
        raise ModuleNotFoundError("No module named 'warp'", name="warp")

    bench = make_bench()
    monkeypatch.setattr(module, "load", without)
    assert do(bench, "configure") == FAILED


def test_release_any_number_of_times(make_bench):
    bench = make_bench()
    bench.node.release()
    do(bench, "configure")
    do(bench, "activate")
    bench.node.release()
    bench.node.release()
    assert do(bench, "shutdown") == OK
    assert state(bench) == "finalized"


def test_saved_references_are_loaded_at_configure(make_bench, tmp_path):
    bench = make_bench()
    bench.camera.start()
    do(bench, "configure")
    do(bench, "activate")
    assert bench.point("cup").success
    assert bench.call("save_reference", object_id="cup", folder=str(tmp_path / "cup")).success
    other = make_bench(references=f"{tmp_path / 'cup'}, ")
    assert do(other, "configure") == OK
    assert list(other.node.session.tracker.references) == ["cup"]


def test_two_nodes_side_by_side(make_bench):
    """Each in its namespace, with its own camera, its own topics and its own TF frame."""
    left = make_bench(namespace="left", object_frame="left/{object_id}")
    right = make_bench(namespace="right", object_frame="right/{object_id}")
    for bench, shift in ((left, 0), (right, 12)):
        bench.camera.shift = 0
        bench.camera.start()
        do(bench, "configure")
        do(bench, "activate")
        assert bench.point().success
        bench.camera.shift = shift
    for bench, shift in ((left, 0), (right, 12)):
        pose = bench.fresh("storm/pose", 15)[-1]
        assert abs(pose.pose.position.x - shift / 300 * 0.7) < 0.005
        assert bench.node.get_fully_qualified_name() == f"/{bench.node.get_namespace().strip('/')}/storm"
