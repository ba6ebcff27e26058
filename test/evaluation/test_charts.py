import xml.etree.ElementTree as ET

import numpy as np
import pytest

from storm_ros.evaluation.charts import Band, Line, Mark, bar_chart, line_chart, thinned, ticks
from storm_ros.evaluation.plots import spans


@pytest.mark.parametrize(
    ("low", "high", "count", "expected", "reason"),
    [
        (0, 10, 5, [0, 2, 4, 6, 8, 10], "steps of two"),
        (0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1.0], "of two tenths"),
        (-1, 1, 4, [-1, -0.5, 0, 0.5, 1], "across zero"),
        (3, 97, 5, [20, 40, 60, 80], "inside the range only"),
        (5, 5, 5, [5], "no range at all"),
    ],
)
def test_ticks(low, high, count, expected, reason):
    assert ticks(low, high, count) == pytest.approx(expected), reason


def test_a_chart_is_well_formed_and_places_what_it_draws():
    x = np.arange(11.0)
    chart = line_chart(
        [Line("a<b", x, x.copy(), "c1")],
        title="T & U",
        y_label="mm",
        bands=[Band(0, 5, "lost")],
        marks=[Mark(5, "here", "lost"), Mark(50, "outside", "lost")],
        from_zero=True,
    )
    tree = ET.fromstring(chart)
    assert tree.get("aria-label") == "T & U"
    band = next(r for r in tree.iter("rect") if r.get("class") == "b-lost")
    inner = next(r for r in tree.iter("rect") if r.get("class") is None)
    assert float(band.get("width")) == pytest.approx(float(inner.get("width")) / 2, abs=0.1), "half of the frames"
    titles = [t.text for t in tree.iter("title")]
    assert "here" in titles
    assert "outside" not in titles


def test_gaps_are_not_bridged_and_single_points_show():
    y = np.array([1.0, 1.0, np.nan, 2.0, np.nan, 1.0, 1.0])
    chart = line_chart([Line("a", np.arange(7.0), y)], title="T", y_label="")
    path = next(p for p in ET.fromstring(chart).iter("path") if p.get("class") == "line c1").get("d")
    assert path.count("M") == 3
    assert path.count("h0.1") == 1


def test_nothing_to_draw_is_said():
    assert "no values" in line_chart([Line("a", np.arange(3.0), np.full(3, np.nan))], title="T", y_label="")
    assert "no values" in bar_chart([], unit="ms", title="T")


def test_thinning_keeps_peaks_and_gaps():
    y = np.zeros(10_000)
    y[1234], y[4321], y[7000:7100] = 5.0, -3.0, np.nan
    x, thin = thinned(np.arange(10_000.0), y, 400)
    assert len(x) <= 700
    assert np.nanmax(thin) == 5.0
    assert np.nanmin(thin) == -3.0
    assert np.isnan(thin).any()
    assert (np.diff(x) > 0).all()


def test_bars_are_as_long_as_their_values():
    tree = ET.fromstring(bar_chart([("a", 10.0, 20.0), ("b", 5.0, 6.0)], unit="ms", title="T"))
    a, b = (float(r.get("width")) for r in tree.iter("rect"))
    assert a == pytest.approx(2 * b, rel=0.01)


def test_spans_end_half_way_to_the_next():
    got = [(s.start, s.end, s.style) for s in spans(np.array([0.0, 1.0, 4.0, 5.0]), ["a", "a", "b", "b"])]
    assert got == [(0.0, 2.5, "a"), (2.5, 5.0, "b")]
