"""What is asked of the warehouse about a large batch: parts of a bounded size."""

from types import SimpleNamespace

import duckdb
import pytest

from isthmus.events.intake import settlement as settle
from isthmus.events.tables import lookup

STORED = """
SELECT '2026-01-0' || (1 + n // 400) AS dt, {id} AS event_id, md5('' || n) AS payload_digest, 0::BIGINT AS correction,
       TIMESTAMP '2026-01-09' AS stored_timestamp, n
FROM range(1200) AS numbers (n)
"""


@pytest.mark.parametrize(
    ("event_id", "batch"),
    [
        pytest.param(
            "'i' || n", "true", id="ids that are counted up, so that each date has others"
        ),
        pytest.param(
            "md5('x' || n)",
            "n < 2 OR n >= 400",
            id="a large date of which the batch has two events",
        ),
    ],
)
def test_what_is_stored_is_asked_for_in_parts_of_one_size(event_id, batch, monkeypatch):
    monkeypatch.setattr(lookup, "BY_ID", 100)
    monkeypatch.setattr(lookup, "PART", 50)
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE shown_raw AS {STORED.format(id=event_id)}")
        connection.execute(f"CREATE VIEW batch AS SELECT * FROM shown_raw WHERE {batch}")
        warehouse = SimpleNamespace(
            query=lambda sql, params: connection.sql(sql, params=params).to_arrow_table()
        )
        ids = settle._ids(connection, "batch")
        parts = list(
            lookup.stored(
                warehouse, SimpleNamespace(name="shown"), ids, ("2026-01-01", "2026-01-03")
            )
        )
        wanted = {row[0] for row in connection.execute("SELECT event_id FROM batch").fetchall()}
    assert wanted <= {event_id for part in parts for event_id in part["event_id"].to_pylist()}
    assert sum(part.num_rows for part in parts) <= 1200
    assert max(part.num_rows for part in parts) <= 80
