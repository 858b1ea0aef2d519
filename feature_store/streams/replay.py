"""Run a stream view's consumer over the warehouse's events, and compare its rows with history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from math import isfinite
from typing import TYPE_CHECKING, Any

import msgspec

from ...core.runtime.project import Project
from ...errors import Invalid
from ...events.tables.column_types import OF_ATTRIBUTE, sql_type
from ...events.tables.relations import view_name
from ...project.specs.description import FeatureView, ProjectSpec
from ...reports.columns import plural
from ...reports.results import Shown
from ...times import utc_milliseconds
from ..joins.view_history import ViewSource, entity_key
from ..offline.watermarks import read as read_watermark
from ..views.sources import view_sources
from .consumer import PutRows, StreamViewConsumer
from .tiles import EPOCH

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH = 1_000  # events that the consumer is given at once
MOST_SHOWN = 5
_NEAR = 1e-9  # floats that differ by less, relatively, are the same: engines add in other orders
RowValues = tuple[object, ...]
_Columns = dict[tuple[str, str], str]


class RowDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A row that the consumer makes otherwise than it is stored; None: there is none."""

    key: str
    moment: datetime
    replayed: dict[str, object] | None
    history: dict[str, object] | None

    def __str__(self) -> str:
        sides = f"replayed {self.replayed or 'nothing'}, history {self.history or 'nothing'}"
        return f"{self.key} at {self.moment:%Y-%m-%d %H:%M:%S}: {sides}"


class ReplayReport(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """How the rows that a consumer makes compare with those that are stored, up to a moment."""

    view: str  # or the data set
    events: int  # replayed, since `since`
    rows: int  # that the consumer made
    differ: int
    late: int
    since: datetime | None
    until: datetime  # the history's
    examples: tuple[RowDifference, ...]  # the first few that differ
    against: str = "the history"  # what the rows were compared with

    def __str__(self) -> str:
        first = (
            f"replayed {plural(self.events, 'event')} as fast as they go   "
            f"{plural(self.rows, 'row')}   {self.differ:,} differ from {self.against}   "
            f"{self.late:,} late"
        )
        return "\n".join([first, *(f"  {example}" for example in self.examples)])


def replay(project: Project, view: str, *, since: datetime | None = None) -> ReplayReport:
    """Replay the warehouse's events through a stream view's consumer on a virtual clock.

    Every row that the consumer makes is compared with the view's published history, and every row
    of the history with the consumer's. Floats that agree to nine digits agree. Nothing is written.

    Args:
        project: The project.
        view: The stream view's name.
        since: Rows of this moment and later are compared; None: all. Earlier events are read as
            far as the windows reach back.

    Raises:
        NotFound: There is no such view.
        Invalid: It is not a stream view, or has no history of `since` or later.
    """
    source = view_sources(project.description, [view])[0]
    consumer = StreamViewConsumer(source)
    definition = source.view.stream
    assert definition is not None  # noqa: S101  the consumer has looked
    until = read_watermark(project, view).mark.until
    if until is None:
        raise Invalid(f"{view} has no history yet", remedy=f"isthmus materialize {view}")
    begin = EPOCH if since is None else utc_milliseconds(since)
    first_event = EPOCH if since is None else begin - definition.windows[-1] - definition.every
    end = until - definition.delay
    if begin > end:
        raise Invalid(
            f"the history of {view} ends at {end:%Y-%m-%d %H:%M:%S}, before "
            f"{begin:%Y-%m-%d %H:%M:%S}",
            remedy=f"begin earlier, or isthmus materialize {view}",
        )
    run = _Run(consumer, _columns(source.view), begin=begin, end=end)
    project.progress(f"replay {view}: events", 0, 2)
    project.target.warehouse.query(
        _events_sql(project.spec, source.view), {"since": first_event, "until": end}, into=run.take
    )
    comparison = RowComparison(
        "entity_key", [feature.name for feature in source.features], run.rows
    )
    project.progress(f"replay {view}: history", 1, 2)
    project.target.warehouse.query(
        _history_sql(source), {"since": begin, "until": until}, into=comparison.take
    )
    project.progress(f"replay {view}", 2, 2)
    differences = comparison.differences()
    return ReplayReport(
        view=view,
        events=run.events,
        rows=len(run.rows),
        differ=len(differences),
        late=run.late,
        since=since,
        until=until,
        examples=tuple(differences[:MOST_SHOWN]),
    )


class _Run:
    """A run of the consumer over events in the order of their times."""

    def __init__(
        self, consumer: StreamViewConsumer, columns: _Columns, *, begin: datetime, end: datetime
    ) -> None:
        self._consumer, self._columns = consumer, columns
        self._begin, self._end = begin, end
        self.events = self.late = 0
        self.rows: dict[tuple[str, datetime], RowValues] = {}

    def take(self, tables: Iterator[pa.Table]) -> None:
        """Feed the consumer all events, from the beginning."""
        self.events, self.rows = 0, {}
        consumer = self._consumer
        inputs = {stream.event: stream for stream in consumer.inputs}
        state = consumer.empty()
        watermark = EPOCH
        for table in tables:
            for batch in table.to_batches(max_chunksize=_BATCH):
                rows = [_event(row, self._columns) for row in batch.to_pylist()]
                if not rows:
                    continue
                self.events += sum(row["event_timestamp"] >= self._begin for row in rows)
                for name, of_event in groupby(rows, key=lambda row: row["isthmus_event"]):
                    state = consumer.apply(state, inputs[name], list(of_event), watermark=watermark)
                now = rows[-1]["event_timestamp"]
                watermark = now - consumer.lateness
                self._collect(consumer.advance(state, watermark=watermark, now=now).effects)
        last = consumer.advance(state, watermark=self._end - consumer.lateness, now=self._end)
        self._collect(last.effects)
        self.late = consumer.figures(last.state)["late"]

    def _collect(self, effects: tuple[Any, ...]) -> None:
        """Keep the rows that the consumer would put online; a correction replaces its row."""
        for effect in effects:
            assert isinstance(effect, PutRows)  # noqa: S101  a stream view has no other effect
            for index, key, values in effect.rows:
                moment = self._consumer.windows.moment(index)
                if self._begin <= moment <= self._end:
                    self.rows[(entity_key(key), moment)] = values


class RowComparison:
    """Compares stored rows with those that a consumer makes, by key and moment."""

    def __init__(
        self, key: str, names: Sequence[str], replayed: dict[tuple[str, datetime], RowValues]
    ) -> None:
        """Take the column of the keys, those that are compared, and the consumer's values."""
        self._key, self._names = key, names
        self._replayed = replayed
        self._differences: list[RowDifference] = []
        self._missing: set[tuple[str, datetime]] = set()

    def take(self, tables: Iterator[pa.Table]) -> None:
        """Compare all stored rows, from the beginning."""
        self._differences, self._missing = [], set(self._replayed)
        for table in tables:
            for row in table.to_pylist():
                moment = row["event_timestamp"].replace(tzinfo=UTC)
                place = (row[self._key], moment)
                self._missing.discard(place)
                history = tuple(row[name] for name in self._names)
                replayed = self._replayed.get(place)
                if replayed is None or not all(map(_same, replayed, history)):
                    self._differences.append(self._difference(place, replayed, history))

    def differences(self) -> list[RowDifference]:
        """Return all rows that differ, by their moments."""
        missing = [self._difference(place, self._replayed[place], None) for place in self._missing]
        return sorted([*self._differences, *missing], key=lambda row: (row.moment, row.key))

    def _difference(
        self, place: tuple[str, datetime], replayed: RowValues | None, history: RowValues | None
    ) -> RowDifference:
        """Return two versions of a row as a difference."""
        named = [
            None if values is None else dict(zip(self._names, values, strict=True))
            for values in (replayed, history)
        ]
        return RowDifference(key=place[0], moment=place[1], replayed=named[0], history=named[1])


def _event(row: dict[str, Any], columns: _Columns) -> dict[str, Any]:
    """Return an event's row with its time aware, and its values under the attributes' names."""
    name = row["isthmus_event"]
    return (
        {key: value for key, value in row.items() if not key.startswith("isthmus_")}
        | {"isthmus_event": name, "event_timestamp": row["event_timestamp"].replace(tzinfo=UTC)}
        | {attribute: row[c] for (event, attribute), c in columns.items() if event == name}
    )


def _columns(view: FeatureView) -> _Columns:
    """Return the column of `_events_sql` in which each attribute stands, by event and attribute."""
    assert view.stream is not None  # noqa: S101  the caller has looked
    attributes = dict.fromkeys(
        (f.event, f.attribute) for f in view.stream.features if f.attribute is not None
    )
    return {owned: f"isthmus_value_{number}" for number, owned in enumerate(attributes, start=1)}


def _events_sql(spec: ProjectSpec, view: FeatureView) -> str:
    """Return SQL for the events that a stream view counts, in the order of their times.

    An attribute stands in the column that `_columns` gives to it.
    """
    assert view.stream is not None  # noqa: S101  the caller has looked
    key = spec.entities[view.entity].key
    types = {
        (event, attribute.name): sql_type(OF_ATTRIBUTE[attribute.type])
        for event in view.stream.events
        for attribute in spec.events[event].attributes
    }
    sides = [
        f"SELECT '{event}' AS isthmus_event, {key}, event_timestamp"
        + "".join(
            f", {attribute if owner == event else f'CAST(NULL AS {types[owner, attribute]})'} AS "
            f"{column}"
            for (owner, attribute), column in _columns(view).items()
        )
        + f" FROM {view_name(event)} WHERE {key} IS NOT NULL AND event_timestamp >= $since AND "
        "event_timestamp < $until"
        for event in view.stream.events
    ]
    return " UNION ALL ".join(sides) + " ORDER BY event_timestamp"


def _history_sql(source: ViewSource) -> str:
    """Return SQL for the newest row of each entity and moment in a view's published history."""
    names = ", ".join(
        ["entity_key", "event_timestamp", *(feature.name for feature in source.features)]
    )
    return (
        f"SELECT {names} FROM (SELECT {names}, row_number() OVER (PARTITION BY entity_key, "
        "event_timestamp ORDER BY created_timestamp DESC) AS isthmus_age FROM "
        f"{source.view.name} WHERE created_timestamp <= $until AND event_timestamp >= $since) AS "
        "isthmus_aged WHERE isthmus_age = 1"
    )


def _same(mine: Any, theirs: Any) -> bool:
    """Return whether two values of a feature are the same, but for the rounding of floats."""
    if mine is None or theirs is None:
        return mine is theirs
    if isinstance(mine, float) or isinstance(theirs, float):
        if not (isfinite(mine) and isfinite(theirs)):  # infinite, or not a number
            return repr(float(mine)) == repr(float(theirs))
        return bool(abs(mine - theirs) <= _NEAR * (abs(mine) + abs(theirs)))
    return bool(mine == theirs)
