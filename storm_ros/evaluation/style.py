"""The style sheet of report.html, for light and dark pages."""

from __future__ import annotations

CSS = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --text: #1b2330; --soft: #5d6878; --rule: #dfe3ea; --grid: #e9ecf1;
  --c1: #2463eb; --c2: #d9480f; --c3: #087f5b; --c4: #9c36b5; --faint: #a9b6c9; --threshold: #d6336c;
  --tracking: #2f9e44; --suspect: #e08700; --lost: #e03131; --searching: #1c7ed6; --empty: #868e96;
  --band: 0.13;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161d; --card: #1a202a; --text: #e6eaf0; --soft: #98a4b5; --rule: #2d3542; --grid: #252c38;
    --c1: #7aa7ff; --c2: #ff9f6b; --c3: #4fd1a5; --c4: #d59bf6; --faint: #56637a; --threshold: #ff7aa8;
    --tracking: #51cf66; --suspect: #ffc14d; --lost: #ff6b6b; --searching: #66b7ff; --empty: #868e96;
    --band: 0.17;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 24px; margin: 0; line-height: 1.25; } h2 { font-size: 18px; margin: 36px 0 10px; }
h3 { font-size: 15px; margin: 18px 0 6px; }
p { margin: 6px 0; } .soft, .sub { color: var(--soft); } .sub { font-size: 14px; overflow-wrap: anywhere; }
.empty { color: var(--soft); font-style: italic; }
code { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 10px;
  margin: 20px 0 0; padding: 0; }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 10px 14px; }
.card b { display: block; font-size: 22px; font-weight: 650; line-height: 1.3; font-variant-numeric: tabular-nums; }
.card span { color: var(--soft); font-size: 13px; }
.card.good b { color: var(--tracking); } .card.bad b { color: var(--lost); }
.note { background: var(--card); border: 1px solid var(--rule); border-left: 4px solid var(--suspect);
  border-radius: 8px;
  padding: 8px 14px; margin: 14px 0; } .note.stop { border-left-color: var(--lost); }
.note ul { margin: 4px 0; padding-left: 20px; }
.panel { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 12px 14px;
  margin: 10px 0;
  overflow-x: auto; }
.panel h3 { margin-top: 0; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 12px; }
figure { margin: 0; background: var(--card); border: 1px solid var(--rule); border-radius: 10px; overflow: hidden; }
figure img { display: block; width: 100%; height: auto; } figcaption { padding: 6px 10px; font-size: 13px;
  color: var(--soft); }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--soft); font-weight: 550; } th, td { padding: 4px 12px 4px 0;
  border-bottom: 1px solid var(--grid); }
td.n, th.n { text-align: right; } tr:last-child td { border-bottom: 0; }
.tag { display: inline-block; border-radius: 20px; padding: 0 9px; font-size: 13px;
  border: 1px solid currentColor; }
.t-tracking, .t-relocalized, .t-found { color: var(--tracking); } .t-lost { color: var(--lost); }
.t-reference_set { color: var(--soft); }
.share { display: flex; height: 14px; border-radius: 7px; overflow: hidden; background: var(--grid);
  margin: 6px 0; }
.share i { display: block; }
.s-tracking { background: var(--tracking); } .s-suspect { background: var(--suspect); }
.s-lost { background: var(--lost); }
.s-searching { background: var(--searching); } .s-empty { background: var(--empty); }
svg { display: block; width: 100%; min-width: 640px; height: auto; }
svg .grid { stroke: var(--grid); } svg .axis { stroke: var(--soft); fill: none; opacity: 0.6; }
svg .tick { fill: var(--soft); font-size: 12px; } svg .label { fill: var(--soft); font-size: 12px; }
svg .line { fill: none; stroke-width: 1.7; stroke-linejoin: round; stroke-linecap: round; }
.c1 { stroke: var(--c1); } .c2 { stroke: var(--c2); } .c3 { stroke: var(--c3); } .c4 { stroke: var(--c4); }
svg .faint { stroke: var(--faint); stroke-width: 1; }
svg .threshold { stroke: var(--threshold); stroke-dasharray: 6 4; }
.b-tracking { fill: var(--tracking); } .b-suspect { fill: var(--suspect); } .b-lost { fill: var(--lost); }
.b-searching { fill: var(--searching); } .b-empty { fill: var(--empty); } .b-absent { fill: var(--empty); }
svg rect[class^="b-"] { opacity: var(--band); } svg .b-tracking { opacity: calc(var(--band) * 0.55) !important; }
.mark path { stroke-width: 1.4; } .m-lost path { stroke: var(--lost); fill: var(--lost); }
.m-found path, .m-relocalized path { stroke: var(--tracking); fill: var(--tracking); }
.m-reference_set path { stroke: var(--soft); fill: var(--soft); }
.bar { fill: var(--c1); } .whisker { stroke: var(--soft); stroke-width: 1.5; fill: none; }
.legend { font-size: 13px; color: var(--soft); display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 4px 0 0; }
.key { display: inline-block; width: 14px; height: 4px; border-radius: 2px; margin-right: 6px;
  vertical-align: middle; }
.k-c1 { background: var(--c1); } .k-c2 { background: var(--c2); } .k-c3 { background: var(--c3); }
.k-c4 { background: var(--c4); }
.k-faint { background: var(--faint); } .k-threshold { background: var(--threshold); }
.k-tracking, .k-suspect, .k-lost, .k-searching, .k-empty, .k-absent { height: 11px; width: 11px; opacity: 0.75; }
.k-tracking { background: var(--tracking); } .k-suspect { background: var(--suspect); }
.k-lost { background: var(--lost); }
.k-searching { background: var(--searching); } .k-empty, .k-absent { background: var(--empty); }
details { margin: 10px 0; } summary { cursor: pointer; color: var(--soft); }
@media print { body { background: #fff; } .panel, figure, .card { break-inside: avoid; } }
"""
