"""The training loop: deterministic, it goes on exactly where it was, and it learns."""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing: pip install storm_ros[learned]")

from storm_ros.cli.main import main  # noqa: E402
from storm_ros.core.errors import ConfigError, InputError  # noqa: E402
from storm_ros.encoders.nano_input import NanoConfig  # noqa: E402
from storm_ros.som.judging import NETWORK_ALONE  # noqa: E402
from storm_ros.som.loading import load_som, save_som  # noqa: E402
from storm_ros.som.sizes import SomConfig  # noqa: E402
from storm_ros.training.running import CHECKPOINT, LOG, PLOT, Process  # noqa: E402
from storm_ros.training.settings import OptimConfig, TrainConfig  # noqa: E402
from storm_ros.training.som import SomTraining, learning_rate, start_from, train_som  # noqa: E402
from storm_ros.weights import read_weights  # noqa: E402

MODEL = SomConfig(
    encoder=NanoConfig(stem=4, fine=8, middle=16, colour=8, coarse=16),
    channels=16, heads=2, mask_channels=8, reference_px=32, text=4,
)  # fmt: skip
OPTIM = OptimConfig(
    steps=6, batch=2, looks=1, pairs=2, width=64, height=64, warm_up=2, log_every=2, threads=1, learning_rate=3e-3
)


@pytest.fixture
def config(painted: Path, tmp_path: Path) -> TrainConfig:
    return TrainConfig(model=MODEL, optim=OPTIM, data=str(painted), out=str(tmp_path / "run"))


def weights(path: Path) -> dict[str, torch.Tensor]:
    state = torch.load(path, weights_only=True)
    return {**{f"n.{k}": v for k, v in state["network"].items()}, **{f"a.{k}": v for k, v in state["average"].items()}}


def equal(first: Path, second: Path) -> bool:
    ours, theirs = weights(first), weights(second)
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_twice_the_same(config: TrainConfig, tmp_path: Path) -> None:
    first = train_som(config, device="cpu")
    second = train_som(replace(config, out=str(tmp_path / "again")), device="cpu")
    assert equal(first, second)


def test_a_resumed_training_ends_where_an_uninterrupted_one_does(config: TrainConfig, tmp_path: Path) -> None:
    whole = train_som(config, device="cpu")
    half = replace(config, out=str(tmp_path / "half"))
    stopped = _trained_to(half, 3)
    assert not equal(whole, stopped)
    assert equal(whole, train_som(half, device="cpu", resume=True))


def _trained_to(config: TrainConfig, steps: int) -> Path:
    """A checkpoint after some steps of the same schedule."""
    from storm_ros.training.batches import BatchStream
    from storm_ros.training.shards import Shards

    training = SomTraining(config, Process(0, 1, torch.device("cpu")))
    stream = BatchStream(Shards([config.data]), config.optim, config.model.reference_px)
    for batch in stream.from_step(0, steps):
        training.train_step(batch)
    out = Path(config.out)
    out.mkdir(parents=True)
    training.save(out / CHECKPOINT)
    return out / CHECKPOINT


def test_log_plot_and_figures(config: TrainConfig) -> None:
    seen = []
    train_som(config, device="cpu", report=lambda step, figures: seen.append((step, figures["loss"])))
    assert [step for step, _ in seen] == [2, 4, 6]
    with (Path(config.out) / LOG).open() as file:
        rows = list(csv.DictReader(file))
    assert [int(r["step"]) for r in rows] == [2, 4, 6]
    assert float(rows[-1]["pairs"]) == 6 * 4
    assert float(rows[0]["loss"]) == pytest.approx(seen[0][1], rel=1e-4)
    assert (Path(config.out) / PLOT).read_bytes().startswith(b"\x89PNG")


def test_it_learns(config: TrainConfig) -> None:
    longer = replace(config, optim=replace(OPTIM, steps=120, warm_up=5, log_every=20, augment=False, batch=4))
    seen: list[float] = []
    train_som(longer, device="cpu", report=lambda _, figures: seen.append(figures["loss"]))
    assert seen[-1] < 0.8 * seen[0]


def test_it_starts_from_weights(config: TrainConfig, tmp_path: Path) -> None:
    from storm_ros.som.loading import KIND
    from storm_ros.training.export import trained

    first = train_som(config, device="cpu")
    made = save_som(tmp_path / "first.safetensors", *trained(first, KIND))
    slow = replace(OPTIM, steps=1, learning_rate=1e-7)
    second = train_som(replace(config, optim=slow, out=str(tmp_path / "second"), start=str(made)), device="cpu")
    ours, theirs = weights(first), weights(second)
    assert all(torch.allclose(ours[n], theirs[n.replace("a.", "n.", 1)], atol=2e-3) for n in ours if n.startswith("a."))
    with pytest.raises(InputError, match="nothing of"):
        start_from(torch.nn.Linear(3, 5), str(made))


def test_an_earlier_training_is_not_overwritten(config: TrainConfig) -> None:
    train_som(config, device="cpu")
    with pytest.raises(ConfigError, match="--resume"):
        train_som(config, device="cpu")


def test_a_checkpoint_of_another_network_is_refused(config: TrainConfig) -> None:
    train_som(config, device="cpu")
    with pytest.raises(InputError, match="does not fit"):
        train_som(replace(config, model=replace(MODEL, channels=32)), device="cpu", resume=True)


@pytest.mark.parametrize("kept", [0, 100, 0.5])
def test_a_checkpoint_that_was_cut_off_is_refused(config: TrainConfig, kept: float) -> None:
    path = train_som(config, device="cpu")
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data)) if kept < 1 else int(kept)])
    with pytest.raises(InputError, match="start anew without --resume"):
        train_som(config, device="cpu", resume=True)


def test_a_loss_that_is_not_finite_stops_the_training(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    import storm_ros.training.batches as batches

    real = batches.input_planes
    monkeypatch.setattr(batches, "input_planes", lambda rgb, *a: real(rgb, *a) * np.float32(np.nan))
    with pytest.raises(InputError, match="loss is nan at step 0"):
        train_som(config, device="cpu")


def test_the_rate_rises_and_falls() -> None:
    config = OptimConfig(steps=100, warm_up=10, learning_rate=1.0, final_share=0.1)
    rates = [learning_rate(s, config) for s in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0.1)
    assert all(b <= a for a, b in pairwise(rates[10:]))


def test_bfloat16_trains(config: TrainConfig) -> None:
    low = replace(config, optim=replace(OPTIM, steps=2, precision="bfloat16"))
    state = weights(train_som(low, device="cpu"))
    assert all(torch.isfinite(v).all() for v in state.values())


def test_the_command_trains_exports_and_resumes(
    painted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [f"data={painted}", f"out={tmp_path / 'run'}", "optim.steps=2", "optim.batch=1", "optim.looks=2",
                "optim.pairs=2",
                "optim.log_every=1", "optim.threads=1", "model.channels=16", "model.heads=2", "model.text=4",
                "model.mask_channels=8", "model.reference_px=32", "model.encoder.middle=16"]  # fmt: skip
    given = [word for setting in settings for word in ("--set", setting)]
    assert main(["train", "som", "--device", "cpu", *given]) == 0
    assert "step 2/2" in capsys.readouterr().out
    assert main(["train", "som", "--device", "cpu", *given]) == 2
    assert main(["train", "som", "--device", "cpu", "--resume", *given, "--set", "optim.steps=3"]) == 0
    capsys.readouterr()
    out = tmp_path / "w.safetensors"
    assert main(["train", "export", str(tmp_path / "run" / CHECKPOINT), str(out)]) == 0
    assert "sha256" in capsys.readouterr().out
    assert load_som(out)[0].config.channels == 16
    weighed, plain = tmp_path / "weighed.safetensors", tmp_path / "plain.safetensors"
    save_som(weighed, load_som(out)[0], weighing=NETWORK_ALONE._replace(bias=3.0))
    assert main(["train", "export", str(weighed), str(plain)]) == 0
    assert load_som(weighed)[1].bias == 3.0
    assert "presence alone" in capsys.readouterr().err
    assert load_som(plain)[1] is NETWORK_ALONE
    broken = tmp_path / "broken.pt"
    broken.write_bytes(out.read_bytes()[:100])
    assert main(["train", "export", str(broken), str(tmp_path / "x.safetensors")]) == 1
    assert "cannot be read" in capsys.readouterr().err
    mean = tmp_path / "mean.safetensors"
    assert main(["train", "export", str(tmp_path / "run" / CHECKPOINT), str(out), str(mean)]) == 0
    assert read_weights(mean)[1]["mean_of"].startswith(f"run/{CHECKPOINT} step 3 pairs")


def test_the_mean_of_two_trainings_lies_between_them(config: TrainConfig, tmp_path: Path) -> None:
    from storm_ros.som.loading import KIND
    from storm_ros.training.export import mean_of, trained

    first = train_som(config, device="cpu")
    second = train_som(replace(config, optim=replace(OPTIM, seed=1), out=str(tmp_path / "second")), device="cpu")
    ours, theirs = (trained(path, KIND)[0].state_dict() for path in (first, second))
    mean = mean_of([first, second], KIND)[0].state_dict()
    assert all(torch.allclose(mean[name], (ours[name] + theirs[name]) / 2, atol=1e-6) for name in mean)
    alone, notes = mean_of([first], KIND)
    assert all(torch.equal(alone.state_dict()[name], ours[name]) for name in ours)
    assert notes["step"] == str(OPTIM.steps)
    other = tmp_path / "other.safetensors"
    save_som(other, KIND.build(replace(MODEL, channels=32)))
    with pytest.raises(InputError, match="of another size"):
        mean_of([first, other], KIND)
