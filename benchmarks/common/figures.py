"""Figures with their targets: as a table on the terminal and as JSON."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from storm_ros.core.errors import StormError

console = Console(width=None if sys.stdout.isatty() else 150)


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        name: what was measured.
        value: the figure; None where there is none.
        unit: of the value.
        target: bound it should keep; None where there is none.
        at_least: whether the bound is a lower one.
        note: settings, or what else belongs to it.
        ratio: the value in units of the baseline of the same run; None where that means nothing.
    """

    name: str
    value: float | None
    unit: str
    target: float | None = None
    at_least: bool = False
    note: str = ""
    ratio: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        if self.value is None or self.value != self.value:
            return False
        return self.value >= self.target if self.at_least else self.value <= self.target


@dataclass
class Outcome:
    """All that a benchmark found."""

    benchmark: str
    figures: list[Figure] = field(default_factory=list)
    details: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=lambda: machine())


def parser(text: str | None) -> argparse.ArgumentParser:
    """Argument parser with what all benchmarks take."""
    out = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    out.add_argument("--data", type=Path, default=default, help="folder of the real recordings (default: %(default)s)")
    out.add_argument("--json", type=Path, help="also write the figures there")
    out.add_argument("--seed", type=int, default=0, help="first seed of everything random (default: 0)")
    out.add_argument("--device", default="cpu", help="compute device: auto, cpu or cuda (default: cpu)")
    return out


def machine() -> dict[str, Any]:
    """Processor, its threads, the load, and versions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = os.getloadavg() if hasattr(os, "getloadavg") else (float("nan"),)
    packages = ("numpy", "scipy", "opencv-python-headless", "warp-lang")
    return {
        "cpu": _cpu_model(),
        "cpu_threads": cores,
        "load_at_start": round(load[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: _version(name) for name in packages},
    }


def main(run: Callable[[argparse.Namespace, Outcome], None], args: argparse.Namespace, name: str) -> int:
    """Run a benchmark, show its outcome and write it.

    Args:
        run: fills the outcome.
        args: of `parser`.
        name: of the benchmark.

    Returns:
        The exit code: 0, or 1 with one line that says why it failed.
    """
    outcome = Outcome(name)
    try:
        run(args, outcome)
    except StormError as error:
        console.print(f"{name}: {error}", style="red", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        outcome.skipped.append("interrupted: the figures so far")
    show(outcome)
    if args.json is not None:
        write_json(args.json, outcome)
    return 0


def show(outcome: Outcome) -> None:
    """Print the figures."""
    for title, rows in outcome.details.items():
        console.print(_details(title, rows))
    table = Table(title=f"{outcome.benchmark}: figures", title_justify="left")
    for column, justify in (("figure", "left"), ("value", "right"), ("target", "right"), ("", "left")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    ratios = any(f.ratio is not None for f in outcome.figures)
    if ratios:
        table.add_column("x baseline", justify="right")
    table.add_column("note")
    for f in outcome.figures:
        value = "-" if f.value is None else f"{f.value:.4g} {f.unit}".strip()
        target = "" if f.target is None else f"{'>=' if f.at_least else '<='} {f.target:g}"
        mark = {None: "", True: "[green]met[/]", False: "[red]missed[/]"}[f.met]
        cells = [f.name, value, target, mark]
        if ratios:
            cells.append("" if f.ratio is None else f"{f.ratio:.3g}")
        table.add_row(*cells, f.note)
    console.print(table)
    for reason in outcome.skipped:
        console.print(f"skipped: {reason}", style="yellow", markup=False, highlight=False)
    m = outcome.machine
    console.print(f"{m['cpu']}, {m['cpu_threads']} threads, load {m['load_at_start']} at the start", highlight=False)


def _details(title: str, rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(title=title, title_justify="left")
    names = list(dict.fromkeys(name for row in rows for name in row))
    for name in names:
        table.add_column(name, justify="right" if isinstance(rows[0].get(name), (int, float)) else "left")
    for row in rows:
        table.add_row(*(_cell(row.get(name)) for name in names))
    return table


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def write_json(path: Path, outcome: Outcome) -> None:
    """Write the outcome atomically."""
    tree = dataclasses.asdict(outcome)
    for figure, entry in zip(outcome.figures, tree["figures"], strict=True):
        entry["met"] = figure.met
    text = json.dumps(_finite(tree), indent=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    Path(temporary).replace(path)


def _finite(value: Any) -> Any:
    """The same tree with None for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
