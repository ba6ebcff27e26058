"""What every recording offers, wherever its frames come from."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from storm_ros.core.errors import InputError, RecordingError
from storm_ros.core.types import Camera, Mask, Mesh, Pose, RgbdFrame

if TYPE_CHECKING:
    from typing_extensions import Self

NANOSECONDS = 1_000_000_000


@runtime_checkable
class GroundTruth(Protocol):
    """True poses and masks of a recording's objects; poses are in the axes of the object's mesh file."""

    @property
    def object_ids(self) -> tuple[int, ...]:
        """The objects that occur in any frame, ascending."""
        ...

    def pose(self, number: int, obj_id: int) -> Pose | None:
        """True cam_T_obj (4, 4) in metres; None where the object has no entry."""
        ...

    def visible_fraction(self, number: int, obj_id: int) -> float | None:
        """Visible share of the object in [0, 1]; None where it is not known."""
        ...

    def mask(self, number: int, obj_id: int) -> Mask | None:
        """Visible pixels (H, W) bool; None where there is no mask."""
        ...

    def mesh(self, obj_id: int) -> Mesh | None:
        """The object's mesh in metres, in its own axes; None where the dataset has none."""
        ...


@runtime_checkable
class Recording(Protocol):
    """Numbered RGB-D frames that can be read in any order."""

    name: str
    scene_id: int
    warnings: list[str]
    rate_hz: float

    @property
    def numbers(self) -> Sequence[int]:
        """Frame numbers, in order."""
        ...

    @property
    def camera(self) -> Camera:
        """Intrinsics of the first frame."""
        ...

    @property
    def ground_truth(self) -> GroundTruth | None:
        """The truth, where the recording has one."""
        ...

    def read(self, number: int) -> RgbdFrame:
        """One frame.

        Raises:
            RecordingError: no such number, or the frame cannot be read.
        """
        ...

    def close(self) -> None:
        """Release files; twice does no harm."""
        ...

    def __enter__(self) -> Self:
        """Use it in a ``with`` statement."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        ...


class RecordingBase(abc.ABC):
    """What the readers of this package share: the check of numbers and the wording of errors."""

    ground_truth: GroundTruth | None = None

    def __init__(self, name: str, numbers: Sequence[int], *, rate_hz: float, scene_id: int = 0) -> None:
        if not rate_hz > 0:
            raise RecordingError(f"frame rate of {name} is {rate_hz} Hz: it must be positive")
        self.name = name
        self.scene_id = scene_id
        self.numbers: Sequence[int] = tuple(numbers)
        self.rate_hz = float(rate_hz)
        self.warnings: list[str] = []
        self._known = frozenset(self.numbers)

    @property
    @abc.abstractmethod
    def camera(self) -> Camera:
        """Intrinsics of the first frame."""

    def read(self, number: int) -> RgbdFrame:
        """One frame.

        Args:
            number: one of `numbers`.

        Raises:
            RecordingError: no such number, or the frame cannot be read.
        """
        if number not in self._known:
            raise RecordingError(
                f"frame {number} is not in {self.name}: it has {len(self.numbers)} frames, "
                f"numbered {self.numbers[0]} to {self.numbers[-1]}"
            )
        try:
            return self._read(int(number))
        except (InputError, RecordingError) as error:
            raise RecordingError(f"frame {number} of {self.name}: {error}") from None

    def close(self) -> None:  # noqa: B027 - not every kind keeps files open
        """Release files; twice does no harm."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abc.abstractmethod
    def _read(self, number: int) -> RgbdFrame:
        """Read a frame that is known to exist."""


def numbers_of(value: Any, what: str, count: int = 9) -> list[float]:
    """Numbers from a JSON file, of a known count.

    Args:
        value: as it came; nested lists are taken row by row.
        what: what to call it in an error, with its file.
        count: how many are needed.

    Raises:
        RecordingError: something else, or not finite.
    """
    try:
        numbers = np.asarray(value, dtype=np.float64).ravel()
    except (TypeError, ValueError, OverflowError):
        numbers = None
    if isinstance(value, bool | str) or numbers is None or not np.isfinite(numbers).all():
        needed = "a number is needed" if count == 1 else f"{count} numbers are needed"
        shown = repr(value)
        raise RecordingError(f"{what} is {shown if len(shown) <= 60 else f'{shown[:60]}…'}: {needed}")
    if numbers.size != count:
        needed = "1 is" if count == 1 else f"{count} are"
        raise RecordingError(f"{what} has {numbers.size} numbers: {needed} needed")
    return numbers.tolist()


def even_stamp_ns(number: int, rate_hz: float) -> int:
    """Stamp of a frame in a recording without time: its number over the rate, nanoseconds."""
    return round(number * NANOSECONDS / rate_hz)


def mirrored_in_time(frame: RgbdFrame, about_ns: int) -> RgbdFrame:
    """The same image with its stamp mirrored about another: frames read backwards then come one after the other.

    Args:
        frame: an image at or before `about_ns`.
        about_ns: stamp of the first frame of a run backwards, nanoseconds.
    """
    return replace(frame, stamp_ns=2 * about_ns - frame.stamp_ns)


def rate_of(stamps_ns: npt.ArrayLike, default_hz: float) -> float:
    """Frames per second of ascending stamps (N,) in nanoseconds, from the median step."""
    steps = np.diff(np.asarray(stamps_ns, dtype=np.int64))
    steps = steps[steps > 0]
    return float(NANOSECONDS / np.median(steps)) if steps.size else default_hz
