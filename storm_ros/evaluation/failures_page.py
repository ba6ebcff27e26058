"""failures.html: the benchmark's figures, ROC curves and delays on one page, without anything from outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from storm_ros.evaluation.charts import WIDTH, Line, legend, line_chart, ticks
from storm_ros.evaluation.failures_figures import MAX_DELAY, held_energies
from storm_ros.evaluation.failures_ranking import roc
from storm_ros.evaluation.failures_records import Clip
from storm_ros.evaluation.html import DASH
from storm_ros.evaluation.style import CSS

_STYLES = ("c1", "c2", "c3", "c4")

Row = tuple[str, str, str]
"""Label, key of the figure, and how it is written: a format, with % for shares."""

METHOD_ROWS: tuple[Row, ...] = (
    ("losses", "losses", "d"),
    ("of them unnoticed", "unnoticed", "d"),
    ("frames until noticed, median", "delay_median", ".1f"),
    ("false alarms per 1000 good frames", "false_alarms_per_1000", ".2f"),
    ("recoverable losses", "recoverable", "d"),
    ("of them recovered", "recovered_fraction", "%"),
    ("frames until found again, median", "frames_until_found_median", ".1f"),
    ("finds", "finds", "d"),
    ("of them of a wrong object", "wrong_object_fraction", "%"),
    ("frames with a pose, of those without the object", "pose_while_absent", "%"),
    ("ADD AUC, %", "add_auc", ".1f"),
    ("the same, nothing after the first loss", "add_auc_no_recovery", ".1f"),
    ("the same, tracked on and never given up", "add_auc_held", ".1f"),
    ("verifier, ms a frame", "verify_ms", ".1f"),
)

ENERGY_ROWS: tuple[Row, ...] = (
    ("good frames", "good", "d"),
    ("bad frames", "bad", "d"),
    ("AUROC", "auroc", ".3f"),
    ("AUPR", "aupr", ".3f"),
    ("FPR at 95 % TPR", "fpr_at_95_tpr", ".3f"),
)


def written(figures: Mapping[str, Any], row: Row) -> str:
    """A figure as text; a dash where there is none."""
    value = figures.get(row[1])
    if value is None or value != value:
        return DASH
    return f"{100.0 * value:.1f} %" if row[2] == "%" else format(value, row[2])


def failures_page(report: Mapping[str, Any], clips: Sequence[Clip]) -> str:
    """A complete HTML document.

    Args:
        report: content of failures.json.
        clips: the same clips.
    """
    methods: Mapping[str, Any] = report["methods"]
    energies: Mapping[str, Any] = report["energies"]
    smoothed = {name: figures["smoothed"] for name, figures in energies.items()}
    title = "Tracking failures"
    kinds = ", ".join(f"{kind} {count}" for kind, count in report["clips_by_kind"].items())
    counts = f"{report['clips']} clips, {report['frames']} frames: {kinds}"
    settings = f"<details><summary>all</summary><p><code>{escape(_settings(report))}</code></p></details>"
    body = [
        f"<header><h1>{title}</h1><p class='sub'>{escape(counts)}</p></header>",
        _section("As a user runs it", _table(METHOD_ROWS, methods)),
        _section("Frames until a loss was noticed", "".join(delay_chart(n, m["delays"]) for n, m in methods.items())),
        _section("Energy of every frame", _table(ENERGY_ROWS, energies) + roc_chart(clips, list(energies))),
        _section("The same, smoothed as by the gate", _table(ENERGY_ROWS, smoothed)),
        *(
            _section(f"By kind: {name}", _table(METHOD_ROWS, {k: rows[name] for k, rows in report["by_kind"].items()}))
            for name in methods
        ),
        _section("Settings", settings),
    ]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>storm: {title}</title><style>{CSS}</style>"
    )
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body><main>{"".join(body)}</main></body></html>\n'


def roc_chart(clips: Sequence[Clip], verifiers: Sequence[str]) -> str:
    """ROC curves of the verifiers' energies, in percent."""
    lines: list[Line] = []
    for style, name in zip(_STYLES, verifiers, strict=False):
        curve = roc(*held_energies(clips, name))
        if curve is not None:
            lines.append(Line(name, 100.0 * curve.false, 100.0 * curve.true, style))
    if not lines:
        return '<p class="empty">ROC: no good, or no bad frames in these clips.</p>'
    lines.append(Line("chance", np.array([0.0, 100.0]), np.array([0.0, 100.0]), "faint"))
    chart = line_chart(
        lines, title="ROC", y_label="bad frames above, %", x_label="good frames above, %", from_zero=True, height=360.0
    )
    return f'<div class="panel">{chart}{legend((line.style, line.label) for line in lines)}</div>'


def delay_chart(method: str, delays: Mapping[str, Any]) -> str:
    """Histogram of the frames until a loss was noticed."""
    labels = [*map(str, range(MAX_DELAY + 1)), f"> {MAX_DELAY}", "never"]
    counts = [*delays["frames"], delays["later"], delays["unnoticed"]]
    bottom, top, left = 128.0, 14.0, 40.0
    step = (WIDTH - left - 10.0) / len(counts)
    high = max(*counts, 1)
    body = []
    for value in (v for v in ticks(0.0, float(high), 3) if float(v).is_integer()):
        y = bottom - (bottom - top) * value / high
        body.append(f'<path class="grid" d="M{left:g} {y:.1f}H{WIDTH - 10:g}"/>')
        body.append(f'<text class="tick" x="{left - 6:g}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for i, (label, count) in enumerate(zip(labels, counts, strict=True)):
        x, tall = left + i * step, (bottom - top) * count / high
        body.append(
            f'<rect class="bar" x="{x + 3:.1f}" y="{bottom - tall:.1f}" width="{step - 6:.1f}" height="{tall:.1f}">'
            f"<title>{escape(label)}: {count}</title></rect>"
        )
        middle = x + step / 2
        body.append(
            f'<text class="tick" x="{middle:.1f}" y="{bottom + 16:g}" text-anchor="middle">{escape(label)}</text>'
        )
    name = escape(f"Frames until noticed, {method}")
    svg = f'<svg viewBox="0 0 {WIDTH:g} {bottom + 24:g}" role="img" aria-label="{name}">{"".join(body)}</svg>'
    return f'<div class="panel"><h3>{escape(method)}</h3>{svg}</div>'


def _section(title: str, content: str) -> str:
    return f"\n<section><h2>{escape(title)}</h2>{content}</section>"


def _table(rows: Iterable[Row], columns: Mapping[str, Mapping[str, Any]]) -> str:
    head = "".join(f'<th class="n">{escape(name)}</th>' for name in columns)
    lines = [
        f"<tr><td>{escape(row[0])}</td>"
        + "".join(f'<td class="n">{escape(written(figures, row))}</td>' for figures in columns.values())
        + "</tr>"
        for row in rows
    ]
    return f'<div class="panel"><table><tr><th></th>{head}</tr>{"".join(lines)}</table></div>'


def _settings(report: Mapping[str, Any]) -> str:
    parts = [*report["options"].items(), *report["calibrated"].items(), *report["settings"].items()]
    return ", ".join(f"{key} = {value}" for key, value in parts)
