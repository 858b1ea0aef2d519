"""The project's tables and views in its BigQuery dataset.

A table's document (what BigQuery cannot say: required columns, the time column, a view's neutral
SQL) is JSON in its description, changed under the table's etag. A label holds the document's
digest, so that one listing tells which documents are to be read again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import msgspec

from ....core.formats import decode
from ....errors import AlreadyExists, Busy, Conflict, LimitExceeded, NotFound
from ...common.warehouse.tables import PARTITION, TableDocument, existing_table
from .. import names
from ..column_types import BIGQUERY
from ..errors import translated
from ..session import VertexSession, retry

_DIGEST = "isthmus_document"
_LONGEST = 16_384  # characters of a description
_ATTEMPTS = 6
_CALL = 60  # seconds
_PAGE = 1000

_DATASETS: WeakSet[VertexSession] = WeakSet()  # whose dataset is there
# documents that were read, by name, with their digests
_KNOWN: WeakKeyDictionary[VertexSession, dict[str, tuple[str, TableDocument]]] = WeakKeyDictionary()


class Catalogue(Mapping[str, TableDocument]):
    """The documents of this project's tables and views as of one listing, each read when needed."""

    def __init__(self, session: VertexSession, digests: Mapping[str, str]) -> None:
        self._session = session
        self._digests = digests

    def __getitem__(self, name: str) -> TableDocument:
        digest = self._digests[name]
        cached = _KNOWN.setdefault(self._session, {})
        if name not in cached or cached[name][0] != digest:
            table = read(self._session, name)
            document = None if table is None else document_of(self._session, table)
            if table is None or document is None:  # deleted since the listing
                raise KeyError(name)
            cached[name] = (table.labels[_DIGEST], document)
        return cached[name][1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._digests)

    def __len__(self) -> int:
        return len(self._digests)


def listing(session: VertexSession) -> Catalogue:
    """Return the project's tables and views in BigQuery; none if there is no dataset."""
    digests: dict[str, str] = {}
    with suppress(NotFound), session.reading("tables.list", session.dataset):
        for item in session.bigquery.list_tables(
            session.dataset, page_size=_PAGE, retry=retry(), timeout=_CALL
        ):
            if item.labels.get(names.PROJECT_LABEL) == session.name and _DIGEST in item.labels:
                digests[item.table_id] = item.labels[_DIGEST]
        _DATASETS.add(session)
    return Catalogue(session, digests)


def read(session: VertexSession, name: str) -> Any:
    """Return BigQuery's description of a table, or None."""
    try:
        with session.reading("tables.get", name):
            return session.bigquery.get_table(
                f"{session.dataset}.{name}", retry=retry(), timeout=_CALL
            )
    except NotFound:
        return None


class TableLabels(msgspec.Struct, frozen=True, kw_only=True):
    """A table's name, labels and description, named as BigQuery's client names them."""

    table_id: str
    labels: Mapping[str, str]
    description: str


def look(session: VertexSession, name: str) -> TableLabels | None:
    """Return a table's labels and description, or None, without importing BigQuery's client.

    That would load pandas and PyArrow, 100 MB, into a gateway.
    """
    try:
        with session.reading("tables.get", name):
            content = retry()(partial(_get, session, name))()
    except NotFound:
        return None
    answer: dict[str, Any] = msgspec.json.decode(content)
    return TableLabels(
        table_id=name, labels=answer.get("labels", {}), description=answer.get("description", "")
    )


def _get(session: VertexSession, name: str) -> bytes:
    """Fetch a table's labels and description as JSON by one HTTP request."""
    from google.api_core.exceptions import from_http_response

    host = session.endpoint_url or "https://bigquery.googleapis.com"
    table = f"projects/{session.project}/datasets/{session.dataset}/tables/{name}"
    url = f"{host}/bigquery/v2/{table}?fields=labels,description"
    with session.http() as http:
        answer = http.get(url, timeout=_CALL)
    if not answer.ok:
        raise from_http_response(answer)
    content: bytes = answer.content
    return content


def document_of(session: VertexSession, table: Any) -> TableDocument | None:
    """Return the stored description of a table, or None if it is another project's."""
    if table.labels.get(names.PROJECT_LABEL) != session.name or _DIGEST not in table.labels:
        return None
    return decode(
        (table.description or "").encode(),
        TableDocument,
        what=f"the document of table {table.table_id}",
    )


def existing(session: VertexSession, name: str) -> TableDocument:
    """Return the description of a table that must exist; raise NotFound, or Invalid for a view."""
    table = read(session, name)
    return existing_table(name, None if table is None else document_of(session, table))


def write(
    session: VertexSession,
    name: str,
    change: Callable[[TableDocument | None], TableDocument],
    view_query: str | None = None,
) -> TableDocument:
    """Create a BigQuery table or view, or change it if it is still as it was read.

    It is repeated if another process was faster. `change` gets the old description or None, and
    returns the new one; `view_query` is a view's SQL.
    """
    for _ in range(_ATTEMPTS):
        table = read(session, name)
        old = None if table is None else document_of(session, table)
        if table is not None and old is None:
            raise AlreadyExists(
                f"table {session.dataset}.{name} exists and is not this project's",
                remedy="rename one, or set `dataset:` in profiles.yaml",
            )
        document = change(old)
        try:
            if table is None:
                ensure_dataset(session)
                with translated(f"making table {name}", effect=True):
                    session.bigquery.create_table(
                        _new_table(session, document, view_query), retry=retry(), timeout=_CALL
                    )
            elif old != document:
                with translated(f"changing table {name}", effect=True):
                    session.bigquery.update_table(
                        *_changed_table(session, table, document, view_query),
                        retry=retry(),
                        timeout=_CALL,
                    )
        except (AlreadyExists, Conflict, NotFound):
            _DATASETS.discard(session)
            continue
        return document
    raise Busy(f"table {name} is being changed by somebody else", remedy="run this again")


def remove(session: VertexSession, name: str) -> None:
    """Delete a BigQuery table or view, which may be absent."""
    with translated(f"deleting table {name}", effect=True):
        session.bigquery.delete_table(
            f"{session.dataset}.{name}", retry=retry(), timeout=_CALL, not_found_ok=True
        )


def ensure_dataset(session: VertexSession) -> None:
    """Create the project's BigQuery dataset if it does not exist; checked once a session."""
    from google.cloud.bigquery import Dataset

    if session in _DATASETS:
        return
    dataset = Dataset(f"{session.project}.{session.dataset}")
    dataset.location = session.location
    dataset.labels = session.labels("dataset", session.name)
    with suppress(AlreadyExists), translated(f"making dataset {session.dataset}", effect=True):
        session.bigquery.create_dataset(dataset, retry=retry(), timeout=_CALL)
    _DATASETS.add(session)


def _new_table(session: VertexSession, document: TableDocument, view_query: str | None) -> Any:
    """Return a BigQuery Table object for creating a table, or a view with the SQL `view_query`."""
    from google.cloud.bigquery import Table, TimePartitioning

    table = Table(f"{session.project}.{session.dataset}.{document.name}")
    table.labels, table.description = _labels(session, document), _description(document)
    if view_query is not None:
        table.view_query = view_query
        return table
    table.schema = [*_fields(document), _field(PARTITION, "STRING")]
    table.time_partitioning = TimePartitioning(field=document.time_column)
    table.clustering_fields = [PARTITION]  # a condition on dt reads the blocks of its dates only
    return table


def _changed_table(
    session: VertexSession, table: Any, document: TableDocument, view_query: str | None
) -> tuple[Any, list[str]]:
    """Return a BigQuery Table changed to a new description, and the names of changed fields."""
    table.labels, table.description = _labels(session, document), _description(document)
    if view_query is not None:
        table.view_query = view_query
        return table, ["labels", "description", "view_query"]
    present = {field.name.lower() for field in table.schema}
    table.schema = [
        *table.schema,
        *(field for field in _fields(document) if field.name.lower() not in present),
    ]
    return table, ["labels", "description", "schema"]


def _fields(document: TableDocument) -> list[Any]:
    """Return the BigQuery schema fields of a table's columns."""
    return [_field(column.name, BIGQUERY[column.type]) for column in document.columns]


def _field(name: str, kind: str) -> Any:
    """Return a BigQuery schema field of a type, which is never REQUIRED.

    A column that is added to a table cannot be REQUIRED, nor can a query's rows be appended to one.
    Required values are checked before rows are written.
    """
    from google.cloud.bigquery import SchemaField

    return SchemaField(name, kind)


def _labels(session: VertexSession, document: TableDocument) -> dict[str, str]:
    """Return a BigQuery table's labels, with a digest of its stored description."""
    digest = hashlib.sha256(msgspec.json.encode(document)).hexdigest()[:32]
    return {
        **session.labels("table" if document.view_sql is None else "view", document.name),
        _DIGEST: digest,
    }


def _description(document: TableDocument) -> str:
    """Return a table's stored description as JSON text, for BigQuery's description field.

    Raise LimitExceeded if it is too long.
    """
    text = msgspec.json.encode(document).decode()
    if len(text) > _LONGEST:
        raise LimitExceeded(
            f"{document.name}: what is to be known of it takes {len(text):,} characters, and "
            f"BigQuery keeps {_LONGEST:,}",
            remedy="fewer columns, or a shorter view",
        )
    return text
