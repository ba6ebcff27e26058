"""The cosine baseline: like looks give low energies, and the memory has its limit."""

import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.core.types import Camera, Mesh, PoseEstimate, Reference, RgbdFrame, View

torch = pytest.importorskip("torch")

CAMERA = Camera(64, 48, 60.0, 60.0, 31.5, 23.5)
SQUARE = Mesh(
    np.array([[-0.08, -0.08, 0], [0.08, -0.08, 0], [0.08, 0.08, 0], [-0.08, 0.08, 0]], np.float32),
    np.array([[0, 1, 2], [0, 2, 3]], np.int32),
)
POSE = se3.transform(np.eye(3), [0, 0, 0.5])


def look(colour):
    rgb = np.full((48, 64, 3), 128, np.uint8)
    rgb[14:34, 22:42] = colour
    rgb[18:24, 24:40:3] = 255 - np.array(colour)
    mask = np.zeros((48, 64), bool)
    mask[14:34, 22:42] = True
    frame = RgbdFrame(rgb, np.full((48, 64), 0.5, np.float32), CAMERA)
    return frame, mask


def estimate(mask):
    return PoseEstimate(POSE, 0.9, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, mask=mask)


@pytest.fixture(scope="module")
def verifier():
    from storm_ros.encoders.nano import NanoEncoder
    from storm_ros.evaluation.failures_cosine import CosineVerifier

    torch.manual_seed(0)
    return CosineVerifier(NanoEncoder(), capacity=2)


def test_the_reference_itself_has_the_lowest_energy(verifier):
    frame, mask = look((200, 40, 40))
    other, _ = look((30, 60, 220))
    memory = verifier.start(Reference("cup", (View(frame, mask, POSE),), SQUARE))
    assert verifier.energy(frame, estimate(mask), memory) == pytest.approx(-1.0, abs=1e-5)
    assert verifier.energy(other, estimate(mask), memory) > -0.999


def test_good_frames_are_learnt_and_the_oldest_leaves(verifier):
    frame, mask = look((200, 40, 40))
    memory = verifier.start(Reference("cup", (View(frame, mask, POSE),), SQUARE))
    seen = [look(c)[0] for c in ((30, 60, 220), (20, 200, 20), (220, 220, 20))]
    for image in seen:
        memory = verifier.remember(image, estimate(mask), memory)
    assert len(memory.kept) == 2
    energies = [verifier.energy(image, estimate(mask), memory) for image in seen]
    assert energies[1:] == pytest.approx([-1.0, -1.0], abs=1e-5)
    assert energies[0] > -0.9999


def test_nothing_in_sight_has_no_energy(verifier):
    frame, mask = look((200, 40, 40))
    memory = verifier.start(Reference("cup", (View(frame, mask, POSE),), SQUARE))
    assert np.isnan(verifier.energy(frame, estimate(np.zeros_like(mask)), memory))
    assert np.isnan(verifier.energy(frame, estimate(None), memory))


def test_its_probability_says_what_its_threshold_says():
    from storm_ros.encoders.nano import NanoEncoder
    from storm_ros.evaluation.failures_cosine import CosineVerifier
    from storm_ros.evaluation.failures_probe import Probe

    probe = Probe({"cosine": CosineVerifier(NanoEncoder(), tau=-0.9)})
    assert (probe.probability(-0.95), probe.probability(-0.85)) == (1.0, 0.0)
