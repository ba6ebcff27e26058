"""``storm evaluate``: how well the segmenters find objects, on recordings with truth and on simulated shards."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_ros.cli.errors import UsageError
from storm_ros.cli.evaluate_failures import add_failures

if TYPE_CHECKING:
    from storm_ros.core.protocols import Segmenter
    from storm_ros.evaluation.segmentation import Case

METHODS = (
    "som", "template", "cosine", "sift", "som-alone", "som-whole", "som-no-alignment", "som-shallow", "som-no-depth",
    "som-no-frame-depth", "som-no-reference-depth",
)  # fmt: skip
BASELINES = METHODS[:4]
_SHOWN = ("cases", "mean_iou", "hit_rate")


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "evaluate",
        help="measure a part by itself",
        description="Measure a part by itself on recordings with truth and on simulated scenes.",
    )
    actions = parser.add_subparsers(title="parts", metavar="PART", required=True)
    som = actions.add_parser("som", help="the segmenters: overlap, ranking, presence, average precision, time")
    som.add_argument(
        "--data", metavar="PATH[@N]", action="append", default=[],
        help="BOP scene with poses and masks, its reference in frame N (default: the first with a mask); repeatable",
    )  # fmt: skip
    som.add_argument("--shards", metavar="DIR", help="shards of simulated scenes that no training has seen")
    som.add_argument("--cases", metavar="N", type=int, default=200, help="cases of the shards (default 200)")
    som.add_argument("--every", metavar="N", type=int, default=1, help="every Nth frame of a recording only")
    som.add_argument("--methods", metavar="A,B", default=",".join(BASELINES), help=f"of {', '.join(METHODS)}")
    som.add_argument("--weights", default="som-nano", help="name or .safetensors file (default som-nano)")
    som.add_argument("--absent", metavar="N", type=int, default=20,
                     help="images of other recordings in which each object is asked for in vain")  # fmt: skip
    som.add_argument("--json", metavar="FILE", help="write all figures there")
    som.set_defaults(run=run_som)
    add_failures(actions)


def run_som(args: argparse.Namespace) -> int:
    """Run ``storm evaluate som``.

    Raises:
        UsageError: no data, or an unknown method.
        StormError: data or weights that cannot be read.
    """
    names = method_names(args.methods)
    if not args.data and not args.shards:
        raise UsageError("no data: give --data PATH, --shards DIR, or both")
    results = measured(args, names)
    if args.json:
        _write(Path(args.json), json.dumps({"weights": args.weights, "results": results}, indent=1))
    return 0


def method_names(text: str) -> list[str]:
    """Methods by commas.

    Raises:
        UsageError: none, or an unknown one.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in METHODS]
    if unknown or not names:
        raise UsageError(f"--methods {text}: each must be one of {', '.join(METHODS)}")
    return names


def measured(args: argparse.Namespace, names: list[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """Figures by what they were measured on and by method; they are shown as they come.

    Args:
        args: of the command.
        names: of the methods.

    Raises:
        StormError: data or weights that cannot be read.
    """
    from storm_ros.core.config import SegmenterConfig
    from storm_ros.evaluation.coco import mask_ap
    from storm_ros.evaluation.segmentation import Judge, by_trait, figures

    methods = {name: _method(name, args.weights) for name in names}
    thresholds = {n: SegmenterConfig().presence if n.startswith("som") else SegmenterConfig().min_score for n in names}
    results: dict[str, dict[str, dict[str, Any]]] = {}
    for source, cases in _sources(args):
        judges = {name: Judge(segmenter) for name, segmenter in methods.items()}
        for case in cases():
            for judge in judges.values():
                judge.see(case)
        for name, judge in judges.items():
            row: dict[str, Any] = {**figures(judge.verdicts, thresholds[name]), "mask_ap": mask_ap(judge.answers)}
            results.setdefault(source, {})[name] = row
            sys.stdout.write(f"{source}  {name}  {_line(row)}\n")
            row["by"] = by_trait(judge.verdicts)
            for trait, classes in row["by"].items():
                for c in classes:
                    sys.stdout.write(f"    {trait} {c['from']:g} to {c['to']:g}  {_line({k: c[k] for k in _SHOWN})}\n")
            sys.stdout.flush()
    return results


def _write(path: Path, text: str) -> None:
    from storm_ros.io.files import make_parent, output_error

    make_parent(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text + "\n", encoding="utf-8")
        os.replace(draft, path)
    except OSError as error:
        raise output_error(path, error) from None


def _line(row: dict[str, Any]) -> str:
    return "  ".join(
        f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {'-' if v is None else v}" for k, v in row.items()
    )


def _method(name: str, weights: str) -> Segmenter:
    """A segmenter that answers whatever its score, so that the figures can choose the threshold."""
    from dataclasses import replace

    from storm_ros.core.config import SegmenterConfig

    config = SegmenterConfig(min_score=0.0, presence=0.0, weights=weights)
    if name == "sift":
        from storm_ros.evaluation.homography import SiftSegmenter

        return SiftSegmenter()
    from storm_ros.factory import build_segmenter

    if name == "template":
        return build_segmenter(replace(config, name=name))
    config = replace(config, name="som", crops=0 if name == "som-whole" else config.crops, hints=name != "som-alone")
    segmenter: Any = build_segmenter(config)
    if name == "cosine":
        from storm_ros.encoders.nano import NanoFeatures
        from storm_ros.som.template import TemplateSegmenter

        return TemplateSegmenter(NanoFeatures(segmenter.network.encoder), config)
    if name in ("som-no-alignment", "som-shallow"):
        network = segmenter.network
        off = {"alignment": False} if name == "som-no-alignment" else {"deep": False}
        network.config = replace(network.config, **off)
    if name.endswith("-depth"):
        from storm_ros.evaluation.segmentation import WithoutDepth

        kind = name.removeprefix("som-no-")
        return WithoutDepth(segmenter, frames=kind != "reference-depth", references=kind != "frame-depth")
    return segmenter


def _sources(args: argparse.Namespace) -> Iterator[tuple[str, Callable[[], Iterator[Case]]]]:
    """Names of what is measured, and its cases."""
    if args.shards:
        from storm_ros.training.held_out import simulated_cases
        from storm_ros.training.shards import Shards

        shards = Shards([args.shards])
        yield "simulated", lambda: simulated_cases(shards, args.cases)
    from storm_ros.evaluation.segmentation import recorded_cases
    from storm_ros.io import open_recording

    places = [_place(text) for text in args.data]
    for path, number in places:
        with open_recording(path) as recording:
            truth = recording.ground_truth
            for obj_id in truth.object_ids if truth is not None else ():
                others = [p for p, _ in places if p != path]

                def cases(
                    obj_id: int = obj_id, others: list[str] = others, number: int | None = number
                ) -> Iterator[Case]:
                    last: Case | None = None
                    for case in recorded_cases(recording, object_id=obj_id, reference=number, every=args.every):
                        last = case
                        yield case
                    if last is not None and args.absent:
                        yield from _in_vain(last, others, args.absent)

                yield f"{_title(Path(path))}/{obj_id}", cases


def _title(path: Path) -> str:
    """Name of a recording; that of the dataset too where scenes lie in its test or train folder."""
    path = path.resolve()
    in_dataset = path.parent.name.split("_")[0] in ("test", "train", "val")
    return f"{path.parent.parent.name}/{path.name}" if in_dataset else path.name


def _in_vain(case: Case, others: list[str], count: int) -> Iterator[Case]:
    """The object of a case asked for in images of other recordings."""
    from dataclasses import replace

    from storm_ros.io import open_recording

    for path in others:
        with open_recording(path) as recording:
            numbers = list(recording.numbers)
            step = max(1, len(numbers) * len(others) // count)
            for number in numbers[::step]:
                yield replace(case, frame=recording.read(number), present=False, mask=None, circle=None)


def _place(text: str) -> tuple[str, int | None]:
    path, sign, number = text.rpartition("@")
    if sign and number.isdigit():
        return path, int(number)
    return text, None
