"""The benchmark from clips to files, on a few tiny clips."""

import json
from dataclasses import replace

import numpy as np
import pytest

from storm_ros.cli.main import main
from storm_ros.core import se3
from storm_ros.core.config import StormConfig
from storm_ros.core.types import GateState, Mesh, PoseEstimate
from storm_ros.evaluation import failures
from storm_ros.evaluation.failures import KINDS, Options, plan, run_benchmark
from storm_ros.evaluation.failures_figures import method_figures
from storm_ros.evaluation.failures_probe import HeldGate, Probe
from storm_ros.evaluation.failures_run import is_round
from storm_ros.sim import primitives
from storm_ros.tom import EnergyGate

TINY = Options(kinds=("occlusion", "dropout"), seed=3, frames=60, width=160, height=120, baselines=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Two clips, run one after the other as if the first run had been stopped."""
    out = tmp_path_factory.mktemp("failures")
    seen = []
    first = run_benchmark(StormConfig(), TINY, 2, out, done=seen.append, stop=lambda: bool(seen))
    second = run_benchmark(StormConfig(), TINY, 2, out, done=seen.append, sheets=out / "sheets")
    return out, seen, first, second


def test_a_stopped_run_keeps_its_clips_and_the_next_one_goes_on(finished):
    out, seen, first, second = finished
    assert [clip.name for clip in seen] == ["occlusion/0", "dropout/0"]
    assert (first["clips"], second["clips"], second["frames"]) == (1, 2, 120)
    assert len((out / "clips.jsonl").read_text().splitlines()) == 3


def test_the_clips_agree_with_the_truth(finished):
    _, (occlusion, dropout), _, _ = finished
    hidden = [v <= 0.1 for v in occlusion.visible]
    assert 3 <= sum(hidden) <= 30
    assert not any(hidden[: occlusion.first])
    assert {d for d in dropout.delivery} == {"full", "no_depth"}
    assert all((v == 0.0) == (d == "no_depth") for v, d in zip(dropout.visible, dropout.delivery, strict=True))
    for clip in (occlusion, dropout):
        assert max(e for e in clip.held.error_mm[1 : clip.first] if e is not None) < clip.limit_mm
        assert all(clip.held.reported)


def test_the_loop_notices_a_full_occlusion(finished):
    _, (occlusion, _), _, _ = finished
    figures = method_figures([occlusion], "inlier")
    assert (figures["losses"], figures["unnoticed"]) == (1, 0)
    assert figures["delay_median"] <= 5


def test_held_energies_tell_hidden_frames(finished):
    *_, report = finished
    assert report["energies"]["inlier"]["bad"] > 5
    assert report["energies"]["inlier"]["auroc"] > 0.9


def test_clips_depend_on_their_name_only():
    first = failures.failure_clip("jump", 1, seed=3, frames=30, width=160, height=120)
    again = failures.failure_clip("jump", 1, seed=3, frames=30, width=160, height=120)
    other = failures.failure_clip("jump", 2, seed=3, frames=30, width=160, height=120)
    with first, again, other:
        assert np.array_equal(first.read(20).rgb, again.read(20).rgb)
        assert not np.array_equal(first.read(20).rgb, other.read(20).rgb)


def test_kinds_take_turns():
    options = Options()
    assert [kind for kind, _ in plan(options, len(KINDS))] == list(KINDS)
    assert plan(options, 20)[:9] == plan(options, 9)
    assert plan(replace(options, kinds=("jump", "leave")), 3) == [("jump", 0), ("leave", 0), ("jump", 1)]


def test_a_can_is_round_and_a_box_is_not():
    ring = np.array([[0, 0], [0.03, 0], [0.03, 0.12], [0, 0.12]])
    assert is_round(primitives.revolution(ring, 48))
    assert not is_round(primitives.box([0.06, 0.06, 0.12]))
    lying = primitives.revolution(ring, 48)
    turned = se3.apply(se3.exp([0.1, 0, 0, np.pi / 2, 0, 0]), lying.vertices).astype(np.float32)
    assert is_round(Mesh(turned, lying.faces))


class Fixed:
    """A verifier that says the same of every frame, and counts what it was told."""

    def __init__(self, energy):
        self.value = energy

    def start(self, reference):
        return 0

    def energy(self, frame, estimate, memory):
        return self.value + memory

    def remember(self, frame, estimate, memory):
        return memory + 1


def test_probe_answers_as_the_first_and_writes_down_all(frame_of):
    probe = Probe({"a": Fixed(1.0), "b": Fixed(5.0)})
    estimate = PoseEstimate(np.eye(4), 0.9, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0)
    memory = probe.remember(frame_of(3), estimate, probe.start(None))
    assert probe.energy(frame_of(4), estimate, memory) == 2.0
    assert (probe.heard[0].frame, probe.heard[0].energies) == (4, {"a": 2.0, "b": 6.0})
    assert probe.probability(0.0) == 0.5


def test_held_gate_calls_frames_bad_but_never_gives_up():
    gate, held = EnergyGate(), HeldGate(EnergyGate())
    state, kept = gate.start(), held.start()
    for _ in range(5):
        state, kept = gate.step(state, 3.0), held.step(kept, 3.0)
    assert state.lost
    assert not kept.lost
    assert kept.bad_frames == 5
    assert held.step(kept, -50.0) == GateState(kept.smoothed / 2 - 25.0, 0.0, 0, False)


def test_command_line_writes_its_files(tmp_path, finished, monkeypatch, capsys):
    out, *_ = finished
    base = ["evaluate", "failures", "--out", str(out), "--verifier", "inlier", "--no-baselines", "--household", ""]
    base += ["--clips", "2", "--kinds", "occlusion,dropout", "--seed", "3", "--frames", "60", "--size", "160x120"]
    assert main(base) == 0
    assert "frames until noticed" in capsys.readouterr().out
    report = json.loads((out / "failures.json").read_text())
    assert report["clips"] == 2
    assert "ROC" in (out / "failures.html").read_text()
    assert main([*base, "--set", "gate.patience=4"]) == 1  # the folder holds clips of other settings
    assert "gate.patience = 3 there, 4 now" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--kinds", "flood"], "--kinds flood: each must be one of partial"),
        (["--verifier", "oracle"], "--verifier oracle"),
        (["--size", "320"], "WIDTHxHEIGHT"),
        (["--clips", "0"], "--clips 0"),
        (["--frames", "10"], "--frames 10"),
    ],
)
def test_command_line_says_what_cannot_be_meant(tmp_path, options, words, capsys):
    assert main(["evaluate", "failures", "--out", str(tmp_path), *options]) == 2
    assert words in capsys.readouterr().err
