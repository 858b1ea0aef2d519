"""Rows that an UNLOAD left in S3, in their order and some at a time, however many there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ....errors import Invalid
from ....feature_store.port import RowSink
from ...common.warehouse.relations import path_literal, quoted
from ..errors import translated
from ..session import AwsSession
from .athena import Object
from .statements import ROW

if TYPE_CHECKING:
    import pyarrow as pa

_CHUNK = 100_000  # rows that are handed over at a time
_MEMORY = "512MiB"  # a sort that needs more goes on on disk
_THREADS = 4  # each needs some of the memory


def hand_over(
    aws: AwsSession, files: Sequence[Object], schema: pa.Schema, into: RowSink, *, ordered: bool
) -> None:
    """Pass on the rows of an UNLOAD's Parquet files, with the names and types of a schema.

    Args:
        aws: The session.
        files: The files in S3, which are copied to this machine's disk first.
        schema: The columns of the rows.
        into: Takes the rows.
        ordered: Whether the files have the rows' numbers as their last column; the rows then come
            in the order of their numbers.
    """
    with TemporaryDirectory(prefix="isthmus-query-") as folder:
        paths = []
        for number, item in enumerate(files):
            paths.append(Path(folder) / f"{number}.parquet")
            with translated(f"reading s3://{aws.bucket}/{item.key}"):
                aws.s3().download_file(aws.bucket, item.key, str(paths[-1]))
        into(_tables(paths, schema, ordered=ordered) if paths else iter(()))


def _tables(paths: Sequence[Path], schema: pa.Schema, *, ordered: bool) -> Iterator[pa.Table]:
    """Yield the rows of Parquet files in tables of limited size, sorted if they are numbered."""
    import duckdb
    import pyarrow as pa

    listed = ", ".join(path_literal(str(path)) for path in paths)
    order = f" ORDER BY {quoted(ROW)}" if ordered else ""
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": _MEMORY,
        "threads": _THREADS,
        "temp_directory": str(paths[0].parent),
        "autoinstall_known_extensions": "false",
    }
    with duckdb.connect(":memory:", config=config) as database:
        relation = database.sql(f"SELECT * FROM read_parquet([{listed}]){order}")
        reader = relation.to_arrow_reader(_CHUNK)
        if len(reader.schema) != len(schema) + ordered:
            raise Invalid(
                f"the files of the query have {len(reader.schema)} columns, not "
                f"{len(schema) + ordered}"
            )
        for batch in reader:
            columns = batch.columns[: len(schema)]
            table = pa.Table.from_arrays(columns, names=schema.names)  # Athena's are small letters
            yield table.cast(schema, safe=False)
