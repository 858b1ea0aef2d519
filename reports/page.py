"""Draw one self-contained HTML page: its style inside, no script, nothing fetched.

It is readable on a phone and in print, light and dark.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from html import escape

STYLE = """
:root { --ink: #1c2126; --soft: #5c6670; --faint: #e3e7ea; --paper: #fff; --panel: #f6f7f8;
  --a: #1f66b0; --b: #c2540a; --c: #2c7f4f; --d: #8a4fb0; --e: #a3740a; --f: #0f7f87; --quiet: \
#98a2ab; --shade: #1c21262c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #a0aab3; --faint: #333b43; \
--paper: #16191d; --panel: #1f242a;
  --a: #6fb1f2; --b: #f0954d; --c: #6fca95; --d: #c79ae6; --e: #d9b154; --f: #62c6cd; --quiet: \
#6f7a84; --shade: #e6e9ec2c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.6rem 1.1rem 3rem; max-width: 54rem; background: var(--paper); \
color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; \
-webkit-text-size-adjust: 100%; }
h1 { font-size: 1.55rem; line-height: 1.2; margin: 0 0 .3rem; letter-spacing: -.01em; }
h2 { font-size: 1.08rem; margin: 2.1rem 0 .6rem; }
p { margin: .5rem 0; max-width: 42rem; overflow-wrap: anywhere; } .soft { color: var(--soft); } \
.lead { font-size: 1.05rem; }
.verdict { background: var(--panel); border-left: 4px solid var(--quiet); padding: .7rem .95rem; \
margin: 1.1rem 0;
  border-radius: 0 4px 4px 0; }
.verdict p { margin: .15rem 0; } .verdict.fail { border-color: #c0392b; } .verdict.pass { \
border-color: #2e8b57; }
.wide { overflow-x: auto; background: /* a shadow at each side beyond which there is more */
  linear-gradient(to right, var(--paper) 40%, transparent) left / 2.4rem 100% no-repeat local,
  linear-gradient(to left, var(--paper) 40%, transparent) right / 2.4rem 100% no-repeat local,
  linear-gradient(to right, var(--shade), transparent) left / .8rem 100% no-repeat,
  linear-gradient(to left, var(--shade), transparent) right / .8rem 100% no-repeat; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; \
width: 100%; }
th, td { text-align: left; padding: .38rem .9rem .38rem 0; border-bottom: 1px solid var(--faint); \
vertical-align: top; }
th { font-weight: 600; } thead th { color: var(--soft); font-size: .86rem; }
td.n, th.n { text-align: right; } td { white-space: nowrap; }
td .soft { font-size: .88em; }
td.words, th.words { white-space: normal; min-width: 9rem; overflow-wrap: anywhere; }
tbody th { font-weight: 500; white-space: nowrap; } tbody th.words { white-space: normal; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); \
gap: 1.4rem 1.8rem; margin: 1rem 0; }
.charts > :only-child { max-width: 32rem; }
figure { margin: 0; } figcaption { font-weight: 600; font-size: .92rem; }
figcaption div { font-weight: 400; color: var(--soft); min-height: 1.5em; }
.key { margin-right: 1.1em; white-space: nowrap; } .key::before { content: "";
  display: inline-block; width: .95em; height: .22em; margin-right: .4em;
  vertical-align: .25em; background: var(--hue, var(--quiet)); }
.a { --hue: var(--a); } .b { --hue: var(--b); } .c { --hue: var(--c); } .d { --hue: var(--d); } .e \
{ --hue: var(--e); }
.f { --hue: var(--f); } .quiet { --hue: var(--quiet); }
details { margin-top: .2rem; font-size: .86rem; } summary { cursor: pointer; color: var(--soft); }
details .wide { max-height: 22rem; overflow: auto; }
svg { width: 100%; height: auto; display: block; }
svg text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; }
svg.flow { width: auto; height: auto; max-width: none; margin: .4rem 0; }
.frame { fill: var(--panel); stroke: var(--hue); stroke-width: 1.5; } .made { fill: none; stroke: \
var(--quiet); stroke-width: 1.2; } .near { fill: none; stroke: none; pointer-events: none; }
.node:is(:hover, :focus, :target) .near { stroke: var(--ink); stroke-width: 2; }
.node:is(:focus, :target) .frame { stroke-width: 3; } .node:focus { outline: 2px solid var(--a); \
outline-offset: 2px; } svg .detail { font-size: 11px; }
.nodes { list-style: none; padding: 0; margin: .4rem 0; } .nodes li { padding: .3rem .5rem; \
border-bottom: 1px solid var(--faint); overflow-wrap: anywhere; }
.nodes div { font-size: .86rem; }
.nodes li:target { background: var(--panel); border-left: 4px solid var(--a); }
h3 { font-size: .95rem; margin: 1.2rem 0 .2rem; color: var(--soft); }
@media (min-width: 70rem) { .broad { width: calc(100vw - 4rem); margin-left: calc(50% - 50vw + \
2rem); } .broad svg.shrunk { max-width: 100%; } }
a { color: var(--a); } svg.small { width: 6.5rem; height: 1.5rem; } .bar { fill: var(--hue); } svg \
.in { fill: var(--paper); }
.tick { fill: var(--soft); } .label { fill: var(--ink); } .grid { stroke: var(--faint); } .axis { \
stroke: var(--quiet); }
.line { fill: none; stroke-width: 2; stroke: var(--hue); } .whisker { stroke: var(--hue); \
stroke-width: 1.6; opacity: .75; }
.line.quiet { stroke-dasharray: 4 4; stroke-width: 1.4; } .dot { fill: var(--hue); }
pre { background: var(--panel); padding: .8rem .95rem; overflow-x: auto; font: 13px/1.5 \
ui-monospace, "SF Mono", Menlo, Consolas, monospace;
  border-radius: 4px; }
footer { margin-top: 2.6rem; color: var(--soft); font-size: .86rem; border-top: 1px solid \
var(--faint); padding-top: .7rem; }
.on-phone { display: none; }
@media (max-width: 36rem) { .words:nth-child(n+3) { \
min-width: 16rem; } .on-desk { display: none; } .on-phone { \
display: block; } table { font-size: .9rem; } th, td { \
padding-right: .6rem; } th.long { white-space: normal; min-width: 8rem; } }
@media print { body { max-width: none; } .charts, table { break-inside: avoid; } }
"""


def page(title: str, parts: Iterable[str], footer: str) -> str:
    """Return a whole self-contained HTML page, with its style and no script.

    Args:
        title: Text, not HTML.
        parts: HTML made by the functions below and by plots.chart.
        footer: Text, not HTML.
    """
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>\n"
        + "\n".join(parts)
        + f"\n</main><footer>{escape(footer)}</footer></body></html>\n"
    )


def heading(title: str, below: str) -> str:
    """Return a page's title and the line below it as HTML."""
    return f'<h1>{escape(title)}</h1><p class="soft">{escape(below)}</p>'


def section(title: str, *parts: str) -> str:
    """Return a section of a page as HTML, with its title and parts."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def words(text: str, kind: str = "") -> str:
    """Return a paragraph as HTML, with the text escaped.

    `kind` is a CSS class.
    """
    named = f' class="{escape(kind, quote=True)}"' if kind else ""
    return f"<p{named}>{escape(text)}</p>"


def verdict(lines: Sequence[str], kind: str = "") -> str:
    """Return an HTML box with lines of text, the first in bold: the outcome and its details.

    `kind` is a CSS class.
    """
    first, *rest = lines
    inner = f"<p><strong>{escape(first)}</strong></p>" + "".join(words(line) for line in rest)
    return f'<div class="verdict {escape(kind, quote=True)}">{inner}</div>'


_SHORT = 16  # letters of a row's title that may stand on one line of a phone


class Drawn(str):
    """A cell that is markup already: a picture."""

    __slots__ = ()


def with_interval(value: str, interval: str) -> Drawn:
    """Return an HTML table cell with a value and, below it, its confidence interval."""
    return Drawn(f'{escape(value)}<br><span class="soft">{escape(interval)}</span>')


def box(text: str, name: str, value: str, *, ticked: bool) -> Drawn:
    """Return an HTML checkbox as a table cell, which sends `name=value` if it is ticked.

    `text` describes it to screen readers.
    """
    checked = " checked" * ticked
    return Drawn(
        f'<input type="checkbox" name="{escape(name, quote=True)}" '
        f'value="{escape(value, quote=True)}" aria-label="{escape(text, quote=True)}"{checked}> '
    )


def link(text: str, to: str) -> Drawn:
    """Return an HTML link for a table cell, to a place relative to the page or on its own host."""
    return Drawn(f'<a href="{escape(to, quote=True)}">{escape(text)}</a>')


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: bool = False,
    wordy: int | Collection[int] = (),
) -> str:
    """Return an HTML table, which scrolls sideways where it is too wide.

    Args:
        head: The columns' titles; without any text there is no head.
        rows: Cells, as text or as markup (`Drawn`).
        numbers: Whether all columns but the first are aligned to the right.
        wordy: The numbers of the columns whose text may wrap.
    """
    wrapping = {wordy} if isinstance(wordy, int) else wordy
    rows = list(rows)
    long = any(len(row[0]) > _SHORT for row in rows if row and not isinstance(row[0], Drawn))

    def cell(tag: str, number: int, text: str) -> str:
        kinds = ["n"] * (numbers and number > 0) + ["words"] * (number in wrapping)
        kinds += ["long"] * (tag == "th" and number == 0 and long)
        named = ' class="' + " ".join(kinds) + '"' if kinds else ""
        return f"<{tag}{named}>{text if isinstance(text, Drawn) else escape(text)}</{tag}>"

    top = (
        "<thead><tr>"
        + "".join(cell("th" if text else "td", i, text) for i, text in enumerate(head))
        + "</tr></thead>"
        if any(head)
        else ""
    )
    body = "".join(
        "<tr>"
        + "".join(cell("th" if i == 0 else "td", i, text) for i, text in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return f'<div class="wide" tabindex="0"><table>{top}<tbody>{body}</tbody></table></div>'


def footer(when: datetime, target: str) -> str:
    """Return the text of a page's footer: when and for which target it was made."""
    return (
        f"Isthmus, {when:%-d %B %Y, %H:%M} UTC, target {target}. Nothing on this page is fetched "
        "from elsewhere."
    )


def links(targets: Sequence[tuple[str, str]]) -> str:
    """Return an HTML paragraph of links, from pairs of a text and a place.

    Places are relative to the page, or on it (#...). The page loads nothing from them.
    """
    return (
        '<p class="soft">'
        + " &middot; ".join(
            f'<a href="{escape(to, quote=True)}">{escape(text)}</a>' for text, to in targets
        )
        + "</p>"
    )


def line(*parts: str) -> str:
    """Return an HTML paragraph of texts and links (as HTML), with a dot between two."""
    inner = " &middot; ".join(part if isinstance(part, Drawn) else escape(part) for part in parts)
    return f'<p class="soft">{inner}</p>' if parts else ""


def anchor(name: str) -> str:
    """Return an empty HTML element with an id, to which links on the page can lead."""
    return f'<span id="{escape(name, quote=True)}"></span>'


def charts(*drawn: str) -> str:
    """Return an HTML block with charts (as HTML) side by side."""
    return f'<div class="charts">{"".join(drawn)}</div>'


def code(text: str, *, copied: bool = False) -> str:
    """Return preformatted text as an HTML block.

    With `copied`, a page that has a script may offer to copy the whole text.
    """
    more = " data-copy" * copied
    return f'<pre tabindex="0"{more}>{escape(text if copied else text.rstrip())}</pre>'
