import pytest

from storm_ros.evaluation.visibility import Sighting, Visibility, leaves, returns, statistics, visibility

KINDS = {"v": Visibility.VISIBLE, "p": Visibility.PARTLY, "-": Visibility.ABSENT}


def sightings(seen, said, start=0):
    """seen: v visible, p partly, - absent; said: R right pose, W wrong pose, . none."""
    assert len(seen) == len(said)
    return [Sighting(start + i, KINDS[s], r != ".", r == "R") for i, (s, r) in enumerate(zip(seen, said, strict=True))]


@pytest.mark.parametrize(
    ("fraction", "in_truth", "kind", "reason"),
    [
        (1.0, True, "v", "all of it"),
        (0.51, True, "v", "more than half"),
        (0.5, True, "p", "half is not more than half"),
        (0.11, True, "p", "a rest of it"),
        (0.1, True, "-", "so little counts as nothing"),
        (0.0, True, "-", "hidden, though the truth has a pose"),
        (None, True, "v", "the data set does not tell: taken as visible"),
        (None, False, "-", "no true pose: not there"),
    ],
)
def test_classes(fraction, in_truth, kind, reason):
    assert visibility(fraction, in_truth=in_truth) is KINDS[kind], reason


@pytest.mark.parametrize(
    ("seen", "said", "found", "wrong", "false", "reason"),
    [
        ("vvvv", "RRRR", 1.0, 0.0, None, "always right, never absent: nothing can be a false find"),
        ("vvvv", "RW.R", 0.5, 0.25, None, "a wrong pose and a missing one are both not found"),
        ("vv--", "RR..", 1.0, 0.0, 0.0, "silent when it is gone"),
        ("vv--", "RRW.", 1.0, 0.0, 0.5, "one pose of two absent frames"),
        ("vv--", "..RR", 0.0, 0.0, 1.0, "even a right pose is false where nothing is to be seen"),
        ("vppp", "R.RR", 1.0, 0.0, 0.0, "of a half-hidden object a right pose is no false find, nor is none missed"),
        ("vppp", "R.WR", 1.0, 0.0, 1 / 3, "but a wrong one is"),
        ("----", "....", None, None, 0.0, "never visible: no found fraction"),
    ],
)
def test_fractions(seen, said, found, wrong, false, reason):
    got = statistics(sightings(seen, said))
    assert (got["found_fraction"], got["wrong_fraction"], got["false_fraction"]) == (found, wrong, false), reason


@pytest.mark.parametrize(
    ("seen", "said", "expected", "reason"),
    [
        ("vvvv", "RRRR", [], "it never went away"),
        ("vv--vvv", "RR..RRR", [(4, 6, 0)], "found at once"),
        ("vv--vvv", "RR....R", [(4, 6, 2)], "found two frames late"),
        ("vv--vvv", "RR...WW", [(4, 6, None)], "wrong poses do not count"),
        ("vv--vv-v", "RR.....R", [(4, 5, None), (7, 7, 0)], "two returns, one of them missed"),
        ("--vv", "..R.", [(2, 3, 0)], "a run may begin without it"),
        ("vv-pvpv", "RR...R.", [(4, 4, None), (6, 6, None)], "found while half-hidden does not count"),
        ("vvppvv", "RR...R", [(4, 5, 1)], "out from behind something is a return"),
        ("vv-pp-v", "RR....R", [(6, 6, 0)], "peeping in is no return"),
    ],
)
def test_returns(seen, said, expected, reason):
    got = [(r.frame, r.last_frame, r.frames_until_found) for r in returns(sightings(seen, said))]
    assert got == expected, reason


@pytest.mark.parametrize(
    ("seen", "said", "expected", "reason"),
    [
        ("vvvv", "RRRR", [], "it never went away"),
        ("vv---", "RR...", [(2, 4, 0)], "silent at once"),
        ("vv---", "RRWW.", [(2, 4, 2)], "silent after two frames"),
        ("vv--vv", "RRWWRR", [(2, 3, None)], "never silent before it came back"),
        ("vvp--", "RR.W.", [(2, 4, 0)], "half-hidden is no longer visible"),
        ("vvp--", "RRR..", [(2, 4, 1)], "it may still be tracked then"),
        ("vv-v-", "RR.RW", [(2, 2, 0), (4, 4, None)], "two leaves"),
        ("--vv", "....", [], "it was not there to leave"),
    ],
)
def test_leaves(seen, said, expected, reason):
    got = [(x.frame, x.last_frame, x.frames_until_silent) for x in leaves(sightings(seen, said))]
    assert got == expected, reason


def test_a_run_backwards_counts_in_its_own_order():
    backwards = list(reversed(sightings("vv--vvv", "R...RRR", start=10)))
    assert [(r.frame, r.last_frame, r.frames_until_found) for r in returns(backwards)] == [(11, 10, 1)]
    assert [(x.frame, x.last_frame, x.frames_until_silent) for x in leaves(backwards)] == [(13, 12, 0)]
