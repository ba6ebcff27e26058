# OpenCV's own stubs say "any integer or float" of every array, and differ from 4.6 to 5: not checked against.
from typing import Any

def __getattr__(name: str) -> Any: ...
