"""Where the results of a run go: checked before it starts, written whatever ends it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from storm_ros.cli.targets import Target
from storm_ros.core.errors import OutputError

if TYPE_CHECKING:
    from storm_ros.io import PosesWriter

_RESULTS = ("poses.csv", "report.json", "report.html")


@dataclass(frozen=True)
class Outputs:
    """Places to write to.

    Attributes:
        folder: of poses.csv, report.json and report.html.
        html: whether a page is wanted.
        bag: recording of the node's topics, if wanted.
        reference: folder to save references in, if wanted.
    """

    folder: Path
    html: bool = True
    bag: Path | None = None
    reference: Path | None = None

    @property
    def poses_csv(self) -> Path:
        """Every pose, in the format of BOP results."""
        return self.folder / "poses.csv"

    @property
    def report_json(self) -> Path:
        """Figures of the run."""
        return self.folder / "report.json"

    @property
    def report_html(self) -> Path:
        """The same as a page."""
        return self.folder / "report.html"

    def prepare(self) -> None:
        """Make the folders and prove that they can be written to.

        Raises:
            OutputError: one cannot be made or written to.
        """
        for folder in (self.folder, *(p.parent for p in (self.bag, self.reference) if p is not None)):
            _make_writable(folder)

    def check(self, object_ids: Sequence[str]) -> None:
        """Prove before a run that nothing else lies where the bag and the references are to go.

        Args:
            object_ids: of the objects whose references are to be saved.

        Raises:
            OutputError: something does.
        """
        if self.bag is not None:
            from storm_ros.io.bag_file import check_place

            check_place(self.bag)
        if self.reference is not None:
            from storm_ros.io.reference import check_place

            for object_id in object_ids:
                check_place(self.reference / object_id if len(object_ids) > 1 else self.reference)

    def clear(self) -> None:
        """Remove the results of an earlier run, so that they are not taken for those of this one.

        Raises:
            OutputError: one cannot be removed.
        """
        try:
            for name in _RESULTS:
                (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{error.filename}: cannot be replaced: {error.strerror}; remove it first") from None

    def poses(self) -> PosesWriter:
        """The writer of poses.csv."""
        from storm_ros.io import PosesWriter

        return PosesWriter(self.poses_csv)

    def reference_folder(self, object_id: str, *, several: bool) -> Path | None:
        """Where to save an object's reference: the folder given, or one below it per object."""
        if self.reference is None:
            return None
        return self.reference / object_id if several else self.reference


def _make_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=".storm-", dir=folder):
            pass
    except OSError as error:
        taken = folder.exists() and not folder.is_dir()
        reason = "there is a file of that name" if taken else error.strerror or error
        raise OutputError(f"output folder {folder} is not writable: {reason}; choose another one") from None


def object_frames(targets: Sequence[Target]) -> dict[str, str]:
    """Name of each object's TF frame."""
    return {target.object_id: f"storm/{target.object_id}" for target in targets}
