"""``storm train all``: from nothing to the weights of segmenter and verifier, their cards and figures."""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_ros.cli.errors import UsageError
from storm_ros.cli.evaluate import measured, method_names
from storm_ros.cli.training import add_settings, chosen, progress
from storm_ros.core.errors import needs_torch

if TYPE_CHECKING:
    from rich.console import Console

    from storm_ros.training.recipe import Recipe
    from storm_ros.training.running import Report

REPORT = "train_report.json"
_FIGURES = {
    "som": (("loss", "loss", ".3f"), ("mean_iou", "IoU", ".3f"), ("pairs_per_s", "pairs/s", ".1f"),
            ("wait_s", "waited", ".3f")),
    "tom": (("loss", "loss", ".3f"), ("accuracy", "accuracy", ".3f"), ("cases_per_s", "cases/s", ".1f"),
            ("wait_s", "waited", ".3f")),
}  # fmt: skip
_TIMES = ("median_ms",)
_SOM_SHOWN = ("cases", "mean_iou", "hit_rate", "presence_auroc", "mask_ap")


def add_action(actions: Any) -> None:
    """Add the action to those of ``storm train``."""
    parser = actions.add_parser(
        "all",
        help="everything, from nothing to som-nano and tom-nano",
        description="Make scenes, train the segmenter, make cases, train the verifier with the encoder of that "
        "segmenter, calibrate, measure; write both weights with their cards and train_report.json. Ctrl-C stops it "
        "where it can go on (--resume); what is finished is not repeated.",
    )
    parser.add_argument("--preset", metavar="NAME", required=True, help="recipe: smoke, cpu or ship (config/train)")
    parser.add_argument("--out", metavar="DIR", required=True, help="folder of everything that is made")
    parser.add_argument("--resume", action="store_true", help="go on with what is in the folder")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to compute")
    parser.add_argument("--quiet", action="store_true", help="show the table at the end only")
    add_settings(parser)
    parser.set_defaults(run=run_all)


def run_all(args: argparse.Namespace) -> int:
    """Run ``storm train all``.

    Raises:
        UsageError: an unknown method to measure.
        ConfigError: a preset, a setting or a device that does not fit, or a folder that holds another training.
        BackendUnavailableError: PyTorch is missing.
        StormError: a stage failed; the same command with --resume goes on.
    """
    from storm_ros.cli.stopping import StopRequest
    from storm_ros.training.recipe import checked, preset

    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise UsageError("storm train all is one process: under torchrun use storm train som and storm train tom")
    recipe = checked(chosen(args, preset(args.preset)))
    with needs_torch("training"):
        from storm_ros.training import pipeline
    method_names(recipe.figures.methods)
    device = pipeline.resolved(args.device)
    scans = Path(recipe.som.scenes.household)
    if recipe.som.scenes.scans and not any(scans.glob("*.glb")):
        sys.stderr.write(f"storm: no scanned objects in {scans}: procedural ones only\n")
    with StopRequest() as stop:
        run = pipeline.Run(
            recipe, Path(args.out), device, functools.partial(_quietly, args.quiet, measure_som),
            lambda name, steps: None if args.quiet else _reporter(name, steps),
            lambda line: None if args.quiet else _say(line),
            lambda: stop.requested,
        )  # fmt: skip
        stages = pipeline.run_all(run, resume=args.resume)
        if not stages or not all(stage["done"] for stage in stages.values()):
            raise KeyboardInterrupt(f"the same command with --resume goes on in {args.out}")
        stop.finish()
        report = write_report(recipe, run.out, stages, args, device)
    _show(report, run.out)
    return 0


def write_report(
    recipe: Recipe, out: Path, stages: Mapping[str, Any], args: argparse.Namespace, device: str
) -> dict[str, Any]:
    """Write the cards and the report.

    Returns:
        The report.

    Raises:
        OutputError: one of them cannot be written.
    """
    from storm_ros.core.config import knobs
    from storm_ros.evaluation.report import plain, write_text
    from storm_ros.training.cards import provenance, som_card, tom_card
    from storm_ros.training.pipeline import SOM_FILE, TOM_FILE, device_name
    from storm_ros.weights.files import file_sha256

    values = {item.key: item.value for item in knobs(recipe)}
    report: dict[str, Any] = {
        "command": args.command_line,
        "preset": args.preset,
        "device": device_name(device),
        "package": provenance(),
        "seeds": {key: value for key, value in values.items() if key.rpartition(".")[2] == "seed"},
        "stages": {name: {k: v for k, v in stage.items() if k != "figures"} for name, stage in stages.items()},
        "seconds": sum(stage["seconds"] for stage in stages.values()),
        "figures": {key: value for stage in stages.values() for key, value in stage.get("figures", {}).items()},
        "files": {name: file_sha256(out / name) for name in (SOM_FILE, TOM_FILE)},
        "recipe": values,
    }
    for name, card in ((SOM_FILE, som_card), (TOM_FILE, tom_card)):
        write_text((out / name).with_suffix(".md"), card(recipe, report))
    write_text(out / REPORT, json.dumps(plain(report), indent=1) + "\n")
    return report


def measure_som(weights: Path, scenes: Path, recipe: Recipe) -> dict[str, Any]:
    """What ``storm evaluate som`` measures, without its times: these differ from run to run."""
    c = recipe.figures
    root = Path(c.recordings) if c.recordings else None
    places = [f"{root / name}{at}" for name, at in (("ycbv", ""), ("desk", ""), ("kitchen", "@111"))
              if root is not None and (root / name).is_dir()]  # fmt: skip
    results: dict[str, Any] = {}
    for data, shards in (([], str(scenes)), (places, None)):
        if not data and shards is None:
            continue
        args = argparse.Namespace(
            weights=str(weights), shards=shards, data=data, cases=c.cases, every=c.every, absent=c.absent
        )
        results |= measured(args, method_names(c.methods))
    return {
        source: {method: {k: v for k, v in row.items() if k not in _TIMES} for method, row in rows.items()}
        for source, rows in results.items()
    }


def _quietly(quiet: bool, work: Callable[..., Any], *args: Any) -> Any:
    with contextlib.redirect_stdout(io.StringIO()) if quiet else contextlib.nullcontext():
        return work(*args)


def _reporter(name: str, steps: int) -> Report:
    report = progress(steps, *_FIGURES[name])

    def labelled(step: int, figures: dict[str, float]) -> None:
        sys.stdout.write(f"{name}: ")
        report(step, figures)

    return labelled


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _show(report: Mapping[str, Any], out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("stage", title="Stages", title_justify="left")
    for column in ("seconds", "per second", "", "waited for data", "GPU busy"):
        table.add_column(column, justify="left" if not column else "right")
    for name, stage in report["stages"].items():
        waited, busy = stage.get("wait_share"), stage.get("gpu_percent")
        table.add_row(
            name, f"{stage['seconds']:.1f}", f"{stage['per_s']:.3g}" if "per_s" in stage else "",
            stage.get("unit", ""), "" if waited is None else f"{waited:.0%}", "" if busy is None else f"{busy:.0f} %",
        )  # fmt: skip
    console.print(table)
    _show_rows(console, "Segmenter", _SOM_SHOWN, {
        f"{source} {method}": row
        for source, methods in report["figures"]["som"].items() for method, row in methods.items()
    })  # fmt: skip
    tom = report["figures"]["tom"]
    title = f"Verifier: {tom['cases']} cases, {tom['right']} right; tau {_text(report['figures']['tau'])}"
    _show_rows(console, title, ("auroc", "fpr95"), {k: row for k, row in tom.items() if isinstance(row, Mapping)})
    if report["device"].endswith("(cuda)") and "gpu_percent" not in report["stages"]["som"]:
        console.print("GPU use is not known: pip install nvidia-ml-py measures it", highlight=False)
    for name, digest in report["files"].items():
        console.print(f"{out / name}  sha256 {digest}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"report in {out / REPORT}", markup=False, highlight=False, soft_wrap=True)


def _show_rows(console: Console, title: str, columns: Sequence[str], rows: Mapping[str, Mapping[str, Any]]) -> None:
    from rich.table import Table

    table = Table("", title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right")
    for name, row in rows.items():
        table.add_row(name, *(_text(row.get(column)) for column in columns))
    console.print(table)


def _text(value: Any) -> str:
    return "-" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
