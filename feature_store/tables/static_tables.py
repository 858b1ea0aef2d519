"""Load static tables: slow things that are not events.

A file of the project becomes rows of the warehouse, loaded again when it changes.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ...core.formats import StoredDocument, decode
from ...errors import Invalid, NotFound
from ...events.port import Column, ColumnType
from ...events.tables.column_types import arrow_type
from ...project.reading.names import OURS
from ...reports.columns import plural
from .relations import static_raw_name, static_table

if TYPE_CHECKING:
    import pyarrow as pa

    from ...core.runtime.project import Project

_RESERVED = ("loaded_timestamp", "dt")


class StaticLoad(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    rows: int
    changed: bool  # the content is not the one loaded last


class _Loaded(StoredDocument, frozen=True, kw_only=True):
    """The newest load of a table, in the state `tables/<name>`.

    It is written before the load's rows, so that after a crash the same batch is repeated.
    """

    digest: str
    loaded: datetime
    sequence: int
    done: bool


def load_static(project: Project, name: str) -> StaticLoad:
    """Load a static table's file into the warehouse, if its content changed since the last load.

    Readers see the newest load only. It is safe to run again after a crash at any point. Going back
    to an earlier content (A, B, A) is a load of its own.

    Raises:
        NotFound: there is no such file.
        Invalid: the file cannot be a table. The error names file and column.
    """
    with project.lock("apply"):
        data, digest = _read(project, name)
        key, state = f"tables/{name}", project.target.state
        document = state.get(key)
        token = document.token if document else None
        last = decode(document.value, _Loaded, what=f"state {key}") if document else None
        warehouse = project.target.warehouse
        raw, view = static_table(name, columns(data, f"tables.{name}"))
        gone = (table_state := warehouse.observe(raw.name)) is None or table_state.rows == 0
        warehouse.apply(raw)
        warehouse.apply(view)
        if last and last.digest == digest and last.done and not gone:
            return StaticLoad(name=name, rows=data.num_rows, changed=False)
        if last is None or last.digest != digest or last.done:
            # Strictly later than the load before, also on a clock that went back: readers take the
            # newest.
            loaded = (
                max(project.log_time(), last.loaded + timedelta(milliseconds=1))
                if last
                else project.log_time()
            )
            last = _Loaded(
                digest=digest, loaded=loaded, sequence=last.sequence + 1 if last else 1, done=False
            )
            token = state.put(key, msgspec.json.encode(last), expect=token)
        warehouse.append(
            raw.name, _stamped(data, last.loaded), batch=f"{name}-{last.sequence:06d}-{digest[:12]}"
        )
        state.put(key, msgspec.json.encode(msgspec.structs.replace(last, done=True)), expect=token)
        return StaticLoad(name=name, rows=data.num_rows, changed=True)


def inspect_static(project: Project, name: str) -> StaticLoad:
    """Read a static table's file; return its rows, and whether `apply` would load it now."""
    data, digest = _read(project, name)
    document = project.target.state.get(f"tables/{name}")
    last = decode(document.value, _Loaded, what=f"state tables/{name}") if document else None
    same = (
        last is not None
        and last.done
        and last.digest == digest
        and project.target.warehouse.observe(static_raw_name(name)) is not None
    )
    return StaticLoad(name=name, rows=data.num_rows, changed=not same)


def read_file(path: Path, *, where: str) -> pa.Table:
    """Read a Parquet or CSV file as an Arrow table, in the column types that are stored.

    Times are in UTC milliseconds.

    Raises:
        NotFound: there is no such file.
        Invalid: it is another kind of file, or a column has no such type. The error names `where`
            and the column.
    """
    import pyarrow as pa
    from pyarrow import csv, parquet

    if not path.is_file():
        raise NotFound(
            f"{where}: there is no file {path}",
            remedy="paths in project.yaml are relative to its folder",
        )
    suffix = path.suffix.lower()
    if suffix not in {".parquet", ".csv"}:
        raise Invalid(
            f"{where}: {path.name} is neither .parquet nor .csv",
            remedy="convert it, or read it in sources/ as events",
        )
    try:
        data = parquet.ParquetFile(path).read() if suffix == ".parquet" else csv.read_csv(path)
    except (pa.ArrowException, OSError) as error:
        raise Invalid(
            f"{where}: {path.name} cannot be read: {error}", remedy="is the file whole?"
        ) from error
    if data.num_rows == 0:
        raise Invalid(
            f"{where}: {path.name} has no rows",
            remedy="a table without rows would keep the rows of the load before it",
        )
    return _conformed(data, where)


def columns(data: pa.Table, where: str) -> tuple[Column, ...]:
    """Return the names and types of a static table's columns from its data."""
    return tuple(Column(name=field.name, type=_column_type(field, where)) for field in data.schema)


def _read(project: Project, name: str) -> tuple[pa.Table, str]:
    """Read a static table's file, and return it as an Arrow table with its digest."""
    if name not in project.spec.tables:
        raise NotFound(
            f"there is no table {name} (there is: {', '.join(project.spec.tables) or 'none'})"
        )
    data = read_file(project.folder / project.spec.tables[name].path, where=f"tables.{name}")
    return data, _digest(data)


def _column_type(field: pa.Field[pa.DataType], where: str) -> ColumnType:
    """Return the stored type (int64, string, ...) of an Arrow field; raise Invalid if none fits."""
    import pyarrow as pa

    kinds: tuple[tuple[ColumnType, bool], ...] = (
        ("bool", pa.types.is_boolean(field.type)),
        ("int64", pa.types.is_integer(field.type)),
        ("float64", pa.types.is_floating(field.type) or pa.types.is_decimal(field.type)),
        ("timestamp", pa.types.is_timestamp(field.type) or pa.types.is_date(field.type)),
        (
            "string",
            pa.types.is_string(field.type)
            or pa.types.is_large_string(field.type)
            or pa.types.is_null(field.type),
        ),
    )
    for kind, fits in kinds:
        if fits:
            return kind
    raise Invalid(
        f"{where}: column {field.name} is {field.type}",
        remedy="columns are bool, int64, float64, string or timestamp: convert it in the file",
    )


def _conformed(data: pa.Table, where: str) -> pa.Table:
    """Return an Arrow table cast to the types that are stored; raise Invalid for reserved names.

    `where` names the file in errors.
    """
    import pyarrow as pa

    arrays, names = [], []
    for field, values in zip(list(data.schema), data.columns, strict=True):
        if field.name in _RESERVED or field.name.lower().startswith(OURS):
            raise Invalid(
                f"{where}: a column may not be called {field.name}",
                remedy="every table has one of its own: rename it in the file",
            )
        if field.name in names:
            raise Invalid(
                f"{where}: two columns are called {field.name}", remedy="rename one in the file"
            )
        plain, name = values, field.name
        if pa.types.is_dictionary(field.type):
            plain = values.cast(field.type.value_type)
        if pa.types.is_timestamp(plain.type) and plain.type.tz is not None:
            plain = plain.cast(pa.timestamp(plain.type.unit, tz="UTC"))
        kind = _column_type(pa.field(name, plain.type), where)
        try:
            arrays.append(
                plain.cast(arrow_type(kind), kind != "timestamp")
            )  # times are truncated to milliseconds, nothing else may be
        except pa.ArrowInvalid as error:
            raise Invalid(
                f"{where}: column {name}: {error}", remedy="it does not fit into 64 bits"
            ) from error
        if kind == "float64":
            arrays[-1] = _finite(arrays[-1], name, where)
        names.append(name)
    return pa.Table.from_arrays(arrays, names=names)


def _finite(values: pa.ChunkedArray[Any], name: str, where: str) -> pa.ChunkedArray[Any]:
    """Return a column of floats with null for NaN, which engines compare and sort differently.

    `where` names the file in errors.

    Raises:
        Invalid: A value is infinite.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if infinite := values.filter(pc.is_inf(values)).length():
        raise Invalid(
            f"{where}: column {name} is infinite in {plural(infinite, 'row')}",
            remedy="engines compute differently with it: leave the value out, or write a number",
        )
    finite: pa.ChunkedArray[Any] = pc.if_else(
        pc.is_nan(values), pa.scalar(None, values.type), values
    )
    return finite


def _stamped(data: pa.Table, loaded: datetime) -> pa.Table:
    """Return a static table's rows with a column added for the time of this load."""
    import pyarrow as pa

    stamp = pa.array([loaded.replace(tzinfo=None)] * data.num_rows, pa.timestamp("ms"))
    return data.append_column("loaded_timestamp", stamp)


def _digest(data: pa.Table) -> str:
    """Return a SHA-256 of a table's column names, types and values in their order.

    The file's own encoding does not count.
    """
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    whole = data.combine_chunks()
    with pa.ipc.new_stream(sink, whole.schema) as writer:
        writer.write_table(whole)
    return hashlib.sha256(sink.getvalue()).hexdigest()
