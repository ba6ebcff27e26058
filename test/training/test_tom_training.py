"""The verifier's training: it goes on exactly where it was, it learns, and its cases are what they say."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing: pip install storm_ros[learned]")

from storm_ros.cli.main import main  # noqa: E402
from storm_ros.core import se3  # noqa: E402
from storm_ros.core.errors import ConfigError, InputError  # noqa: E402
from storm_ros.core.types import Camera  # noqa: E402
from storm_ros.encoders.nano_input import NanoConfig  # noqa: E402
from storm_ros.tom.crops import Crop, Shape  # noqa: E402
from storm_ros.tom.loading import load_tom  # noqa: E402
from storm_ros.tom.network import TomNetwork  # noqa: E402
from storm_ros.tom.sizes import TomConfig  # noqa: E402
from storm_ros.training.running import CHECKPOINT, LOG, Process  # noqa: E402
from storm_ros.training.tom import FEATURES, TomTraining, known_features, train_tom  # noqa: E402
from storm_ros.training.tom_batches import SWAPPED, CaseStream, make_case_batch  # noqa: E402
from storm_ros.training.tom_cases import Case, Episode  # noqa: E402
from storm_ros.training.tom_figures import calibrated, figures_of, fpr_at, judge_cases  # noqa: E402
from storm_ros.training.tom_settings import TomOptimConfig, TomTrainConfig  # noqa: E402
from storm_ros.training.tom_shards import CaseShards, write_episodes  # noqa: E402

MODEL = TomConfig(
    encoder=NanoConfig(stem=4, fine=8, middle=16, colour=8, coarse=16), channels=16, heads=2, blocks=1, places=8
)
OPTIM = TomOptimConfig(
    steps=6, batch=2, cases=4, views=2, warm_up=2, log_every=2, threads=1, learning_rate=3e-3, versions=2
)
CAMERA = Camera(64, 64, 90.0, 90.0, 31.5, 31.5)


def episode(rng: np.random.Generator) -> Episode:
    """A coloured square; the wrong cases are of another colour."""
    colours = rng.integers(0, 256, (2, 3))

    def crop(colour: np.ndarray) -> Crop:
        rgb = np.full((64, 64, 3), 110, np.uint8)
        rgb[12:52, 12:52] = np.clip(colour + rng.normal(0, 5, (40, 40, 3)), 0, 255)
        mask = np.zeros((64, 64), np.float32)
        mask[12:52, 12:52] = 1.0
        return Crop(rgb, np.full((64, 64), 0.8, np.float32), mask, CAMERA, se3.transform(np.eye(3), [0, 0, 0.8]))

    cases = [
        Case(crop(colours[i % 2]), np.full(8, 0.5, np.float32), i % 2 == 0, 4, 1 + i // 2) for i in range(6)
    ]  # fmt: skip
    shape = Shape(np.zeros((1, 3)), np.zeros(3), 0.2)
    return Episode(shape, [crop(colours[0]) for _ in range(3)], [-1, -1, 1], cases)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with two shards of cases."""
    folder, rng = tmp_path_factory.mktemp("cases"), np.random.default_rng(0)
    for number in range(2):
        write_episodes(folder / f"{number:05d}", [episode(rng) for _ in range(6)])
    return folder


@pytest.fixture
def config(cases: Path, tmp_path: Path) -> TomTrainConfig:
    return TomTrainConfig(model=MODEL, optim=OPTIM, encoder="none", data=str(cases), out=str(tmp_path / "run"))


def weights(path: Path) -> dict[str, torch.Tensor]:
    state = torch.load(path, weights_only=True)
    return {**{f"n.{k}": v for k, v in state["network"].items()}, **{f"a.{k}": v for k, v in state["average"].items()}}


def equal(first: Path, second: Path) -> bool:
    ours, theirs = weights(first), weights(second)
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_resumed_training_ends_where_an_uninterrupted_one_does(
    config: TomTrainConfig, tmp_path: Path, share: float
) -> None:
    config = replace(config, optim=replace(OPTIM, encoder_share=share, checkpoint_s=1.0))
    whole = train_tom(config, device="cpu")
    half = replace(config, out=str(tmp_path / "half"))
    shorter = _saved_at(half, 4)
    assert not equal(whole, shorter)
    assert equal(whole, train_tom(half, device="cpu", resume=True))
    assert (Path(config.out) / FEATURES).is_file() == (share == 0.0)


def _saved_at(config: TomTrainConfig, steps: int) -> Path:
    training = TomTraining(config, Process(0, 1, torch.device("cpu")))
    shards, out = CaseShards([config.data]), Path(config.out)
    out.mkdir()
    known = known_features(training.network, shards, config, out / FEATURES) if training.frozen else None
    for batch in CaseStream(shards, config.optim, encoded=known).from_step(0, steps):
        training.train_step(batch)
    training.save(out / CHECKPOINT)
    return out / CHECKPOINT


def test_it_learns_logs_and_leaves_a_frozen_encoder_alone(config: TomTrainConfig) -> None:
    longer = replace(config, optim=replace(OPTIM, steps=160, learning_rate=1e-2, evidence_dropout=1.0, log_every=10))
    losses: list[float] = []
    made = train_tom(longer, device="cpu", report=lambda _, f: losses.append(f["loss"]))
    assert losses[-1] < 0.6 * losses[0]
    with (Path(config.out) / LOG).open() as file:
        assert [int(r["step"]) for r in csv.DictReader(file)] == list(range(10, 161, 10))
    torch.manual_seed(longer.optim.seed)
    fresh, after = TomNetwork(MODEL).state_dict(), weights(made)
    assert all(torch.equal(after[f"n.{k}"], v) for k, v in fresh.items() if k.startswith("encoder."))
    assert not torch.equal(after["n.judge.3.weight"], fresh["judge.3.weight"])


def test_an_earlier_training_is_not_overwritten(config: TomTrainConfig) -> None:
    train_tom(config, device="cpu")
    with pytest.raises(ConfigError, match="--resume"):
        train_tom(config, device="cpu")
    with pytest.raises(InputError, match="does not fit"):
        train_tom(replace(config, model=replace(MODEL, channels=32)), device="cpu", resume=True)


def test_without_cases_it_says_how_to_make_some(config: TomTrainConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="storm train cases"):
        train_tom(replace(config, data=str(tmp_path / "nothing")), device="cpu")


def test_a_batch_is_a_function_of_its_key(cases: Path) -> None:
    shards = CaseShards([cases])
    first, second = (make_case_batch(shards, OPTIM, (0, 41, 3, 0), [1, 2]) for _ in range(2))
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(vars(first).values(), vars(second).values()))  # noqa: B905
    other = make_case_batch(shards, OPTIM, (0, 41, 4, 0), [1, 2])
    assert not np.array_equal(first.planes, other.planes)


def test_swapped_memories_are_wrong_and_of_another_object(cases: Path) -> None:
    batch = make_case_batch(CaseShards([cases]), replace(OPTIM, swapped=1.0), (5,), [0, 7])
    swapped = batch.kind == SWAPPED
    assert swapped.sum() == (batch.right & ~swapped).sum() > 0
    assert not batch.right[swapped].any()
    own = {int(n): int(m[0]) for n, m in zip(batch.now[~swapped], batch.memory[~swapped], strict=True)}
    assert all(own[int(n)] != int(m[0]) for n, m in zip(batch.now[swapped], batch.memory[swapped], strict=True))


def test_the_memory_begins_with_the_reference_and_an_evaluation_leaves_out_the_same_picture(cases: Path) -> None:
    batch = make_case_batch(CaseShards([cases]), OPTIM, (0,), [0], every=True)
    assert len(batch.right) == 6
    assert (batch.between[:, 0, 2] == 1).all()
    counts = batch.usable.sum(1)
    assert list(counts) == [2, 2, 3, 3, 3, 3]  # the third view is of the picture of the first two cases


def test_figures_threshold_and_export(
    config: TomTrainConfig, cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = train_tom(replace(config, optim=replace(OPTIM, steps=80, learning_rate=1e-2)), device="cpu")
    out = tmp_path / "w.safetensors"
    assert main(["train", "export-tom", str(made), str(out), "--cases", str(cases)]) == 0
    assert "tau" in capsys.readouterr().out
    network, tau = load_tom(out)
    judged = judge_cases(network, CaseShards([cases]))
    good = judged.energies["tom"][judged.right]
    assert tau == pytest.approx(np.percentile(good, 95), abs=0.05)
    assert calibrated(judged) == pytest.approx(np.percentile(good, 95))
    figures = figures_of(judged)
    assert figures["tom"]["auroc"] > 0.8
    assert figures["inlier"]["auroc"] == 0.5
    snippet = tmp_path / "tau.yaml"
    code = main(["calibrate", "tom", "--cases", str(cases), "--weights", str(out), "--out", str(snippet)])
    assert code == 0
    assert f"tau: {tau:.3f}"[:9] in snippet.read_text()
    assert main(["calibrate", "tom"]) == 2
    assert main(["train", "export-tom", str(out), str(tmp_path / "x.safetensors"), "--cases", str(cases)]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_share_of_wrong_cases_that_pass() -> None:
    good = np.arange(100.0)
    assert fpr_at(good, np.array([-1.0, 50.0, 94.0, 96.0, 200.0])) == pytest.approx(0.6)
    assert np.isnan(fpr_at(good, np.array([])))
