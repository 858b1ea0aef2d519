"""Measure events per CPU second through `ingest` beside other ways to read and check the same log.

Measure also the memory that logs of all sizes take. `python -m benchmarks.data.ingestion 1000000
2000000` measures that of other sizes. 20 million events take some ten minutes of CPU.
"""

from __future__ import annotations

import csv
import json
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from ..measure import Line, apart, cpu, scaled, table

EVENTS, SCHEMA_EVENTS = scaled(300_000, 1_000), scaled(20_000, 100)
SIZES = scaled((1_000_000, 5_000_000, 20_000_000), (1_000,))
DAYS = 9  # of every log
PROJECT = """
name: bench
now: 2026-01-10T00:00:00Z
entities:
  item: {key: item_id, type: int}
feature_views:
  item_history: {entity: item}
events:
  impression:
    attributes:
      item_id:    {type: int, min: 0, max: 9999}
      position:   {type: int, allowed: [1, 2, 3]}
      policy:     {type: string, allowed: [random, bts]}
      propensity: {type: float, min: 0, max: 1}
"""
VIEW = """
SELECT item_id, event_timestamp, count(*) OVER recent AS impressions_1d
FROM events_impression
WINDOW recent AS (PARTITION BY item_id ORDER BY event_timestamp RANGE BETWEEN INTERVAL '1 day' PRECEDING AND CURRENT ROW)
"""


class Impression(msgspec.Struct):
    event_id: str
    event_timestamp: datetime
    item_id: int
    position: int
    policy: Literal["random", "bts"]
    propensity: float


SCHEMA = {
    "type": "object",
    "required": list(Impression.__struct_fields__),
    "additionalProperties": False,
    "properties": {
        "event_id": {"type": "string"},
        "event_timestamp": {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T.*Z$"},
        "item_id": {"type": "integer", "minimum": 0, "maximum": 9999},
        "position": {"enum": [1, 2, 3]},
        "policy": {"enum": ["random", "bts"]},
        "propensity": {"type": "number", "minimum": 0, "maximum": 1},
    },
}


COLUMNS = (
    "{event_id: 'VARCHAR', event_timestamp: 'TIMESTAMPTZ', item_id: 'BIGINT', position: "
    "'BIGINT', policy: 'VARCHAR', propensity: 'DOUBLE'}"
)
BY_DUCKDB = """
COPY (
    SELECT *, md5(concat_ws('|', event_id, event_timestamp, item_id, position, policy, propensity)) AS digest FROM {rows}
    WHERE event_id <> '' AND event_timestamp <= TIMESTAMPTZ '2026-01-10 00:02:00+00' AND item_id BETWEEN 0 AND 9999
      AND position IN (1, 2, 3) AND policy IN ('random', 'bts') AND propensity BETWEEN 0 AND 1
    QUALIFY row_number() OVER (PARTITION BY event_timestamp::DATE, event_id ORDER BY digest) = 1
) TO '{folder}/checked.parquet'
"""


def main(sizes: Sequence[int] = SIZES) -> None:
    rates()
    memory(sizes)


def rates() -> None:
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as name:
        folder = Path(name)
        lines, text = _log(folder / "impressions.jsonl", EVENTS), folder / "impressions.csv"
        with text.open("w") as file:
            csv.writer(file).writerows(
                [
                    SCHEMA["required"],
                    *(json.loads(line).values() for line in lines.read_text().splitlines()),
                ]
            )
        content = lines.read_bytes().splitlines()
        decoder = msgspec.json.Decoder(Impression)
        ours = {
            file.suffix: apart(_ingested, folder / file.suffix[1:], file) for file in (lines, text)
        }
        read = {
            ".jsonl": f"read_json('{lines}', format = 'newline_delimited', columns = {COLUMNS})",
            ".csv": f"read_csv('{text}', columns = {COLUMNS})",
        }
        checked = {
            suffix: cpu(lambda rows=rows: _by_duckdb(folder, rows)) for suffix, rows in read.items()
        }
        values = [
            (
                "msgspec: decode to typed structs, nothing else",
                EVENTS / cpu(lambda: [decoder.decode(line) for line in content]),
            ),
            (
                "ingest, JSON lines: decode, check, judge, keep, store",
                EVENTS / ours[".jsonl"].seconds,
            ),
            (
                "DuckDB, read_json: decode, check in SQL, one copy, store",
                EVENTS / checked[".jsonl"],
            ),
            ("ingest, CSV", EVENTS / ours[".csv"].seconds),
            ("DuckDB, read_csv", EVENTS / checked[".csv"]),
            (
                "jsonschema: decode and check, nothing stored",
                SCHEMA_EVENTS / cpu(lambda: _by_schema(content[:SCHEMA_EVENTS])),
            ),
        ]
        note = (
            "ratio: how many times slower than msgspec's decoding. DuckDB says of no row why it "
            "is refused, and keeps none of them"
        )
        shown = [
            Line(name=name, value=f"{rate:,.0f} events/CPU s", ratio=values[0][1] / rate)
            for name, rate in values
        ]
        table(f"ingestion, {EVENTS:,} events of 6 attributes", shown, note)


def memory(sizes: Sequence[int]) -> None:
    """Measure memory at each size in a process of its own."""
    for events in sizes:
        with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as name:
            folder, path = Path(name), _log(Path(name, "impressions.jsonl"), events)
            measured = [
                ("ingest", apart(_ingested, folder, path), "2,000 MB at 20 million"),
                ("ingest again", apart(_ingested, folder, path), "at most the time of the first"),
                (
                    "materialize, with its as-known check",
                    apart(_materialized, folder),
                    "2,000 MB at 20 million",
                ),
            ]
            shown = [
                Line(
                    name=what,
                    value=f"{cost.megabytes:,.0f} MB, {cost.seconds:,.0f} CPU s",
                    goal=goal,
                )
                for what, cost, goal in measured
            ]
            table(f"peak memory, {events:,} events", shown)


def _log(path: Path, events: int) -> Path:
    with path.open("w") as file:
        file.writelines(_lines(events))
    return path


def _lines(events: int) -> Iterator[str]:
    chance = random.Random(0)
    start, step = datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=DAYS) / events
    for n in range(events):
        row = {
            "event_id": f"i{n}",
            "event_timestamp": (start + n * step)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "item_id": chance.randrange(10_000),
            "position": chance.choice((1, 2, 3)),
            "policy": chance.choice(("random", "bts")),
            "propensity": round(chance.random(), 4),
        }
        yield json.dumps(row) + "\n"


def _ingested(folder: Path, path: Path) -> None:
    import isthmus as im

    (folder / "features").mkdir(parents=True, exist_ok=True)
    (folder / "features" / "item_history.sql").write_text(VIEW)
    (folder / "project.yaml").write_text(PROJECT)
    with im.open(folder / "project.yaml") as project:
        im.apply(project)
        (report,) = im.ingest(project, event="impression", data=path)
    if report.stored + report.already_there != report.read:
        raise SystemExit(f"{report.stored:,} of {report.read:,} events were stored: {report}")


def _materialized(folder: Path) -> None:
    import isthmus as im

    with im.open(folder / "project.yaml") as project:
        im.materialize(project)


def _by_duckdb(folder: Path, rows: str) -> None:
    import duckdb

    with duckdb.connect() as connection:
        connection.execute(BY_DUCKDB.format(rows=rows, folder=folder))


def _by_schema(lines: list[bytes]) -> None:
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(SCHEMA)
    for line in lines:
        validator.validate(json.loads(line))


if __name__ == "__main__":
    main(tuple(int(word) for word in sys.argv[1:] if word.isdigit()) or SIZES)
