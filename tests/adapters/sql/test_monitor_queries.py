"""The queries of monitors over a small log:

GoogleSQL's reference implementation, and the stack's engine for Athena, have DuckDB's rows.
"""

from datetime import UTC, datetime, timedelta
from random import Random

import duckdb
import pyarrow as pa
import pytest

from isthmus.adapters.sagemaker import sql as athena
from isthmus.adapters.vertex import sql as bigquery
from isthmus.tests.experiments.monitors import watched_shop
from isthmus_stack.gcp.googlesql.compiled import available
from isthmus_stack.gcp.googlesql.reference import Relation, evaluate

from .example import texts
from .test_reference import rows

BEGIN, LENGTH = (
    datetime(2019, 11, 1, tzinfo=UTC),
    30 / 21,
)  # the days that texts() asks for, and the log's days in them
KINDS = {
    "explored": "BOOL",
    **dict.fromkeys(("position", "outcome", "correction", "sequence", "item_id"), "INT64"),
}
KINDS |= dict.fromkeys(("score", "propensity", "explore", "milliseconds"), "FLOAT64")
KINDS |= dict.fromkeys(("event_timestamp", "created_timestamp", "stored_timestamp"), "TIMESTAMP")
ARROW = {
    "BOOL": pa.bool_(),
    "INT64": pa.int64(),
    "FLOAT64": pa.float64(),
    "STRING": pa.string(),
    "TIMESTAMP": pa.timestamp("us"),
}
HIVE = {
    "BOOL": "boolean",
    "INT64": "bigint",
    "FLOAT64": "double",
    "STRING": "string",
    "TIMESTAMP": "timestamp",
}
QUERIES = {
    "monitor_units": 20,
    "monitor_items": 20,
    "monitor_item_keys": 20,
}  # and the least rows that they give here
QUERIES |= {"monitor_trained": 3, "run_spread": 3, "run_satisfied": 8}
IN_BOTH = "f277"  # a unit that came under both arms


def log():
    """By table, rows as dicts: every tenth answer of the watched shop, some exposures twice."""
    chance = Random(20261126)
    tables = {
        name: []
        for name in (
            "exposures",
            "rankings",
            "ctr",
            "events_click",
            "impression_exposed",
            "assignments",
        )
    }
    for answer in list(watched_shop.answers())[::10]:
        moment = BEGIN + (answer.at - watched_shop.START) * LENGTH
        at = {"event_timestamp": moment.replace(microsecond=0), "dt": f"{moment:%Y-%m-%d}"}
        tables["rankings"].append(watched_shop.rankings(answer) | at)
        tables["assignments"] += [assignment(answer, arm) | at for arm in arms(answer)]
        for row, clicked in zip(watched_shop.exposures(answer), answer.clicked, strict=True):
            name, copy = (
                row["event_id"],
                {"correction": 0, "stored_timestamp": at["event_timestamp"], "payload_digest": "d"},
            )
            tables["exposures"] += [row | at | copy | {"score": chance.random()}] * chance.choice(
                (1, 1, 1, 2)
            )
            known = at["event_timestamp"] + timedelta(minutes=30)
            tables["ctr"].append(
                {
                    "exposure_id": name,
                    "item_id": int(row["entity_key"]),
                    "outcome": int(clicked),
                    "created_timestamp": known,
                    **at,
                }
            )
            tables["impression_exposed"].append({"event_id": f"i{name}", "unit": answer.unit})
            tables["events_click"] += [
                {"impression_id": f"i{name}", "exposure_id": name, **at}
            ] * clicked
    tables["kind_history"] = [
        {
            "entity_key": str(item),
            "item_kind": kind,
            "event_timestamp": since,
            "created_timestamp": since,
        }
        for item, kind, since in [
            (1, "bags", BEGIN + timedelta(days=27)),
            *((*of, BEGIN - timedelta(days=1)) for of in watched_shop.CATEGORIES.items()),
        ]
    ]
    return tables


def arms(answer):
    return (
        ("control", "treatment")
        if answer.unit == IN_BOTH
        else (("control", "treatment")[int(answer.unit[1:]) % 2],)
    )


def assignment(answer, arm):
    return {"run": "r.1", "unit": answer.unit, "arm": arm, "reason": "split", "segment": ""}


@pytest.fixture(scope="module")
def relations():
    """By table, its columns and their rows as GoogleSQL takes them."""
    return {
        name: (
            [(column, KINDS.get(column, "STRING")) for column in of[0]],
            [[*row.values()] for row in of],
        )
        for name, of in log().items()
    }


@pytest.fixture(scope="module")
def frames(relations):
    """The same in Arrow, moments without their zone."""

    def plain(value):
        return value.replace(tzinfo=None) if isinstance(value, datetime) else value

    return {
        name: pa.table(
            {
                column: pa.array([plain(row[at]) for row in table], ARROW[kind])
                for at, (column, kind) in enumerate(columns)
            }
        )
        for name, (columns, table) in relations.items()
    }


@pytest.fixture(scope="module")
def engine(frames):
    with duckdb.connect(config={"threads": "1"}) as connection:
        for name, frame in frames.items():
            connection.register(name, frame)
        yield connection


class Tables:
    """What Glue would say of the tables."""

    def __init__(self, relations):
        self.relations = relations

    def needed(self, database, name, _at=None):
        from isthmus_stack.aws.services.athena.schemas import Column, Table

        columns = tuple(
            Column(name=column, type=HIVE[kind]) for column, kind in self.relations[name][0]
        )
        empty = {"location": "", "serde": "", "serde_parameters": {}, "parameters": {}, "input": {}}
        return Table(database=database, name=name, columns=columns, partitions=(), **empty)


@pytest.fixture(scope="module")
def by_athena(relations, frames, tmp_path_factory):
    """The stack's engine, without the stack."""
    pytest.importorskip("moto")
    from isthmus_stack.aws.services.athena.queries import engine
    from isthmus_stack.aws.services.athena.queries.databases import Databases
    from isthmus_stack.aws.services.athena.sql.translation import translate

    def run(sql):
        translated = translate(sql, Tables(relations), "db", BEGIN)
        for name, table in translated.tables.items():
            engine._load(connection, name, table, frames[table.name])
        connection.execute(f"EXPLAIN {translated.probe}")
        answer = connection.execute(translated.sql).fetchall()
        for name in translated.tables:
            connection.execute(f"DROP TABLE {name}")
        return answer

    with Databases(tmp_path_factory.mktemp("athena"), 1 << 28).session() as connection:
        yield run


@pytest.mark.skipif(
    not available(),
    reason="the wheel zetasql is not installed: BigQuery's texts are judged by nobody",
)
@pytest.mark.parametrize("name", QUERIES)
def test_a_monitors_query_has_duckdbs_rows_in_googlesql(relations, engine, name):
    given = {
        (of,): Relation(columns=columns, rows=table) for of, (columns, table) in relations.items()
    }
    mine = rows(engine.execute(texts()[name]).fetchall())
    assert len(mine) >= QUERIES[name]
    assert rows(evaluate(bigquery.render(texts()[name]).sql, given).rows) == mine


@pytest.mark.parametrize("name", QUERIES)
def test_a_monitors_query_has_duckdbs_rows_in_athena_as_the_stack_runs_it(engine, by_athena, name):
    assert rows(by_athena(athena.render(texts()[name]).sql)) == rows(
        engine.execute(texts()[name]).fetchall()
    )


def test_a_unit_of_both_arms_is_in_the_log_and_in_no_arms_answer(engine):
    come = (
        "SELECT count(DISTINCT unit) FROM rankings WHERE dt >= '2019-11-24' AND attributes IS "
        "NOT NULL AND unit "
    )
    (both,), (others,) = (
        engine.execute(f"{come} {compared} ?", [IN_BOTH]).fetchone() for compared in ("=", "<>")
    )
    assert both == 1
    assert sum(row[-1] for row in engine.execute(texts()["run_satisfied"]).fetchall()) == others
