"""Read Parquet files, Arrow tables and DataFrames as chunks of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ...errors import Invalid
from ...project.specs.description import Event
from ..validation.chunks import Chunk, attributes_of
from ..validation.values import as_json
from .source import ROWS, Source, check_columns

if TYPE_CHECKING:
    import pandas as pd


def table_source(event: Event, table: pa.Table, name: str, stage: Path) -> Source:
    """Return an Arrow table as a source of events to ingest.

    `name` is what errors call it, and `stage` the folder for a copy.
    """
    return tables_source(event, iter((table,)), name, stage)


def tables_source(event: Event, tables: Iterator[pa.Table], name: str, stage: Path) -> Source:
    """Return a stream of Arrow tables of one schema as a source of events to ingest.

    `name` is what errors call it, and `stage` the folder for a copy.
    """
    copy = stage / "rows.parquet"
    first = next(tables)
    with pq.ParquetWriter(copy, first.schema) as writer:
        for table in chain((first,), tables):
            writer.write_table(table)
    return parquet_source(event, copy, name)


def frame_source(event: Event, frame: pd.DataFrame, stage: Path) -> Source:
    """Return a pandas DataFrame as a source of events to ingest.

    `stage` is the folder for a copy.
    """
    times = [
        a.name for a in attributes_of(event) if a.type == "timestamp" and a.name in frame.columns
    ]
    for name in times:
        if frame[name].dtype.kind == "M" and getattr(frame[name].dtype, "tz", None) is None:
            raise Invalid(
                f"dataframe: the times in column {name} have no time zone",
                remedy=f'say which it is: frame["{name}"] = frame["{name}"].dt.tz_localize("UTC")',
            )
    if any(
        map(_naive, (value for name in times for value in frame[name]))
    ):  # as Python's own datetimes: Arrow would take them for UTC
        return _mixed_frame(event, frame, stage)
    try:
        return table_source(
            event, pa.Table.from_pandas(frame, preserve_index=False), "dataframe", stage
        )
    except (
        pa.ArrowInvalid,
        pa.ArrowTypeError,
    ):  # a column of several types: Arrow cannot hold it, so its rows are judged one by one
        return _mixed_frame(event, frame, stage)


def _naive(value: object) -> bool:
    """Return whether a value is a datetime without a time zone."""
    return isinstance(value, datetime) and value.tzinfo is None


def _as_json_has_it(value: object) -> object:
    """Convert a DataFrame's value as JSON would have it: a naive datetime becomes text.

    A time without a zone is then refused as such.
    """
    return value.isoformat() if isinstance(value, datetime) and value.tzinfo is None else value


def _mixed_frame(event: Event, frame: pd.DataFrame, stage: Path) -> Source:
    """Return a DataFrame whose columns mix types as a source, by way of a JSON lines copy."""
    check_columns(event, [str(name) for name in frame.columns], "dataframe")
    plain = frame.astype(object).where(frame.notna(), None)
    copy = stage / "rows.jsonl"
    with copy.open("w") as file:
        file.writelines(
            as_json({str(k): v for k, v in row.items()}) + "\n" for row in plain.to_dict("records")
        )

    def chunks() -> Iterator[Chunk]:
        for start in range(0, len(plain), ROWS):
            part = plain.iloc[start : start + ROWS]
            yield Chunk(
                columns={
                    str(name): list(map(_as_json_has_it, part[name])) for name in part.columns
                },
                rows=len(part),
            )

    return Source(name="dataframe", raw=copy, rows=len(plain), chunks=chunks)


def parquet_source(event: Event, path: Path, name: str) -> Source:
    """Return a Parquet file as a source of events to ingest.

    Raises:
        Invalid: It cannot be read, or has columns that the event does not have.
    """

    def unreadable(error: Exception) -> Invalid:
        return Invalid(
            f"{name} cannot be read as Parquet: {error}",
            remedy="nothing was changed; write the file again, or leave it out",
        )

    try:
        with pq.ParquetFile(path) as file:
            rows = file.metadata.num_rows
            schema = file.schema_arrow
            names = list(schema.names)
            _ = str(schema)  # decodes every name, those within structs, too
    except UnicodeDecodeError as error:
        name_shown = error.object.decode("utf-8", "backslashreplace")
        raise Invalid(
            f"{name} has a column whose name is not UTF-8: {name_shown}",
            remedy="write the file again with its name in UTF-8",
        ) from error
    except (pa.ArrowException, OSError) as error:
        raise unreadable(error) from error
    check_columns(event, names, name)
    _check_zones(schema, name)

    def chunks() -> Iterator[Chunk]:
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=ROWS):
                    columns = zip(batch.schema.names, map(_decodable, batch.columns), strict=True)
                    yield Chunk(columns=dict(columns), rows=batch.num_rows)
        except (pa.ArrowException, OSError) as error:
            raise unreadable(error) from error

    return Source(name=name, raw=path, rows=rows, chunks=chunks)


def _decodable(column: pa.Array[Any]) -> pa.Array[Any] | list[object]:
    """Return a text column as it is if it is valid UTF-8, else as a list of text and bytes.

    Parquet does not ensure that it is.
    """
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return [
            _text_or_bytes(value)
            for value in column.view(
                pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary()
            ).to_pylist()
        ]
    return column


def _text_or_bytes(value: bytes | None) -> object:
    """Decode bytes to text; return the bytes if they are not valid UTF-8."""
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return value


def _check_zones(schema: pa.Schema, name: str) -> None:
    """Raise Invalid if a timestamp column has an unknown time zone."""
    for field in schema:
        zone = field.type.tz if pa.types.is_timestamp(field.type) else None
        try:
            pa.scalar(0, field.type).as_py() if zone else None
        except (
            KeyError,
            ValueError,
            pa.ArrowException,
        ) as error:  # KeyError: pytz's and zoneinfo's own are of it
            raise Invalid(
                f"{name}: column {field.name} is in the time zone {zone!r}, which nobody "
                "here knows",
                remedy="write its times in UTC",
            ) from error
