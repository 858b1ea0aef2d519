"""Events per second through `ingest`, beside decoding the same lines with msgspec (nothing checked) and checking them with jsonschema."""

from __future__ import annotations

import json
import random
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from .measure import Line, peak_megabytes, table

EVENTS, SCHEMA_EVENTS = 300_000, 20_000
PROJECT = """
name: bench
now: 2026-01-10T00:00:00Z
events:
  impression:
    attributes:
      item_id:    {type: int, min: 0, max: 9999}
      position:   {type: int, allowed: [1, 2, 3]}
      policy:     {type: string, allowed: [random, bts]}
      propensity: {type: float, min: 0, max: 1}
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


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as folder:
        lines = list(written())
        path = Path(folder) / "impressions.jsonl"
        path.write_bytes(b"\n".join(lines) + b"\n")
        Path(folder, "project.yaml").write_text(PROJECT)
        decoder = msgspec.json.Decoder(Impression)
        decoding = rate(lambda: [decoder.decode(line) for line in lines], EVENTS)
        whole = rate(lambda: ingested(folder, path), EVENTS)
        checking = rate(lambda: schema_checked(lines[:SCHEMA_EVENTS]), SCHEMA_EVENTS)
        shown = [
            Line(name="msgspec: decode to typed structs, nothing else", value=f"{decoding:,.0f} events/s", ratio=1.0),
            Line(name="ingest: decode, check, deduplicate, keep, store", value=f"{whole:,.0f} events/s", ratio=decoding / whole),
            Line(name="jsonschema: decode and check, nothing stored", value=f"{checking:,.0f} events/s", ratio=decoding / checking),
        ]
        note = f"ratio: how many times slower than msgspec's decoding; this process's peak {peak_megabytes():,.0f} MB"
        table(f"ingestion, {EVENTS:,} JSON lines of 6 attributes", shown, note)


def written():
    chance = random.Random(0)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for n in range(EVENTS):
        yield json.dumps(
            {
                "event_id": f"i{n}",
                "event_timestamp": (start + timedelta(seconds=n * 2)).isoformat().replace("+00:00", "Z"),
                "item_id": chance.randrange(10_000),
                "position": chance.choice((1, 2, 3)),
                "policy": chance.choice(("random", "bts")),
                "propensity": round(chance.random(), 4),
            }
        ).encode()


def rate(work, events: int) -> float:
    started = time.perf_counter()
    work()
    return events / (time.perf_counter() - started)


def ingested(folder: str, path: Path) -> None:
    import isthmus as im

    with im.open(f"{folder}/project.yaml") as project:
        im.apply(project)
        (report,) = im.ingest(project, event="impression", data=path)
    if report.stored != EVENTS:
        raise SystemExit(f"{report.stored:,} of {EVENTS:,} events were stored: {report}")


def schema_checked(lines: list[bytes]) -> None:
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(SCHEMA)
    for line in lines:
        validator.validate(json.loads(line))


if __name__ == "__main__":
    main()
