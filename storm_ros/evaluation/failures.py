"""The tracking-failure benchmark: does the tracker know when it has lost its object, and does it find it again?

Simulated clips in each of which one thing goes wrong (`sim.failures.KINDS`) are tracked by every method, and compared
with the truth (`failures_run`). Methods are verifiers by their names, each with its own threshold, and the baselines:
the first verifier's energies taken frame by frame ("… single": no moving average, no patience), and the cosine of the
network's mean features ("cosine"), whose threshold is calibrated on clips of other numbers as the verifiers' own are.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from storm_ros.core.config import StormConfig, knobs, with_values
from storm_ros.core.errors import InputError
from storm_ros.core.protocols import Verifier
from storm_ros.core.tracker import Parts
from storm_ros.core.types import Mesh
from storm_ros.evaluation.failures_figures import calibrated_threshold, summary
from storm_ros.evaluation.failures_file import ClipFile, Header
from storm_ros.evaluation.failures_records import Clip
from storm_ros.evaluation.failures_run import Method, run_clip
from storm_ros.sim.failures import KINDS, failure_clip, sturdy

COSINE = "cosine"
SINGLE = "single"

CALIBRATION_FIRST = 10_000
"""Clips from this number on calibrate the baseline's threshold; no benchmark is so long."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is run.

    Attributes:
        kinds: of clips, which take turns.
        seed: of all clips.
        frames: length of a clip.
        width: of the images in pixels.
        height: of the images in pixels.
        household: folder of scanned objects; may be absent.
        verifiers: by name; the first also makes the held passes.
        baselines: whether the baselines run, too.
    """

    kinds: tuple[str, ...] = KINDS
    seed: int = 0
    frames: int = 80
    width: int = 320
    height: int = 240
    household: str = ""
    verifiers: tuple[str, ...] = ("inlier",)
    baselines: bool = True

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of all methods; the cosine needs PyTorch, and is left out without it."""
        if not self.baselines:
            return self.verifiers
        learned = (COSINE,) if importlib.util.find_spec("torch") is not None else ()
        return (*self.verifiers, f"{self.verifiers[0]} {SINGLE}", *learned)


def plan(options: Options, clips: int, first: int = 0) -> list[tuple[str, int]]:
    """Kind and number of the clips: the kinds take turns, so that a shorter run is the beginning of a longer one."""
    return [(options.kinds[i % len(options.kinds)], first + i // len(options.kinds)) for i in range(clips)]


class Bench:
    """What a process needs to run clips."""

    def __init__(self, config: StormConfig, options: Options, calibrated: Mapping[str, float]) -> None:
        """Build the parts and every method.

        Raises:
            BackendUnavailableError: a part needs a package that is not there.
            WeightsError: weights that are missing or damaged.
        """
        from storm_ros.factory import build_gate, build_verifier, create_tracker

        named = {v: with_values(config, {"verifier.name": v}) for v in options.verifiers}
        self.options, self.config = options, named[options.verifiers[0]]
        self.parts: Parts = create_tracker(self.config).parts
        self.scans: list[Mesh] = scans(options.household)
        self.methods: dict[str, Method] = {}
        for name, settings in named.items():
            verifier = build_verifier(settings.verifier)
            self.methods[name] = Method(verifier, build_gate(config.gate, verifier))
        self.others: dict[str, Verifier] = {name: m.verifier for name, m in self.methods.items()}
        if not options.baselines:
            return
        main = self.methods[options.verifiers[0]].verifier
        at_once = replace(config.gate, name="energy", patience=1, smoothing=1.0)
        self.methods[f"{options.verifiers[0]} {SINGLE}"] = Method(main, build_gate(at_once, main))
        if COSINE in options.methods:
            from storm_ros.evaluation.failures_cosine import cosine_verifier

            cosine = cosine_verifier(calibrated.get(COSINE, 0.0))
            self.others[COSINE] = cosine
            if COSINE in calibrated:
                fixed = replace(config.gate, name="energy", tau=0.0)
                self.methods[COSINE] = Method(cosine, build_gate(fixed, cosine))

    def run(self, kind: str, number: int, sheets: Path | None = None, *, held_only: bool = False) -> Clip:
        """Run one clip; with a folder for sheets, a picture is written where the first method failed."""
        o = self.options
        methods = dict(list(self.methods.items())[:1]) if held_only else self.methods
        with failure_clip(
            kind, number, seed=o.seed, frames=o.frames, width=o.width, height=o.height, scans=self.scans
        ) as clip:
            kept, passes = run_clip(clip, self.parts, self.config, methods, self.others)
            if sheets is not None:
                from storm_ros.evaluation.failures_sheets import write_sheet

                write_sheet(sheets, clip, kept, passes, next(iter(methods)))
        return kept


def scans(household: str) -> list[Mesh]:
    """The scanned objects that small images show well; none without the folder."""
    if not household or not any(Path(household).glob("*.glb")):
        return []
    from storm_ros.sim.objects import load_objects

    return sturdy(load_objects(household))


def run_benchmark(
    config: StormConfig,
    options: Options,
    clips: int,
    out: Path,
    *,
    jobs: int = 1,
    sheets: Path | None = None,
    done: Callable[[Clip], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Run what is not in the folder's clips.jsonl yet, and make the figures of all.

    Args:
        config: settings of the tracker.
        options: what is run.
        clips: how many.
        out: folder of clips.jsonl.
        jobs: processes.
        sheets: folder for pictures of the clips in which the first method failed; None: none are drawn.
        done: told of every finished clip.
        stop: asked whether to end early; what is finished by then is kept.

    Returns:
        The content of failures.json.

    Raises:
        InputError: the folder holds clips of other settings.
        OutputError: it cannot be written to.
        StormError: a part cannot be built.
    """
    file = ClipFile(out / "clips.jsonl")
    header = header_of(config, options)
    finished = file.open(header)
    calibrated = file.calibrated()
    wanted = plan(options, clips)
    missing = [(kind, number) for kind, number in wanted if f"{kind}/{number}" not in finished]
    if missing and COSINE in options.methods and COSINE not in calibrated:
        bench = Bench(config, replace(options, verifiers=options.verifiers[:1]), {})
        calibrated = _calibrated(bench, options, stop)
    if missing and not stop():
        file.begin(replace(header, calibrated=calibrated))
        for clip in _all(config, options, calibrated, missing, jobs, sheets, stop):
            file.add(clip)
            finished[clip.name] = clip
            done(clip)
    chosen = [finished[name] for name in (f"{k}/{n}" for k, n in wanted) if name in finished]
    methods = [m for m in options.methods if all(m in clip.runs for clip in chosen)]
    return {
        "wanted_clips": clips,
        "clip_names": [clip.name for clip in chosen],
        **asdict(replace(header, calibrated=calibrated)),
        **summary(chosen, methods, config.gate.smoothing),
    }


def header_of(config: StormConfig, options: Options) -> Header:
    """What all clips of a run have in common; `verifier.name` is no part of it, since the methods name theirs."""
    settings = {k.key: k.value for k in knobs(config) if k.key != "verifier.name"}
    named = {**asdict(options), "household": len(scans(options.household))}
    return Header(options=named, methods=options.methods, settings=settings)


def _calibrated(bench: Bench, options: Options, stop: Callable[[], bool]) -> dict[str, float]:
    """The baseline's threshold, from the held passes of clips that the benchmark does not hold."""
    held: list[Clip] = []
    for kind, number in plan(replace(options, kinds=KINDS), len(KINDS), CALIBRATION_FIRST):
        if stop():
            return {}
        held.append(bench.run(kind, number, held_only=True))
    threshold = calibrated_threshold(held, COSINE)
    if not math.isfinite(threshold):
        raise InputError(f"the cosine cannot be calibrated: no good frame in {len(held)} clips; use --no-baselines")
    return {COSINE: threshold}


def _all(
    config: StormConfig,
    options: Options,
    calibrated: Mapping[str, float],
    missing: Sequence[tuple[str, int]],
    jobs: int,
    sheets: Path | None,
    stop: Callable[[], bool],
) -> Iterator[Clip]:
    """Every clip as it is finished; with several processes in no fixed order."""
    if jobs <= 1:
        bench = Bench(config, options, calibrated)
        for kind, number in missing:
            if stop():
                return
            yield bench.run(kind, number, sheets)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _start, (config, options, dict(calibrated))) as pool:
        left = iter(missing)
        running = {pool.submit(_one, kind, number, sheets) for kind, number in itertools.islice(left, jobs)}
        while running:
            ready, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ready:
                following = None if stop() else next(left, None)
                if following is not None:
                    running.add(pool.submit(_one, *following, sheets))
                yield future.result()


_bench: Bench | None = None


def _start(config: StormConfig, options: Options, calibrated: Mapping[str, float]) -> None:
    """Make a process ready: Ctrl-C is left to the one that started it, and threads do not crowd each other out."""
    global _bench
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    _bench = Bench(config, options, calibrated)


def _one(kind: str, number: int, sheets: Path | None) -> Clip:
    assert _bench is not None
    return _bench.run(kind, number, sheets)
