"""The rows that a rendering gives, as far as DuckDB can tell.

The clouds' functions are macros here and BigQuery's order of nulls is a setting, so this catches a
wrong interval, argument order or place of nulls. It cannot judge the clouds: whether Athena and
BigQuery accept the text, only an account tells.
"""

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.adapters.common.warehouse import duckdb_functions
from isthmus.adapters.sagemaker import sql as athena
from isthmus.adapters.vertex import sql as bigquery
from isthmus.events.tables.relations import event_columns

from .example import FOLDER, example, texts

MACROS = """
CREATE MACRO unix_millis(t) AS epoch_ms(t);
CREATE MACRO is_finite(a) AS isfinite(a);
CREATE MACRO timestamp_add(t, span) AS t + span;
CREATE MACRO timestamp_sub(t, span) AS t - span;
"""


ROWS = {
    "item_profile": 80,
    "arms_by_row": 14,
    "item_live": 51_611,
    "arms_by_unit": 21,
    "arms_drops": 21,
    "run_versions": 4,
    "run_trend": 2,
    "run_trend_of_total": 2,
}  # of items; arms and days, and in both arms; arms and versions; arms
CELLS = {
    "run_cells": 2 * (7 + 6 + 5),
    "run_numbers": 2 * (7 + 6 + 5),
    "run_drops": 2 * (7 + 6 + 5),
    "run_segments": 4 * 2 * (7 + 6 + 5),
    "endpoint_units": 7,
}  # values, arms, the days from each first
# read tables and columns that the example lacks: test_monitor_queries.py and tests/experiments
# (test_wins.py, a duel's) judge them
ELSEWHERE = {
    "run_wins",
    "monitor_units",
    "monitor_items",
    "monitor_item_keys",
    "monitor_trained",
    "run_spread",
    "run_satisfied",
}
RUN = """
CREATE TABLE impression_exposed AS SELECT event_id, CAST(item_id % 40 AS VARCHAR) AS unit, event_timestamp, dt FROM events_impression;
CREATE TABLE events_purchase AS SELECT item_id % 40 AS visitor_id, position + 0.5 AS amount, event_timestamp, dt FROM events_impression
    WHERE length(event_id) > 0 AND item_id < 8;
CREATE TABLE assignments AS SELECT 'r.1' AS run, unit, CASE WHEN unit::INT % 2 = 0 THEN 'control' ELSE 'treatment' END AS arm,
    'split' AS reason, unnest(['', 'country=JP', CASE WHEN unit::INT // 2 % 2 = 0 THEN 'platform=ios' ELSE 'platform=web' END]) AS segment,
    event_timestamp, dt FROM impression_exposed WHERE day(event_timestamp) - 24 >= unit::INT % 3;
CREATE TABLE rankings AS SELECT event_id, 'ranker' AS endpoint, unit, CASE WHEN dt < '2019-11-25' THEN 'ranker@1' ELSE 'ranker@2' END
    AS version, event_timestamp, dt FROM impression_exposed;
"""


def rows(database, sql):
    """Canonical: floats to 9 significant digits, sorted (PORTS.md, rule 5)."""
    found = [
        tuple(f"{v:.9g}" if isinstance(v, float) else v for v in row)
        for row in database.execute(sql).fetchall()
    ]
    return sorted(found, key=repr)


def without_our_macros(database):
    cursor = database.cursor()
    duckdb_functions.use_duckdbs_own(cursor)
    return cursor


def under_bigquerys_nulls(database, sql):
    database.execute("SET default_null_order = 'nulls_first_on_asc_last_on_desc'")
    try:
        return rows(database, sql)
    finally:
        database.execute("RESET default_null_order")


@pytest.fixture(scope="module")
def database():
    """The example's data under the warehouse's names, with another content of every tenth
    impression, half of them corrections.
    """
    opened = duckdb.connect()
    opened.execute(MACROS)
    duckdb_functions.define(opened)
    for name, event in example().spec.events.items():
        source = (
            (FOLDER / "sources" / f"{name}.sql")
            .read_text()
            .replace("'data/", f"'{FOLDER}/data/")
            .rstrip()
            .rstrip(";")
        )
        columns = ", ".join(c.name for c in event_columns(event) if c.name != "event_timestamp")
        # as ingest does
        columns += (
            ", date_trunc('milliseconds', event_timestamp AT TIME ZONE 'UTC') AS event_timestamp"
        )
        dated = "strftime(event_timestamp, '%Y-%m-%d') AS dt, md5(event_id) AS payload_digest, "
        # of a table from before these columns
        dated += "NULL::BIGINT AS correction, NULL::TIMESTAMP AS stored_timestamp"
        opened.execute(
            f"CREATE TABLE {name}_raw AS SELECT {columns}, {dated} FROM ({source}) AS source"
        )
    later = (
        "position % 2 AS correction, TIMESTAMP '2026-01-01' AS stored_timestamp, (item_id + 1) % "
        "80 AS item_id"
    )
    opened.execute(
        f"INSERT INTO impression_raw SELECT * REPLACE ({later}) FROM impression_raw WHERE "
        "event_id LIKE '%0'"
    )
    opened.execute(
        "UPDATE impression_raw SET payload_digest = payload_digest || position::VARCHAR || item_id"
    )
    opened.execute(f"CREATE VIEW events_impression AS {texts()['events_impression']}")
    opened.execute("CREATE VIEW events_click AS SELECT * FROM click_raw")
    opened.execute(f"CREATE VIEW ctr AS {texts()['ctr']}")
    whose = (
        "'ranker' AS endpoint, CAST(item_id % 40 AS VARCHAR) AS unit, '' AS variant, '' AS version"
    )
    shown = f"{whose}, '{{}}' AS assignments, '{{}}' AS parameters, 0.5 AS propensity"
    opened.execute(
        f"CREATE VIEW exposures AS SELECT *, {shown} FROM impression_raw WHERE position < 3"
    )  # with copies, and not of every view
    opened.execute(
        "CREATE VIEW events_view AS SELECT *, event_id AS exposure_id, 1.5 AS seconds FROM "
        "events_impression"
    )
    opened.execute("CREATE TYPE FLOAT64 AS DOUBLE")  # Google's name of it
    opened.execute(
        "CREATE VIEW events_stay AS SELECT *, CAST(CASE WHEN length(event_id) % 3 > 0 THEN "
        "length(event_id) * 70 END AS DOUBLE) AS seconds FROM click_raw"
    )
    opened.execute(f"CREATE VIEW dwell AS {texts()['dwell']}")
    opened.execute(RUN)
    opened.execute(f"CREATE VIEW items AS FROM '{FOLDER}/data/random_items.parquet'")
    opened.execute(f"CREATE VIEW item_prior AS FROM '{FOLDER}/data/item_prior.csv'")
    return opened


@pytest.mark.parametrize("name", [name for name in texts() if name not in ELSEWHERE])
def test_both_renderings_give_the_neutral_texts_rows_on_the_example(database, name):
    neutral = rows(database, texts()[name])
    assert len(neutral) == (ROWS | CELLS).get(name, 20_000)
    plain = without_our_macros(database)
    assert rows(plain, athena.render(texts()[name]).sql) == neutral
    googles = bigquery.render(texts()[name]).sql
    if (
        "TIMESTAMP_TRUNC" not in googles
    ):  # which is none of DuckDB's: test_reference.py compares these in GoogleSQL
        assert under_bigquerys_nulls(plain, googles) == neutral


WINDOWS = [
    (
        "sum(a) OVER (PARTITION BY k ORDER BY t RANGE BETWEEN INTERVAL 2 HOUR PRECEDING AND "
        "CURRENT ROW)"
    ),
    (
        "count(*) OVER (ORDER BY t DESC RANGE BETWEEN INTERVAL 1 DAY PRECEDING AND INTERVAL 1 "
        "SECOND FOLLOWING)"
    ),
    "sum(a) OVER (ORDER BY a RANGE BETWEEN 2 PRECEDING AND 1 FOLLOWING)",
    "sum(a) OVER (PARTITION BY k ORDER BY t)",
    "max(a) OVER (ORDER BY k DESC, t NULLS FIRST)",
    "row_number() OVER (PARTITION BY k ORDER BY a DESC NULLS FIRST, t, n)",
    "lag(a) OVER (ORDER BY k, n)",
    "sum(a) OVER (ORDER BY t DESC NULLS FIRST, n ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING)",
    "rank() OVER (ORDER BY t)",
    "a / (n - 3)",
    "a % 3",
    "t + INTERVAL 1 WEEK - INTERVAL 90 MINUTE",
    "CASE WHEN t < TIMESTAMP '2020-01-01 12:00:00' THEN 1.5 / (a / 4) ELSE 0 END",
]

moments = st.none() | st.integers(0, 72).map(
    lambda hours: f"TIMESTAMP '2020-01-01' + INTERVAL {hours} HOUR"
)
generated = st.lists(
    st.tuples(st.sampled_from(["NULL", "'x'", "'y'"]), st.none() | st.integers(-5, 5), moments),
    max_size=12,
)


QUERIES = [f"SELECT n, {window} AS answer FROM x" for window in WINDOWS]
RENDERED = [(sql, athena.render(sql).sql, bigquery.render(sql).sql) for sql in QUERIES]
SMALL = duckdb.connect(config={"threads": "1"})
SMALL.execute(MACROS)
duckdb_functions.define(SMALL)
PLAIN = without_our_macros(SMALL)


@settings(max_examples=40, deadline=None)
@given(generated)
def test_windows_and_arithmetic_keep_their_meaning_with_nulls_and_ties(values):
    SMALL.execute("CREATE OR REPLACE TABLE x (n BIGINT, k VARCHAR, a BIGINT, t TIMESTAMP)")
    for n, (k, a, t) in enumerate(values):
        SMALL.execute(
            f"INSERT INTO x VALUES ({n}, {k}, {'NULL' if a is None else a}, {t or 'NULL'})"
        )
    for sql, for_athena, for_bigquery in RENDERED:
        neutral = rows(SMALL, sql)
        assert rows(PLAIN, for_athena) == neutral, sql
        assert under_bigquerys_nulls(PLAIN, for_bigquery) == neutral, sql
