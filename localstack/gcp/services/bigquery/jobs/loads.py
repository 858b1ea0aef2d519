"""Load jobs: files of Parquet, JSON lines and CSV, uploaded or in Storage, into a table."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ....core.call import Call
from ....core.errors import GcpError
from ..data.types import SchemaField, schema_from_rest
from ..errors import BigQueryError, invalid, not_run
from ..formats import csv_files, json_files, parquet_files
from ..state.instance import BigQueryState
from ..state.jobs import Job, Outcome
from ..tables import row_writes

# A file's bytes, its columns where they are known, the configuration -> columns, rows for DuckDB,
# and rows that were left out.
Reader = Callable[
    [bytes, "tuple[SchemaField, ...] | None", Mapping[str, Any]],
    "tuple[tuple[SchemaField, ...], Any, list[BigQueryError]]",
]
_READERS: dict[str, Reader] = {
    "PARQUET": parquet_files.read,
    "NEWLINE_DELIMITED_JSON": json_files.read,
    "CSV": csv_files.read,
}
_ABSENT = ("AVRO", "ORC", "DATASTORE_BACKUP", "GOOGLE_SHEETS", "BIGTABLE")


def prepare(
    call: Call, instance: BigQueryState, job: Job, upload: bytes | None
) -> Callable[[], Outcome]:
    """Check a load job, and return the function that reads its files into a table.

    `upload` is the file's content if the request carries it. Raises BigQueryError `invalid` for a
    wrong configuration.
    """
    configuration = job.configuration["load"]
    form = str(configuration.get("sourceFormat") or "CSV").upper()
    if form in _ABSENT:
        raise not_run(f"loading {form}")
    if form not in _READERS:
        raise invalid(f"Invalid value for sourceFormat: {form}", "sourceFormat")
    if configuration.get("hivePartitioningOptions"):
        raise not_run("hivePartitioningOptions")
    target = row_writes.target_of(configuration, "WRITE_APPEND")
    schema = schema_from_rest(configuration["schema"]) if configuration.get("schema") else None
    uris = configuration.get("sourceUris") or ()
    if upload is None and not uris:
        raise BigQueryError("required", "Required parameter is missing: sourceUris", "sourceUris")

    def work() -> Outcome:
        row_writes.check(instance, target)
        files = [upload] if upload is not None else list(_files(call, uris))
        return _load(instance, job, target, schema=schema, files=files, reader=_READERS[form])

    return work


def _files(call: Call, uris: Sequence[str]) -> list[bytes]:
    """Return the contents of the gs:// files that a load job names; a name may have a `*`.

    Raises BigQueryError `notFound` for a URI at which nothing is.
    """
    from ...storage import in_process

    contents = []
    for uri in uris:
        if not uri.startswith("gs://"):
            raise invalid(
                f"Source URI must be a Google Cloud Storage location: {uri}", "sourceUris"
            )
        try:
            names = [uri]
            if "*" in uri:
                names = [
                    name
                    for name in in_process.uris_below(call, uri.partition("*")[0])
                    if fnmatch.fnmatchcase(name, uri)
                ]
            if not names:
                raise BigQueryError("notFound", f"Not found: URI {uri}")
            contents += [in_process.read(call, name) for name in names]
        except GcpError as error:
            raise BigQueryError("notFound", f"Not found: URI {uri}") from error
    return contents


def _load(
    instance: BigQueryState,
    job: Job,
    target: row_writes.WriteTarget,
    *,
    schema: tuple[SchemaField, ...] | None,
    files: Sequence[bytes],
    reader: Reader,
) -> Outcome:
    """Parse a load job's files by `reader`, write their rows to the table; return the outcome.

    Columns are `schema`'s, else the existing table's, else the files'.
    """
    configuration = job.configuration["load"]
    current = instance.catalog.find(target.ref)
    if (
        schema is None
        and current is not None
        and current.fields
        and not configuration.get("autodetect")
    ):
        appends = target.write != "WRITE_TRUNCATE"
        schema = current.fields if appends or reader is not parquet_files.read else None
    rest = int(configuration.get("maxBadRecords") or 0)
    parts, bad = [], list[BigQueryError]()
    for content in files:
        job.running.check()
        fields, rows, wrong = reader(content, schema, configuration)
        bad += wrong
        if len(bad) > rest:
            raise _too_many_errors(bad, rows)
        parts.append((fields, rows))
        schema = schema or fields
    fields = parts[0][0]

    def fill(cursor: Any, name: str, columns: Sequence[SchemaField]) -> None:
        job.running.watch(cursor)
        for own, rows in parts:
            names = {field.name.lower() for field in own}
            row_writes.fill_rows(rows)(
                cursor, name, [column for column in columns if column.name.lower() in names]
            )
        job.running.check()

    count = row_writes.write(instance, target, fields, fill)
    job.warnings = bad
    size = sum(map(len, files))
    statistics = {
        "inputFiles": str(len(files)),
        "inputFileBytes": str(size),
        "outputRows": str(count),
        "outputBytes": str(size),
        "badRecords": str(len(bad)),
    }
    return Outcome(rows=count, statistics=statistics)


def _too_many_errors(bad: Sequence[BigQueryError], rows: Any) -> BigQueryError:
    """Return the error for a load job with more bad rows than maxBadRecords."""
    words = "Error while reading data, error message: "
    if len(bad) == 1 and not rows.num_rows:
        return invalid(words + bad[0].message)
    return invalid(
        f"{words}too many errors encountered. Rows: {rows.num_rows + len(bad)}; errors: "
        f"{len(bad)}. {bad[0].message}"
    )
