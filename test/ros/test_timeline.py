"""Stamps that advance are used; glitches are skipped; a clock that was set back starts anew."""

from __future__ import annotations

from storm_ros.ros.timeline import Step, Timeline, advance

MS = 1_000_000
START = 100_000 * MS
F, R, B, X = Step.FORWARD, Step.REPEATED, Step.BACKWARD, Step.RESET


def steps(stamps_ms, every_s: float = 0.033) -> list[Step]:
    timeline, out = Timeline(), []
    for i, stamp in enumerate(stamps_ms):
        timeline, step = advance(timeline, START + int(stamp * MS), i * every_s)
        out.append(step)
    return out


def test_rising_stamps():
    assert steps([0, 33, 66, 3_600_000]) == [F, F, F, F]


def test_late_image_is_skipped_and_the_rest_goes_on():
    assert steps([0, 33, 20, 66, 99]) == [F, F, B, F, F]


def test_stamp_that_stands_still():
    assert steps([0, 0, 0, 33]) == [F, R, R, F]


def test_recording_that_starts_again():
    assert steps([0, 33, 66, -20_000, -19_967, -19_934]) == [F, F, F, X, F, F]


def test_loop_shorter_than_a_jump_is_seen_when_stamps_go_on_from_there():
    stamps = [*range(0, 900, 100), *range(0, 900, 100)]
    found = steps(stamps)
    assert found[:9] == [F] * 9
    assert X in found[9:]
    assert found[-1] is F


def test_played_backwards_gives_nothing_after_the_first():
    """Each stamp is a little earlier than the one before: none is used, however far it leads."""
    found = steps([-33 * i for i in range(200)])
    assert found == [F] + [B] * 199


def test_two_cameras_with_different_clocks_on_one_topic():
    """The images of one go through, those of the other are refused from the fourth reset on."""
    stamps = [value for i in range(40) for value in (33 * i, 33 * i - 50_000)]
    found = steps(stamps, every_s=0.016)
    assert found.count(X) == 3
    assert found[-20:] == [F, B] * 10


def test_loops_of_a_short_recording_are_always_followed():
    """Loops of 1.5 s: after every jump the stamps go on, so that each loop is used sooner or later."""
    loop = list(range(0, 1500, 33))
    found = steps(loop * 8)
    for n in range(1, 8):
        part = found[n * len(loop) : (n + 1) * len(loop)]
        assert part.count(X) == 1
        assert part[-30:] == [F] * 30
