"""report.html: one page that explains a run by itself, without scripts and without anything from outside."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import PurePath
from typing import Any

from storm_ros.evaluation import plots
from storm_ros.evaluation.accuracy import Judgement
from storm_ros.evaluation.charts import bar_chart
from storm_ros.evaluation.recorder import Picture, RunRecorder
from storm_ros.evaluation.style import CSS

Report = Mapping[str, Any]

DASH = "\N{EN DASH}"


def render_html(report: Report, recorder: RunRecorder, judgements: Sequence[Judgement] = ()) -> str:
    """Make the page.

    Args:
        report: content of report.json.
        recorder: of the same run.
        judgements: errors of the objects that have a ground truth.

    Returns:
        A complete HTML document.
    """
    title = "/".join(PurePath(report["name"] or report["input"]).parts[-3:])
    parts = [
        _header(report, title),
        cards(report),
        _notes(report),
        _section("What was seen", _pictures(recorder.pictures())),
        _section("Energy and state", "".join(_object_panel(report, recorder, name) for name in report["objects"])),
        _section("Errors against the ground truth", _errors(report, judgements)) if judgements else "",
        _section("Time per frame", _timing(report, recorder)),
        _section("Events", _events(report["events"])),
        _settings(report),
    ]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>storm: {escape(title)}</title><style>{CSS}</style>"
    )
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body><main>{"".join(parts)}</main></body></html>\n'


def _section(title: str, content: str) -> str:
    return f"\n<section><h2>{escape(title)}</h2>{content}</section>"


def _header(report: Report, title: str) -> str:
    way = "backwards" if report["reverse"] else "forwards"
    span = f"frames {report['first_frame']} to {report['last_frame']}, {way}" if report["frames"] else "no frame"
    objects = ", ".join(report["objects"]) or "no object"
    command = f'<p class="sub"><code>{escape(report["command"])}</code></p>' if report["command"] else ""
    return f"<header><h1>{escape(title)}</h1><p class='sub'>{escape(objects)} · {escape(span)}</p>{command}</header>"


def cards(report: Report) -> str:
    """The summary: one card per figure that this run has."""
    accuracy = report.get("accuracy") or {}
    kinds = [e["type"] for e in report["events"]]
    with_pose = report["status_counts"]["TRACKING"] + report["status_counts"]["SUSPECT"]
    total = sum(report["status_counts"].values())
    shown = [
        ("frames", number(report["frames"], 0), ""),
        ("of them with a pose", percent(with_pose / total if total else None), ""),
        ("frames per second", number(report["fps"], 1), ""),
        ("lost / found again", f"{kinds.count('lost')} / {kinds.count('relocalized')}", ""),
        ("ADD, median", number(accuracy.get("add_mm_median"), 2, " mm"), ""),
        ("ADD-S, median", number(accuracy.get("adds_mm_median"), 2, " mm"), ""),
        ("ADD AUC", number(accuracy.get("add_auc"), 1, " %"), ""),
        ("ADD-S AUC", number(accuracy.get("adds_auc"), 1, " %"), ""),
        ("centre error, median", number(accuracy.get("centre_mm_median"), 2, " mm"), ""),
        ("rotation error, median", number(accuracy.get("rot_deg_median"), 2, "°"), ""),
        ("found where visible", percent(accuracy.get("found_fraction")), _good(accuracy.get("found_fraction"), 0.9)),
        ("false finds elsewhere", percent(accuracy.get("false_fraction")), _bad(accuracy.get("false_fraction"), 0.1)),
        ("peak memory", number(report["peak_rss_mb"], 0, " MB"), ""),
        ("unreadable frames", number(report["unreadable"] or None, 0), "bad"),
    ]
    body = "".join(
        f'<div class="card {style}"><b>{escape(value)}</b><span>{escape(label)}</span></div>'
        for label, value, style in shown
        if value
    )
    return f'<div class="cards">{body}</div>'


def _good(value: float | None, least: float) -> str:
    return "good" if value is not None and value >= least else ""


def _bad(value: float | None, most: float) -> str:
    return "bad" if value is not None and value > most else ""


def number(value: float | None, digits: int, unit: str = "") -> str:
    """A figure with its unit; empty for None."""
    return "" if value is None else f"{value:.{digits}f}{unit}"


def percent(value: float | None) -> str:
    """A fraction as a percentage; empty for None."""
    return "" if value is None else f"{value * 100:.1f} %"


def _notes(report: Report) -> str:
    out = ""
    if report["interrupted"]:
        out += '<div class="note stop">This run was interrupted: the figures are those of the frames before.</div>'
    if report["warnings"]:
        items = "".join(f"<li>{escape(w)}</li>" for w in report["warnings"])
        out += f'<div class="note">Warnings<ul>{items}</ul></div>'
    return out


def _pictures(pictures: Sequence[Picture]) -> str:
    if not pictures:
        return '<p class="empty">No pictures were kept.</p>'
    figures = "".join(
        f'<figure><img loading="lazy" alt="{escape(p.caption)}" '
        f'src="data:image/jpeg;base64,{base64.b64encode(p.jpeg).decode()}">'
        f"<figcaption>{escape(p.caption)}</figcaption></figure>"
        for p in pictures
    )
    return f'<div class="pictures">{figures}</div>'


def _object_panel(report: Report, recorder: RunRecorder, name: str) -> str:
    counts = report["objects"][name]["status_counts"]
    total = sum(counts.values()) or 1
    shares = "".join(
        f'<i class="s-{status.lower()}" style="width:{count / total * 100:.2f}%" title="{status}: {count}"></i>'
        for status, count in counts.items()
        if count
    )
    words = ", ".join(f"{count} {status.lower()}" for status, count in counts.items() if count) or "no frames"
    bar = f'<div class="share">{shares}</div><p class="soft">{escape(words)}</p>'
    return f'<div class="panel"><h3>{escape(name)}</h3>{bar}{plots.energy(recorder, name)}</div>'


def _errors(report: Report, judgements: Sequence[Judgement]) -> str:
    blocks = report["accuracy"]["objects"]
    panels = "".join(
        f'<div class="panel"><h3>{escape(j.target.object_id)}</h3>{plots.errors(j)}'
        f"{_accuracy_words(blocks[j.target.object_id])}</div>"
        for j in judgements
    )
    return _accuracy_table(report["accuracy"]) + panels


_COLUMNS = (
    ("add_mm_median", "ADD mm", 2, 1.0),
    ("adds_mm_median", "ADD-S mm", 2, 1.0),
    ("add_auc", "ADD AUC %", 1, 1.0),
    ("adds_auc", "ADD-S AUC %", 1, 1.0),
    ("centre_mm_median", "centre mm", 2, 1.0),
    ("rot_deg_median", "rotation °", 2, 1.0),
    ("found_fraction", "found %", 1, 100.0),
    ("false_fraction", "false %", 1, 100.0),
)


def _accuracy_table(block: Mapping[str, Any]) -> str:
    columns = [c for c in _COLUMNS if c[0] in block]
    head = "".join(f'<th class="n">{escape(label)}</th>' for _, label, _, _ in columns)
    rows = list(block["objects"].items())
    if len(rows) > 1:
        rows.append(("all", block))
    body = ""
    for name, row in rows:
        cells = ""
        for key, _, digits, scale in columns:
            value = row.get(key)
            cells += f'<td class="n">{DASH if value is None else number(value * scale, digits)}</td>'
        body += f"<tr><td>{escape(name)}</td>{cells}</tr>"
    note = "Medians and AUC are over the frames in which more than half of the object is visible."
    return (
        f'<div class="panel"><table><thead><tr><th>object</th>{head}</tr></thead><tbody>{body}</tbody></table>'
        f'<p class="soft">{note}</p></div>'
    )


def _accuracy_words(block: Mapping[str, Any]) -> str:
    where = (
        "in the model's own frame" if block["aligned_at"] is None else f"aligned at frame {block['aligned_at']} only"
    )
    lines = [f"Compared with object {block['gt_id']}, {where}. Found means {block['found_rule']}."]
    for back in block["returns"]:
        frames = back["frames_until_found"]
        took = "not found again" if frames is None else f"found after {frames} frames"
        lines.append(f"Back in view in frames {back['frame']} to {back['last_frame']}: {took}.")
    for leave in block["leaves"]:
        frames = leave["frames_until_silent"]
        took = "never silent" if frames is None else f"silent after {frames} frames"
        lines.append(f"Out of view in frames {leave['frame']} to {leave['last_frame']}: {took}.")
    return "".join(f'<p class="soft">{escape(line)}</p>' for line in lines)


def _timing(report: Report, recorder: RunRecorder) -> str:
    stages = report["timing_ms"]
    if not stages:
        return '<p class="empty">No times were taken.</p>'
    rows = "".join(
        f"<tr><td>{escape(stage)}</td>"
        + "".join(f'<td class="n">{number(row[key], 2) or DASH}</td>' for key in ("p50", "p95", "p99", "max"))
        + "</tr>"
        for stage, row in stages.items()
    )
    head = "<th>stage</th>" + "".join(f'<th class="n">{key} ms</th>' for key in ("p50", "p95", "p99", "max"))
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    bars = [(s, row["p50"], row["p95"]) for s, row in stages.items() if row["p50"] is not None]
    chart = bar_chart(bars, unit="ms", title="Time of each stage: median as a bar, 95th percentile as a whisker")
    setup = ", ".join(
        f"{name} {o['setup_ms']:.0f} ms" for name, o in report["objects"].items() if o["setup_ms"] is not None
    )
    note = f'<p class="soft">Setting the reference: {escape(setup)}.</p>' if setup else ""
    return f'<div class="panel">{table}</div><div class="panel">{chart}{note}{plots.step_time(recorder)}</div>'


def _events(events: Sequence[Mapping[str, Any]]) -> str:
    if not events:
        return '<p class="empty">Nothing happened.</p>'
    head = (
        "<th class='n'>frame</th><th>event</th><th>object</th><th>cause</th><th class='n'>frames lost</th>"
        "<th class='n'>energy</th><th class='n'>score</th><th class='n'>jump</th>"
    )
    return (
        f'<div class="panel"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(_event(e) for e in events)}</tbody></table></div>"
    )


def _event(event: Mapping[str, Any]) -> str:
    jump = ""
    if event["jump_m"] is not None:
        jump = f"{event['jump_m'] * 1000:.0f} mm"
        if event["jump_rad"] is not None:
            jump += f", {event['jump_rad'] * 57.29578:.0f}°"
    energy = number(event["energy"], 2)
    if energy and event["threshold"] is not None:
        energy += f" (limit {event['threshold']:.2f})"
    tag = f'<span class="tag t-{escape(event["type"])}">{escape(event["type"].replace("_", " "))}</span>'
    cells = [number(event["frames_lost"], 0), energy, number(event["score"], 2), jump]
    return (
        f'<tr><td class="n">{event["frame"]}</td><td>{tag}</td><td>{escape(event["object"])}</td>'
        f"<td>{escape((event['cause'] or '').replace('_', ' '))}</td>"
        + "".join(f'<td class="n">{escape(c)}</td>' for c in cells)
        + "</tr>"
    )


def _settings(report: Report) -> str:
    rows = [*report["settings"].items()]
    rows += [(f"mesh of {name}", o["mesh"]) for name, o in report["objects"].items() if o["mesh"]]
    rows += [(f"version of {name}", version) for name, version in report["versions"].items() if version]
    body = "".join(f"<tr><td><code>{escape(str(k))}</code></td><td>{escape(str(v))}</td></tr>" for k, v in rows)
    return (
        f"<details><summary>Settings and versions</summary><div class='panel'><table><tbody>{body}</tbody></table>"
        "</div></details>"
    )
