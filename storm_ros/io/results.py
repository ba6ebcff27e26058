"""Result files in the format of the BOP challenge."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from storm_ros.core.errors import InputError, OutputError
from storm_ros.io.files import make_parent, output_error
from storm_ros.io.images import METRES_PER_MILLIMETRE

if TYPE_CHECKING:
    from typing_extensions import Self

HEADER = "scene_id,im_id,obj_id,score,R,t,time"


class PosesWriter:
    """Poses as BOP results: ``scene_id,im_id,obj_id,score,R,t,time``, R row-major, t in millimetres, time in seconds.

    Every pose is one line that is handed to the system whole, so that the file can be read at any moment, also after an
    interruption.

    Args:
        path: the csv file; an older one is overwritten.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        make_parent(self._path)
        try:
            self._file = self._path.open("wb", buffering=0)
            self._line(HEADER)
        except OSError as error:
            raise output_error(self._path, error) from None

    def write(
        self, scene_id: int, im_id: int, obj_id: int, score: float, cam_T_obj: npt.ArrayLike, seconds: float
    ) -> None:
        """Append one pose.

        Args:
            scene_id: number of the scene.
            im_id: frame number.
            obj_id: number of the object.
            score: how sure, in [0, 1].
            cam_T_obj: (4, 4), metres.
            seconds: time it took; -1 where it is not known.

        Raises:
            InputError: a pose that is not finite or not (4, 4).
            OutputError: closed already, or the disk is full.
        """
        pose = np.asarray(cam_T_obj, dtype=np.float64)
        if pose.shape != (4, 4) or not np.isfinite(pose).all():
            raise InputError(
                f"pose of frame {im_id} has shape {pose.shape} or is not finite: a finite (4, 4) is needed"
            )
        if self._file.closed:
            raise OutputError(f"cannot write {self._path}: it is closed already")
        rotation = " ".join(f"{v:.9g}" for v in pose[:3, :3].ravel())
        translation_mm = " ".join(f"{v:.9g}" for v in pose[:3, 3] / METRES_PER_MILLIMETRE)
        try:
            self._line(f"{scene_id},{im_id},{obj_id},{score:.6g},{rotation},{translation_mm},{seconds:.6g}")
        except OSError as error:
            raise output_error(self._path, error) from None

    def close(self) -> None:
        """Close the file; twice does no harm."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _line(self, text: str) -> None:
        self._file.write((text + "\n").encode("ascii"))
