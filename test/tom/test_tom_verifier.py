"""The verifier: state is the argument, energies are finite, and the shipped weights know right from wrong."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing: pip install storm_ros[learned]")

from storm_ros.core import se3  # noqa: E402
from storm_ros.core.config import VerifierConfig  # noqa: E402
from storm_ros.core.errors import StormError  # noqa: E402
from storm_ros.core.protocols import Verifier  # noqa: E402
from storm_ros.core.types import PoseEstimate, Reference, RgbdFrame, View  # noqa: E402
from storm_ros.pose import GeometricEstimator  # noqa: E402
from storm_ros.tom.verifier import HOPELESS, TomVerifier, nearest_views  # noqa: E402


def estimate(pose: np.ndarray, mask: np.ndarray | None, **figures: float) -> PoseEstimate:
    good = PoseEstimate(pose, 0.9, 0.95, 0.002, 0.03, in_view=1.0, depth_coverage=1.0, occluded=0.0, mask=mask)
    return replace(good, **figures)  # pyright: ignore[reportArgumentType]


@pytest.fixture
def verifier(network: Any) -> TomVerifier:
    return TomVerifier(VerifierConfig(name="tom"), network, 0.7)


def sure(verifier: TomVerifier) -> TomVerifier:
    """The same with a last layer that believes everything."""
    with torch.no_grad():
        verifier.network.judge[-1].bias += 30.0
    return verifier


def test_it_is_a_verifier_and_states_its_threshold(verifier: TomVerifier) -> None:
    assert isinstance(verifier, Verifier)
    assert verifier.tau == 0.7


def test_same_question_same_answer_whatever_was_asked_between(verifier: TomVerifier, boxes: Any) -> None:
    memory, shot = verifier.start(boxes.reference()), boxes.shoot(10)
    asked = estimate(shot.ours, shot.mask)
    first = verifier.energy(shot.frame, asked, memory)
    verifier.energy(shot.frame, estimate(shot.theirs, shot.mask), memory)
    assert verifier.energy(shot.frame, asked, memory) == first
    assert TomVerifier(verifier.config, verifier.network).energy(shot.frame, asked, memory) == pytest.approx(first)
    assert -HOPELESS <= first <= HOPELESS


def test_threads_do_not_disturb_each_other(verifier: TomVerifier, boxes: Any) -> None:
    memory, shots = verifier.start(boxes.reference()), [boxes.shoot(turn) for turn in range(0, 40, 10)]
    alone = [verifier.energy(s.frame, estimate(s.ours, s.mask), memory) for s in shots]
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda s: verifier.energy(s.frame, estimate(s.ours, s.mask), memory), shots))
    assert together == pytest.approx(alone, abs=1e-5)
    torch.set_num_threads(2)
    try:
        again = verifier.energy(shots[0].frame, estimate(shots[0].ours, shots[0].mask), memory)
        assert again == pytest.approx(alone[0], abs=1e-5)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_a_memory_can_be_pickled(verifier: TomVerifier, boxes: Any) -> None:
    memory, shot = verifier.start(boxes.reference()), boxes.shoot(10)
    asked = estimate(shot.ours, shot.mask)
    again = pickle.loads(pickle.dumps(memory))
    assert verifier.energy(shot.frame, asked, memory) == pytest.approx(
        verifier.energy(shot.frame, estimate(shot.ours, shot.mask), again)
    )


def test_a_pose_that_is_not_before_the_camera_is_hopeless(verifier: TomVerifier, boxes: Any) -> None:
    memory, shot = verifier.start(boxes.reference()), boxes.shoot()
    behind = se3.transform(np.eye(3), [0, 0, -1.0])
    assert verifier.energy(shot.frame, estimate(behind, None), memory) == HOPELESS
    assert verifier.remember(shot.frame, estimate(behind, None), memory) is memory


def test_unknown_figures_give_a_finite_energy(verifier: TomVerifier, boxes: Any) -> None:
    memory, shot = verifier.start(boxes.reference()), boxes.shoot()
    nothing = estimate(shot.ours, None, score=0.0, residual_m=float("inf"), colour_error=float("nan"))
    blind = RgbdFrame(shot.frame.rgb, np.zeros(shot.frame.shape, np.float32), shot.frame.camera)
    assert np.isfinite(verifier.energy(blind, nothing, memory))


def test_the_memory_takes_good_views_only(verifier: TomVerifier, boxes: Any) -> None:
    memory, shot = sure(verifier).start(boxes.reference()), boxes.shoot(30)
    good = estimate(shot.ours, shot.mask)
    after = verifier.remember(shot.frame, good, memory)
    assert len(after.kept) == 1
    assert len(memory.kept) == 0
    for flaw in ({"occluded": 0.5}, {"in_view": 0.6}, {"depth_coverage": 0.2}):
        assert verifier.remember(shot.frame, replace(good, **flaw), memory) is memory
    with torch.no_grad():
        verifier.network.judge[-1].bias -= 60.0
    assert verifier.remember(shot.frame, replace(good), memory) is memory


def test_the_memory_keeps_no_more_than_it_may(network: Any, boxes: Any) -> None:
    verifier = sure(TomVerifier(VerifierConfig(name="tom", memory=3), network))
    memory = start = verifier.start(boxes.reference())
    for turn in range(0, 100, 20):
        shot = boxes.shoot(turn)
        memory = verifier.remember(shot.frame, estimate(shot.ours, shot.mask), memory)
    assert len(memory.kept) == 3
    assert memory.references == start.references
    none = TomVerifier(VerifierConfig(name="tom", memory=0), network)
    assert none.remember(shot.frame, estimate(shot.ours, shot.mask), start) is start


def test_starting_again_forgets_all_but_the_reference(verifier: TomVerifier, boxes: Any) -> None:
    reference = boxes.reference()
    memory, shot = sure(verifier).start(reference), boxes.shoot(30)
    asked = estimate(shot.ours, shot.mask)
    before = verifier.energy(shot.frame, asked, memory)
    assert verifier.remember(shot.frame, asked, memory).kept
    again = verifier.start(reference)
    assert again.kept == ()
    assert verifier.energy(shot.frame, asked, again) == pytest.approx(before, abs=1e-4)


def test_the_views_that_are_asked() -> None:
    lie = np.array([[-1, -1, 1], [0.9, 0.9, 0], [0.1, 0.1, 0], [1.0, 1.0, 0], [0.5, 0.5, 0]], np.float32)
    assert nearest_views(lie, 2) == [0, 1, 3]
    assert nearest_views(lie, 0) == [0]
    assert nearest_views(lie, 16) == [0, 1, 2, 3, 4]


def test_weights_that_are_not_numbers_are_named(verifier: TomVerifier, boxes: Any) -> None:
    memory, shot = verifier.start(boxes.reference()), boxes.shoot()
    with torch.no_grad():
        verifier.network.judge[-1].bias.fill_(float("nan"))
    with pytest.raises(StormError, match="not finite"):
        verifier.energy(shot.frame, estimate(shot.ours, shot.mask), memory)


def test_a_reference_that_cannot_be_looked_at(verifier: TomVerifier, boxes: Any) -> None:
    shot = boxes.shoot()
    behind = se3.transform(np.eye(3), [0, 0, -1.0])
    with pytest.raises(StormError, match="set its reference again"):
        verifier.start(Reference("box", (View(shot.frame, shot.mask, behind),), boxes.meshes[0]))


def test_the_shipped_weights_know_right_from_wrong(boxes: Any) -> None:
    verifier, estimator = TomVerifier(), GeometricEstimator()
    reference = boxes.reference()
    memory, model = verifier.start(reference), estimator.prepare(reference)
    shot = boxes.shoot(25, x=-0.05)
    turned = shot.ours.copy()
    turned[:3, :3] = turned[:3, :3] @ se3.so3_exp([0, 0, np.pi / 2])
    moved = shot.ours.copy()
    moved[0, 3] += 0.08
    energies = [
        verifier.energy(shot.frame, estimator.judge(shot.frame, model, pose), memory)
        for pose in (shot.ours, shot.theirs, turned, moved)
    ]
    assert energies[0] < verifier.tau
    assert min(energies[1:]) > energies[0] + 1.0
