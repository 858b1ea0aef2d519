"""Read the rows of a source's query over text files, each with its line in the user's file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from ...project.specs.description import Attribute, Event
from ..validation.chunks import Broken, Chunk, attributes_of
from ..validation.values import Fault, shown
from .source import ROWS, Source, TextFile, check_columns
from .sql import QueryRows
from .syntax import FAULT, ROW, TABLE
from .text_tables import TextTable, type_words

pc: Any = pyarrow.compute
_WITHOUT_ZONE = r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)$"
_DATE = r"^(\d{4}-\d\d-\d\d)$"


def sql_source(event: Event, rows: QueryRows, name: str) -> Source:
    """Return the rows of a query over text files as a source of events to ingest."""
    with pq.ParquetFile(rows.parquet) as file:
        names = [column for column in file.schema_arrow.names if not _is_ours(column)]
        count = file.metadata.num_rows
    check_columns(event, names, name)
    attributes = {attribute.name: attribute for attribute in attributes_of(event)}

    def chunks() -> Iterator[Chunk]:
        for table in rows.tables:
            yield from _broken(table, name)
        with pq.ParquetFile(rows.parquet) as file:
            for batch in file.iter_batches(batch_size=ROWS):
                part = pa.Table.from_batches([batch])
                if rows.traced:
                    yield from _by_file(part, rows.tables, attributes, name)
                else:
                    yield _chunk(part, attributes, name)

    texts = {
        f"{name}: {file_name}": TextFile(
            path=path, name=file_name, options=frozenset(table.reading.options)
        )
        for table in rows.tables
        for path, file_name in zip(table.reading.files, table.reading.names, strict=True)
    }
    return Source(
        name=name,
        raw=rows.parquet,
        rows=count,
        chunks=chunks,
        texts=texts,
        in_sql=True,
        file_rows=sum(
            pq.read_metadata(table.parquet).num_rows + len(table.broken) for table in rows.tables
        ),
    )


def _is_ours(column: str) -> bool:
    """Return whether a column was added by Isthmus to trace rows, and is no attribute."""
    return column in {ROW, TABLE} or column.startswith(FAULT)


def _broken(table: TextTable, name: str) -> Iterator[Chunk]:
    """Yield the unreadable lines of a query's text files, a chunk for each file.

    `name` is what errors call the query.
    """
    by_file: dict[int, list[Broken]] = {}
    for number, row in table.broken:
        by_file.setdefault(number, []).append(row)
    for number, broken in by_file.items():
        yield Chunk(
            columns={},
            rows=0,
            broken=tuple(sorted(broken, key=lambda row: row.line or 0)),
            source=f"{name}: {table.reading.names[number]}",
        )


def _by_file(
    part: pa.Table, tables: tuple[TextTable, ...], attributes: dict[str, Attribute], name: str
) -> Iterator[Chunk]:
    """Yield the rows of a query's result, grouped by the file they came from, with line numbers.

    `name` is what errors call the query.
    """
    import numpy as np

    numbers = pc.if_else(pc.is_valid(part[ROW]), part[TABLE], -1)
    for number in pc.unique(numbers).to_pylist():
        own = part.filter(pc.equal(numbers, number))
        lines = tables[number].lines if number >= 0 else None
        if lines is None:
            yield _chunk(own, attributes, name)
            continue
        files, line_numbers = lines.positions(own[ROW].to_numpy())
        for file in dict.fromkeys(files.tolist()):
            rows = own.filter(pa.array(files == file))
            source = f"{name}: {tables[number].reading.names[file]}"
            chunk = _chunk(rows, attributes, source)
            yield msgspec.structs.replace(chunk, lines=line_numbers[np.equal(files, file)].tolist())


def _chunk(part: pa.Table, attributes: dict[str, Attribute], source: str) -> Chunk:
    """Return rows of a query's result as a chunk to be checked; failed casts are its faults."""
    columns: dict[str, Any] = {}
    text = set()
    for column in part.column_names:
        if _is_ours(column):
            continue
        values, attribute = part[column], attributes[column]
        if isinstance(values.type, pa.JsonType):  # of JSON lines whose values are of several types
            columns[column] = [
                None if v is None else msgspec.json.decode(v) for v in values.to_pylist()
            ]
            continue
        if pa.types.is_string(values.type) and attribute.type != "string":
            text.add(column)
            if attribute.type == "timestamp":  # a database's times without a zone are UTC
                values = pc.replace_substring_regex(values, _WITHOUT_ZONE, r"\1T\2Z")
                values = pc.replace_substring_regex(values, _DATE, r"\1T00:00:00Z")
        columns[column] = values
    faulty = []
    for row, attribute_name, kind, value in _faulty(part):
        faulty.append((row, attribute_name, Fault(f"is not {type_words(kind)}", shown(value))))
        if attribute_name in columns and attribute_name != "event_id":  # as it was read
            if not isinstance(columns[attribute_name], list):
                columns[attribute_name] = columns[attribute_name].to_pylist()
            columns[attribute_name][row] = value
    return Chunk(
        columns=columns,
        rows=part.num_rows,
        text=frozenset(text),
        faulty=tuple(faulty),
        source=source,
    )


def _faulty(part: pa.Table) -> Iterator[tuple[int, str, str, str]]:
    """Yield (row, attribute, type, value) of each cast in the query that failed."""
    for column in part.column_names:
        if column.startswith(FAULT) and pa.types.is_struct(part.schema.field(column).type):
            for row in pc.indices_nonzero(pc.is_valid(part[column])).to_pylist():
                scalar: Any = part[column][row]
                fault = scalar.as_py()
                yield row, fault["attribute"], fault["type"], fault["value"]
