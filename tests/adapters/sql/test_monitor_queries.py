"""The queries of monitors over a small log: GoogleSQL's reference implementation has DuckDB's rows."""

from datetime import UTC, datetime, timedelta
from random import Random

import duckdb
import pytest

from isthmus.adapters.vertex import sql as bigquery
from isthmus.localstack.gcp.googlesql.compiled import available
from isthmus.localstack.gcp.googlesql.reference import Relation, evaluate
from isthmus.tests.experiments import watched_shop

from .example import texts
from .test_reference import DUCKDB, rows

pytestmark = pytest.mark.skipif(not available(), reason="the wheel zetasql is not installed: BigQuery's texts are judged by nobody")

BEGIN, LENGTH = datetime(2019, 11, 1, tzinfo=UTC), 30 / 21  # the days that texts() asks for, and the log's days in them
KINDS = {"explored": "BOOL", **dict.fromkeys(("position", "outcome", "correction", "sequence"), "INT64")}
KINDS |= dict.fromkeys(("score", "propensity", "explore", "milliseconds"), "FLOAT64")
KINDS |= dict.fromkeys(("event_timestamp", "created_timestamp", "stored_timestamp"), "TIMESTAMP")


def log():
    """By table, rows as dicts: every tenth answer of the watched shop, some exposures twice."""
    chance = Random(20261126)
    tables = {name: [] for name in ("exposures", "rankings", "ctr", "events_click", "impression_exposed")}
    for answer in list(watched_shop.answers())[::10]:
        moment = BEGIN + (answer.at - watched_shop.START) * LENGTH
        at = {"event_timestamp": moment.replace(microsecond=0), "dt": f"{moment:%Y-%m-%d}"}
        tables["rankings"].append(watched_shop.rankings(answer) | at)
        for row, clicked in zip(watched_shop.exposures(answer), answer.clicked, strict=True):
            name, copy = row["event_id"], {"correction": 0, "stored_timestamp": at["event_timestamp"], "payload_digest": "d"}
            tables["exposures"] += [row | at | copy | {"score": chance.random()}] * chance.choice((1, 1, 1, 2))
            known = at["event_timestamp"] + timedelta(minutes=30)
            tables["ctr"].append({"exposure_id": name, "outcome": int(clicked), "created_timestamp": known, **at})
            tables["impression_exposed"].append({"event_id": f"i{name}", "unit": answer.unit})
            tables["events_click"] += [{"impression_id": f"i{name}", "exposure_id": name, **at}] * clicked
    tables["kind_history"] = [
        {"entity_key": str(item), "item_kind": kind, "event_timestamp": since, "created_timestamp": since}
        for item, kind, since in [
            (1, "bags", BEGIN + timedelta(days=27)),
            *((*of, BEGIN - timedelta(days=1)) for of in watched_shop.CATEGORIES.items()),
        ]
    ]
    return tables


@pytest.fixture(scope="module")
def relations():
    return {
        name: ([(column, KINDS.get(column, "STRING")) for column in of[0]], [[*row.values()] for row in of]) for name, of in log().items()
    }


@pytest.fixture(scope="module")
def engine(relations):
    with duckdb.connect(config={"threads": "1"}) as connection:
        for name, (columns, table) in relations.items():
            kinds = ", ".join(f"{column} {DUCKDB.get(kind, 'BOOLEAN')}" for column, kind in columns)
            connection.execute(f"CREATE TABLE {name} ({kinds})")
            for row in table:
                values = [value.replace(tzinfo=None) if isinstance(value, datetime) else value for value in row]
                connection.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(values))})", values)
        yield connection


@pytest.mark.parametrize("name", ["monitor_units", "monitor_items", "monitor_item_keys"])
def test_a_monitors_query_has_duckdbs_rows_in_googlesql(relations, engine, name):
    given = {(of,): Relation(columns=columns, rows=table) for of, (columns, table) in relations.items()}
    mine = rows(engine.execute(texts()[name]).fetchall())
    assert len(mine) > 20
    assert rows(evaluate(bigquery.render(texts()[name]).sql, given).rows) == mine
