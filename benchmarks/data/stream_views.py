"""Measure how many events a stream view's consumer counts in a second of CPU time.

Beside it, in the same run and over the same events: a bare loop that counts tiles in dictionaries
and makes the same rows, without late events or a state that can be stored; and DuckDB, which keeps
the tiles in a table and is given the same batches. `python -m benchmarks.data.stream_views`.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from ..measure import Line, scaled, table

EVENTS = scaled(200_000, 2_000)
BATCH = 1_000
KEYS = 500
A_SECOND = 20  # events
WINDOWS = (1, 10, 60)  # in minutes, which are tiles
START = datetime(2026, 1, 1, tzinfo=UTC)
Batch = list[dict[str, Any]]


def main() -> None:
    random = Random(7)
    batches: list[Batch] = []
    for number in range(EVENTS):
        if number % BATCH == 0:
            batches.append([])
        moment = START + timedelta(milliseconds=number * 1000 // A_SECOND)
        key = random.randrange(KEYS)
        batches[-1].append({"event_id": str(number), "event_timestamp": moment, "item_id": key})
    bare, bare_rows = timed(lambda: bare_loop(batches))
    worker, worker_rows = timed(lambda: consumer(batches))
    some = batches[: scaled(40, 2)]
    engine, engine_rows = timed(lambda: duckdb_tiles(some))
    few_rows = consumer(some)
    assert (bare_rows, engine_rows) == (worker_rows, few_rows)  # the same work
    speeds = {
        "a bare loop": EVENTS / bare,
        "the consumer": EVENTS / worker,
        "DuckDB, batches of 1,000": len(some) * BATCH / engine if engine else 0.0,
    }
    table(
        f"A stream view of {len(WINDOWS)} windows, {EVENTS:,} events, {worker_rows:,} rows",
        [
            Line(
                name=name,
                value=f"{speed:,.0f} events/cpu-s",
                ratio=speed / speeds["the consumer"],
                goal=">= 50,000" if name == "the consumer" else "",
            )
            for name, speed in speeds.items()
        ],
    )


def timed(work: Callable[[], int]) -> tuple[float, int]:
    """Return the CPU seconds that some work takes, and the rows that it makes."""
    started = time.process_time()
    rows = work()
    return time.process_time() - started, rows


def consumer(batches: list[Batch]) -> int:
    """Return the rows that the consumer of a stream view makes of the batches."""
    from isthmus.feature_store.streams.tiles import TileState, TileWindows
    from isthmus.project.specs.stream_views import StreamDefinition, StreamFeature

    windows = TileWindows(
        "item_id",
        StreamDefinition(
            every=timedelta(minutes=1),
            lateness=timedelta(minutes=5),
            delay=timedelta(minutes=1),
            features=tuple(
                StreamFeature(
                    name=f"shown_{minutes}m",
                    aggregate="count",
                    event="impression",
                    attribute=None,
                    window=timedelta(minutes=minutes),
                    type="int64",
                )
                for minutes in WINDOWS
            ),
        ),
    )
    state, rows, watermark = TileState(), 0, START
    for batch in batches:
        windows.add(state, "impression", batch, watermark=watermark)
        now = batch[-1]["event_timestamp"]
        watermark = now - windows.lateness
        rows += len(windows.advance(state, watermark=watermark, now=now))
    return rows


def bare_loop(batches: list[Batch]) -> int:
    """Return the rows of the same windows by a loop over dictionaries."""
    tiles: dict[tuple[int, int], int] = defaultdict(int)
    counts: dict[int, list[int]] = defaultdict(lambda: [0] * len(WINDOWS))
    due: dict[int, set[int]] = defaultdict(set)
    rows: list[tuple[int, int, tuple[int, ...]]] = []
    total, clock = 0, int(START.timestamp() // 60)
    for batch in batches:
        for event in batch:
            end, key = int(event["event_timestamp"].timestamp() // 60) + 1, event["item_id"]
            tiles[key, end] += 1
            for moment in (end, *(end + window for window in WINDOWS)):
                due[moment].add(key)
        until = int(batch[-1]["event_timestamp"].timestamp() // 60)
        while clock < until:
            clock += 1
            for key in due.pop(clock, ()):
                values = counts[key]
                for place, window in enumerate(WINDOWS):
                    values[place] += tiles.get((key, clock), 0) - tiles.get(
                        (key, clock - window), 0
                    )
                tiles.pop((key, clock - WINDOWS[-1]), None)
                rows.append((clock, key, tuple(values)))
        total += len(rows)
        rows.clear()
    return total


def duckdb_tiles(batches: list[Batch]) -> int:
    """Return the rows of the same windows, with the tiles in a table of DuckDB."""
    import duckdb
    import pyarrow as pa

    database = duckdb.connect(config={"threads": "1"})
    database.execute("CREATE TABLE tiles (item_id BIGINT, tile BIGINT, n BIGINT)")
    sums = ", ".join(
        f"sum(t.n) FILTER (t.tile > m.moment - {window}) AS shown_{window}" for window in WINDOWS
    )
    moments = " UNION ".join(
        f"SELECT item_id, tile + {window} AS moment FROM tiles" for window in (0, *WINDOWS)
    )
    rows, clock = 0, int(START.timestamp() // 60)
    for batch in batches:
        database.register(
            "batch",
            pa.table(
                {
                    "item_id": [event["item_id"] for event in batch],
                    "shown_at": [event["event_timestamp"] for event in batch],
                }
            ),
        )
        database.execute(
            "INSERT INTO tiles SELECT item_id, CAST(floor(epoch_ms(shown_at) / 60000) AS BIGINT) + 1, count(*) FROM batch "
            "GROUP BY ALL"
        )
        until = int(batch[-1]["event_timestamp"].timestamp() // 60)
        if until > clock:
            made = database.execute(
                f"SELECT m.item_id, m.moment, {sums} FROM ({moments}) AS m LEFT JOIN tiles AS t ON "
                f"t.item_id = m.item_id AND t.tile <= m.moment AND t.tile > m.moment - "
                f"{WINDOWS[-1]} WHERE m.moment > {clock} AND m.moment <= {until} GROUP BY ALL"
            ).fetchall()
            rows += len(made)
            database.execute(f"DELETE FROM tiles WHERE tile < {until - WINDOWS[-1]}")
            clock = until
    return rows


if __name__ == "__main__":
    main()
