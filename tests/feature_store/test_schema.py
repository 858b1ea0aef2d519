"""Names and types of relations and views, and what is said of views that are wrong: file, line,
remedy.
"""

import msgspec
import pytest

from isthmus.feature_store.views.columns import column_type
from isthmus.feature_store.views.schema import ViewSchema, relation_columns, view_schemas
from isthmus.project.specs.description import StaticTable

from ..adapters.sql.example import example


def with_view(sql, name="item_history"):
    described = example()
    view = msgspec.structs.replace(described.spec.feature_views[name], sql=sql)
    spec = msgspec.structs.replace(
        described.spec, feature_views={**described.spec.feature_views, name: view}
    )
    return msgspec.structs.replace(described, spec=spec)


def problem_of(sql):
    found, problems = view_schemas(with_view(sql))
    assert "item_history" not in found
    assert set(found) == {
        "item_profile",
        "segment_history",
    }  # one wrong view does not hide the others
    (problem,) = problems
    assert problem.file == "features/item_history.sql"
    return problem


def features_of(expressions, source="ctr"):
    found, problems = view_schemas(
        with_view(
            f"SELECT item_id, event_timestamp, created_timestamp, {expressions} FROM {source}"
        )
    )
    assert problems == ()
    return {column.name: column.type for column in found["item_history"].features}


def test_a_view_may_read_events_objectives_and_tables():
    columns = {
        name: {c.name: c.type for c in found} for name, found in relation_columns(example()).items()
    }
    assert set(columns) == {"events_impression", "events_click", "ctr", "items", "item_prior"}
    assert columns["ctr"] == {
        **columns["events_impression"],
        "outcome": "int64",
        "created_timestamp": "timestamp",
    }
    assert columns["events_impression"]["propensity"] == "float64"
    assert columns["item_prior"] == {"item_id": "int64", "alpha": "float64", "beta": "float64"}
    assert columns["items"]["item_feature_1"] == "string"


def test_the_examples_schemas_are_read_from_its_sql():
    found, problems = view_schemas(example())
    assert problems == ()
    assert {
        name: [(c.name, c.type) for c in schema.features] for name, schema in found.items()
    } == {
        "item_profile": [
            ("item_score", "float64"),
            ("item_category", "string"),
            ("item_ctr_prior", "float64"),
        ],
        "item_history": [("item_impressions_7d", "int64"), ("item_ctr_7d", "float64")],
        "segment_history": [("segment_ctr_7d", "float64")],
    }
    assert [schema.has_created for schema in found.values()] == [False, True, True]
    assert found["segment_history"] == ViewSchema(
        name="segment_history",
        features=found["segment_history"].features,
        has_created=True,
        key="segment_id",
    )


def test_wide_numbers_become_64_bits():
    assert features_of(
        "sum(position) OVER (ORDER BY event_id) AS s, 1.5 AS d, 1 AS i, position > 1 AS b, "
        "event_timestamp AS t"
    ) == {
        "s": "int64",
        "d": "float64",
        "i": "int64",
        "b": "bool",
        "t": "timestamp",
    }


@pytest.mark.parametrize(
    "duckdb_type",
    [
        "DATE",
        "INTERVAL",
        "TIMESTAMP WITH TIME ZONE",
        "BIGINT[]",
        "STRUCT(a BIGINT)",
        "BLOB",
        "UUID",
    ],
)
def test_types_that_no_target_stores_have_no_neutral_type(duckdb_type):
    assert column_type(duckdb_type) is None


@pytest.mark.parametrize(
    ("sql", "line", "message", "remedy"),
    [
        (
            "SELECT item_id, event_timestamp,\n outcom AS x\nFROM ctr",
            2,
            "there is no column outcom",
            "did you mean outcome?",
        ),
        (
            "SELECT item_id, event_timestamp, 1 AS x\nFROM ctrr",
            2,
            "ctrr cannot be read here",
            "did you mean ctr?",
        ),
        (
            "SELECT item_id, event_timestamp, 1 AS x\nFROM impression",
            2,
            "impression cannot be read",
            "read events_impression",
        ),
        (
            "SELECT item_id, event_timestamp, 1 AS x\nFROM click_raw",
            2,
            "click_raw cannot be read",
            "read events_click",
        ),
        (
            "SELECT item_id, event_timestamp, 1 AS x\nFROM item_profile",
            2,
            "item_profile cannot be read",
            "another view's history",
        ),
        (
            "SELECT event_timestamp,\n 1 AS x FROM events_impression",
            1,
            "returns no item_id, the key of entity item",
            "AS item_id",
        ),
        (
            "SELECT item_id, created_timestamp,\n 1 AS x FROM ctr",
            1,
            "returns no event_timestamp",
            "",
        ),
        (
            "SELECT item_id, event_timestamp FROM events_impression",
            1,
            "has no feature",
            "its key, its times and features",
        ),
        (
            "SELECT item_id,\n position AS event_timestamp,\n 1 AS x FROM events_impression",
            2,
            "event_timestamp is int64 and should be timestamp",
            "CAST",
        ),
        (
            "SELECT\n segment_id AS item_id, event_timestamp, 1 AS x FROM events_impression",
            2,
            "item_id is string and should be int64",
            "BIGINT",
        ),
        (
            "SELECT item_id, event_timestamp,\n position AS dt FROM events_impression",
            2,
            "feature dt: the column dt is made by Isthmus",
            "another name",
        ),
        (
            (
                "SELECT item_id, event_timestamp,\n position AS feature_timestamp FROM "
                "events_impression"
            ),
            2,
            "made by Isthmus itself",
            "another name",
        ),
        (
            "SELECT item_id, event_timestamp,\n position AS isthmus_age FROM events_impression",
            2,
            "feature isthmus_age: names that",
            "age",
        ),
        (
            (
                "WITH isthmus_copies AS (SELECT item_id, event_timestamp, 1 AS x\nFROM "
                "events_impression) SELECT * FROM isthmus_copies"
            ),
            1,
            "isthmus_copies: names that begin with isthmus_ are Isthmus's own",
            "copies",
        ),
        (
            "SELECT item_id, event_timestamp, 1 AS x\nFROM events_impression AS isthmus_run",
            2,
            "isthmus_run: names that",
            "run",
        ),
        (
            "SELECT item_id, event_timestamp,\n position AS event_ms FROM events_impression",
            2,
            "made by Isthmus itself",
            "another name",
        ),
        (
            "SELECT item_id, event_timestamp,\n position AS Pos FROM events_impression",
            2,
            "feature Pos: 'Pos' is not a name",
            "pos",
        ),
        (
            (
                "SELECT item_id, event_timestamp,\n count(*) OVER (ORDER BY item_id) FROM "
                "events_impression"
            ),
            2,
            "has no name of its own",
            "AS",
        ),
        (
            "SELECT item_id, event_timestamp, position AS x,\n 1 AS x FROM events_impression",
            2,
            "returns x twice",
            "rename",
        ),
        (
            (
                "SELECT item_id, event_timestamp, created_timestamp,\n event_timestamp - "
                "created_timestamp AS x FROM ctr"
            ),
            2,
            "type INTERVAL",
            "date_diff",
        ),
        (
            (
                "SELECT item_id,\n TIMESTAMPTZ '2019-11-24 00:00:00+00:00' AS event_timestamp, 1 "
                "AS x FROM events_impression"
            ),
            2,
            "TIMESTAMPTZ",
            "plain UTC",
        ),
        (
            "SELECT item_id, event_timestamp,\n lower(position) AS x FROM events_impression",
            2,
            "lower(BIGINT)",
            "",
        ),
        (
            "SELECT item_id, event_timestamp, 1 AS x\nFROM events_impression\nQUALIFY true",
            3,
            "item_history: QUALIFY",
            "Athena has none",
        ),
        (
            "SELECT item_id, event_timestamp, 1 AS x\nFROM events_impression WHERE",
            2,
            "syntax error",
            "",
        ),
        (
            "SELECT item_id, event_timestamp,\n $x AS x FROM events_impression",
            2,
            "the parameter $x",
            "takes none",
        ),
        (
            (
                "SELECT item_id, event_timestamp, position + 1 AS x,\n x * 2 AS y FROM "
                "events_impression"
            ),
            2,
            "the alias x inside its own SELECT",
            "repeat",
        ),
        (
            (
                "SELECT item_id, event_timestamp, position + 1 AS x\nFROM "
                "events_impression\nWHERE x > 1"
            ),
            3,
            "the alias x inside its own SELECT",
            "repeat",
        ),
    ],
)
def test_a_wrong_view_is_told_with_its_line_and_a_remedy(sql, line, message, remedy):
    problem = problem_of(sql)
    assert (problem.line, problem.severity) == (line, "error")
    assert message in problem.message
    assert remedy in (problem.remedy or "")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT item_id, event_timestamp, position + 1 AS x FROM events_impression ORDER BY x",
        (
            "SELECT item_id, event_timestamp, lower(policy) AS policy FROM events_impression "
            "WHERE policy = 'bts'"
        ),
        (
            "SELECT item_id, event_timestamp, x FROM (SELECT *, position + 1 AS x FROM "
            "events_impression) AS c WHERE x > 1"
        ),
        (
            "WITH c AS (SELECT *, position + 1 AS x FROM events_impression) SELECT item_id, "
            "event_timestamp, x * 2 AS y FROM c"
        ),
    ],
)
def test_an_alias_is_fine_where_every_target_resolves_it_alike(sql):
    assert view_schemas(with_view(sql))[1] == ()


def test_several_mistakes_are_told_at_once_in_the_order_of_lines():
    _, problems = view_schemas(
        with_view("SELECT position AS dt,\n event_timestamp,\n 1 AS line FROM events_impression")
    )
    assert [(problem.line, problem.message.split(":")[0]) for problem in problems] == [
        (1, "item_history returns no item_id, the key of entity item"),
        (1, "feature dt"),
        (3, "feature line"),
    ]


def test_a_tables_missing_file_is_told_at_the_line_that_names_it_and_the_other_views_are_still_read():
    described = example()
    tables = {
        **described.spec.tables,
        "items": StaticTable(name="items", path="data/nowhere.parquet"),
    }
    described = msgspec.structs.replace(
        described, spec=msgspec.structs.replace(described.spec, tables=tables)
    )
    found, problems = view_schemas(described)
    assert set(found) == {"item_history", "segment_history"}
    assert [(p.file, p.line) for p in problems] == [
        ("project.yaml", described.places["tables.items"].line),
        ("features/item_profile.sql", 4),
    ]
    assert "nowhere.parquet" in problems[0].message


def test_a_view_cannot_reach_outside_of_the_project():
    assert (
        "as a relation"
        in problem_of("SELECT item_id, event_timestamp, 1 AS x FROM '/etc/passwd'").message
    )
