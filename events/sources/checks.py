"""Check sources for `validate`: files are there, SQL parses, columns and their types fit.

No cloud is asked, no row is read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import IsthmusError, Problem
from ...project.reading.fence import ProjectPaths, fence
from ...project.specs.description import Event, ParsedProject, Place
from ..tables.column_types import OF_ATTRIBUTE, sql_type

if TYPE_CHECKING:
    import pyarrow as pa

    from ...target import Adapter

_ELSEWHERE = (
    "copy the data into the project's folder, or declare a target that reads it in profiles.yaml"
)


def check_sources(
    description: ParsedProject, adapters: tuple[Adapter, ...] | None
) -> tuple[Problem, ...]:
    """Return what is wrong with the declared sources of all events, for `validate`.

    `adapters` are those of the project's targets, where they are known: one of them must be able to
    read a place in a cloud.
    """
    from .origins import is_declared

    folder = Path(description.folder)
    events = [event for event in description.spec.events.values() if is_declared(folder, event)]
    return tuple(problem for event in events for problem in _problems(description, event, adapters))


def _problems(
    description: ParsedProject, event: Event, adapters: tuple[Adapter, ...] | None
) -> Iterator[Problem]:
    """Yield what is wrong with an event's source, as problems with their file and line."""
    from . import files

    key = f"events.{event.name}.source"
    place, where = Place(file=f"sources/{event.name}.sql", line=1), event.name
    if event.source is not None:
        place, where = description.places.get(key, Place(file="project.yaml", line=0)), key
        if scheme := files.scheme_of(event.source):
            if adapters is not None and not any(scheme in adapter.sources for adapter in adapters):
                message = f"{key}: {scheme}:// is not supported yet on any target of this project"
                yield Problem(file=place.file, line=place.line, message=message, remedy=_ELSEWHERE)
            return
    try:
        schemas = list(_schemas(fence(Path(description.folder), description.spec.paths), event))
    except (IsthmusError, OSError) as error:
        message, remedy = (
            (error.message, error.remedy) if isinstance(error, IsthmusError) else (str(error), None)
        )
        yield Problem(
            file=place.file, line=place.line, message=f"{where}: {message}", remedy=remedy
        )
        return
    for name, schema in schemas:
        for message, remedy in _misfits(event, schema):
            yield Problem(
                file=place.file,
                line=place.line,
                message=f"{where}: {name}: {message}",
                remedy=remedy,
            )


def _schemas(fenced: ProjectPaths, event: Event) -> Iterator[tuple[str, pa.Schema]]:
    """Yield the name and Arrow schema of an event's source query, or of each Parquet file.

    Text files are opened to read the names of their columns.

    `fenced` are the folders and files that the project may read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from . import files
    from .origins import READERS, source_text
    from .source import check_columns
    from .sql import query_schema

    if event.source is None:
        name = f"sources/{event.name}.sql"
        with tempfile.TemporaryDirectory(prefix="isthmus-") as folder:
            schema, from_text = query_schema(
                source_text(fenced, event.name),
                name=name,
                event=event.name,
                fence=fenced,
                folder=Path(folder),
            )
        check_columns(event, schema.names, name)
        if from_text:  # text is read as the attribute's type there, as in a CSV file
            schema = pa.schema([field for field in schema if not pa.types.is_string(field.type)])
        yield name, schema
        return
    matches = files.matching(fenced.folder / event.source, shown=event.source, fence=fenced)
    for file in matches.files:
        READERS[files.kind_of(file)](event, matches.root / file, str(file))
        if files.kind_of(file) == ".parquet":
            yield str(file), pq.read_schema(matches.root / file)


def _misfits(event: Event, schema: pa.Schema) -> Iterator[tuple[str, str]]:
    """Yield the columns of a source whose type an attribute cannot take: (problem, remedy).

    The remedy is the CAST to write.
    """
    from ..validation.chunks import attributes_of, takes

    for attribute in attributes_of(event):
        if attribute.name in schema.names and not takes(
            attribute, kind := schema.field(attribute.name).type
        ):
            type_name = sql_type(OF_ATTRIBUTE[attribute.type])
            yield (
                f"column {attribute.name} is {kind}, and {attribute.name} is {attribute.type}",
                f"CAST({attribute.name} AS {type_name})",
            )
