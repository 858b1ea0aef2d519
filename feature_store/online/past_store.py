"""Give what the online store would have held at a past moment, to ask again what was asked then.

Every row comes to it when it became known. The moment only goes forward. In memory are the newest
row of each entity, and a part of the rows that become known next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, final

from ...times import utc_milliseconds
from ..offline.training_set import join_view
from ..views.sources import view_sources

if TYPE_CHECKING:
    from ...core.runtime.project import Project
    from ..joins.point_in_time import JoinView

CHUNK = 100_000  # rows of one query
_Row = dict[str, object]


@final
class KnownStore:
    """The online store as it was at `moment`, with the `get` of OnlineStore.

    It gives, of rows with event_timestamp and created_timestamp up to the moment, the newest as the
    training set takes it (point_in_time.py). Rows are copies: callers may change them.
    """

    def __init__(
        self,
        project: Project,
        views: Mapping[str, Sequence[str]],
        start: datetime,
        *,
        chunk: int = CHUNK,
    ) -> None:
        """Load what the online store would have held at `start`, of these features of each view.

        Raises:
            NotFound: there is no such view or feature.
            Invalid: a view was not materialized.
        """
        sources = (
            {source.view.name: source for source in view_sources(project.description, tuple(views))}
            if views
            else {}
        )
        self.moment = utc_milliseconds(start)
        self._views = {
            name: _View(project, join_view(project, sources[name], names), self.moment, chunk)
            for name, names in views.items()
        }

    def move(self, moment: datetime) -> None:
        """Move the store to a later time, with the rows that became known until then.

        Raises:
            ValueError: it is before the present one.
        """
        if moment < self.moment:
            raise ValueError(f"{moment} is before {self.moment}")
        self.moment = moment
        for view in self._views.values():
            view.move(moment)

    def get(self, keys: Mapping[str, Sequence[str]]) -> dict[str, list[_Row | None]]:
        """Return each view's rows by key, as they were known at the store's point in time."""
        return {
            view: [
                dict(row) if (row := self._views[view].rows.get(key)) else None for key in view_keys
            ]
            for view, view_keys in keys.items()
        }


@final
class _View:
    def __init__(self, project: Project, view: JoinView, start: datetime, chunk: int) -> None:
        self._project, self._view, self._start, self._chunk = project, view, start, chunk
        self.rows: dict[str, _Row] = {}  # by entity key, with the time of each as feature_timestamp
        for row in _aware(self._query(_FIRST, {"since": start}).to_pylist()):
            self._take(row)
        self._later = self._updates()
        self._next = next(self._later, None)

    def move(self, moment: datetime) -> None:
        """Move the view's rows to a later time: add what became known until then."""
        while self._next is not None and self._next["created_timestamp"] <= moment:
            self._take(self._next)
            self._next = next(self._later, None)

    def _take(self, row: dict[str, Any]) -> None:
        """Store a history row as its entity's row, unless that is of a later event.

        Rows come in the order in which they became known, so a later row of the same event replaces
        an earlier one.
        """
        previous = self.rows.get(row["entity_key"])
        if previous is None or row["event_timestamp"] >= previous["feature_timestamp"]:
            features = {feature.name: row[feature.name] for feature in self._view.features}
            self.rows[row["entity_key"]] = {
                "feature_timestamp": row["event_timestamp"],
                **features,
            }

    def _updates(self) -> Iterator[dict[str, Any]]:
        """Yield the history rows that became known after the start, in that order, some at a time.

        They are read some at a time.
        """
        after: dict[str, Any] = {"known": self._start, "key": "", "event": self._start}
        full = True
        while full:
            rows = _aware(self._query(_LATER, {"since": self._start, **after}).to_pylist())
            full = len(rows) >= self._chunk
            yield from rows
            if full:
                after = {
                    "known": rows[-1]["created_timestamp"],
                    "key": rows[-1]["entity_key"],
                    "event": rows[-1]["event_timestamp"],
                }

    def _query(self, sql: str, params: Mapping[str, object]) -> Any:
        """Run SQL over the view's published history, and return the rows as an Arrow table."""
        names = "".join(f", {feature.name}" for feature in self._view.features)
        columns = f"entity_key, event_timestamp, created_timestamp{names}"
        text = sql.format(columns=columns, view=self._view.history, limit=self._chunk)
        return self._project.target.warehouse.query(
            text, {"published": self._view.known_until, **params}
        )


# created_timestamp is never before event_timestamp, as `materialize` writes it: it is when the row
# became known
_FIRST = """SELECT {columns} FROM (
SELECT {columns}, row_number() OVER (
PARTITION BY entity_key ORDER BY event_timestamp DESC, created_timestamp DESC) AS isthmus_age
FROM {view} WHERE created_timestamp <= $since AND created_timestamp <= $published
) AS isthmus_aged WHERE isthmus_age = 1"""
_LATER = """SELECT {columns} FROM {view}
WHERE created_timestamp > $since AND created_timestamp <= $published
AND (created_timestamp > $known OR (created_timestamp = $known
AND (entity_key > $key OR (entity_key = $key AND event_timestamp > $event))))
ORDER BY created_timestamp, entity_key, event_timestamp LIMIT {limit}"""


def _aware(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with their zoneless times marked as UTC."""
    return [
        {
            name: value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
            for name, value in row.items()
        }
        for row in rows
    ]
