"""Draw the frame of a page: its head, the navigation, the foot. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import msgspec

from ...reports import page
from . import forms
from .forms import Form
from .view import PageContent, Region


class PageFrame(msgspec.Struct, frozen=True, kw_only=True):
    """The texts and places of a page's frame.

    `links`: (title, path) of the pages in the navigation. `here`: the path of the one that is
    shown, or that the shown page belongs to.
    """

    project: str
    target: str
    links: Sequence[tuple[str, str]]
    here: str
    foot: str
    data: str  # where the same is as JSON
    token: str = ""
    write: bool = False
    same: str = ""  # what follows a command, for the same target


def html(view: PageContent, around: PageFrame) -> str:
    """Return a whole page as HTML: head, navigation, content and footer.

    `around` has the navigation and the footer.
    """
    mode = "changes allowed" if around.write else "read only"
    about = f"target {around.target}, {mode}" if around.target else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width, initial-scale=1">'
        f"<title>{escape(view.title)} - {escape(around.project)}</title>"
        '<link rel="stylesheet" href="/style.css"><link rel="icon" href="data:,"><script '
        'src="/page.js" defer></script></head><body>\n'
        '<a class="skip" href="#main">To the page</a>'
        f"<header><p><strong>{escape(around.project)}</strong> <span "
        f'class="soft">{escape(about)}</span></p>'
        "<nav "
        f'aria-label="Pages"><ul>{"".join(_link(around, *link) for link in around.links)}'
        "</ul></nav></header>\n"
        f'<main id="main" tabindex="-1">{page.heading(view.title, view.below)}\n'
        + "\n".join(_part(part, around) for part in view.parts)
        + f"\n</main>{_foot(around)}</body></html>\n"
    )


def _link(around: PageFrame, title: str, path: str) -> str:
    """Return a navigation link as an HTML list item, marked if its page is the present one.

    `around` has the present page's path.
    """
    current = ' aria-current="page"' if path == around.here else ""
    return f'<li><a href="{escape(path, quote=True)}"{current}>{escape(title)}</a></li>'


def _foot(around: PageFrame) -> str:
    """Return a page's footer as HTML, with a link to the page as JSON.

    `around` has the footer's text.
    """
    data = (
        f' <a href="{escape(around.data, quote=True)}">This page as JSON</a>' if around.data else ""
    )
    return f"<footer>{escape(around.foot)}{data}</footer>" if around.foot else ""


def _part(part: str | Form | Region, around: PageFrame) -> str:
    """Return one part of a page (HTML text, form or live region) as HTML.

    `around` has what forms need, such as a token.
    """
    if isinstance(part, Region):
        return (
            f'<div id="{escape(part.name, quote=True)}" '
            f'aria-live="polite">{"".join(_part(inner, around) for inner in part.parts)}</div>'
        )
    if isinstance(part, Form):
        return forms.html(part, token=around.token, write=around.write, same=around.same)
    return part
