"""The report's style sheet: light and dark, wide and 360 px, screen and paper."""

from __future__ import annotations

CSS = """
:root {
  color-scheme: light dark;
  --page: #f4f6f8; --card: #ffffff; --ink: #17202b; --soft: #566373; --line: #d9e0e7;
  --faint: #eef2f5; --tide: #0a6b78; --high: #b3261e; --medium: #955300; --low: #1d5fa6;
  --informational: #566373; --good: #1b6b3a; --bad: #b3261e; --shade: 0 1px 2px #17202b14;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f141a; --card: #171e27; --ink: #e5ebf1; --soft: #9fadbb; --line: #2c3744;
    --faint: #1f2832; --tide: #55c2cc; --high: #ff8d84; --medium: #ffb65a; --low: #8db9ff;
    --informational: #9fadbb; --good: #7ed69b; --bad: #ff8d84; --shade: none;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere;
}
main, .top { max-width: 68rem; margin: 0 auto; padding: 0 1.25rem; }
h1, h2, h3, h4 { line-height: 1.25; text-wrap: balance; margin: 0; }
h1 { font-size: clamp(1.5rem, 1.1rem + 2vw, 2.25rem); letter-spacing: -.02em; }
h2 { font-size: 1.3rem; letter-spacing: -.01em; margin: 2.75rem 0 .75rem; }
h3 { font-size: 1.1rem; }
h4, caption, .brand, .figures dt, .score span {
  font-size: .75rem; font-weight: 600; letter-spacing: .06em; text-transform: uppercase;
  color: var(--soft);
}
p { margin: .5rem 0; max-width: 48rem; }
a { color: var(--tide); }
code, .facts dd { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
code { font-size: .8125rem; }
small { display: block; color: var(--soft); font-weight: 400; font-size: .8125rem; }
.nb { white-space: nowrap; }
.quiet { color: var(--soft); }
.notice {
  border-left: 3px solid var(--medium); background: var(--faint); padding: .5rem .75rem;
  border-radius: 0 6px 6px 0;
}
.top { padding-top: 2.5rem; }
.brand { color: var(--tide); margin: 0 0 .5rem; }
.lead { font-size: 1.0625rem; }
.figures {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: 1px;
  margin: 1.25rem 0 0; background: var(--line); border: 1px solid var(--line);
  border-radius: 10px; overflow: hidden;
}
.figures div { background: var(--card); padding: .75rem 1rem; }
.figures dd { margin: .125rem 0 0; font-size: 1.375rem; font-weight: 600; line-height: 1.25; }
.figures small { font-size: .8125rem; }
.card {
  background: var(--card); border: 1px solid var(--line); border-left: 5px solid var(--edge);
  border-radius: 10px; padding: 1.125rem 1.25rem; margin: 0 0 1.25rem; box-shadow: var(--shade);
}
.high { --edge: var(--high); } .medium { --edge: var(--medium); }
.low { --edge: var(--low); } .informational { --edge: var(--informational); }
.card header { display: grid; grid-template-columns: 1fr auto; column-gap: 1rem; }
.card .marks {
  grid-column: 1; margin: 0 0 .375rem; display: flex; flex-wrap: wrap; gap: .25rem .375rem;
}
.card h3 { grid-column: 1; }
.card .score {
  grid-column: 2; grid-row: 1 / span 2; margin: 0; text-align: right; font-size: 1.75rem;
  font-weight: 650; line-height: 1.1;
}
.card .score span { display: block; }
.chip {
  display: inline-block; border: 1px solid var(--edge, var(--line)); color: var(--edge, inherit);
  border-radius: 99px; padding: .0625rem .625rem; font-size: .8125rem; font-weight: 600;
  white-space: nowrap;
}
.chip.off { --edge: var(--soft); border-style: dashed; border-radius: .75rem; white-space: normal; }
figure { margin: 1rem 0; }
figcaption { color: var(--soft); font-size: .8125rem; margin-top: .25rem; }
.strip { display: grid; grid-template-columns: auto minmax(0, 1fr); column-gap: .625rem; }
.strip svg { width: 100%; display: block; background: var(--faint); border-radius: 4px; }
.days span {
  display: block; height: 16px; line-height: 16px; font-size: .6875rem; white-space: nowrap;
  color: var(--soft); text-align: right;
}
.axis {
  grid-column: 2; display: flex; justify-content: space-between; color: var(--soft);
  font-size: .6875rem; padding-top: .125rem;
}
.grid { stroke: var(--line); stroke-width: 1; }
.midnight { stroke: var(--soft); stroke-width: 2; }
.ticks { stroke: var(--tide); stroke-width: 1.25; }
.columns {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(17rem, 100%), 1fr));
  gap: 1rem 2rem;
}
table { border-collapse: collapse; width: 100%; font-size: .9375rem; }
caption { text-align: left; padding: 0 0 .375rem; }
th { text-align: left; font-weight: 600; vertical-align: top; }
.num { text-align: right; white-space: nowrap; }
.scores { align-self: start; }
.scores th { font-weight: 400; padding: .1875rem .75rem .1875rem 0; width: 46%; }
.scores .num { width: 3rem; }
.bar span, .meter span {
  display: block; height: 8px; border-radius: 4px; background: var(--tide); min-width: 1px;
}
.bar { vertical-align: middle; }
.scores .bar {
  background: linear-gradient(var(--faint), var(--faint)) center / 100% 8px no-repeat;
}
.meter { background: var(--line); border-radius: 4px; margin: .5rem 0; }
.facts {
  display: grid; grid-template-columns: fit-content(55%) minmax(0, 1fr);
  gap: .125rem .875rem; margin: .25rem 0 0;
  font-size: .875rem;
}
.facts dt { color: var(--soft); } .facts dd { margin: 0; font-size: .8125rem; }
.card footer {
  display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin-top: 1rem; padding-top: .75rem;
  border-top: 1px solid var(--line); color: var(--soft); font-size: .8125rem;
}
.card footer code { font-size: .75rem; }
.wide {
  overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: .75rem 1rem; margin: .75rem 0; overflow-wrap: normal;
}
.data th, .data td { padding: .375rem .875rem .375rem 0; vertical-align: top; }
.data tr > :last-child { padding-right: 0; }
.data thead th { border-bottom: 1px solid var(--line); font-size: .8125rem; color: var(--soft); }
.data tbody tr + tr > * { border-top: 1px solid var(--faint); }
.data tbody th { min-width: 9rem; }
.pair { display: grid; grid-template-columns: 3fr 2fr; gap: 0 1.25rem; align-items: start; }
.good { color: var(--good); font-weight: 600; white-space: nowrap; }
.bad { color: var(--bad); font-weight: 600; white-space: nowrap; }
.coverage { margin-bottom: 1.75rem; }
.stages { display: flex; height: 18px; border-radius: 5px; overflow: hidden; gap: 2px; }
.stages span { flex-basis: 0; background: var(--hue); min-width: 2px; }
.key {
  display: inline-block; width: .75em; height: .75em; border-radius: 2px; margin-right: .5em;
  background: var(--hue);
}
.stages span:nth-child(6n + 1), tr:nth-child(6n + 1) .key { --hue: #0a6b78; }
.stages span:nth-child(6n + 2), tr:nth-child(6n + 2) .key { --hue: #4c9aa8; }
.stages span:nth-child(6n + 3), tr:nth-child(6n + 3) .key { --hue: #e09f3e; }
.stages span:nth-child(6n + 4), tr:nth-child(6n + 4) .key { --hue: #8a5a83; }
.stages span:nth-child(6n + 5), tr:nth-child(6n + 5) .key { --hue: #5b8c5a; }
.stages span:nth-child(6n + 6), tr:nth-child(6n + 6) .key { --hue: #7d8a99; }
.colophon {
  margin: 3rem 0 2rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--soft);
  font-size: .8125rem;
}
@media (max-width: 44rem) {
  main, .top { padding: 0 .875rem; } .top { padding-top: 1.5rem; }
  .pair { grid-template-columns: minmax(0, 1fr); }
  .card { padding: .875rem; } .card .score { font-size: 1.375rem; }
  .figures { grid-template-columns: 1fr 1fr; } .figures dd { font-size: 1.125rem; }
  .figures div:last-child:nth-child(odd) { grid-column: 1 / -1; }
  .wide { padding: .625rem .75rem; }
}
@media print {
  :root {
    --page: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb; --faint: #eee;
    --tide: #0a6b78; --high: #b3261e; --medium: #955300; --low: #1d5fa6;
    --informational: #444; --good: #1b6b3a; --bad: #b3261e; --shade: none;
  }
  @page { margin: 14mm 12mm; }
  html { font-size: 11px; } main, .top { max-width: none; padding: 0; }
  h2 { margin-top: 1.5rem; break-after: avoid; } h3 { break-after: avoid; }
  .card, .figures, .wide, tr, .stages, figure { break-inside: avoid; }
  .card { margin-bottom: .75rem; padding: .75rem 1rem; } .strip { margin-top: -.25rem; }
  .wide { overflow: visible; padding: .5rem; }
  .data th, .data td { padding-right: .5rem; overflow-wrap: break-word; }
  .data tbody th { min-width: 0; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
"""
