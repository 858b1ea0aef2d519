"""The catalog: which datasets and tables there are, and what their owners wrote about them.

Their rows are in the warehouse.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from ....core.projects import number_of
from ....googlesql.analyzer import Function
from ..data.types import SchemaField
from ..errors import BigQueryError, invalid

_DATASET_ID = re.compile(r"\w{1,1024}")
_TABLE_ID = re.compile(r"[\w\- ]{1,1024}")


class TableRef(msgspec.Struct, frozen=True):
    """The name of a table: project, dataset and table."""

    project: str
    dataset: str
    table: str

    def __str__(self) -> str:
        return f"{self.project}:{self.dataset}.{self.table}"

    def rest(self) -> dict[str, str]:
        """Return the table's name as a TableReference in JSON."""
        return {"projectId": self.project, "datasetId": self.dataset, "tableId": self.table}


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset, with what its owner wrote about it."""

    project: str
    id: str
    written: Mapping[
        str, Any
    ]  # by its owner: description, labels, access, defaultTableExpirationMs ...
    location: str
    created: datetime
    modified: datetime
    etag: str


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table or a view, with what its owner wrote about it."""

    ref: TableRef
    fields: tuple[SchemaField, ...]
    written: Mapping[str, Any]  # by its owner, without schema and expirationTime
    location: str
    created: datetime
    modified: datetime
    expires: datetime | None = None
    version: int = 0  # of its rows
    etag: str = ""

    @property
    def kind(self) -> str:
        """The kind of table: TABLE, VIEW or SNAPSHOT."""
        if "view" in self.written:
            return "VIEW"
        return "SNAPSHOT" if "snapshotDefinition" in self.written else "TABLE"

    @property
    def stored(self) -> bool:
        """Whether the table stores rows."""
        return self.kind != "VIEW"


class Catalog:
    """The datasets, tables and functions of a stack; it guards itself.

    What it gives are values that do not change.
    """

    def __init__(self) -> None:
        self._datasets: dict[tuple[str, str], Dataset] = {}
        self._tables: dict[TableRef, Table] = {}
        self.routines: dict[TableRef, Function] = {}  # guarded by the lock
        self.lock = threading.RLock()
        self.sizes: dict[
            TableRef, tuple[Any, int, Mapping[str, int]]
        ] = {}  # of which content; rows, bytes by column

    def dataset(self, project: str, dataset: str) -> Dataset:
        """Return a dataset's entry; raise `notFound` if there is none."""
        try:
            return self._datasets[project, dataset]
        except KeyError:
            raise BigQueryError("notFound", f"Not found: Dataset {project}:{dataset}") from None

    def id_of(self, project: str) -> str:
        """Return the id of a project given by number, if it has a dataset; else the argument."""
        if not project.isdecimal():
            return project
        with self.lock:
            return next(
                (owner for owner, _ in self._datasets if number_of(owner) == project), project
            )

    def datasets(self, project: str) -> list[Dataset]:
        """Return a project's datasets, sorted by id."""
        with self.lock:
            return sorted(
                (d for (owner, _), d in self._datasets.items() if owner == project),
                key=lambda d: d.id,
            )

    def add_dataset(self, dataset: Dataset) -> Dataset:
        """Add a dataset; raise an error if its id is not valid or is taken."""
        if not _DATASET_ID.fullmatch(dataset.id):
            words = (
                "Dataset IDs must be alphanumeric (plus underscores) and must be at most 1024 "
                "characters long."
            )
            raise invalid(f'Invalid dataset ID "{dataset.id}". {words}')
        with self.lock:
            if (dataset.project, dataset.id) in self._datasets:
                raise BigQueryError(
                    "duplicate", f"Already Exists: Dataset {dataset.project}:{dataset.id}"
                )
            return self._put_dataset(dataset)

    def change_dataset(
        self, dataset: Dataset, change: Callable[[Dataset], Dataset], if_match: str | None
    ) -> Dataset:
        """Replace a dataset by `change`'s result; raise an error if `if_match` is a stale etag.

        It returns the new entry.
        """
        with self.lock:
            current = self.dataset(dataset.project, dataset.id)
            check_etag(current.etag, if_match)
            return self._put_dataset(change(current))

    def _put_dataset(self, dataset: Dataset) -> Dataset:
        """Store a dataset's entry with a new etag, and return it."""
        stamped = msgspec.structs.replace(dataset, etag=_etag(dataset.written, dataset.modified))
        self._datasets[dataset.project, dataset.id] = stamped
        return stamped

    def remove_dataset(self, dataset: Dataset) -> None:
        """Remove a dataset's entry from the catalog, if it is there."""
        with self.lock:
            self._datasets.pop((dataset.project, dataset.id), None)

    def table(self, ref: TableRef) -> Table:
        """Return a table's entry; raise `notFound` if there is none."""
        table = self.find(ref)
        if table is None:
            self.dataset(ref.project, ref.dataset)
            raise BigQueryError("notFound", f"Not found: Table {ref}")
        return table

    def find(self, ref: TableRef) -> Table | None:
        """Return a table's entry, or None if there is none."""
        table = self._tables.get(ref)
        if table is None:
            dataset = self._datasets.get((ref.project, ref.dataset))
            if dataset is not None and dataset.written.get("isCaseInsensitive"):
                name = str(ref).lower()
                return next(
                    (other for key, other in self._tables.items() if str(key).lower() == name), None
                )
        return table

    def tables(self, project: str, dataset: str) -> list[Table]:
        """Return a dataset's tables, sorted by name."""
        self.dataset(project, dataset)
        with self.lock:
            within = [
                t
                for ref, t in self._tables.items()
                if (ref.project, ref.dataset) == (project, dataset)
            ]
        return sorted(within, key=lambda t: t.ref.table)

    def every_table(self) -> Iterator[Table]:
        """Yield the entries of all tables of all datasets."""
        with self.lock:
            yield from list(self._tables.values())

    def add_table(self, table: Table) -> Table:
        """Add a table's entry; raise an error if its name is not valid or is taken."""
        check_table_id(table.ref)
        with self.lock:
            self.dataset(table.ref.project, table.ref.dataset)
            if table.ref in self._tables:
                raise BigQueryError("duplicate", f"Already Exists: Table {table.ref}")
            return self.put_table(table)

    def put_table(self, table: Table) -> Table:
        """Store a table's entry with a new etag, replacing one of the same name."""
        stamped = msgspec.structs.replace(
            table,
            etag=_etag(
                table.written, table.modified, table.version, repr(table.fields), table.expires
            ),
        )
        self._tables[table.ref] = stamped
        return stamped

    def change_table(
        self, ref: TableRef, change: Callable[[Table], Table], if_match: str | None = None
    ) -> Table:
        """Replace a table's entry by `change`'s result; return it. Refuse a stale `if_match`."""
        with self.lock:
            current = self.table(ref)
            check_etag(current.etag, if_match)
            return self.put_table(change(current))

    def remove_table(self, ref: TableRef) -> None:
        """Remove a table's entry from the catalog, if it is there."""
        with self.lock:
            self._tables.pop(ref, None)
            self.sizes.pop(ref, None)


def check_table_id(ref: TableRef) -> None:
    """Raise `invalid` if a table's name is not one that BigQuery permits."""
    if not _TABLE_ID.fullmatch(ref.table):
        words = (
            "Table IDs must be alphanumeric (plus underscores) and must be at most 1024 "
            "characters long."
        )
        raise invalid(f'Invalid table ID "{ref.table}". {words}')


def check_etag(etag: str, if_match: str | None) -> None:
    """Raise `conditionNotMet` if a request's If-Match is neither `*` nor this etag."""
    if if_match is not None and if_match not in ("*", etag):
        raise BigQueryError("conditionNotMet", "Precondition check failed.")


def _etag(*parts: object) -> str:
    """Return an etag that is a hash of these values."""
    return base64.b64encode(hashlib.blake2b(repr(parts).encode(), digest_size=16).digest()).decode()
