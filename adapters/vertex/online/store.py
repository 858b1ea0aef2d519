"""OnlineStore in Vertex AI Feature Store: a feature view over a BigQuery view for each of ours.

A project has one Bigtable store. The BigQuery view `<view>_latest` holds each entity once, as it
was known at a moment that is written in it: a sync moves the moment, then copies the whole. Its
features and that moment are a document in its description, changed with its text under its etag.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, final

import msgspec

from ....core.formats import StoredDocument, decode
from ....errors import AlreadyExists, Busy, Conflict, NotFound, Unavailable
from ....events.port import Column
from ....feature_store.port import OnlineViewSpec, OnlineViewState, SyncReport
from ....storage import Phase, wait
from ....target import Target
from ....times import epoch_milliseconds, from_epoch
from ...common.online import latest_sql, merged, not_found, put_rows
from .. import names, operations
from .. import sql as bigquery
from ..errors import translated
from ..session import VertexSession, retry, session_of
from ..warehouse import catalogue
from . import direct_writes, feature_values

if TYPE_CHECKING:
    import pyarrow as pa

KIND = "online_view"
STORE = "online_store"
_NODES = {"min_node_count": 1, "max_node_count": 3, "cpu_utilization_target": 50}
_PATIENCE = timedelta(minutes=40)  # a Bigtable store takes ten or so
_SYNCED = timedelta(hours=2)
_REFUSALS = 60  # of a sync while none is seen to run: half a minute, at the pace of `wait`
_CALL = 60  # seconds
_ATTEMPTS = 6
_KNOWN = 30.0  # seconds that a reader trusts what it knows of a view
# and where a key was not there: Vertex AI has one answer for a key and for a view that is absent
_SURE = 1.0
_STABLE = 1


class _View(StoredDocument, frozen=True, kw_only=True):
    """The document in the description of a BigQuery view."""

    history: str
    features: tuple[Column, ...]
    until: int = 0  # ms: the rows that were created up to then are in the view


@final
class VertexFeatures:
    """The OnlineStore port over Feature Store."""

    def __init__(self, target: Target) -> None:
        self._session = session_of(target)
        self._readers: dict[str, tuple[float, tuple[Column, ...]]] = {}

    def apply(self, view: OnlineViewSpec) -> None:
        """Create a feature view for an online view, or add features to it.

        It waits for the project's online store, the first time for minutes.

        Raises:
            Invalid: A feature is dropped, or has another type.
        """
        names.check("view", view.name)

        def change(old: _View | None) -> _View:
            features = (
                view.features if old is None else merged(view.name, old.features, view.features)
            )
            return _View(history=view.history, features=features, until=old.until if old else 0)

        self._write(view.name, change)
        self._readers.pop(view.name, None)
        store = _store_path(self._session)
        if (existing_store := _store(self._session)) is None:
            request = {
                "parent": self._session.parent,
                "feature_online_store_id": store.rpartition("/")[2],
                "feature_online_store": {
                    "bigtable": {"auto_scaling": _NODES},
                    "labels": self._session.labels(STORE, self._session.name),
                },
            }
            self._make(
                "CreateFeatureOnlineStore",
                store,
                lambda: self._session.features.create_feature_online_store(request=request),
            )
        if existing_store is None or existing_store.state != _STABLE:
            self._wait_until_stable()
        if _feature_view(self._session, view.name) is None:
            uri = f"bq://{self._session.project}.{self._session.dataset}.{_source(view.name)}"
            request = {
                "parent": store,
                "feature_view_id": view.name,
                "feature_view": {
                    "big_query_source": {"uri": uri, "entity_id_columns": [feature_values.KEY]},
                    "labels": self._session.labels(KIND, view.name),
                },
            }
            path = view_path(self._session, view.name)
            self._make(
                "CreateFeatureView",
                path,
                lambda: self._session.features.create_feature_view(request=request),
            )

    def _make(self, operation: str, path: str, create: Callable[[], Any]) -> None:
        """Call `create` and wait for its operation, unless the resource at `path` exists."""
        try:
            with self._session.mutating(operation, path):
                begun = create()
        except AlreadyExists:  # another process, or this one before a crash, was quicker
            return
        operations.wait_for_success(
            self._session, self._session.features, begun, what=f"making {path}", deadline=_PATIENCE
        )

    def _wait_until_stable(self) -> None:
        """Wait until the project's online store reports that it is stable."""
        wait(
            lambda: _store(self._session),
            lambda store: store is not None and store.state == _STABLE,
            deadline=_PATIENCE,
            what=f"online store {_store_path(self._session)}",
        )

    def _write(self, view: str, change: Callable[[_View | None], _View]) -> _View:
        """Create or change the BigQuery view of an online view; return its stored description.

        `change` gets the old description or None. The write is repeated if others changed it.
        Raises AlreadyExists if the name is another table's.
        """
        from google.cloud.bigquery import Table

        session, name = self._session, _source(view)
        for _ in range(_ATTEMPTS):
            table = catalogue.read(session, name)
            old = None if table is None else _document(session, view, table)
            document = change(old)
            if document == old:
                return document
            fresh = table is None
            table = Table(f"{session.project}.{session.dataset}.{name}") if table is None else table
            table.view_query = _source_query(session, document)
            table.description, table.labels = (
                msgspec.json.encode(document).decode(),
                session.labels(f"{KIND}_source", view),
            )
            try:
                with session.mutating("tables.insert" if fresh else "tables.patch", name):
                    if fresh:
                        catalogue.ensure_dataset(session)
                        session.bigquery.create_table(table, retry=retry(), timeout=_CALL)
                    else:
                        session.bigquery.update_table(
                            table,
                            ["view_query", "description", "labels"],
                            retry=retry(),
                            timeout=_CALL,
                        )
            except (AlreadyExists, Conflict):
                continue
            return document
        raise Busy(f"online view {view} is being changed by others", remedy="run it again")

    def observe(self, view: str) -> OnlineViewState | None:
        """Return an online view's state, or None if neither it nor its BigQuery view exists.

        It is "ready" when the view, its source and the store all are.
        """
        feature_view = _feature_view(self._session, view)
        table = catalogue.read(self._session, _source(view))
        if feature_view is None and table is None:
            return None
        columns = () if table is None else _document(self._session, view, table).features
        store = _store(self._session)
        phase: Phase = (
            "ready"
            if feature_view is not None
            and table is not None
            and store is not None
            and store.state == _STABLE
            else "creating"
        )
        return OnlineViewState(phase=phase, columns=columns)

    def sync(self, view: OnlineViewSpec, *, since: datetime | None, until: datetime) -> SyncReport:  # noqa: ARG002
        """Copy the newest feature values of the whole history to the online store.

        Google copies all rows, whatever `since` is. Rows that an earlier sync served up to a later
        time than `until` stay.
        """
        if (feature_view := _feature_view(self._session, view.name)) is None or catalogue.read(
            self._session, _source(view.name)
        ) is None:
            raise not_found(view.name)
        until_ms = epoch_milliseconds(until)

        def move(old: _View | None) -> _View:
            if old is None:
                raise not_found(view.name)
            return msgspec.structs.replace(old, until=max(until_ms, old.until))

        document = self._write(view.name, move)
        self._wait_until_stable()
        name = self._start_sync(view.name, feature_view.name)
        ended = wait(
            lambda: self._sync_of(name),
            lambda sync: bool(sync.run_time.end_time),
            deadline=_SYNCED,
            what=f"sync {name}",
        )
        if ended.final_status.code:
            raise Unavailable(
                f"syncing {view.name}: {ended.final_status.message}", remedy="run it again"
            )
        return SyncReport(rows=ended.sync_summary.row_synced, until=from_epoch(document.until))

    def _start_sync(self, view: str, path: str) -> str:
        """Start a sync of a feature view at `path`, and return the sync's name.

        A sync that is already running may have read the data too early, so it does not count.
        """
        refusals = 0

        def begun() -> str:
            nonlocal refusals
            if refusals and self._running(path):
                return ""
            try:
                with self._session.mutating("SyncFeatureView", view):
                    return str(
                        self._session.features.sync_feature_view(
                            request={"feature_view": path}
                        ).feature_view_sync
                    )
            except Busy:
                refusals += 1
                if refusals == _REFUSALS:  # something else than a sync stands against it
                    raise
                return ""

        return wait(begun, bool, deadline=_SYNCED, what=f"the sync of {view} that runs")

    def _running(self, path: str) -> bool:
        """Return whether a sync of a feature view is running."""
        with self._session.reading("ListFeatureViewSyncs", path):
            return any(
                not sync.run_time.end_time
                for sync in self._session.features.list_feature_view_syncs(request={"parent": path})
            )

    def _sync_of(self, name: str) -> Any:
        """Return Vertex AI's description of a feature view's sync, by its name."""
        with self._session.reading("GetFeatureViewSync", name):
            return self._session.features.get_feature_view_sync(request={"name": name})

    def put(self, view: OnlineViewSpec, rows: pa.Table, *, written_at: datetime) -> None:
        """Write entities' rows directly into the feature view, past its source.

        A row is ignored where one of a later `written_at` is stored. Raises NotFound if there is
        no such view.
        """
        features = self._reader(view.name)
        if {feature.name for feature in view.features} - {feature.name for feature in features}:
            features = self._reader(view.name, within=0.0)  # another process may have added some
        rows = put_rows(view, features, rows)
        if not rows.num_rows:
            return
        path = view_path(self._session, view.name)
        with self._session.mutating("FeatureViewDirectWrite", path):
            direct_writes.write(self._session, path, view.features, rows, written_at=written_at)

    def get(self, keys: Mapping[str, Sequence[str]]) -> dict[str, list[dict[str, object] | None]]:
        """Return for each view the feature values of its entity keys, in order; None without.

        Raises NotFound if there is no such view.
        """
        features = {view: self._reader(view) for view in keys}
        paths = {view: view_path(self._session, view) for view in keys}
        answers = feature_values.fetch(
            self._session,
            feature_values.by_view({paths[view]: view_keys for view, view_keys in keys.items()}),
        )
        for view, view_keys in keys.items():
            if any((paths[view], key) not in answers for key in view_keys):
                self._reader(view, within=_SURE)
        return {
            view: [
                feature_values.decoded(answer, features[view])
                if (answer := answers.get((paths[view], key))) is not None
                else None
                for key in view_keys
            ]
            for view, view_keys in keys.items()
        }

    def _reader(self, view: str, *, within: float = _KNOWN) -> tuple[Column, ...]:
        """Return the features that a view serves, cached for `within` seconds.

        Raises NotFound if it is gone.
        """
        seen_at, features = self._readers.get(view, (-math.inf, ()))
        if seen_at + within < (now := time.monotonic()):
            self._readers.pop(view, None)
            table = catalogue.look(self._session, _source(view))
            if table is None or _feature_view(self._session, view) is None:
                raise not_found(view)
            features = _document(self._session, view, table).features
            self._readers[view] = (now, features)
        return features


def remove(session: VertexSession, view: str) -> None:
    """Delete an online view: its feature view, then its BigQuery view; both may be absent.

    The inventory calls this.
    """
    with suppress(NotFound), translated(f"deleting feature view {view}", effect=True):
        session.features.delete_feature_view(request={"name": view_path(session, view)})
    catalogue.remove(session, _source(view))


def remove_store(session: VertexSession) -> None:
    """Delete the project's online store without waiting; it may be absent.

    The inventory calls this. Raises Busy while it has feature views.
    """
    with suppress(NotFound), translated("deleting the online store", effect=True):
        session.features.delete_feature_online_store(request={"name": _store_path(session)})


def resources(session: VertexSession) -> dict[tuple[str, str], str]:
    """Return the full names of this project's online views and store, by (kind, name)."""
    resources: dict[tuple[str, str], str] = {}
    if (store := _store(session)) is None:
        return resources
    with session.reading("ListFeatureViews", store.name):
        for view in session.features.list_feature_views(
            request={"parent": store.name, "filter": names.label_filter(session.name)}
        ):
            resources[KIND, view.name.rpartition("/")[2]] = view.name
    return resources | {(STORE, session.name): store.name}


def _source(view: str) -> str:
    """Return the name of the BigQuery view from which an online view is synced."""
    return f"{view}_latest"


def _source_query(session: VertexSession, document: _View) -> str:
    """Return the SQL of the BigQuery view from which an online view is synced.

    Before the first sync it has no row, as its history may not exist yet.
    """
    if not document.until:
        return feature_values.empty_sql(document.features)
    moment = (
        from_epoch(document.until).replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")
    )
    own = (feature_values.KEY, "event_timestamp")
    latest = latest_sql(
        document.history, own, document.features, f"created_timestamp <= TIMESTAMP '{moment}'"
    )
    return feature_values.source_sql(
        bigquery.render(latest, session.dataset).sql, document.features
    )


def _document(session: VertexSession, view: str, table: Any) -> _View:
    """Return an online view's stored description, from its BigQuery view `table`.

    Raises AlreadyExists if this was not made for an online view.
    """
    if (
        table.labels.get(names.KIND_LABEL) != f"{KIND}_source"
        or table.labels.get(names.PROJECT_LABEL) != session.name
    ):
        raise AlreadyExists(
            f"{session.dataset}.{table.table_id} exists and is not the source of online view "
            f"{view}",
            remedy="rename one",
        )
    return decode(
        (table.description or "").encode(), _View, what=f"the document of online view {view}"
    )


def _store_path(session: VertexSession) -> str:
    """Return the full resource name of the project's online store."""
    return f"{session.parent}/featureOnlineStores/isthmus_{session.name}"


def view_path(session: VertexSession, view: str) -> str:
    """Return the full resource name of a feature view."""
    return f"{_store_path(session)}/featureViews/{view}"


def _store(session: VertexSession) -> Any:
    """Return Vertex AI's description of the project's online store, or None."""
    try:
        with session.reading("GetFeatureOnlineStore", session.name):
            return session.features.get_feature_online_store(request={"name": _store_path(session)})
    except NotFound:
        return None


def _feature_view(session: VertexSession, view: str) -> Any:
    """Return Vertex AI's description of a feature view, or None."""
    try:
        with session.reading("GetFeatureView", view):
            return session.features.get_feature_view(request={"name": view_path(session, view)})
    except NotFound:
        return None
