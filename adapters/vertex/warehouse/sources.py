"""Users' own data: objects in Cloud Storage, tables and views in BigQuery.

Nothing is changed there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from ....target import Target
from ...common.storage.object_names import goals, literal_prefix
from ..errors import translated
from ..session import retry, session_of

if TYPE_CHECKING:
    import pyarrow as pa

_CALL = 60  # seconds


@final
class GoogleSources:
    """Users' own data in Cloud Storage and BigQuery."""

    def __init__(self, target: Target) -> None:
        self._session = session_of(target)

    def copy(self, uri: str, folder: Path) -> None:
        """Download the objects at `gs://bucket/...` into a folder, with the caller's own rights.

        Raises:
            NotFound: There is none.
            Denied: The caller may not read them.
        """
        bucket_name, _, pattern = uri.removeprefix("gs://").partition("/")
        bucket = self._session.storage.bucket(bucket_name)
        with self._session.reading("storage.objects.list", uri):
            names = [
                blob.name
                for blob in bucket.list_blobs(prefix=literal_prefix(pattern), retry=retry())
            ]
        for name, goal in goals(uri, pattern, names, folder):
            with translated(f"reading gs://{bucket_name}/{name}"):
                bucket.blob(name).download_to_filename(str(goal), retry=retry())

    def rows(self, table: str) -> Iterator[pa.Table]:
        """Yield the rows of `dataset.table` or `project.dataset.table` as Arrow tables.

        A table is read as it is, a view by a query. Without rows there is one empty table.

        Raises:
            NotFound: There is no such table.
            Denied: The caller may not read it.
        """
        import pyarrow as pa

        bigquery = self._session.bigquery
        with self._session.reading("tables.get", f"bigquery://{table}"):
            described = bigquery.get_table(table, retry=retry(), timeout=_CALL)
            rows: Any
            if described.table_type == "TABLE":
                rows = bigquery.list_rows(described, retry=retry(), timeout=_CALL)
            else:
                rows = bigquery.query_and_wait(
                    f"SELECT * FROM `{described.full_table_id.replace(':', '.')}`",
                    retry=retry(),
                    job_retry=None,
                )
            schema: pa.Schema | None = None
            for batch in rows.to_arrow_iterable(bqstorage_client=self._session.bigquery_read):
                schema = batch.schema
                yield pa.Table.from_batches([batch])
            if schema is None:  # no rows: its columns alone
                yield rows.to_arrow(create_bqstorage_client=False)
