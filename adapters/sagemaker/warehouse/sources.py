"""Users' own data: objects in S3, and tables that Athena reads, through awswrangler.

Nothing is changed there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from ....errors import Invalid, NotFound
from ....events.sources.source import ROWS
from ....target import Packages, Target, require
from ...common.storage.object_names import goals, literal_prefix
from ..errors import translated
from ..session import AwsSession, aws_of
from . import athena

if TYPE_CHECKING:
    import pyarrow as pa

WRANGLER = Packages(modules=("awswrangler",), install="isthmus[sagemaker]")


@final
class AwsSources:
    """Users' own data in S3 and Athena."""

    def __init__(self, target: Target) -> None:
        self._aws = aws_of(target)

    def copy(self, uri: str, folder: Path) -> None:
        """Download the objects at `s3://bucket/...` into a folder, with the caller's own rights.

        Raises:
            NotFound: There is none.
            Denied: The caller may not read them.
        """
        bucket, _, pattern = uri.removeprefix("s3://").partition("/")
        self._aws.calls.reading("ListObjectsV2", uri)
        for name, goal in goals(
            uri, pattern, _object_keys(self._aws, bucket, literal_prefix(pattern)), folder
        ):
            with translated(f"reading s3://{bucket}/{name}"):
                self._aws.s3().download_file(bucket, name, str(goal))

    def rows(self, table: str) -> Iterator[pa.Table]:
        """Yield the rows of a user's own table as Arrow tables, with its own columns and types.

        Athena unloads it as Parquet into the project's scratch/, whose files are read one after
        another.

        Raises:
            NotFound: There is no such table.
            Denied: The caller may not read it.
            MissingDependency: awswrangler is not installed.
        """
        require(WRANGLER, f"athena://{table}")
        import awswrangler as wr
        import pyarrow as pa

        database, _, name = table.partition(".")
        self._aws.admit()
        self._aws.calls.reading("StartQueryExecution", f"athena://{table}")
        with athena.scratch(self._aws) as prefix, translated(f"reading athena://{table}"):
            if not wr.catalog.does_table_exist(
                database=database, table=name, boto3_session=self._aws.boto3
            ):
                raise NotFound(
                    f"there is no table {table}", remedy="a source is athena://database.table"
                )
            try:
                chunks: Any = wr.athena.read_sql_table(
                    name,
                    database,
                    ctas_approach=False,
                    unload_approach=True,
                    unload_parameters={"file_format": "PARQUET"},
                    s3_output=f"s3://{self._aws.bucket}/{prefix}rows/",
                    workgroup=self._aws.profile.options.get("workgroup", "primary"),
                    chunksize=ROWS,
                    dtype_backend="pyarrow",  # an int column with nulls stays one
                    boto3_session=self._aws.boto3,
                )
            except wr.exceptions.QueryFailed as error:
                raise Invalid(f"athena://{table}: {error}") from error
            schema: pa.Schema | None = None
            for frame in chunks:
                rows = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
                schema = rows.schema
                yield rows
            if schema is None:  # no rows: its columns alone
                names = (
                    wr.catalog.get_table_types(
                        database=database, table=name, boto3_session=self._aws.boto3
                    )
                    or {}
                )
                yield pa.table({column: pa.nulls(0) for column in names})


def _object_keys(aws: AwsSession, bucket: str, prefix: str) -> Iterator[str]:
    """Yield the keys of a bucket's objects below a prefix."""
    with translated(f"listing s3://{bucket}/{prefix}"):
        for page in (
            aws.s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        ):
            yield from (item["Key"] for item in page.get("Contents", ()))
