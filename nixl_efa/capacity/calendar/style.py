"""How the calendar's page looks: light and dark as the browser asks, narrow screens, and paper."""

STYLE = """\
:root { color-scheme: light dark; --back: #ffffff; --text: #1b1f24; --quiet: #57606a; --rule: #d0d7de; --field: #f3f5f7;
  --link: #0a58ca; --active: #1a7f37; --coming: #3a6fd8; --extension: #8250df; --gap: #cf222e; --offer: #b08800;
  --unusable: #8c959f; --fail: #a40e26; --warn: #7a4d00; }
@media (prefers-color-scheme: dark) { :root { --back: #0d1117; --text: #e6edf3; --quiet: #9da7b1; --rule: #30363d;
  --field: #161b22; --link: #79b8ff; --active: #3fb950; --coming: #6ea8fe; --extension: #bc8cff; --gap: #ff7b72;
  --offer: #d29922; --unusable: #6e7681; --fail: #ff8f87; --warn: #e3b341; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 75rem; padding: 1rem; background: var(--back); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p { margin: .4rem 0; max-width: 46rem; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: 1rem; padding: .4rem .8rem; background: var(--back); z-index: 1; }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; margin: .6rem 0; padding: 0; }
nav a { display: inline-block; padding: .25rem 0; }
.quiet { color: var(--quiet); }
.findings { padding-left: 1.2rem; }
.findings li { margin: .35rem 0; overflow-wrap: anywhere; }
.fail { color: var(--fail); font-weight: 700; }
.warn { color: var(--warn); font-weight: 700; }
code { font: .875em ui-monospace, monospace; overflow-wrap: anywhere; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; padding: 0; margin: .5rem 0; }
.legend .bar { position: static; display: inline-block; width: 1.6rem; height: .8rem; margin-right: .4rem; }
.line { border: 1px solid var(--rule); border-radius: 6px; padding: .4rem .6rem .6rem; background: var(--field); }
.row { display: grid; grid-template-columns: 15rem 1fr; align-items: center; column-gap: .6rem; min-height: 1.5rem;
  break-inside: avoid; }
.row b { font-weight: 600; }
.label { font-size: .8125rem; line-height: 1.25; overflow-wrap: anywhere; padding: .1rem 0; }
.label span { color: var(--quiet); }
.group { font-size: .875rem; font-weight: 600; margin: .7rem 0 .1rem; break-after: avoid; }
.track { position: relative; height: 1rem;
  background: linear-gradient(var(--rule), var(--rule)) center / 100% 1px no-repeat; }
.days { height: 1.3rem; background: none; font-size: .75rem; color: var(--quiet); }
.days span { position: absolute; border-left: 1px solid var(--rule); padding-left: .2rem; white-space: nowrap; }
.bar, .mark { position: absolute; top: .1rem; bottom: .1rem; min-width: 3px; border-radius: 2px; }
.mark { width: 2px; min-width: 2px; background: var(--field); }
.active { background: var(--active); }
.coming { background: repeating-linear-gradient(90deg, var(--coming) 0 8px, transparent 8px 10px);
  border: 1px solid var(--coming); }
.extension { background: repeating-linear-gradient(45deg, var(--extension) 0 4px, transparent 4px 8px);
  border: 1px solid var(--extension); }
.gap { border: 2px dashed var(--gap); }
.offer { background: var(--offer); }
.unusable { background: repeating-linear-gradient(135deg, var(--unusable) 0 3px, transparent 3px 7px);
  border: 1px solid var(--unusable); }
.more { border-right: 4px double var(--text); }
.scroll { overflow-x: auto; border: 1px solid var(--rule); border-radius: 6px; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; }
caption { text-align: left; padding: .5rem .6rem; color: var(--quiet); }
caption span { display: block; position: sticky; left: .6rem; max-width: calc(100vw - 3rem); }
th, td { text-align: left; padding: .35rem .6rem; border-top: 1px solid var(--rule); vertical-align: top; }
thead th { background: var(--field); white-space: nowrap; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.time, td time { white-space: nowrap; font-variant-numeric: tabular-nums; }
th.words, td.words { min-width: 9rem; }
td code, th code { overflow-wrap: normal; white-space: nowrap; }
details { margin: .8rem 0; }
summary { cursor: pointer; padding: .4rem 0; }
tr.dim td, tr.dim th { color: var(--quiet); }
tbody th { font-weight: 600; }
svg { display: block; width: 8rem; height: 1.6rem; }
svg polyline { fill: none; stroke: var(--coming); stroke-width: 2; vector-effect: non-scaling-stroke; }
footer { margin-top: 2.5rem; border-top: 1px solid var(--rule); padding-top: .6rem; font-size: .875rem; }
@media (max-width: 40rem) { body { padding: .7rem; } .row { grid-template-columns: 1fr; padding-bottom: .25rem; }
  .days + .days, .row.head .label { display: none; } h1 { font-size: 1.35rem; } }
@media print { @page { size: A4 landscape; margin: 12mm; }
  :root { color-scheme: light; --back: #ffffff; --text: #000000; --quiet: #444444; --rule: #bbbbbb; --field: #ffffff;
    --link: #000000; --active: #1a7f37; --coming: #3a6fd8; --extension: #8250df; --gap: #cf222e; --offer: #b08800;
    --unusable: #777777; --fail: #a40e26; --warn: #7a4d00; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav, .skip, details { display: none; }
  .scroll { overflow: visible; border: 0; }
  table { font-size: 8pt; }
  h2, h3, caption { break-after: avoid; }
  tr { break-inside: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
