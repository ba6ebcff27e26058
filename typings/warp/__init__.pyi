# Kernels are Warp's language in Python's syntax: a type checker for Python is wrong about them.
from typing import Any

def __getattr__(name: str) -> Any: ...
