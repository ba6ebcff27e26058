"""clips.jsonl: finished clips, kept whatever ends a run, and taken up by the next one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from storm_ros.core.errors import InputError, OutputError, RecordingError
from storm_ros.evaluation.failures_records import Clip, clip_line, clip_of
from storm_ros.evaluation.report import plain

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Header:
    """What all clips of a file have in common; clips of another header are not mixed with them."""

    options: Mapping[str, Any]
    methods: tuple[str, ...]
    settings: Mapping[str, Any]
    calibrated: Mapping[str, float] = field(default_factory=dict)


class ClipFile:
    """clips.jsonl: a header, then a line for every finished clip; a line cut short by a crash is written anew."""

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is read yet."""
        self.path = path

    def open(self, header: Header) -> dict[str, Clip]:
        """Make the file, or read what is in it.

        Args:
            header: of the run at hand; what is calibrated may be missing in it.

        Returns:
            The finished clips by name.

        Raises:
            InputError: the file holds clips of other settings.
            RecordingError: it cannot be read, or is none of these files.
            OutputError: it cannot be written.
        """
        if not self.path.exists():
            return {}
        lines = list(self.lines())
        if not lines:
            return {}
        before = _header_of(lines[0], self.path)
        difference = _difference(before, header)
        if difference:
            raise InputError(
                f"{self.path} holds clips of another run ({difference}): choose another --out, or remove it"
            )
        try:
            clips = [clip_of(values) for values in lines[1:]]
        except (KeyError, TypeError) as error:
            raise RecordingError(f"{self.path} has a line that is no clip ({error}): remove the file") from None
        return {clip.name: clip for clip in clips}

    def calibrated(self) -> dict[str, float]:
        """The thresholds that were calibrated for this file; empty where there is none yet."""
        lines = list(self.lines()) if self.path.exists() else []
        return dict(_header_of(lines[0], self.path).calibrated) if lines else {}

    def begin(self, header: Header) -> None:
        """Write the header of a new file.

        Raises:
            OutputError: it cannot be written.
        """
        if not (self.path.exists() and list(self.lines())):
            self._append(json.dumps(plain({"schema": SCHEMA, **asdict(header)}), allow_nan=False), mode="w")

    def add(self, clip: Clip) -> None:
        """Add a finished clip; it is on the disk when this returns.

        Raises:
            OutputError: it cannot be written.
        """
        self._append(clip_line(clip))

    def _append(self, line: str, mode: str = "a") -> None:
        try:
            whole = mode == "w" or self._ends_whole()
            with open(self.path, mode, encoding="utf-8") as file:
                file.write(line + "\n" if whole else "\n" + line + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {error.strerror or error}") from None

    def _ends_whole(self) -> bool:
        with open(self.path, "rb") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return True
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

    def lines(self) -> Iterator[Mapping[str, Any]]:
        """Every line as it was parsed, the header first; what was cut short is left out.

        Raises:
            RecordingError: the file cannot be read.
        """
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise RecordingError(f"{self.path} cannot be read: {error.strerror or error}") from None
        for line in text.splitlines():
            try:
                values = json.loads(line)
            except ValueError:  # cut short
                continue
            if isinstance(values, dict):
                yield values


def _header_of(values: Mapping[str, Any], path: Path) -> Header:
    try:
        if values["schema"] != SCHEMA:
            raise KeyError(f"schema {values['schema']}")
        return Header(
            options=values["options"],
            methods=tuple(values["methods"]),
            settings=values["settings"],
            calibrated=values["calibrated"],
        )
    except (KeyError, TypeError) as error:
        raise RecordingError(f"{path} does not begin with the header of this benchmark ({error}): remove it") from None


def _difference(before: Header, now: Header) -> str:
    """The first thing in which two headers differ, in words; empty where they are alike."""
    if tuple(before.methods) != tuple(now.methods):
        return f"methods {', '.join(before.methods)} there, {', '.join(now.methods)} now"
    for part, old, new in (("", before.options, now.options), ("", before.settings, now.settings)):
        old, new = plain(old), plain(new)
        for key in sorted({*old, *new}):
            if old.get(key) != new.get(key):
                return f"{part}{key} = {old.get(key)} there, {new.get(key)} now"
    return ""


def finished_clips(path: Path, report: Mapping[str, Any]) -> list[Clip]:
    """The clips of a file that a report's figures are of, in the order of their kinds and numbers.

    Raises:
        RecordingError: the file cannot be read.
    """
    names = set(report["clip_names"])
    lines = list(ClipFile(path).lines())[1:]
    return [clip_of(values) for values in lines if f"{values.get('kind')}/{values.get('number')}" in names]
