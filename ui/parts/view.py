"""Structs of a page: HTML by the kit of reports/, and the same as data, for its `.json`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from ...core.runtime.project import Project
from .forms import Form


class Region(msgspec.Struct, frozen=True, kw_only=True):
    """Parts that are drawn anew together: a Form's `fills` names it."""

    name: str
    parts: tuple[str | Form, ...]


class PageContent(msgspec.Struct, frozen=True, kw_only=True):
    """A page without its frame.

    `parts`: HTML made by reports.page and reports.plots alone, as they escape. A Form is drawn
    later, by the frame, which knows whether it may be sent.
    """

    title: str
    below: str  # one line beneath the title
    parts: tuple[str | Form | Region, ...]
    data: object  # what `.json` answers: a struct, or a list or dict of them
    files: dict[str, str] = {}  # text to download, by what stands behind the page's path: `.diff`


Draw = Callable[[Project, Mapping[str, str]], PageContent]
"""A function that draws a page from the project and the query string.

The query also has what the path names, by its name. NotFound becomes 404, Invalid 400.
"""

Act = Callable[[Project, Mapping[str, str]], str]
"""A function that makes a change from a form's fields, and what the path names.

It returns the path of the page that shows the outcome.
"""
