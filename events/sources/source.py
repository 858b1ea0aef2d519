"""The common form of every source of events, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from ...errors import Invalid
from ...project.reading.names import did_you_mean
from ...project.specs.description import Event
from ..validation.chunks import Chunk, attributes_of

ROWS = 100_000  # a chunk: some tens of MB


class TextFile(msgspec.Struct, frozen=True, kw_only=True):
    """A text file of a source, by which a proposal how to read it can be made.

    `name` is the file's in the project; `options` are those that a query names already.
    """

    path: Path
    name: str
    options: frozenset[str] = frozenset()


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A source of events that was copied and can be read.

    `name` is what the quarantine shows; `raw` is the file or folder that is kept; `chunks()` reads
    it from its beginning; `texts` are its text files, by what the quarantine calls them.
    """

    name: str
    raw: Path
    rows: int | None  # when it is known beforehand
    chunks: Callable[[], Iterator[Chunk]]
    texts: Mapping[str, TextFile] = msgspec.field(default_factory=dict)
    in_sql: bool = False  # it is a query
    file_rows: int = 0  # of the text files that a query reads, of which it may give a part


def check_columns(event: Event, names: list[str], source: str) -> None:
    """Raise Invalid if a source has a wrong column, has one twice, or lacks a required one.

    All rows of a table have the same columns, so that this is one error and not one for each row.
    """
    column_names = [a.name for a in attributes_of(event)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Invalid(f"{source} has the column {twice[0]} twice")
    for name in names:
        if name not in column_names:
            raise Invalid(
                f"{source} has a column {name}, which {event.name} does not have",
                remedy=did_you_mean(name, column_names)
                or f"{event.name} has {', '.join(column_names)}",
            )
    for attribute in attributes_of(event):
        if attribute.required and attribute.name not in names:
            raise Invalid(
                f"{source} has no column {attribute.name}, which {event.name} requires",
                remedy=f"it has {', '.join(names)}",
            )
