"""Parses ``--reference``: which object is meant, and in which frame it is shown."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from storm_ros.cli.errors import UsageError
from storm_ros.cli.options import key_values

FORMS = "frame=N,mask=FILE | frame=N,box=X,Y,W,H | frame=N,point=U,V | frame=N,gt=OBJ_ID | a saved reference folder"
PROMPTS = ("mask", "box", "point", "gt")
_KEYS = ("frame", *PROMPTS, "name")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class ReferenceSpec:
    """A reference as it was typed; exactly one of mask, box, point, gt and folder is set.

    Attributes:
        text: as typed, for messages.
        frame: frame number; None for a saved reference.
        mask: mask image.
        box: x, y, width, height in pixels.
        point: u, v in pixels.
        gt: object id in the ground truth, whose visible mask is taken.
        folder: saved reference.
        name: name of the object, where one was given.
    """

    text: str
    frame: int | None = None
    mask: Path | None = None
    box: tuple[float, float, float, float] | None = None
    point: tuple[float, float] | None = None
    gt: int | None = None
    folder: Path | None = None
    name: str | None = None


def parse_reference(text: str) -> ReferenceSpec:
    """Parse one reference.

    Raises:
        UsageError: not one of the forms; the message says what is wrong with it.
    """
    if not text.strip():
        raise UsageError(f"--reference is empty: no such folder, and no other form of it ({FORMS})")
    head, comma, rest = text.partition(",")
    if "=" not in head or Path(text).is_dir():
        return _saved(text, head, rest if comma else "")
    pairs = dict(key_values(text, "--reference"))
    for key in pairs:
        if key not in _KEYS:
            raise UsageError(f"--reference {text!r}: unknown key {key!r}; it knows {', '.join(_KEYS)} ({FORMS})")
    given = [key for key in PROMPTS if key in pairs]
    if len(given) != 1:
        came = " and ".join(given) or "none"
        raise UsageError(f"--reference {text!r}: exactly one of {', '.join(PROMPTS)} is needed, {came} given ({FORMS})")
    if "frame" not in pairs:
        raise UsageError(f"--reference {text!r}: frame=N is missing ({FORMS})")
    key, value = given[0], pairs[given[0]]
    return ReferenceSpec(
        text,
        frame=_integer(text, "frame", pairs["frame"]),
        mask=Path(_present(text, key, value)) if key == "mask" else None,
        box=_box(text, value) if key == "box" else None,
        point=_point(text, value) if key == "point" else None,
        gt=_integer(text, "gt", value) if key == "gt" else None,
        name=_name(text, pairs.get("name")),
    )


def _saved(text: str, head: str, rest: str) -> ReferenceSpec:
    if Path(text).is_dir():
        return ReferenceSpec(text, folder=Path(text))
    if not Path(head).is_dir():
        raise UsageError(f"--reference {text!r}: there is no such folder, nor is it another form of it ({FORMS})")
    pairs = dict(key_values(rest, "--reference"))
    if unknown := set(pairs) - {"name"}:
        raise UsageError(
            f"--reference {text!r}: a saved reference takes name=ID only, not {', '.join(sorted(unknown))}"
        )
    return ReferenceSpec(text, folder=Path(head), name=_name(text, pairs.get("name")))


def _present(text: str, key: str, value: str) -> str:
    if not value:
        raise UsageError(f"--reference {text!r}: {key}= is empty ({FORMS})")
    return value


def _integer(text: str, key: str, value: str) -> int:
    if not value.isascii() or not value.isdigit():
        raise UsageError(f"--reference {text!r}: {key}={value!r} is not a whole number from 0 on")
    return int(value)


def _numbers(text: str, key: str, value: str, names: str) -> list[float]:
    try:
        numbers = [float(v) for v in value.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != names.count(",") + 1 or not all(map(math.isfinite, numbers)):
        raise UsageError(f"--reference {text!r}: {key}={value!r} must be the numbers {names} in pixels")
    return numbers


def _box(text: str, value: str) -> tuple[float, float, float, float]:
    x, y, width, height = _numbers(text, "box", value, "x,y,w,h")
    if width <= 0 or height <= 0:
        raise UsageError(f"--reference {text!r}: the box is {width:g} by {height:g} pixels; w and h must be positive")
    return x, y, width, height


def _point(text: str, value: str) -> tuple[float, float]:
    u, v = _numbers(text, "point", value, "u,v")
    return u, v


def _name(text: str, value: str | None) -> str | None:
    if value is not None and not _NAME.fullmatch(value):
        raise UsageError(f"--reference {text!r}: name={value!r} may hold letters, digits and _ . - only")
    return value
