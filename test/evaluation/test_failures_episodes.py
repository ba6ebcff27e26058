"""Losses, delays, false alarms and recoveries on runs written down by hand, one letter a frame."""

import pytest

from storm_ros.evaluation.failures_episodes import STEADY, VISIBLE_FOR, Episode, Moment, episodes
from storm_ros.evaluation.visibility import Visibility

LETTERS = {
    ".": Moment(Visibility.VISIBLE, reported=True, right=True),
    "p": Moment(Visibility.PARTLY, reported=True, right=True),
    "w": Moment(Visibility.VISIBLE, reported=True, right=False),  # wrong pose
    "h": Moment(Visibility.ABSENT, reported=True, right=False),  # a pose while it is hidden
    "L": Moment(Visibility.ABSENT, reported=False, right=False, declared=True),  # given up while hidden
    "W": Moment(Visibility.VISIBLE, reported=False, right=False, declared=True),  # given up at a wrong pose
    "A": Moment(Visibility.VISIBLE, reported=False, right=True, declared=True),  # given up at a right pose
    "P": Moment(Visibility.PARTLY, reported=False, right=True, declared=True),
    "-": Moment(Visibility.ABSENT, reported=False, right=False),
    "v": Moment(Visibility.VISIBLE, reported=False, right=False),  # visible, not found yet
}


def told(text: str) -> list[Episode]:
    return episodes([LETTERS[letter] for letter in text])


def test_a_run_without_trouble_has_no_episode():
    assert told("." * 50) == []


def test_partly_visible_frames_with_a_right_pose_are_good():
    assert told(".....pppp....") == []


def test_a_noticed_occlusion():
    run = "." * 10 + "hhL" + "-" * 5 + "vvvv" + "." * 40
    (episode,) = told(run)
    assert episode == Episode(start=10, declared=12, false_alarm=False, back=18, found=22)
    assert (episode.delay, episode.frames_until_found) == (2, 4)


def test_a_jump_is_visible_from_the_loss_on():
    (episode,) = told("." * 10 + "wwwW" + "vv" + "." * 40)
    assert (episode.start, episode.delay, episode.back, episode.found) == (10, 3, 13, 16)
    assert episode.frames_until_found == 3


def test_an_unnoticed_loss_has_no_delay():
    (episode,) = told("." * 10 + "h" * 8 + "." * 40)
    assert (episode.declared, episode.delay, episode.found) == (None, None, 18)
    assert episode.frames_until_found == 0


def test_a_few_bad_frames_are_a_blip():
    assert told("." * 10 + "w" * (STEADY - 1) + "." * 10) == []
    assert len(told("." * 10 + "w" * STEADY + "." * 10)) == 1


def test_bad_frames_with_short_gaps_belong_together():
    (episode,) = told("." * 10 + "ww....ww..w" + "." * 10)
    assert (episode.start, episode.declared, episode.found) == (10, None, 21)


def test_giving_up_a_good_track_is_a_false_alarm():
    (episode,) = told("." * 10 + "A" + "vv" + "." * 40)
    assert episode.false_alarm
    assert (episode.start, episode.delay, episode.frames_until_found) == (10, None, 3)


@pytest.mark.parametrize(("gap", "early"), [(STEADY - 2, True), (STEADY - 1, False)])
def test_giving_up_just_before_it_vanishes_is_no_false_alarm(gap, early):
    (episode,) = told("." * 10 + "P" + "v" * gap + "-" * 5 + "." * 40)
    assert episode.false_alarm is not early
    assert episode.delay == (0 if early else None)


def test_what_is_not_visible_long_enough_cannot_be_found():
    (episode,) = told("." * 10 + "hhL" + "-" * 5 + "v" * (VISIBLE_FOR - 1))
    assert (episode.back, episode.found, episode.frames_until_found) == (None, None, None)
    (episode,) = told("." * 10 + "hhL" + "-" * 5 + "v" * VISIBLE_FOR)
    assert (episode.back, episode.found, episode.frames_until_found) == (18, None, None)


def test_a_wrong_find_in_between_does_not_end_the_episode():
    run = "." * 10 + "hhL" + "--" + "v" * 4 + "wwwW" + "v" * 4 + "." * 40
    (episode,) = told(run)
    assert (episode.declared, episode.back, episode.found, episode.frames_until_found) == (12, 15, 27, 12)


def test_two_losses_are_two_episodes():
    run = "." * 10 + "hhL" + "--" + "." * 40 + "wwW" + "v" + "." * 35
    first, second = told(run)
    assert (first.start, second.start) == (10, 55)
    assert (first.delay, second.delay) == (2, 2)
