"""What a page is: HTML by the kit of reports/, and the same as data, for its `.json`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from ...core.runtime.project import Project
from .forms import Form


class Region(msgspec.Struct, frozen=True, kw_only=True):
    """Parts that are drawn anew together: a Form's `fills` names it."""

    name: str
    parts: tuple[str | Form, ...]


class View(msgspec.Struct, frozen=True, kw_only=True):
    """`parts`:

    HTML made by reports.page and reports.plots alone, as they escape; a Form is drawn by who knows
    whether it may be sent.
    """

    title: str
    below: str  # one line beneath the title
    parts: tuple[str | Form | Region, ...]
    data: object  # what `.json` answers: a struct, or a list or dict of them
    files: dict[str, str] = {}  # text to download, by what stands behind the page's path: `.diff`


Draw = Callable[[Project, Mapping[str, str]], View]
"""A page from the project and the query string (with what the path names, by its name). NotFound: 404, Invalid: 400."""

Act = Callable[[Project, Mapping[str, str]], str]
"""A change, from a form's fields (and what the path names). The path of the page that shows what became of it."""
