"""The examples' own SQL, run in DuckDB as `ingest` runs it: in the project's folder."""

import duckdb
import pytest

from .conftest import EXAMPLE

STARTER = EXAMPLE.parent / "starter"


@pytest.fixture
def engine():
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    yield connection
    connection.close()


def ingested(engine, folder):
    engine.execute(f"SET file_search_path = '{folder}'")
    for event in ("impression", "click"):
        engine.execute(
            f"CREATE TABLE {event} AS {(folder / 'sources' / f'{event}.sql').read_text()}"
        )
    engine.execute(
        "CREATE VIEW ctr AS SELECT impression.*, (event_id IN (SELECT impression_id FROM "
        "click))::BIGINT AS outcome, event_timestamp + INTERVAL 30 MINUTE AS created_timestamp "
        "FROM impression"
    )
    return engine


def counts(engine):
    return engine.execute(
        "SELECT (SELECT count(*) FROM impression), (SELECT count(DISTINCT event_id) FROM "
        "impression), (SELECT count(*) FROM click), (SELECT count(DISTINCT impression_id) FROM "
        "click), (SELECT sum(outcome) FROM ctr)"
    ).fetchall()[0]


def test_the_example_reads_20000_impressions_and_80_clicks_each_once(engine):
    assert counts(ingested(engine, EXAMPLE)) == (20_000, 20_000, 80, 80, 80)
    assert engine.execute("SELECT count(DISTINCT segment_id) FROM impression").fetchall() == [
        (280,)
    ]


def test_the_examples_views_give_five_features_on_the_rows_that_the_specification_counts(engine):
    ingested(engine, EXAMPLE)
    engine.execute("CREATE VIEW items AS FROM 'data/random_items.parquet'")
    engine.execute("CREATE VIEW item_prior AS FROM 'data/item_prior.csv'")
    found = {}
    for name in ("item_profile", "item_history", "segment_history"):
        relation = engine.sql((EXAMPLE / "features" / f"{name}.sql").read_text())
        features = [
            c
            for c in relation.columns
            if c not in {"item_id", "segment_id", "event_timestamp", "created_timestamp"}
        ]
        found[name] = (len(relation), features)
    assert found == {
        "item_profile": (80, ["item_score", "item_category", "item_ctr_prior"]),
        "item_history": (20_000, ["item_impressions_7d", "item_ctr_7d"]),
        "segment_history": (20_000, ["segment_ctr_7d"]),
    }


def test_the_starter_has_a_sample_that_its_view_can_read(engine):
    impressions, ids, clicks, clicked, outcomes = counts(ingested(engine, STARTER))
    assert impressions == ids == 420
    assert clicks == clicked == outcomes == 80
    assert len(engine.sql((STARTER / "features" / "item_history.sql").read_text())) == 420
