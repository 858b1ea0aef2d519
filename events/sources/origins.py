"""Open the place that an event's rows come from, whatever its kind.

It is SQL over local files, files, a place in a cloud, a DataFrame or an Arrow table. A source is
copied to a folder of its own first and read from there: what is kept as raw data is then exactly
what was read.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa

from ...errors import Invalid, NotFound, Unsupported
from ...project.reading.fence import ProjectPaths
from ...project.reading.files import read_text
from ...project.reading.report import ProblemReport
from ...project.specs.description import Event
from ..validation.chunks import Chunk
from . import files
from .arrow import frame_source, parquet_source, table_source, tables_source
from .source import Source
from .sql import query_to_parquet
from .sql_rows import sql_source
from .text_files import csv_source, json_source

if TYPE_CHECKING:
    import pandas as pd

    from ...target import Target

READERS: dict[str, Callable[[Event, Path, str], Source]] = {
    ".jsonl": json_source,
    ".ndjson": json_source,
    ".json": json_source,
    ".csv": csv_source,
    ".tsv": partial(csv_source, delimiter="\t"),
    ".parquet": parquet_source,
}


def open_source(
    fence: ProjectPaths,
    event: Event,
    data: Path | str | pa.Table | pd.DataFrame | None,
    stage: Path,
    *,
    target: Target | None = None,
) -> Source:
    """Copy an event's source data into `stage`, check its columns, and return it as a source.

    Args:
        fence: The limits of what the project may read.
        event: The event.
        data: A file, a folder, a glob or a table; None for what the project says:
            `events.<event>.source`, or `sources/<event>.sql` of its folder.
        stage: The folder for the copy.
        target: The project's target; only `events.<event>.source` may need it.

    Raises:
        Invalid: it cannot be read at all, or has columns that the event does not have. The error
            names the file.
        NotFound: there is no such file.
        Unsupported: the target does not read such a place. The error names the key.
    """
    stage.mkdir(parents=True, exist_ok=True)
    if data is None:
        return (
            _sql(fence, event, stage)
            if event.source is None
            else _declared(fence, event, event.source, stage, target)
        )
    if isinstance(data, pa.Table):
        return table_source(event, data, "table", stage)
    if not isinstance(data, str | Path):
        return frame_source(event, data, stage)
    return _files(event, files.matching(Path(data), shown=str(data)), str(data), stage)


def is_declared(folder: Path, event: Event) -> bool:
    """Return whether project.yaml or a SQL file says where the event comes from."""
    return event.source is not None or source_sql(folder, event.name).exists()


def source_sql(folder: Path, event: str) -> Path:
    """Return the path of the query sources/<event>.sql that reads an event's source."""
    return folder / "sources" / f"{event}.sql"


def source_text(fence: ProjectPaths, event: str) -> str:
    """Return the text of sources/<event>.sql.

    Raises:
        NotFound: there is none.
        Invalid: it leads out of the project, or is no text.
    """
    path, name = source_sql(fence.folder, event), f"sources/{event}.sql"
    if not path.exists():
        raise NotFound(
            f"{name} does not exist",
            remedy=f"write it, or give a file: isthmus ingest FILE --event {event}",
        )
    report = ProblemReport()
    text = read_text(path, name, report, fence)
    if text is None:
        raise Invalid(f"{name}: {report.problems[0].message}", remedy=report.problems[0].remedy)
    return text


def _sql(fence: ProjectPaths, event: Event, stage: Path) -> Source:
    """Run an event's source query, and return its rows as a source to ingest.

    `fence` are the folders and files that the project may read, `stage` is for temporary files.
    """
    name = f"sources/{event.name}.sql"
    copy = stage / "rows.parquet"
    rows = query_to_parquet(
        source_text(fence, event.name), name=name, event=event.name, fence=fence, to=copy
    )
    return sql_source(event, rows, name) if rows.tables else parquet_source(event, copy, name)


def _declared(
    fence: ProjectPaths, event: Event, source: str, stage: Path, target: Target | None
) -> Source:
    """Return the source that project.yaml declares for an event: files, cloud objects or a table.

    `source` is the declaration, `stage` the folder for copies.

    `fence` are the folders and files that the project may read.
    """
    scheme = files.scheme_of(source)
    if not scheme:
        return _files(
            event, files.matching(fence.folder / source, shown=source, fence=fence), source, stage
        )
    key = f"events.{event.name}.source"
    if target is None or scheme not in target.adapter.sources:
        where = "here" if target is None else f"on target {target.name}"
        raise Unsupported(
            f"{key}: {scheme}:// is not supported yet {where}",
            capability="sources",
            remedy="use a target that reads it (--target), or copy the data into the project's "
            "folder",
        )
    if scheme in files.OBJECTS:
        copies = stage.parent / "objects"
        target.sources.copy(source, copies)
        return _files(event, files.matching(copies, shown=source), source, stage, move=True)
    return tables_source(event, target.sources.rows(source.partition("://")[2]), source, stage)


def _files(
    event: Event, matches: files.Matches, shown: str, stage: Path, *, move: bool = False
) -> Source:
    """Copy or move files into the folder `stage`, and return them as one source of an event.

    `shown` is the path as the user wrote it, for errors.
    """
    place = shutil.move if move else shutil.copyfile
    if matches.single:
        (file,) = matches.files
        place(matches.root / file, stage / file)
        return READERS[files.kind_of(file)](event, stage / file, shown)
    below, sources = stage / "files", []
    for file in matches.files:
        (below / file).parent.mkdir(parents=True, exist_ok=True)
        place(matches.root / file, below / file)
        sources.append(READERS[files.kind_of(file)](event, below / file, f"{shown}: {file}"))
    return _together(shown, sources, below)


def _together(name: str, sources: Sequence[Source], raw: Path) -> Source:
    """Combine several sources to one, whose rows still name the file that each is from.

    `name` is what errors call it, and `raw` the folder with the original files.
    """

    def chunks() -> Iterator[Chunk]:
        for source in sources:
            for chunk in source.chunks():
                yield msgspec.structs.replace(chunk, source=source.name)

    counts = [source.rows for source in sources]
    return Source(
        name=name,
        raw=raw,
        rows=None if None in counts else sum(filter(None, counts)),
        chunks=chunks,
        texts={name: text for source in sources for name, text in source.texts.items()},
    )
