"""Where PyTorch is missing, what needs it says so in one line; everything else works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


def storm(*args: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a Python that has no torch."""
    code = f"import sys; sys.modules['torch'] = None; from storm_ros.cli.main import main; sys.exit(main({list(args)}))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, check=False)


@pytest.mark.parametrize(
    "args", [("train", "som"), ("train", "export", "a.pt", "b.safetensors"), ("evaluate", "som", "--shards", "x")]
)
def test_what_needs_it_says_so(args: tuple[str, ...]) -> None:
    done = storm(*args)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "needs PyTorch: pip install storm_ros[learned]" in done.stderr


def test_the_rest_works() -> None:
    assert "som-nano  intact" in storm("weights", "verify").stdout
    assert storm("--help").returncode == 0
