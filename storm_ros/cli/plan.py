"""Which frames a run goes through, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from storm_ros.cli.errors import UsageError
from storm_ros.cli.targets import Target, range_text


@dataclass(frozen=True)
class Plan:
    """Frame numbers in the order of the run, and what should be said about them."""

    numbers: tuple[int, ...]
    warnings: tuple[str, ...] = ()


def plan(
    numbers: Sequence[int],
    targets: Sequence[Target],
    *,
    reverse: bool = False,
    first: int | None = None,
    last: int | None = None,
) -> Plan:
    """From the first reference's frame to the end, or backwards to the beginning, within bounds.

    Args:
        numbers: of the recording, ascending.
        targets: the objects; a saved reference is there from the recording's first frame (backwards: its last).
        reverse: run backwards.
        first: lowest frame number to run (--from).
        last: highest frame number to run (--to).

    Raises:
        UsageError: bounds outside the recording, the wrong way round, or without a frame; a reference never reached.
    """
    low, high = numbers[0], numbers[-1]
    for name, bound in (("--from", first), ("--to", last)):
        if bound is not None and not low <= bound <= high:
            raise UsageError(f"{name} {bound}: out of range; {range_text(numbers)}")
    if first is not None and last is not None and first > last:
        raise UsageError(f"--from {first} lies after --to {last}: --from is the lower one, also with --reverse")
    first, last = (low if first is None else first), (high if last is None else last)
    shown = [t.number for t in targets if t.number is not None]
    anchored = bool(shown) and len(shown) == len(targets)
    warnings: list[str] = []
    if reverse:
        start = max(shown) if anchored else high
        _check_reached([n for n in shown if n < first], f"--from {first}", "before")
        if anchored and start < last < high:
            warnings.append(_early("--to", last, start, "without --reverse"))
        chosen = [n for n in reversed(numbers) if first <= n <= min(start, last)]
    else:
        start = min(shown) if anchored else low
        _check_reached([n for n in shown if n > last], f"--to {last}", "after")
        if anchored and low < first < start:
            warnings.append(_early("--from", first, start, "with --reverse"))
        chosen = [n for n in numbers if max(start, first) <= n <= last]
    if not chosen:
        raise UsageError(f"no frame between {first} and {last}; {range_text(numbers)}")
    return Plan(tuple(chosen), tuple(warnings))


def _check_reached(missed: Sequence[int], bound: str, where: str) -> None:
    if missed:
        raise UsageError(f"the reference's frame {missed[0]} lies {where} {bound}: the run never reaches it")


def _early(option: str, bound: int, start: int, how: str) -> str:
    return (
        f"{option} {bound} is on the other side of the reference's frame {start}, where the run begins: run {how} too"
    )


def is_due(target: Target, number: int, *, reverse: bool) -> bool:
    """Whether a target's reference is to be set at a frame, or should have been before it."""
    if target.number is None:
        return True
    return target.number >= number if reverse else target.number <= number
