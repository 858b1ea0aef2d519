"""What is asked of the warehouse about a large batch: parts of a bounded size."""

from types import SimpleNamespace

import duckdb

from isthmus.events import lookup, settle

STORED = """
SELECT '2026-01-0' || (1 + n // 400) AS dt, 'i' || n AS event_id, md5('' || n) AS payload_digest, 0::BIGINT AS correction,
       TIMESTAMP '2026-01-09' AS stored_timestamp
FROM range(1200) AS numbers (n)
"""


def test_ids_that_are_counted_up_are_asked_for_in_parts_that_are_no_larger_than_others(monkeypatch):
    monkeypatch.setattr(lookup, "BY_ID", 100)
    monkeypatch.setattr(lookup, "PART", 50)
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE shown_raw AS {STORED}")
        warehouse = SimpleNamespace(query=lambda sql, params: connection.sql(sql, params=params).to_arrow_table())
        ids = settle._ids(connection, "shown_raw")
        parts = list(lookup.stored(warehouse, SimpleNamespace(name="shown"), ids, ("2026-01-01", "2026-01-03")))
    assert sum(part.num_rows for part in parts) == 1200
    assert max(part.num_rows for part in parts) <= 60
