"""The statements that Athena gets: reviewed texts, as an emulator cannot judge them."""

import pytest

from isthmus.adapters.sagemaker.warehouse import statements
from isthmus.errors import Invalid
from isthmus.events.port import Column

A, N, T = (
    Column(name="a", type="string"),
    Column(name="n", type="int64"),
    Column(name="t", type="timestamp"),
)


def flat(text):
    return " ".join(text.split())


def test_a_query_is_typed_and_has_no_order_of_its_own():
    text, ordered = statements.select(
        "SELECT a, count(*) AS n FROM x WHERE a <> $not GROUP BY a", {"not": "it's"}, [A, N]
    )
    assert not ordered
    assert flat(text) == (
        'SELECT CAST("a" AS VARCHAR) AS "a", CAST("n" AS BIGINT) AS "n" FROM ( '
        "SELECT a, COUNT(*) AS n FROM x WHERE a <> 'it''s' GROUP BY a ) AS isthmus_rows"
    )


def test_an_order_becomes_numbers():
    text, ordered = statements.select("SELECT a FROM x ORDER BY t DESC, a", {}, [A])
    assert ordered
    assert flat(text) == (
        'SELECT CAST("a" AS VARCHAR) AS "a", "isthmus_row" FROM ( '
        'SELECT "a", ROW_NUMBER() OVER (ORDER BY isthmus_key_0 DESC, "a") AS isthmus_row '
        "FROM ( SELECT a, t AS isthmus_key_0 FROM x ) AS isthmus_inner ) AS isthmus_rows"
    )


def test_a_limit_keeps_its_order_inside():
    text, _ = statements.select("SELECT a FROM x ORDER BY a LIMIT 3", {}, [A])
    assert "SELECT a FROM x ORDER BY a LIMIT 3 ) AS isthmus_inner" in flat(text)


def test_an_output_without_a_name_gets_one_of_ours_inside():
    text, _ = statements.select(
        "SELECT *, 1 + 2 FROM x ORDER BY 2", {}, [A, Column(name="(1 + 2)", type="int64")]
    )
    assert "1 + 2 AS isthmus_column_1 FROM x" in flat(text)
    assert 'OVER (ORDER BY "isthmus_column_1")' in flat(text)
    with pytest.raises(Invalid, match="name"):
        statements.create_view("v", "SELECT 1 + 2 FROM x", [Column(name="(1 + 2)", type="int64")])


def test_a_saved_query_carries_the_date_of_its_time():
    text = statements.select_into("SELECT t, a FROM x", {}, ["t", "a"], [A, T], "t")
    assert flat(text) == (
        'SELECT CAST("a" AS VARCHAR) AS "a", CAST("t" AS TIMESTAMP) AS "t", date_format("t", '
        "'%Y-%m-%d') AS dt "
        "FROM ( SELECT t, a FROM x ) AS isthmus_rows"
    )
    assert flat(statements.unload(text, "s3://b/p/", partitioned=True)).endswith(
        ") TO 's3://b/p/' WITH (format = 'PARQUET', compression = 'SNAPPY', partitioned_by = "
        "ARRAY['dt'])"
    )


def test_a_view_names_its_columns():
    assert flat(statements.create_view("v", "SELECT * FROM x", [A])) == (
        'CREATE OR REPLACE VIEW "v" AS SELECT CAST("a" AS VARCHAR) AS "a" FROM ( SELECT * '
        "FROM x ) AS isthmus_rows"
    )


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT DISTINCT a FROM x ORDER BY t",
        "SELECT a FROM x UNION ALL SELECT a FROM y ORDER BY lower(t)",
    ],
)
def test_an_order_by_what_the_rows_no_longer_have_is_invalid(sql):
    with pytest.raises(Invalid, match="ORDER BY"):
        statements.select(sql, {}, [A])


def test_what_athena_cannot_say_is_refused_with_its_line():
    with pytest.raises(Invalid, match="line 2"):
        statements.refuse("SELECT a\nFROM x ASOF JOIN y ON x.a = y.a AND x.t >= y.t")


def test_a_text_that_is_longer_than_athena_takes_is_refused():
    long = " OR ".join(f"a = '{n:0100d}'" for n in range(2500))
    with pytest.raises(Invalid, match="bytes"):
        statements.select(f"SELECT a FROM x WHERE {long}", {}, [A])
