"""The style sheet of every page: that of the reports, and what only a page of several has."""

from __future__ import annotations

from ...reports.page import STYLE

_MORE = """
body { max-width: 62rem; }
.skip { position: absolute; left: -99rem; } .skip:focus { left: .5rem; top: .5rem; background: \
var(--paper); padding: .4rem .8rem; }
:focus-visible { outline: 2px solid var(--a); outline-offset: 2px; } main:focus { outline: none; }
header { border-bottom: 1px solid var(--faint); margin-bottom: 1.6rem; padding-bottom: .5rem; } \
header p { margin: 0 0 .3rem; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.3rem; margin: 0; padding: \
0; }
nav a { display: inline-block; padding: .3rem 0; text-decoration: none; }
nav a[aria-current] { color: var(--ink); font-weight: 600; border-bottom: 2px solid var(--a); }
h1 { overflow-wrap: anywhere; }
form { display: flex; flex-wrap: wrap; gap: .7rem 1rem; align-items: end; margin: .9rem 0 .2rem; }
form details { flex: 1 0 100%; } form details div { display: flex; flex-wrap: wrap; gap: .7rem \
1rem; align-items: end; }
label { display: block; flex: 1 1 12rem; min-width: 0; } label span { display: block; font-size: \
.92rem; margin-bottom: .15rem; }
label:has(textarea) { flex-basis: 100%; }
input, select, textarea, button { font: inherit; color: var(--ink); background: var(--panel); \
border: 1px solid var(--quiet);
  border-radius: 4px; padding: .4rem .55rem; }
input, select, textarea { width: 100%; } input[type=checkbox] { width: 1.5rem; height: 1.5rem; \
margin: 0 .4rem 0 0; vertical-align: middle; accent-color: var(--a); }
form > .wide { flex: 1 0 100%; }
textarea { font: 13px/1.5 ui-monospace, "SF Mono", Menlo, \
Consolas, monospace; }
button { cursor: pointer; padding: .4rem 1.1rem; border-color: var(--a); color: var(--a); \
font-weight: 600; background: var(--paper); }
.change { border-top: 1px solid var(--faint); padding: .5rem 0; } .change p { margin: .2rem 0; }
button.careful { border-color: #c0392b; color: #c0392b; } .command { margin-top: .1rem; font-size: \
.86rem; }
code { font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: \
anywhere; }
@media (prefers-color-scheme: dark) { button.careful { border-color: #ef8174; color: #ef8174; } }
@media print { nav, form, .change, #change + section, .skip { display: none; }
  body { padding: 0; } a { color: inherit; text-decoration: none; } }
"""
SHEET = STYLE + _MORE
