"""Read the past of a consumer that begins without a state from the warehouse, in time order."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from ..port import Row
from .consumer import StreamInput
from .retries import Ask, at_once

if TYPE_CHECKING:
    from ...feature_store.port import Warehouse

PAGE = 50_000  # events in memory at a time, and of each query's answer
PastEvent = tuple[datetime, int, Row]  # its time; which of the inputs it belongs to; the event


def past_events(
    warehouse: Warehouse,
    inputs: Sequence[StreamInput],
    *,
    since: datetime,
    until: datetime,
    page: int = PAGE,
    ask: Ask = at_once,
) -> Iterator[list[PastEvent]]:
    """Yield the events of several streams from the warehouse, in order of their times, by pages.

    Args:
        warehouse: Where each stream's relation is; one that is not there has no events.
        inputs: The streams.
        since: The first event time.
        until: The last event time, which is included.
        page: How many events a page has at most.
        ask: Makes each call to the warehouse; it may ask again.
    """
    streams = [
        _events_of(warehouse, source.relation, number, since=since, until=until, page=page, ask=ask)
        for number, source in enumerate(inputs)
    ]
    merged = heapq.merge(*streams, key=lambda event: event[:2])
    while events := list(islice(merged, page)):
        yield events


def _events_of(
    warehouse: Warehouse,
    relation: str,
    number: int,
    *,
    since: datetime,
    until: datetime,
    page: int,
    ask: Ask,
) -> Iterator[PastEvent]:
    """Yield the events of a relation in order of time and id, by queries of a page each."""
    state = ask(lambda: warehouse.observe(relation))
    if state is None:
        return
    names = ", ".join(column.name for column in state.columns if column.name != "dt")
    last: tuple[datetime, str] | None = None
    while True:
        begin = last[0] if last else since
        place = (
            " AND (event_timestamp > $begin OR (event_timestamp = $begin AND event_id > $id))"
            if last
            else " AND event_timestamp >= $begin"
        )
        parameters: dict[str, object] = {
            "first": begin.date().isoformat(),
            "last": until.date().isoformat(),
            "begin": begin,
            "until": until,
        }
        if last:
            parameters["id"] = last[1]
        sql = (
            f"SELECT {names} FROM {relation} WHERE dt >= $first AND dt <= $last "
            f"AND event_timestamp <= $until{place} "
            f"ORDER BY event_timestamp, event_id LIMIT {page}"
        )
        rows = ask(partial(warehouse.query, sql, parameters)).to_pylist()
        for row in rows:
            event = {name: _aware(value) for name, value in row.items()}
            moment = event["event_timestamp"]
            assert isinstance(moment, datetime)  # noqa: S101  every event has one
            last = (moment, str(event["event_id"]))
            yield moment, number, event
        if len(rows) < page:
            return


def _aware(value: object) -> object:
    """Return a table's value as a stream has it: a moment with its zone, which is UTC."""
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value
