"""The n of varchar(n): of what a query gives, in a table that a query makes, and in one that takes
rows.
"""
# ruff: noqa: F401, F811  fixtures are imported, and arguments have their names

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from isthmus_stack.aws.services.athena.schemas import Column, Table
from isthmus_stack.aws.services.athena.sql import checks as check
from isthmus_stack.aws.services.athena.sql import translation as translate
from isthmus_stack.aws.services.athena.sql.lengths import Lengths
from isthmus_stack.tests.aws.data_kit import BUCKET, aws, instant_process

TABLE = Table(
    database="db",
    name="t",
    columns=(Column("a", "varchar(10)"), Column("b", "string"), Column("n", "int")),
    partitions=(Column("dt", "varchar(5)"),),
    location="",
    serde="",
    serde_parameters={},
    parameters={},
    input={},
)
ABC = "SELECT 'abc' AS x"
LENGTHS = {
    "SELECT a, b, n, dt FROM t": [10, None, None, 5],
    "SELECT * FROM t": [10, None, None, 5],
    "SELECT u.*, 'ab' AS two FROM t u": [10, None, None, 5, 2],
    "SELECT CAST(n AS varchar(7)), CAST(a AS varchar), TRY_CAST(b AS varchar(3)), CAST(a AS "
    "integer) FROM t": [
        7,
        None,
        3,
        None,
    ],
    "SELECT lower(a), trim(a), substr(a, 2), max(a), a || 'x', concat(a, 'x'), length(a) FROM t": [
        10,
        10,
        10,
        10,
        None,
        None,
        None,
    ],
    "SELECT CASE WHEN n = 1 THEN 'abc' WHEN n = 2 THEN a END, CASE n WHEN 1 THEN 'abc' ELSE "
    "b END FROM t": [
        10,
        None,
    ],
    "SELECT coalesce(a, 'twelve chars'), if(n > 1, 'abc', NULL), nullif(a, 'x'), lag(a) OVER "
    "(ORDER BY n) FROM t": [
        12,
        3,
        10,
        10,
    ],
    f"{ABC} UNION ALL SELECT a FROM t": [10],
    f"{ABC} UNION ALL SELECT b FROM t": [None],
    f"WITH w AS ({ABC}), v (y) AS (SELECT x FROM w) SELECT v.y, w.* FROM v CROSS JOIN w": [3, 3],
    f"SELECT s.x FROM ({ABC}) s": [3],
    "SELECT y FROM (VALUES ('a', 1), ('bcd', 2)) AS s (y, z)": [3],
    "SELECT x FROM unnest(ARRAY['a', 'bc']) AS s (x)": [None],
    "WITH RECURSIVE w (x) AS (SELECT 'a' UNION ALL SELECT x FROM w) SELECT x FROM w": [None],
}


@pytest.mark.parametrize("query", LENGTHS)
def test_a_text_is_as_long_as_what_it_comes_from(query):
    columns = Lengths({"t": TABLE}).columns_of(check.parsed(query))
    assert [length for _, length in columns] == LENGTHS[query]


def test_how_many_columns_a_join_by_name_has_is_not_guessed():
    assert (
        Lengths({"t": TABLE}).columns_of(check.parsed("SELECT * FROM t JOIN t AS u USING (a)"))
        is None
    )


def test_a_result_tells_its_precision_and_a_table_that_a_query_makes_takes_no_longer_text(aws):
    aws.rows(f"CREATE EXTERNAL TABLE t (a varchar(10), b string) LOCATION 's3://{BUCKET}/t/'")
    ended = aws.execution("SELECT a, b, 'abc' AS c FROM t")
    information = aws.athena.get_query_results(QueryExecutionId=ended["QueryExecutionId"])[
        "ResultSet"
    ]["ResultSetMetadata"]["ColumnInfo"]
    assert [(column["Type"], column["Precision"]) for column in information] == [
        ("varchar", 10),
        ("varchar", 2147483647),
        ("varchar", 3),
    ]
    aws.rows(
        f"CREATE TABLE made WITH (external_location = 's3://{BUCKET}/made/') AS SELECT "
        "'apple' AS fruit"
    )
    columns = aws.glue.get_table(DatabaseName="db", Name="made")["Table"]["StorageDescriptor"][
        "Columns"
    ]
    assert columns == [{"Name": "fruit", "Type": "varchar(5)"}]
    aws.rows("INSERT INTO made SELECT 'fig    ' UNION ALL SELECT NULL")
    assert aws.rows("SELECT fruit FROM made ORDER BY 1") == [("apple",), ("fig  ",), (None,)]
    assert aws.reason("INSERT INTO made SELECT 'banana'").startswith(
        "INVALID_CAST_ARGUMENT: Cannot truncate non-space characters when casting from "
        "varchar(6) to varchar(5) on INSERT"
    )


def test_a_longer_text_is_cut_when_it_is_read(aws):
    form = "ROW FORMAT DELIMITED FIELDS TERMINATED BY ','"
    aws.rows(
        f"CREATE EXTERNAL TABLE t (a varchar(3), b char(2), c string) {form} LOCATION "
        f"'s3://{BUCKET}/t/'"
    )
    aws.s3.put_object(Bucket=BUCKET, Key="t/f", Body=b"abcd,efg,hijk\nabcd,l,m\n")
    assert aws.rows("SELECT a, b, c FROM t WHERE a = 'abc' AND b > 'a'") == [
        ("abc", "ef", "hijk"),
        ("abc", "l ", "m"),
    ]


def test_a_char_and_a_time_tell_their_length(aws):
    ended = aws.execution(
        "SELECT CAST('ab' AS char(3)) AS c, time '13:24:11' AS t, time '13:24:11.5' AS u"
    )
    found = aws.athena.get_query_results(QueryExecutionId=ended["QueryExecutionId"])["ResultSet"]
    information = [
        (column["Type"], column["Precision"]) for column in found["ResultSetMetadata"]["ColumnInfo"]
    ]
    assert information == [("char", 3), ("time", 0), ("time", 1)]
    assert [cell["VarCharValue"] for cell in found["Rows"][1]["Data"]] == [
        "ab ",
        "13:24:11",
        "13:24:11.5",
    ]
    aws.rows(
        f"CREATE TABLE made WITH (external_location = 's3://{BUCKET}/made/') AS SELECT "
        "CAST('ab' AS char(3)) AS c"
    )
    assert aws.glue.get_table(DatabaseName="db", Name="made")["Table"]["StorageDescriptor"][
        "Columns"
    ] == [{"Name": "c", "Type": "char(3)"}]
    aws.rows("INSERT INTO made SELECT CAST('z' AS char(3))")
    assert aws.rows("SELECT c FROM made WHERE c = 'z'") == [("z  ",)]


def test_a_query_of_thousands_of_columns_is_translated():
    names = translate.translate(
        "SELECT " + "rand(), " * 5000 + "1 AS x",
        SimpleNamespace(),
        "db",
        datetime(2026, 1, 1, tzinfo=UTC),
    ).sql
    assert '"_col0"' in names
    assert '"_col4999"' in names
