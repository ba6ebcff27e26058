"""Line charts and bars as inline SVG; colours come from the page's style sheet, so that they follow its theme."""

from __future__ import annotations

import html
import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 960.0, 58.0, 14.0, 18.0, 34.0
MAX_POINTS = 1200

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Line:
    """One curve.

    Attributes:
        label: for the legend.
        x: (N,) ascending.
        y: (N,); NaN leaves a gap.
        style: CSS class that gives its colour ("c1" … "c4", "threshold", "faint").
    """

    label: str
    x: Values
    y: Values
    style: str = "c1"


@dataclass(frozen=True)
class Band:
    """A coloured span of x behind the curves; `style` is a CSS class."""

    start: float
    end: float
    style: str


@dataclass(frozen=True)
class Mark:
    """An event at x: a vertical line, with its text as a tool tip; `style` is a CSS class."""

    x: float
    text: str
    style: str


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    y_label: str,
    x_label: str = "frame",
    bands: Iterable[Band] = (),
    marks: Iterable[Mark] = (),
    from_zero: bool = False,
    height: float = 220.0,
) -> str:
    """Draw curves, over frame numbers unless `x_label` says otherwise.

    The vertical range holds all but the most extreme 1 % of the values; what lies outside is cut at the frame.

    Returns:
        An ``<svg>`` element, or a paragraph that says so where there is nothing to draw.
    """
    finite = [line.y[np.isfinite(line.y)] for line in lines]
    values = np.concatenate(finite) if finite else np.empty(0)
    if not len(values):
        return f'<p class="empty">{html.escape(title)}: no values in this run.</p>'
    x_low, x_high = _x_range(lines)
    y_low, y_high = _y_range(finite, from_zero)
    plot = _Plot(x_low, x_high, y_low, y_high, height, f"clip-{zlib.crc32(title.encode()):x}")
    body = [f'<rect class="b-{band.style}" {plot.span(band.start, band.end)}/>' for band in bands]
    body += [plot.horizontal(value) for value in ticks(y_low, y_high, 5)]
    body += [plot.vertical_tick(value) for value in ticks(x_low, x_high, 10) if float(value).is_integer()]
    body += [f'<g clip-path="url(#{plot.clip_id})">', *(plot.path(line) for line in lines), "</g>"]
    body += [plot.mark(mark) for mark in marks if x_low <= mark.x <= x_high]
    return plot.svg(body, title, y_label, x_label)


def legend(entries: Iterable[tuple[str, str]]) -> str:
    """A legend from (CSS class, text) pairs."""
    items = "".join(f'<span><i class="key k-{style}"></i>{html.escape(text)}</span>' for style, text in entries)
    return f'<p class="legend">{items}</p>'


def bar_chart(rows: Sequence[tuple[str, float, float]], *, unit: str, title: str) -> str:
    """Horizontal bars of (label, median, 95th percentile): the median as a bar, the percentile as a whisker."""
    if not rows:
        return f'<p class="empty">{html.escape(title)}: no values in this run.</p>'
    top = max(max(p95, p50) for _, p50, p95 in rows) or 1.0
    scale = (WIDTH - 270.0) / top
    body = []
    for i, (label, p50, p95) in enumerate(rows):
        y = 8 + i * 28
        end, far = 110 + p50 * scale, 110 + max(p95, p50) * scale
        body.append(f'<text class="tick" x="100" y="{y + 15}" text-anchor="end">{html.escape(label)}</text>')
        body.append(f'<rect class="bar" x="110" y="{y + 2}" width="{max(end - 110, 1):.1f}" height="18" rx="3"/>')
        body.append(f'<path class="whisker" d="M{end:.1f} {y + 11}H{far:.1f}M{far:.1f} {y + 5}v12"/>')
        body.append(f'<text class="tick" x="{far + 8:.1f}" y="{y + 15}">{p50:.2f} / {p95:.2f} {unit}</text>')
    height = 16 + len(rows) * 28
    return f'<svg viewBox="0 0 {WIDTH:g} {height}" role="img" aria-label="{html.escape(title)}">{"".join(body)}</svg>'


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) within a range, about `count` of them."""
    span = high - low
    if not span > 0:
        return [low]
    raw = span / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def thinned(x: Values, y: Values, limit: int = MAX_POINTS) -> tuple[Values, Values]:
    """Fewer points of a curve: the lowest and the highest of each bin, so that peaks stay."""
    if len(x) <= limit:
        return x, y
    keep: list[int] = []
    for bin_ in np.array_split(np.arange(len(x)), limit // 2):
        values = y[bin_]
        if np.isnan(values).any():  # a gap must stay a gap
            keep.append(int(bin_[np.isnan(values)][0]))
        if np.isfinite(values).any():
            keep += [int(bin_[np.nanargmin(values)]), int(bin_[np.nanargmax(values)])]
    chosen = np.unique(keep)
    return x[chosen], y[chosen]


def _x_range(lines: Sequence[Line]) -> tuple[float, float]:
    low = min(float(line.x.min()) for line in lines if len(line.x))
    high = max(float(line.x.max()) for line in lines if len(line.x))
    return (low - 0.5, high + 0.5) if high == low else (low, high)


def _y_range(finite: Sequence[Values], from_zero: bool) -> tuple[float, float]:
    some = [v for v in finite if len(v)]
    low = min(float(np.percentile(v, 0.5)) for v in some)
    high = max(float(np.percentile(v, 99.5)) for v in some)
    if from_zero:
        low = min(0.0, low)
    margin = (high - low) * 0.06 or max(abs(high), 1.0) * 0.1
    return (low if from_zero and low >= 0 else low - margin), high + margin


@dataclass(frozen=True)
class _Plot:
    x_low: float
    x_high: float
    y_low: float
    y_high: float
    height: float
    clip_id: str

    def x(self, value: float) -> float:
        share = (value - self.x_low) / (self.x_high - self.x_low)
        return LEFT + min(max(share, 0.0), 1.0) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return self.height - BOTTOM - min(max(share, -10.0), 10.0) * (self.height - TOP - BOTTOM)

    def span(self, start: float, end: float) -> str:
        left, right = self.x(start), self.x(end)
        height = self.height - TOP - BOTTOM
        return f'x="{left:.1f}" y="{TOP:g}" width="{max(right - left, 0.5):.1f}" height="{height:g}"'

    def horizontal(self, value: float) -> str:
        y = self.y(value)
        text = f'<text class="tick" x="{LEFT - 7:g}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
        return f'<path class="grid" d="M{LEFT:g} {y:.1f}H{WIDTH - RIGHT:g}"/>{_tidy(text, value)}'

    def vertical_tick(self, value: float) -> str:
        x, y = self.x(value), self.height - BOTTOM
        text = f'<text class="tick" x="{x:.1f}" y="{y + 17:g}" text-anchor="middle">{value:.0f}</text>'
        return f'<path class="axis" d="M{x:.1f} {y:g}v4"/>{text}'

    def path(self, line: Line) -> str:
        xs, ys = thinned(line.x, line.y)
        pieces: list[str] = []
        pen_down = False
        for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
            if not np.isfinite(y):
                pen_down = False
                continue
            alone = not pen_down and (i + 1 == len(ys) or not np.isfinite(ys[i + 1]))
            pieces.append(f"{'L' if pen_down else 'M'}{self.x(x):.1f} {self.y(y):.1f}{'h0.1' if alone else ''}")
            pen_down = True
        return f'<path class="line {line.style}" d="{"".join(pieces)}"><title>{html.escape(line.label)}</title></path>'

    def mark(self, mark: Mark) -> str:
        x, bottom = self.x(mark.x), self.height - BOTTOM
        sign = f"M{x - 5:.1f} {TOP - 9:g}h10l-5 9z"
        text = html.escape(mark.text)
        return f'<g class="mark m-{mark.style}"><title>{text}</title><path d="M{x:.1f} {TOP:g}V{bottom:g}{sign}"/></g>'

    def svg(self, body: Sequence[str], title: str, y_label: str, x_label: str) -> str:
        bottom = self.height - BOTTOM
        frame = f'<path class="axis" d="M{LEFT:g} {TOP:g}V{bottom:g}H{WIDTH - RIGHT:g}"/>'
        middle = (TOP + bottom) / 2
        labels = (
            f'<text class="label" x="{WIDTH - RIGHT:g}" y="{self.height - 3:g}" text-anchor="end">'
            f"{html.escape(x_label)}</text>"
            f'<text class="label" transform="translate(13 {middle:g}) rotate(-90)" text-anchor="middle">'
            f"{html.escape(y_label)}</text>"
        )
        inside = f'x="{LEFT:g}" y="{TOP:g}" width="{WIDTH - LEFT - RIGHT:g}" height="{bottom - TOP:g}"'
        clip = f'<clipPath id="{self.clip_id}"><rect {inside}/></clipPath>'
        size = f"0 0 {WIDTH:g} {self.height:g}"
        name = html.escape(title)
        return f'<svg viewBox="{size}" role="img" aria-label="{name}">{clip}{"".join(body)}{frame}{labels}</svg>'


def _tidy(text: str, value: float) -> str:
    """Replace the minus by a true one, and rounding noise of a tick's number by the number."""
    return text.replace(f">{value:g}<", f">{round(value, 10):g}<").replace(">-", ">\N{MINUS SIGN}")
