import re
from html.parser import HTMLParser

import numpy as np
import pytest

from storm_ros.core import se3
from storm_ros.evaluation import RunInfo, RunRecorder, build_report, render_html
from storm_ros.evaluation.accuracy import JudgedObject, judge

VOID = {"meta", "img", "br", "hr"}


class Checker(HTMLParser):
    """Fails on tags that do not nest, and collects what the page links to."""

    def __init__(self):
        super().__init__()
        self.open, self.links, self.tags, self.ids = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [v for k, v in attrs if k in ("src", "href")]
        self.ids += [v for k, v in attrs if k == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def checked(page):
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert not checker.open
    return checker


@pytest.fixture
def page(recorded, hand_truth):
    target = JudgedObject("cup", 7, 0, cam_T_obj_ref=se3.transform(np.eye(3), [0, 0, 0.5]))
    judgements = [judge(target, recorded.objects["cup"].poses(), hand_truth(absent={5}))]
    info = RunInfo(
        input="scene",
        name="<scene> & more",
        command="storm track scene",
        settings={"gate.tau": 0.25},
        warnings=["frame 3 <broken>"],
        interrupted=True,
        setup_ms={"cup": 41.0},
    )
    return render_html(build_report(recorded, info, judgements), recorded, judgements)


def test_the_page_is_well_formed_and_self_contained(page):
    checker = checked(page)
    assert all(link.startswith("data:image/jpeg;base64,") for link in checker.links)
    assert "script" not in checker.tags
    assert "link" not in checker.tags
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    assert len(checker.ids) == len(set(checker.ids))


@pytest.mark.parametrize(
    ("piece", "reason"),
    [
        ("reference of cup: frame 0", "the reference's picture"),
        ("frame 4: cup lost", "an event's picture"),
        ('aria-label="Energy of cup"', "energy over time"),
        ('class="line threshold"', "with its threshold"),
        ('class="b-lost"', "with states behind it"),
        ("frame 7: cup relocalized (no depth) after 3 frames", "with marked events"),
        ('aria-label="Position error of cup"', "errors against the truth"),
        ('aria-label="Rotation error of cup"', "both kinds"),
        ('class="b-absent"', "and where the object is not to be seen"),
        ("Time of each stage", "stage times"),
        ("<td>segment</td>", "as a table, too"),
        ('<span class="tag t-lost">lost</span>', "the table of events"),
        ("20 mm, 6°", "with the jump"),
        ("gate.tau", "the settings"),
        ("frame 3 &lt;broken&gt;", "the warnings, escaped"),
        ("&lt;scene&gt; &amp; more", "the name, escaped"),
        ("This run was interrupted", "a run cut short says so"),
        ("prefers-color-scheme: dark", "a dark page"),
        ("Setting the reference: cup 41 ms", "set-up time"),
    ],
)
def test_the_page_has_its_pieces(page, piece, reason):
    assert piece in page, reason


def test_a_run_without_frames_still_gives_a_page():
    page = render_html(build_report(RunRecorder(), RunInfo(input="scene")), RunRecorder())
    checked(page)
    assert "Nothing happened." in page
    assert "No pictures were kept." in page
