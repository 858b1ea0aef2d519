"""One statement, from its text to its effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ....core import objects
from ....core.registry import Context
from ..ddl import alter_table as altering
from ..ddl import session
from ..ddl import statements as ddl
from ..errors import QueryFailed
from ..formats import types
from ..schemas import Table
from ..sql import statements
from ..tables import buckets, writes
from ..tables.catalog import Catalog, view_input
from ..tables.result import Result
from . import engine, results
from . import inserts as inserting
from . import prepared_statements as prepared
from .results import Row
from .running_query import Running

_CTAS = (
    "format", "external_location", "partitioned_by", "bucketed_by", "bucket_count",
    "write_compression", "parquet_compression", "orc_compression", "field_delimiter", "is_external",
    "table_type", "compression_level",
)  # fmt: skip
_CELL = 64  # bytes of a short Python string and the reference to it
_UNLOAD = ("format", "compression", "compression_level", "field_delimiter", "partitioned_by")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a statement, for GetQueryResults and GetQueryExecution."""

    columns: list[dict[str, Any]] = []
    rows: list[Row] = []
    header: Row | None = None
    update_count: int | None = None
    scanned: int = 0
    read_rows: int = 0
    output: bytes | None = None  # of the .csv or .txt; None: there is none
    manifest: tuple[str, ...] | None = None


class QueryRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A statement to run, and in which workgroup, catalog and database."""

    id: str
    statement: statements.Statement
    workgroup: str
    catalog: str
    database: str
    parameters: tuple[str, ...]
    output: str  # folder; "": Athena keeps the results (ManagedQueryResultsConfiguration)
    enforced: bool  # the workgroup decides where tables go


def statement_types(statement: statements.Statement) -> tuple[str, str]:
    """Return a statement's StatementType and SubstatementType, for GetQueryExecution."""
    if isinstance(statement, statements.Ddl):
        utility = statement.words[0] in ("SHOW", "DESCRIBE", "DESC")
        return ("UTILITY" if utility else "DDL"), "_".join(statement.words[:2])
    kinds = {
        statements.Select: ("DML", "SELECT"),
        statements.CreateTableAs: ("DDL", "CREATE_TABLE_AS_SELECT"),
        statements.Unload: ("DML", "UNLOAD"),
        statements.Insert: ("DML", "INSERT"),
        statements.CreateView: ("DDL", "CREATE_VIEW"),
        statements.Prepare: ("UTILITY", "PREPARE"),
        statements.Execute: ("DML", "SELECT"),
        statements.Deallocate: ("UTILITY", "DEALLOCATE"),
    }
    return kinds[type(statement)]


def location(statement: statements.Statement, folder: str, id_: str) -> str:
    """Return the OutputLocation of a statement: the S3 URI of its results below a folder.

    `id_` is the id of the query execution.
    """
    folder = folder.rstrip("/")
    if isinstance(statement, statements.CreateTableAs):
        return f"{folder}/tables/{id_}"
    if isinstance(statement, (statements.Unload, statements.Insert)):
        return f"{folder}/{id_}"
    return f"{folder}/{id_}.{'csv' if isinstance(statement, statements.Select) else 'txt'}"


def run(ctx: Context, running: Running, request: QueryRequest) -> Outcome:  # noqa: PLR0911  one line a kind
    """Run a SQL or DDL statement of Athena's, and return its result.

    `running` tells when the query is to stop.

    Raises:
        QueryFailed: The statement failed.
        Malformed: It does not parse.
        Cancelled: It was stopped, and has left nothing.
    """
    Catalog(ctx).check_name(request.catalog)
    statement = request.statement
    if isinstance(statement, statements.Select):
        return _select(ctx, running, request, statement)
    if isinstance(statement, statements.CreateTableAs):
        return _create_table(ctx, running, request, statement)
    if isinstance(statement, statements.Unload):
        return _unload(ctx, running, request, statement)
    if isinstance(statement, statements.Insert):
        return _insert(ctx, running, request, statement)
    if isinstance(statement, statements.CreateView):
        return _create_view(ctx, running, request, statement)
    running.keep()
    if isinstance(statement, statements.Ddl):
        opened = session.StatementSession(
            Catalog(ctx), ctx.client("s3"), request.database, ctx.clock.now()
        )
        return _listing_outcome(ddl.run(opened, statement.text))
    if isinstance(statement, statements.Prepare):
        prepared.prepare(ctx, request.workgroup, statement)
    if isinstance(statement, statements.Deallocate):
        prepared.deallocate(ctx, request.workgroup, statement)
    return _listing_outcome(session.StatementOutput())


def _select(
    ctx: Context, running: Running, request: QueryRequest, statement: statements.Select
) -> Outcome:
    """Run a SELECT, and return its rows and the content of its result file."""
    result = engine.run(ctx, running, _query(request, statement.query, cell=_CELL))
    rows = results.texts(result)
    information = results.columns(result)
    running.keep()
    return Outcome(
        columns=information,
        rows=rows,
        header=list(result.names),
        scanned=result.scanned,
        read_rows=result.read_rows,
        output=results.csv(result, rows),
    )


def _listing_outcome(shown: session.StatementOutput) -> Outcome:
    """Return the result of a statement, such as SHOW TABLES, whose rows are text."""
    columns = [{
        "Name": name, "Label": name, "Type": "string", "Precision": 0, "Scale": 0,
        "Nullable": "UNKNOWN", "CaseSensitive": False, "CatalogName": "hive", "SchemaName": "",
        "TableName": "",
    } for name in shown.columns]  # fmt: skip
    text = "".join("\t".join(cell or "" for cell in row) + "\n" for row in shown.rows)
    rows: list[Row] = [
        ["\t".join(cell or "" for cell in row)] if len(row) > 1 else list(row) for row in shown.rows
    ]
    return Outcome(columns=columns, rows=rows, output=text.encode())


def _row_count_outcome(count: int) -> Outcome:
    """Return the result of a statement that reports only a number of changed rows."""
    column = {
        "CatalogName": "hive", "SchemaName": "", "TableName": "", "Name": "rows", "Label": "rows",
        "Type": "bigint", "Precision": 19, "Scale": 0, "Nullable": "UNKNOWN",
        "CaseSensitive": False,
    }  # fmt: skip
    return Outcome(columns=[column], update_count=count)


def _written_outcome(result: Result, written: writes.Written) -> Outcome:
    """Return the result of a statement that wrote files, with their list (manifest)."""
    return msgspec.structs.replace(
        _row_count_outcome(written.rows),
        scanned=result.scanned,
        read_rows=result.read_rows,
        manifest=written.files,
    )


def _query(
    request: QueryRequest, text: str, *, cell: int = 0, describes: bool = False
) -> engine.Query:
    """Return a request's query as the engine runs it, with this SQL text.

    `cell` is how many bytes to reckon for each value as text; `describes` asks for the result's
    columns without rows.
    """
    return engine.Query(
        text=text,
        database=request.database,
        parameters=request.parameters,
        cell=cell,
        describes=describes,
    )


def _cell(form: writes.Format) -> int:
    """Return how many bytes to reckon for each value when rows are written as text.

    0: the format is columnar, and its values stay in columns.
    """
    return 0 if form.name in writes.COLUMNAR else _CELL


def _commit(running: Running) -> Callable[[bool], None]:
    """Return the callback by which a writer of files asks whether its query was cancelled.

    Called with False, before a file, it raises if the query was stopped. Called with True, after
    the last file, it makes the effect final: the query can be stopped no more.
    """
    return lambda last: running.keep() if last else running.check()


def _unload(
    ctx: Context, running: Running, request: QueryRequest, statement: statements.Unload
) -> Outcome:
    """Run an UNLOAD: write the rows of a query into files in S3."""
    partitioned_by = writes.partition_columns(statement.properties)
    if "format" not in statement.properties:
        raise QueryFailed("INVALID_PROCEDURE_ARGUMENT", "UNLOAD needs the property format")
    form = writes.format_of(statement.properties, _UNLOAD)
    s3 = ctx.client("s3")
    writes.check_empty(s3, statement.location, "UNLOAD")
    result = engine.run(ctx, running, _query(request, statement.query, cell=_cell(form)))
    writes.check_columns(result, partitioned_by)
    written = writes.write(
        s3,
        result,
        statement.location,
        form,
        partitioned_by=partitioned_by,
        now=ctx.clock.now(),
        keep=_commit(running),
    )
    return _written_outcome(result, written)


def _create_table(
    ctx: Context, running: Running, request: QueryRequest, statement: statements.CreateTableAs
) -> Outcome:
    """Run a CREATE TABLE AS: write the rows of a query, and create a Glue table."""
    database, name = statement.name
    database = (database or request.database).lower()
    catalog = Catalog(ctx)
    if catalog.table(database, name) is not None:
        if statement.exists_ok:
            return _row_count_outcome(0)
        raise QueryFailed(
            "TABLE_ALREADY_EXISTS",
            f"line 1:1: Destination table 'awsdatacatalog.{database}.{name}' already exists",
        )
    if not catalog.has_database(database):
        raise QueryFailed("SCHEMA_NOT_FOUND", f"Schema {database} not found", position=(1, 1))
    external = statement.properties.get("external_location")
    if external is not None and request.enforced:
        raise QueryFailed(
            "INVALID_TABLE_PROPERTY",
            "The Create Table As Select query failed because it was submitted with an "
            "'external_location' property to an Athena Workgroup "
            "that enforces a centralized output location for all queries. Please remove the "
            "'external_location' property and resubmit the "
            "query.",
        )
    if external is None and not request.output:
        raise QueryFailed(
            "INVALID_TABLE_PROPERTY",
            "external_location is needed in a workgroup with managed query results",
            position=(1, 1),
        )
    place = (
        str(external)
        if external is not None
        else f"{request.output.rstrip('/')}/tables/{request.id}"
    )
    partitioned_by = writes.partition_columns(statement.properties)
    form = writes.format_of(statement.properties, _CTAS)
    s3 = ctx.client("s3")
    writes.check_empty(s3, place, f"table '{database}.{name}'")
    result = engine.run(
        ctx,
        running,
        _query(request, statement.query, cell=_cell(form), describes=not statement.data),
    )
    writes.check_columns(result, partitioned_by)
    if "bucketed_by" in statement.properties:
        data = result.names[: len(result.names) - len(partitioned_by)]
        bucketed_by, count = buckets.columns_of(
            statement.properties["bucketed_by"], statement.properties.get("bucket_count"), data
        )
        form = msgspec.structs.replace(form, bucketed_by=bucketed_by, buckets=count)
    written = writes.Written(files=(), rows=0, size=0, partitions=())
    if statement.data:
        written = writes.write(
            s3,
            result,
            place,
            form,
            partitioned_by=partitioned_by,
            now=ctx.clock.now(),
            keep=_commit(running),
        )
    else:
        running.keep()
    catalog.create(database, writes.table_input(name, result, place, form, partitioned_by))
    _add_partitions(catalog, catalog.needed(database, name), written)
    return _written_outcome(result, written)


def _add_partitions(catalog: Catalog, table: Table, written: writes.Written) -> None:
    """Create the Glue partitions of a table for the files that a statement has written."""
    new = [altering.partition_input(table, values, place) for values, place in written.partitions]
    catalog.add_partitions(table, new, exists_ok=True)


def _insert(
    ctx: Context, running: Running, request: QueryRequest, statement: statements.Insert
) -> Outcome:
    """Run an INSERT INTO: write the rows of a query into new files of a table."""
    database, name = statement.name
    catalog = Catalog(ctx)
    table = catalog.needed(database or request.database, name, (1, 13))
    if table.view is not None:
        raise QueryFailed("NOT_SUPPORTED", "Inserting into views is not supported", position=(1, 1))
    names = [column.name for column in table.every]
    for column in statement.columns:
        if column not in names:
            raise QueryFailed(
                "COLUMN_NOT_FOUND",
                f"Insert column name does not exist in target table: {column}",
                position=(1, 1),
            )
    form = inserting.format_of(table)
    result = engine.run(ctx, running, _query(request, statement.query, cell=_cell(form)))
    fitted = inserting.fit(result, table, statement.columns or tuple(names))
    keys = tuple(column.name for column in table.partitions)
    written = writes.write(
        ctx.client("s3"),
        fitted,
        table.location,
        form,
        partitioned_by=keys,
        now=ctx.clock.now(),
        keep=_commit(running),
    )
    if table.parameters.get("projection.enabled") != "true":
        _add_partitions(catalog, table, written)
    return _written_outcome(result, written)


def _create_view(
    ctx: Context, running: Running, request: QueryRequest, statement: statements.CreateView
) -> Outcome:
    """Run a CREATE VIEW: store the query as a view in Glue."""
    database, name = statement.name
    database = (database or request.database).lower()
    catalog = Catalog(ctx)
    result = engine.run(ctx, running, _query(request, statement.query, describes=True))
    columns = [
        (column, types.athena(kind_), _view_type(kind_))
        for column, kind_ in zip(result.names, result.types, strict=True)
    ]
    for index, (column, _, _) in enumerate(columns):
        if column in [other for other, _, _ in columns[:index]]:
            raise QueryFailed(
                "DUPLICATE_COLUMN_NAME",
                f"Column name '{column}' specified more than once",
                position=(1, 1),
            )
    table_input = view_input(
        name, request.database.lower(), statement.query.strip(), columns, ctx.clock.now()
    )
    old = catalog.table(database, name)
    if old is not None and (not statement.replace or old.view is None):
        raise QueryFailed(
            "ALREADY_EXISTS" if old.view is not None else "TABLE_ALREADY_EXISTS",
            f"View already exists: {database}.{name}"
            if old.view is not None
            else f"Table already exists: {database}.{name}",
        )
    running.keep()
    if old is None:
        catalog.create(database, table_input)
    else:
        catalog.replace(database, table_input)
    return _listing_outcome(session.StatementOutput())


def _view_type(duck: str) -> str:
    """Translate a DuckDB type into the Glue type of a view's column."""
    try:
        return types.glue(duck)
    except ValueError:
        return "timestamp" if duck.startswith("TIMESTAMP") else "string"


def store(s3: Any, place: str, outcome: Outcome) -> str | None:
    """Write a query's result file to S3, at the URI `place`.

    Return the URI of the list of the files that the statement wrote (manifest); None: it wrote
    none.
    """
    if outcome.output is not None:
        objects.write(s3, place, outcome.output)
        objects.write(s3, f"{place}.metadata", results.metadata(outcome.columns))
    if outcome.manifest is None:
        return None
    objects.write(
        s3, f"{place}-manifest.csv", "".join(f"{uri}\n" for uri in outcome.manifest).encode()
    )
    objects.write(s3, f"{place}.metadata", results.metadata(outcome.columns))
    return f"{place}-manifest.csv"
