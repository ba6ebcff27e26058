"""From nothing to the weights: repeatable to the last bit, resumable anywhere, and clear about what is wrong."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing: pip install storm_ros[learned]")

from storm_ros.cli import train_all  # noqa: E402
from storm_ros.cli.main import main  # noqa: E402
from storm_ros.core.config import knobs, load_yaml  # noqa: E402
from storm_ros.core.errors import ConfigError  # noqa: E402
from storm_ros.som.loading import load_som  # noqa: E402
from storm_ros.tom.loading import load_tom  # noqa: E402
from storm_ros.training import recipe as recipes  # noqa: E402
from storm_ros.training.pipeline import paces  # noqa: E402
from storm_ros.training.settings import TrainConfig  # noqa: E402
from storm_ros.weights.files import file_sha256, read_weights  # noqa: E402

FILES = ("som-nano.safetensors", "tom-nano.safetensors")


def smoke(out: Path, *more: str) -> int:
    return main(["train", "all", "--preset", "smoke", "--device", "cpu", "--out", str(out), *more])


def report_of(out: Path) -> dict:
    return json.loads((out / "train_report.json").read_text())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the smallest recipe makes when nothing disturbs it."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert smoke(out, "--quiet") == 0
    return out


def test_weights_cards_and_report(whole: Path) -> None:
    report = report_of(whole)
    assert report["files"] == {name: file_sha256(whole / name) for name in FILES}
    assert load_som(whole / FILES[0])[0].config.channels == 16
    assert load_tom(whole / FILES[1])[1] == pytest.approx(report["figures"]["tau"])
    segmenter, verifier = (read_weights(whole / name)[0] for name in FILES)
    encoder = [name for name in verifier if name.startswith("encoder.")]  # all of the segmenter's, or its first part
    assert encoder
    assert all(np.array_equal(segmenter[name], verifier[name]) for name in encoder)
    assert report["figures"]["som"]["simulated"]["som"]["cases"] == 12
    assert report["seeds"]["som.optim.seed"] == 0
    for name in FILES:
        card = (whole / name).with_suffix(".md").read_text()
        assert report["files"][name] in card
        assert "--preset smoke" in card
    assert report["stages"]["som"]["count"] == 12 * 2 * 2
    assert all(stage["done"] and stage["seconds"] > 0 for stage in report["stages"].values())
    assert not [path for path in whole.iterdir() if path.name.startswith(".")]


def test_interrupted_and_resumed_it_ends_with_the_same_bits(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    real = train_all._reporter

    def interrupting(name: str, steps: int):
        inner = real(name, steps)

        def report(step: int, figures: dict[str, float]) -> None:
            inner(step, figures)
            if step == 4:
                os.kill(os.getpid(), signal.SIGINT)

        return report

    monkeypatch.setattr(train_all, "_reporter", interrupting)
    assert smoke(out) == 1
    assert "interrupted: the same command with --resume" in capsys.readouterr().err
    assert torch.load(out / "som" / "checkpoint.pt", weights_only=True)["step"] == 5
    monkeypatch.setattr(train_all, "_reporter", real)

    assert smoke(out) == 2
    assert "--resume" in capsys.readouterr().err
    assert smoke(out, "--resume", "--set", "som.optim.clip=2") == 2
    assert "som.optim.clip was 1.0 and is 2.0" in capsys.readouterr().err

    assert smoke(out, "--resume") == 0
    shown = capsys.readouterr().out
    assert "scenes: done before" in shown
    assert "som: step 4/12" not in shown
    ours, theirs = report_of(out), report_of(whole)
    assert ours["figures"] == theirs["figures"]
    assert ours["files"] == theirs["files"]

    before = (out / FILES[0]).stat().st_mtime_ns
    assert smoke(out, "--resume", "--quiet") == 0
    assert (out / FILES[0]).stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--preset", "medium"], "--preset medium: one of cpu, ship, smoke is needed"),
        (["--preset", "smoke", "--set", "som.out=x"], "storm train all decides it"),
        (["--preset", "smoke", "--set", "data.cases=9"], "8 scenes give no more"),
        (["--preset", "smoke", "--set", "figures.methods=all"], "--methods all: each must be one of"),
        (["--preset", "smoke", "--set", "som.steps=3"], "unknown setting 'som.steps'"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["train", "all", *words, "--out", str(out)]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_a_full_disk_is_one_line_and_can_be_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No file may grow beyond 40 kB: the arrays of a shard do."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        assert smoke(tmp_path / "out") == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "scenes/00000" in lines[0]
    assert "cannot be written" in lines[0]
    assert "make room" in lines[0]
    assert not list((tmp_path / "out" / "scenes").iterdir())
    assert json.loads((tmp_path / "out" / "state.json").read_text())["stages"]["scenes"]["done"] is False


def test_without_pytorch_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "storm_ros.training.pipeline")
    monkeypatch.delattr(sys.modules["storm_ros.training"], "pipeline")
    monkeypatch.setitem(sys.modules, "torch", None)
    assert smoke(tmp_path / "out") == 1
    assert "training needs PyTorch: pip install storm_ros[learned]" in capsys.readouterr().err


def test_presets_follow_the_recipes_of_the_shipped_weights() -> None:
    shipped = load_yaml(recipes.CONFIG / recipes.SOM_RECIPE, TrainConfig())
    for name in recipes.presets():
        recipes.checked(recipes.preset(name))
    cpu = recipes.preset("cpu").som
    assert replace(cpu, data=shipped.data, out=shipped.out, optim=replace(cpu.optim, threads=0)) == replace(
        shipped, optim=replace(shipped.optim, threads=0)
    )
    assert recipes.preset("ship").som.model == shipped.model
    assert recipes.preset("ship").som.stream.shards > 0


def test_a_recipe_may_differ_in_who_makes_the_data_only() -> None:
    some = recipes.preset("smoke")
    other = replace(some, data=replace(some.data, processes=5))
    assert recipes.decisive(some) == recipes.decisive(other)
    assert len(recipes.decisive(some)) == len(list(knobs(some))) - 4
    with pytest.raises(ConfigError, match="storm train all decides it"):
        recipes.checked(replace(some, tom=replace(some.tom, encoder="som-nano")))


def test_shards_of_cases_go_through_all_scenes_evenly() -> None:
    chosen = [n for k in range(4) for n in recipes.case_scenes(1000, 4, k)]
    assert len(chosen) == len(set(chosen)) == 128
    assert chosen == sorted(chosen)
    assert np.diff(chosen).max() <= 8
    assert chosen[-1] >= 990
    assert [n for k in range(3) for n in recipes.case_scenes(7, 3, k)] == list(range(7))


def test_the_pace_of_a_training_in_two_sittings(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("step,pairs,pairs_per_s,wait_s\n10,100,50,0.1\n20,200,25,0.05\n")  # 2 s and 4 s, 1 s and 0.5 s of it
    found = paces(log, "pairs")
    assert found["per_s"] == pytest.approx(200 / 6)
    assert found["wait_share"] == pytest.approx(1.5 / 6)
    assert (found["steps"], found["count"]) == (20, 200)
    assert "gpu_percent" not in found
