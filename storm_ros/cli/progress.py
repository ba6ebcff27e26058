"""Progress of a run on a terminal; silent where there is none."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from storm_ros.core.types import TrackResult, TrackStatus

if TYPE_CHECKING:
    from typing_extensions import Self

COLOURS = {
    TrackStatus.EMPTY: "dim",
    TrackStatus.SEARCHING: "blue",
    TrackStatus.TRACKING: "green",
    TrackStatus.SUSPECT: "yellow",
    TrackStatus.LOST: "red",
}
_REFRESH_S = 0.1


class RunProgress:
    """A bar with frames per second, and the status and energy of every object.

    Args:
        total: frames to go.
        quiet: show nothing; so it is without a terminal, too.
        text: what is going on.
    """

    def __init__(self, total: int, *, quiet: bool = False, text: str = "tracking") -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[objects]}"),
            console=console,
            disable=quiet or not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task(text, total=total, rate="", objects="")
        self._next = 0.0
        self._steps = 0
        self._seconds = 0.0

    def __enter__(self) -> Self:
        """Show the bar."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take it away."""
        self._progress.stop()

    def advance(self) -> None:
        """One frame further, without a result."""
        self._progress.advance(self._task)

    def update(self, result: TrackResult, seconds: float) -> None:
        """One frame further, whose step took so many seconds."""
        self._steps += 1
        self._seconds += seconds
        self._progress.advance(self._task)
        now = time.monotonic()
        if self._progress.disable or now < self._next:
            return
        self._next = now + _REFRESH_S
        rate = f"{self._steps / self._seconds:.0f} fps" if self._seconds > 0 else ""
        self._progress.update(self._task, rate=rate, objects=status_line(result))


def status_line(result: TrackResult) -> str:
    """Status and energy of every object, in rich's markup."""
    words = []
    for name, obj in result.objects.items():
        energy = f" {obj.smoothed_energy:+.2f}" if obj.smoothed_energy == obj.smoothed_energy else ""
        words.append(f"[{COLOURS[obj.status]}]{name} {obj.status.value}{energy}[/]")
    return "  ".join(words)
