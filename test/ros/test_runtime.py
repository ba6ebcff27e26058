"""Loading the tracker for the node, and giving back what it held. Needs no ROS."""

from __future__ import annotations

import gc
import os
import sys
import weakref
from pathlib import Path

import pytest

from storm_ros.core.config import with_values
from storm_ros.ros.parameters import STORM_DEFAULTS, Settings, live_changes, refusal, settings_from
from storm_ros.ros.runtime import load, release, steady_memory

PLAIN = with_values(STORM_DEFAULTS, {"verifier.name": "inlier", "segmenter.name": "template"})


def test_loaded_warm_and_given_back() -> None:
    tracker = load(PLAIN)
    assert tracker.references == {}, "the object of the warm-up is forgotten"
    assert gc.get_freeze_count() > 10_000, "collections during tracking pass over what was loaded"
    held = weakref.ref(tracker)
    tracker.close()
    del tracker
    release()
    assert held() is None
    assert gc.get_freeze_count() == 0, "what is loaded next can be collected"


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_loading_again_and_again_leaves_nothing_behind() -> None:
    """What libraries keep for good is there after the first times; each later time adds nothing to it."""
    pytest.importorskip("torch", reason="what was found to grow is PyTorch's")
    steady_memory()
    held_mb = []
    for _ in range(5):
        load(STORM_DEFAULTS).close()
        release()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        held_mb.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
    assert held_mb[-1] - held_mb[1] < 10.0, held_mb


def test_threads_of_the_learned_parts() -> None:
    torch = pytest.importorskip("torch", reason="the threads are PyTorch's")
    before = torch.get_num_threads()
    try:
        for threads in (3, 1):
            tracker = load(with_values(PLAIN, {"segmenter.name": "som"}), threads)
            assert tracker.parts.segmenter.threads == threads
            assert torch.get_num_threads() == threads
            tracker.close()
    finally:
        torch.set_num_threads(before)
        release()


def test_threads_change_at_configure_only() -> None:
    assert refusal("compute.threads", configured=True) is not None
    before = settings_from({})
    after = settings_from({"compute.threads": 4, "log.every": 2.0})
    kept = live_changes(before, after)
    assert kept == Settings(before.storm, settings_from({"log.every": 2.0}).node)
