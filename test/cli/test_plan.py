import pytest

from storm_ros.cli.errors import UsageError
from storm_ros.cli.plan import is_due, plan
from storm_ros.cli.targets import Target

NUMBERS = (10, 11, 12, 14, 15)  # 13 is missing


def targets(*frames):
    return [Target(f"o{i}", i, number=frame) for i, frame in enumerate(frames)]


@pytest.mark.parametrize(
    ("frames", "options", "expected", "reason"),
    [
        ((11,), {}, [11, 12, 14, 15], "from the reference to the end"),
        ((14, 11), {}, [11, 12, 14, 15], "from the earliest of two"),
        ((12,), {"reverse": True}, [12, 11, 10], "backwards to the beginning"),
        ((11, 14), {"reverse": True}, [14, 12, 11, 10], "backwards from the latest of two"),
        ((10,), {"last": 12}, [10, 11, 12], "up to --to"),
        ((10,), {"first": 14}, [14, 15], "--from beyond the reference: set there, run from here"),
        ((10,), {"first": 13}, [14, 15], "a bound may be a missing number"),
        ((14,), {"reverse": True, "first": 11}, [14, 12, 11], "backwards down to --from"),
        ((14,), {"reverse": True, "last": 11}, [11, 10], "backwards from --to on"),
        ((None,), {}, [10, 11, 12, 14, 15], "a saved reference: all frames"),
        ((None, 14), {}, [10, 11, 12, 14, 15], "also beside one that is shown later"),
        ((None,), {"reverse": True}, [15, 14, 12, 11, 10], "a saved reference, backwards"),
        ((), {"first": 12}, [12, 14, 15], "no reference: all within the bounds"),
    ],
)
def test_order(frames, options, expected, reason):
    planned = plan(NUMBERS, targets(*frames), **options)
    assert list(planned.numbers) == expected, reason
    assert not planned.warnings


def test_a_bound_on_the_other_side_is_told():
    planned = plan(NUMBERS, targets(14), first=11)
    assert planned.numbers == (14, 15)
    assert "with --reverse" in planned.warnings[0]
    assert "without --reverse" in plan(NUMBERS, targets(11), last=14, reverse=True).warnings[0]


@pytest.mark.parametrize(
    ("frames", "options", "words", "reason"),
    [
        ((10,), {"first": 9}, "--from 9: out of range; the recording has 5 frames, 10 to 15, with gaps", "below"),
        ((10,), {"last": 16}, "--to 16: out of range", "above"),
        ((10,), {"first": 12, "last": 11}, "--from 12 lies after --to 11", "the wrong way round"),
        ((14,), {"last": 12}, "frame 14 lies after --to 12: the run never reaches it", "reference too late"),
        ((10, 14), {"last": 12}, "frame 14 lies after --to 12", "one of two too late"),
        ((11,), {"reverse": True, "first": 12}, "frame 11 lies before --from 12", "reference too early"),
        ((10,), {"first": 13, "last": 13}, "no frame between 13 and 13", "only a missing number"),
    ],
)
def test_bounds_that_cannot_be_meant(frames, options, words, reason):
    with pytest.raises(UsageError) as caught:
        plan(NUMBERS, targets(*frames), **options)
    assert words in str(caught.value), reason


@pytest.mark.parametrize(
    ("frame", "number", "reverse", "due"),
    [(12, 11, False, False), (12, 12, False, True), (12, 14, False, True), (12, 14, True, False), (12, 11, True, True)],
)
def test_a_reference_is_due_at_its_frame_or_the_next_readable_one(frame, number, reverse, due):
    assert is_due(targets(frame)[0], number, reverse=reverse) is due


def test_a_saved_reference_is_always_due():
    assert is_due(targets(None)[0], 0, reverse=False)
