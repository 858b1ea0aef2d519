"""Ask the warehouse what it has of a batch: by id if it is small, in bounded parts if it is large.

A part is some whole dates, or of one date some neighbouring ids: neither side ever holds all of a
long history.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from ...project.specs.description import Event
from .relations import CORRECTION, STORED_TIMESTAMP, quarantine_name, raw_name

if TYPE_CHECKING:
    from ...feature_store.port import Warehouse

# up to here ids travel in the query, GROUP at a time; above, a scan is cheaper than the queries
BY_ID = 2_000
GROUP = 500
PART = 250_000  # rows of an answer, about: some tens of MB

_COLUMNS: list[Any] = [
    *(pa.field(name, pa.string()) for name in ("dt", "event_id", "payload_digest")),
    pa.field(CORRECTION.name, pa.int64()),
    pa.field(STORED_TIMESTAMP.name, pa.timestamp("ms")),
]
STORED = pa.schema(_COLUMNS)
DateRange = tuple[str, str]  # first and last date


class Ids(msgspec.Struct, frozen=True, kw_only=True):
    """The ids to ask for: all of them if they are few, else a sorted sample with both ends.

    `by_day`: the sample by date, where these are events of a batch. Ids are often counted up, so
    each date has others.
    """

    few: tuple[str, ...] | None
    sample: tuple[str, ...] = ()
    by_day: Mapping[str, Sequence[str]] = {}


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    days: DateRange
    least: str  # an id
    below: str | None = None  # the next part's least id
    greatest: str = ""  # where there is no next one


def stored(warehouse: Warehouse, event: Event, ids: Ids, days: DateRange) -> Iterator[pa.Table]:
    """Yield the stored copies of the events with these ids and dates, as tables.

    The columns are those that `winning_order` sorts by, which chooses the copy that readers see.
    Many ids are queried as ranges, so that the rows between them are returned, too.
    """
    sql = (
        f"SELECT dt, event_id, payload_digest, coalesce({CORRECTION.name}, 0) AS "
        f"{CORRECTION.name}, coalesce({STORED_TIMESTAMP.name}, TIMESTAMP '1970-01-01 00:00:00') "
        f"AS {STORED_TIMESTAMP.name} FROM {raw_name(event.name)} WHERE dt >= $since AND dt <= "
        "$until AND {among}"
    )
    for rows in _query_parts(warehouse, raw_name(event.name), sql, ids, days):
        yield rows.select(STORED.names).cast(STORED)


def stored_ids(
    warehouse: Warehouse, event: Event, ids: Ids, *, around: DateRange | None
) -> Iterator[pa.Table]:
    """Yield those of these ids that an event's table holds, as tables.

    Many ids are queried as ranges, so that the ids between them are returned, too, and then, with
    `around`, only events near these dates are read.
    """
    name = raw_name(event.name)
    if ids.few is not None:
        yield _grouped(
            warehouse, f"SELECT event_id FROM {name} WHERE {{among}} GROUP BY event_id", ids.few, {}
        )
        return
    days = _week_before(around) if around else _all_days(warehouse, name)
    sql = (
        f"SELECT event_id FROM {name} WHERE dt >= $since AND dt <= $until AND {{among}} GROUP BY "
        "event_id"
    )
    yield from _query_parts(warehouse, name, sql, ids, days)


def quarantined(warehouse: Warehouse, event: Event, digests: Sequence[str]) -> set[tuple[str, str]]:
    """Return which of these payload digests are in quarantine, as (digest, attribute)."""
    if not digests:
        return set()
    table, digest_set = quarantine_name(event.name), set(digests)
    select, group = (
        f"SELECT payload_digest, attribute FROM {table}",
        "GROUP BY payload_digest, attribute",
    )
    if len(digest_set) <= BY_ID:
        return set(
            _pairs(
                _grouped(
                    warehouse,
                    f"{select} WHERE {{among}} {group}",
                    sorted(digest_set),
                    {},
                    column="payload_digest",
                )
            )
        )
    pairs: set[tuple[str, str]] = set()
    for span in digest_spans(_count(warehouse, table)):
        rows = warehouse.query(
            f"{select} WHERE payload_digest >= $least AND payload_digest < $below {group}", span
        )
        pairs.update(pair for pair in _pairs(rows) if pair[0] in digest_set)
    return pairs


def waiting(warehouse: Warehouse, event: Event) -> Iterator[pa.Table]:
    """Yield the quarantined rows that wait to be retried, in tables of bounded size.

    Columns: payload (JSON), payload_digest, source, line. The rows of a digest are in one table.
    """
    name = quarantine_name(event.name)
    sql = f"SELECT payload, payload_digest, source, line FROM {name} WHERE retry = TRUE"
    for span in digest_spans(_count(warehouse, name, " WHERE retry = TRUE")):
        yield warehouse.query(
            f"{sql} AND payload_digest >= $least AND payload_digest < $below", span
        )


def digest_spans(rows: int) -> Iterator[Mapping[str, object]]:
    """Yield ranges of digests, as query parameters, by which to read a large table in parts.

    `rows` is the table's size. Hexadecimal digests are spread evenly, so the parts are equal.
    """
    parts = -(-rows // PART)
    if not parts:
        return
    ends = [f"{place * 2**32 // parts:08x}" for place in range(parts)]
    for least, below in zip(ends, [*ends[1:], "g"], strict=True):
        yield {"least": least, "below": below}


def _query_parts(
    warehouse: Warehouse, table: str, sql: str, ids: Ids, days: DateRange
) -> Iterator[pa.Table]:
    """Run a query for many ids in parts of limited size; yield the rows that it finds.

    `table` is what `sql` reads, and `days` the dates to look at.
    """
    span: dict[str, object] = {"since": days[0], "until": days[1]}
    if ids.few is not None:
        yield _grouped(warehouse, sql, ids.few, span)
        return
    for part in _parts(warehouse, table, ids, days):
        params: dict[str, object] = {
            "since": part.days[0],
            "until": part.days[1],
            "least": part.least,
        }
        end = "event_id <= $greatest" if part.below is None else "event_id < $below"
        params |= {"greatest": part.greatest} if part.below is None else {"below": part.below}
        yield warehouse.query(sql.replace("{among}", f"event_id >= $least AND {end}"), params)


def _parts(warehouse: Warehouse, table: str, ids: Ids, days: DateRange) -> Iterator[_Part]:
    """Yield the ranges of dates and ids into which a query for many ids is cut.

    A large date is cut into as many ranges of ids as it needs, by its own ids in the sample.
    """
    least, greatest = ids.sample[0], ids.sample[-1]
    since: str | None = None
    until, rows = "", 0
    for day, count in _by_day(warehouse, table, days):
        if since is not None and rows + count > PART:
            yield _Part(days=(since, until), least=least, greatest=greatest)
            since, rows = None, 0
        if count > PART:
            spans, own = -(-count // PART), ids.by_day.get(day, ())
            sample = (
                own if len(own) >= spans else ids.sample
            )  # too few of its own cut nothing small
            spans = min(spans, len(sample))
            cuts = [least, *(sample[place * len(sample) // spans] for place in range(1, spans))]
            for low, high in zip(cuts, [*cuts[1:], None], strict=True):
                yield _Part(days=(day, day), least=low, below=high, greatest=greatest)
        else:
            since, until, rows = since or day, day, rows + count
    if since is not None:
        yield _Part(days=(since, until), least=least, greatest=greatest)


def _by_day(warehouse: Warehouse, table: str, days: DateRange) -> list[tuple[str, int]]:
    """Return the number of a table's rows by date, in a range of dates, as sorted pairs."""
    sql = (
        f"SELECT dt, count(*) AS isthmus_rows FROM {table} WHERE dt >= $since AND dt <= $until "
        "GROUP BY dt"
    )
    counts = warehouse.query(sql, {"since": days[0], "until": days[1]}).to_pylist()
    return sorted((row["dt"], row["isthmus_rows"]) for row in counts)


def _all_days(warehouse: Warehouse, table: str) -> DateRange:
    """Return the first and the last date of a table."""
    row = warehouse.query(
        f"SELECT min(dt) AS isthmus_first, max(dt) AS isthmus_last FROM {table}", {}
    ).to_pylist()[0]
    return (row["isthmus_first"] or "", row["isthmus_last"] or "")


def _week_before(days: DateRange) -> DateRange:
    """Extend a range of dates by a week before it and a day after it.

    Most references are to events of the days just before.
    """
    return (date.fromisoformat(days[0]) - timedelta(days=7)).isoformat(), (
        date.fromisoformat(days[1]) + timedelta(days=1)
    ).isoformat()


def _count(warehouse: Warehouse, table: str, where: str = "") -> int:
    """Return how many rows of a table meet a SQL condition."""
    return int(
        warehouse.query(f"SELECT count(*) AS isthmus_rows FROM {table}{where}", {})["isthmus_rows"][
            0
        ].as_py()
    )


def _pairs(rows: pa.Table) -> Iterator[tuple[Any, Any]]:
    """Yield (payload digest, attribute) of each row."""
    return zip(rows["payload_digest"].to_pylist(), rows["attribute"].to_pylist(), strict=True)


def _grouped(
    warehouse: Warehouse,
    sql: str,
    values: Sequence[str],
    params: Mapping[str, object],
    *,
    column: str = "event_id",
) -> pa.Table:
    """Run a query for one group of values after the other, and return the rows of all.

    The values are passed as parameters, whose number and size providers limit; they are matched
    with `column`.
    """
    parts = []
    for start in range(0, max(len(values), 1), GROUP):
        group = {f"v{n}": value for n, value in enumerate(values[start : start + GROUP])} or {
            "v0": ""
        }
        among = f"{column} IN ({', '.join(f'${name}' for name in group)})"
        parts.append(warehouse.query(sql.replace("{among}", among), {**params, **group}))
    return pa.concat_tables(parts)
