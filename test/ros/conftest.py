"""Fixtures of the tests of the ROS layer; `ros_messages` beside it holds what they are made of."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # test modules are imported by path, their helpers by name

from ros_messages import ROOT, default, fields_of


@pytest.fixture
def make_request() -> Callable[..., Any]:
    """Maker of SetReference requests with every field of the .srv file, by default as ROS fills them."""
    fields = {name: default(kind) for kind, name in fields_of(ROOT / "srv" / "SetReference.srv")}

    def make_one(**values: Any) -> Any:
        assert set(values) <= set(fields), f"not in SetReference.srv: {set(values) - set(fields)}"
        return SimpleNamespace(**{**fields, **values})

    return make_one


@pytest.fixture(scope="session")
def ros_domain() -> Callable[[], int]:
    """Numbers of ROS domains that no other test uses, so that tests do not hear each other."""
    import itertools
    import os

    numbers = itertools.count(1 + os.getpid() % 60)
    return lambda: next(numbers) % 100 + 1
