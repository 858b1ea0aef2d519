"""What a page is: HTML by the kit of reports/, and the same as data, for its `.json`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from ..runtime import Project


class View(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    below: str  # one line beneath the title
    parts: tuple[str, ...]  # HTML, made by reports.page and reports.plots alone: they escape
    data: object  # what `.json` answers: a struct, or a list or dict of them


Draw = Callable[[Project, Mapping[str, str]], View]
"""A page from the project and the query string (with what the path names, by its name). NotFound: 404, Invalid: 400."""
