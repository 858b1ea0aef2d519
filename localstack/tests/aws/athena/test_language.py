"""What is in Athena's language and what is not, and what each thing is in DuckDB: pure, without a
stack.
"""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pytest

from isthmus_stack.aws.services.athena.errors import NotRun, QueryFailed
from isthmus_stack.aws.services.athena.formats import types
from isthmus_stack.aws.services.athena.queries.databases import Databases
from isthmus_stack.aws.services.athena.sql import checks as check
from isthmus_stack.aws.services.athena.sql import functions, parameters, rules, statements
from isthmus_stack.aws.services.athena.sql import translation as translate
from isthmus_stack.aws.services.athena.sql import vocabulary as allowed
from isthmus_stack.aws.services.athena.sql.errors import Malformed

NOW = datetime(2024, 5, 6, 7, 8, 9, 123456, UTC)
FOLDER = TemporaryDirectory()
DATABASES = Databases(Path(FOLDER.name), 1 << 30)


class NoCatalog:
    def has_database(self, _name):
        return True


def value(sql, *parameters):
    """One value of a query without tables, as Athena would compute it."""
    translated = translate.translate(sql, NoCatalog(), "db", NOW, parameters)
    with DATABASES.session() as connection:
        connection.execute(f"EXPLAIN {translated.probe}")
        return connection.execute(translated.sql).fetchone()[0]


REFUSED = [
    ("SELECT a FROM t ASOF JOIN u ON t.x >= u.x", "ASOF"),
    ("SELECT a FROM t QUALIFY row_number() OVER (ORDER BY a) = 1", "mismatched input"),
    ("SELECT a, count(*) FROM t GROUP BY ALL", "GROUP BY ALL"),
    ("SELECT percentile_cont(x, 0.5) FROM t", "Function 'percentile_cont' not registered"),
    ("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x) FROM t", "percentile_cont"),
    ("SELECT arg_max(a, b) FROM t", "arg_max"),
    ("SELECT list_sum(a) FROM t", "list_sum"),
    ("SELECT strftime(a, '%Y') FROM t", "strftime"),
    ("SELECT epoch_ms(a) FROM t", "epoch_ms"),
    ("SELECT time_to_unix(a) FROM t", "time_to_unix"),
    ("SELECT median(a) FROM t", "median"),
    ("SELECT ifnull(a, 1) FROM t", "ifnull"),
    ("SELECT first(a) FROM t", "first"),
    ("SELECT a::integer FROM t", "'::'"),
    ("SELECT cast(a AS string) FROM t", "Unknown type: string"),
    ("SELECT cast(a AS float) FROM t", "Unknown type: float"),
    ("SELECT * EXCLUDE (a) FROM t", "EXCLUDE"),
    ("SELECT DISTINCT ON (a) b FROM t", "DISTINCT ON"),
    ("SELECT a FROM t UNION BY NAME SELECT b FROM u", "BY NAME"),
    ("SELECT a FROM t SEMI JOIN u ON t.a = u.a", "SEMI JOIN"),
    ("SELECT a FROM t POSITIONAL JOIN u", "JOIN"),
    ("SELECT a FROM t JOIN u", "ON"),
    ("FROM t SELECT a", "mismatched input 'FROM'"),
    ("SELECT a, FROM t", "mismatched input 'FROM'"),
    ("SELECT [1, 2]", "'['"),
    ("SELECT {'a': 1}", "'{'"),
    ("SELECT a // b FROM t", "mismatched input"),
    ("SELECT a ILIKE 'x' FROM t", "ILike"),
    ("SELECT `a` FROM t", "'`'"),
    ("SELECT a FROM t LIMIT 3 OFFSET 2", "OFFSET"),
    (
        (
            "SELECT sum(x) OVER (ORDER BY t RANGE BETWEEN INTERVAL 7 DAY PRECEDING AND CURRENT "
            "ROW) FROM t"
        ),
        "'7'",
    ),
    ("SELECT date '2024-01-01' + INTERVAL '7' DAYS", "'DAYS'"),
    ("SELECT row_number() FROM t", "OVER"),
    ("SELECT sum(x) OVER (PARTITION BY row_number()) FROM t", "OVER"),
    ("SELECT lower(a) OVER () FROM t", "Not a window function"),
    ("SELECT a FROM t WHERE a = $1", "'$1'"),
    ("SELECT", "<EOF>"),
    ("SELEC 1", "mismatched input"),
]


@pytest.mark.parametrize(("query", "words"), REFUSED, ids=[query[:40] for query, _ in REFUSED])
def test_what_athena_would_refuse_is_refused_before_it_is_translated(query, words):
    with pytest.raises((Malformed, QueryFailed)) as error:
        check.parsed(query)
    assert words in str(error.value)


ACCEPTED = [
    "WITH a (x) AS (SELECT 1) SELECT x FROM a",
    "SELECT a FROM t LEFT JOIN u USING (a) FULL OUTER JOIN v ON t.b = v.b CROSS JOIN w",
    (
        "SELECT count(*) FILTER (WHERE a > 1), count(DISTINCT a) FROM t GROUP BY GROUPING SETS "
        "((b), ()) HAVING count(*) > 1"
    ),
    (
        "SELECT last_value(x) IGNORE NULLS OVER (PARTITION BY a ORDER BY b ROWS BETWEEN "
        "UNBOUNDED PRECEDING AND CURRENT ROW) FROM t"
    ),
    (
        "SELECT sum(x) OVER w FROM t WINDOW w AS (PARTITION BY a ORDER BY b RANGE BETWEEN "
        "INTERVAL '7' DAY PRECEDING AND CURRENT ROW)"
    ),
    "SELECT u.v FROM t CROSS JOIN UNNEST(t.a) WITH ORDINALITY AS u (v, n)",
    "SELECT transform(a, x -> x + 1), a[1], ARRAY[1, 2], MAP(ARRAY['a'], ARRAY[1]) FROM t",
    (
        "SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.a = t.a) AND b IN (SELECT b FROM "
        "v) AND c IS NOT DISTINCT FROM d"
    ),
    "(SELECT 1) UNION ALL (SELECT 2) ORDER BY 1 OFFSET 1 LIMIT 1",
    "SELECT a FROM t ORDER BY a DESC NULLS FIRST FETCH FIRST 3 ROWS ONLY",
    "SELECT listagg(a, ',') WITHIN GROUP (ORDER BY b) FROM t",
    (
        "SELECT TRY(1 / 0), CAST(a AS decimal(10, 2)), TRY_CAST(b AS bigint), EXTRACT(year FROM "
        "c), a || b FROM t"
    ),
    "VALUES (1, 'a'), (2, 'b')",
    "SELECT count(x) OVER (PARTITION BY coalesce(a, b)) FROM t",
]


@pytest.mark.parametrize("query", ACCEPTED)
def test_what_athena_has_is_accepted(query):
    assert check.parsed(query) is not None


def test_every_function_that_the_stack_runs_is_on_athenas_list():
    assert set(functions.RULES) <= allowed.FUNCTIONS


def test_every_rule_calls_functions_that_duckdb_has():
    import re

    with duckdb.connect() as connection:
        for statement in rules.PRELUDE.split(";\n"):
            if statement.strip():
                connection.execute(statement)
        there = {
            name
            for (name,) in connection.execute(
                "SELECT function_name FROM duckdb_functions()"
            ).fetchall()
        }
    for name, rule in functions.RULES.items():
        if isinstance(rule.make, str):
            called = re.findall(r"(\w+)\(", rule.make)
            assert {c for c in called if c.lower() not in there} <= {
                "CAST",
                "coalesce",
                "nullif",
                "try",
            }, name


def test_a_function_that_athena_has_and_the_stack_does_not_says_so():
    with pytest.raises(
        NotRun, match=r"local AWS stack does not run the function soundex; Athena does$"
    ):
        value("SELECT soundex('Robert')")


@pytest.mark.parametrize("name", ["current_user", "current_time"])
def test_what_duckdb_would_tell_of_itself_is_refused(name):
    with pytest.raises(NotRun, match=f"does not run {name}; Athena does"):
        value(f"SELECT {name}")


MEANINGS = [
    ("7 / 2", 3),
    ("-7 / 2", -3),
    ("7 / 2e0", 3.5),
    ("1.2", 1.2),  # a double, where Trino has a decimal
    ("(5 + 1.0) / (5 + 250)", 6 / 255),
    ("(5 + DECIMAL '1.0') / (5 + 250)", 0),  # of scale 1, as Trino divides decimals
    ("(5 + 1e0) / (5 + 250)", 6 / 255),
    ("1e0 / 0", float("inf")),
    ("TRY(1 / 0)", None),
    (
        "date_diff('day', timestamp '2024-01-01 12:00:00', timestamp '2024-01-03 11:59:59')",
        1,
    ),  # whole days
    ("date_diff('day', date '2024-01-01', date '2024-01-03')", 2),
    ("CAST(date_add('day', 1, date '2024-02-28') AS varchar)", "2024-02-29"),
    ("CAST(timestamp '2024-01-01 00:00:00' AS varchar)", "2024-01-01 00:00:00.000"),
    ("concat('a', NULL)", None),
    ("greatest(1, NULL)", None),
    ("day_of_week(date '2024-05-05')", 7),
    ("to_hex(md5(to_utf8('a')))", "0CC175B9C0F1B6A831C399E269772661"),
    ("regexp_extract('ab12', '[0-9]+')", "12"),
    ("regexp_extract('ab', '[0-9]+')", None),
    ("regexp_replace('a1b2', '([0-9])', '<$1>')", "a<1>b<2>"),
    ("json_extract_scalar('{\"a\": {\"b\": 5}}', '$.a.b')", "5"),
    ("date_format(timestamp '2024-05-06 07:08:09', '%Y-%m-%d %H:%i:%s')", "2024-05-06 07:08:09"),
    ("to_unixtime(from_unixtime(1.5))", 1.5),
    ("CAST(current_date AS varchar)", "2024-05-06"),
    ("element_at(ARRAY[10, 20], 2)", 20),
    ("cardinality(filter(ARRAY[1, 2, 3], x -> x > 1))", 2),
    ("array_join(ARRAY['a', 'b'], '-')", "a-b"),
    ("split_part('a,b', ',', 2)", "b"),
    ("coalesce(NULLIF(1, 1), 2)", 2),
    ("if(1 > 2, 'a', 'b')", "b"),
    ("mod(7, 3)", 1),
    ("approx_percentile(x, 0.5) FROM (VALUES 1, 2, 3) AS t (x)", 2),
    ("max_by(x, y) FROM (VALUES (1, 2), (NULL, 3)) AS t (x, y)", None),
    ("avg(CAST(x AS decimal(10, 1))) FROM (VALUES 1, 2) AS t (x)", 1.5),
    ("array_join(ARRAY['a', NULL, 'b'], ',', '-')", "a,-,b"),
    ("array_join(ARRAY[1, NULL], ',')", "1"),
    ("max_by(x, y, 2) FROM (VALUES (1, 10), (NULL, 20), (3, 5), (4, NULL)) AS t (x, y)", [None, 1]),
    ("min_by(x, y, 2) FROM (VALUES (1, 10), (NULL, 20), (3, 5), (4, NULL)) AS t (x, y)", [3, 1]),
    ("json '{\"a\": [1, 2]}'", '{"a":[1,2]}'),
    ("CAST('abc' AS json)", '"abc"'),
    ("CAST('[1]' AS json) = json '\"[1]\"'", True),
    ("CAST(x AS json) FROM (VALUES 'a\"') AS t (x)", '"a\\""'),
    ("CAST(json '\"abc\"' AS varchar)", "abc"),
    ("CAST(json_extract('{\"a\": \"x\"}', '$.a') AS varchar)", "x"),
    ("json_extract_scalar('{\"a\": {}}', '$.a')", None),
    (r"U&'Hello winter \2603 !'", "Hello winter \u2603 !"),
    (r"U&'x!2603!!\' UESCAPE '!'", "x\u2603!\\"),
    (r"U&'\+01F600'", "\U0001f600"),
    ("localtime", time(7, 8, 9, 123000)),
    ("current_catalog", "awsdatacatalog"),
    ("date '2024-03-01' - date '2024-02-01'", timedelta(days=29)),
    ("ARRAY[1, 2] || 3", [1, 2, 3]),
    ("0 || ARRAY[1] || 2", [0, 1, 2]),
    ("array_agg(x) || 'b' FROM (VALUES 'a') AS t (x)", ["a", "b"]),
    ("ARRAY[1] || ARRAY[2]", [1, 2]),
    ("ARRAY[1] || concat(ARRAY[2], ARRAY[3])", [1, 2, 3]),
    ("ARRAY[1] || (SELECT ARRAY[2])", [1, 2]),
    ("ARRAY[1] || max_by(x, 1) FROM (VALUES ARRAY[2]) AS t (x)", [1, 2]),
    ("ARRAY['a'] || concat('b', 'c')", ["a", "bc"]),
    ("ARRAY[1] || CAST(NULL AS integer)", None),
    ("CAST('abc' AS char(5)) || '|'", "abc  |"),
    ("CAST('abc' AS char(2))", "ab"),
    ("CAST('abc' AS char(5)) = 'abc'", True),
    ("CAST('abc' AS char(5)) IN ('x', 'abc  ')", True),
    ("'abc' IN ('x', CAST('abc' AS char(5)))", True),
    ("CAST('b' AS char(5)) BETWEEN 'a' AND 'b'", True),
    ("CAST('abc' AS char(5)) IS DISTINCT FROM 'abc'", False),
]


@pytest.mark.parametrize(
    ("expression", "expected"), MEANINGS, ids=[expression[:40] for expression, _ in MEANINGS]
)
def test_an_expression_means_what_it_means_in_trino(expression, expected):
    found = value(f"SELECT {expression}")
    assert found == expected or (isinstance(expected, float) and found == pytest.approx(expected))


TYPES = {
    "1": "integer", "1.5": "double", "'cat'": "varchar(3)", "NULL": "unknown", "CAST(1 AS real)": "real", "to_utf8('a')": "varbinary",
    "decimal '1.5' * 1": "decimal(38,1)", "CAST('a' AS char(3))": "char(3)", "date '2024-01-01'": "date", "time '13:24:11'": "time(0)",
    "localtime": "time(3)", "timestamp '2024-01-01 00:00:00'": "timestamp(3)", "now()": "timestamp(3) with time zone",
    "ARRAY[now()]": "array(timestamp(3) with time zone)", "ARRAY[ARRAY[1.5]]": "array(array(double))", "json '1'": "json",
    "CAST('13:24:11' AS time)": "time(3)", "ROW(1, true)": "row(integer, boolean)",
    "MAP(ARRAY[1], ARRAY[true])": "map(integer, boolean)", "CAST(ROW(1, 2) AS ROW(x integer, y real))": "row(x integer, y real)",
}  # fmt: skip


@pytest.mark.parametrize("expression", TYPES)
def test_typeof_tells_trinos_type(expression):
    assert value(f"SELECT typeof({expression})") == TYPES[expression]


@pytest.mark.parametrize(
    "condition",
    ["1 = 'a'", "'2024' = 2024", "x IN (1, 2)", "date '2024-01-01' = '2024-01-01'", "x > 1"],
)
def test_a_text_is_not_compared_with_what_is_no_text(condition):
    with pytest.raises(duckdb.BinderException):
        value(f"SELECT {condition} FROM (VALUES 'a') AS t (x)")


@pytest.mark.parametrize(
    ("query", "parameters", "expected"),
    [
        ("SELECT (1 + ?) * 10 AS a, ? AS b", ("1", "2"), (20, 2)),
        (
            "WITH a AS (SELECT ? AS x) SELECT ?, x FROM a WHERE x IN (?, ?) LIMIT ?",
            ("1", "'two'", "3", "1", "9"),
            ("two", 1),
        ),
        ("SELECT CASE ? WHEN ? THEN ? ELSE ? END", ("1", "1", "'yes'", "'no'"), ("yes",)),
        ("SELECT 2 * ?", ("1 + 2",), (6,)),
    ],
)
def test_a_question_mark_gets_the_value_of_its_place_in_the_text_at_any_depth(
    query, parameters, expected
):
    translated = translate.translate(query, NoCatalog(), "db", NOW, parameters)
    with duckdb.connect() as connection:
        assert connection.execute(translated.sql).fetchone() == expected


@pytest.mark.parametrize(
    ("parameter", "sql"),
    [
        *(
            (constant, constant)
            for constant in (
                "1",
                "-1.5",
                "'x'",
                "null",
                "true",
                "DATE '2020-01-01'",
                "CAST('1' AS bigint)",
                "2024-01-01",
            )
        ),
        *(
            (text, f"'{text}'")
            for text in (
                "Washington",
                "New York",
                "a.b",
                "1, 2",
                "1; DROP TABLE t",
                "(SELECT 1)",
                "",
                "?",
            )
        ),
        ("it's", "'it''s'"),
        ("nosuch('a')", "nosuch('a')"),
    ],
)
def test_an_execution_parameter_is_a_constant_or_a_text(parameter, sql):
    assert parameters.as_sql(parameter) == sql


@pytest.mark.parametrize(
    ("query", "error", "words"),
    [
        (r"SELECT U&'\00'", Malformed, "Invalid escape sequence"),
        ("SELECT max_by(x, y, 2) FILTER (WHERE x > 0) FROM t", NotRun, "FILTER or OVER"),
        ("SELECT CAST(x AS char(2)) IN (SELECT '1') FROM t", NotRun, "of a char"),
        ("SELECT CAST(json '{}' AS varchar)", duckdb.Error, "Cannot cast to varchar"),
        ("SELECT json '{'", duckdb.Error, "Malformed JSON"),
    ],
)
def test_what_has_no_value_is_refused(query, error, words):
    with pytest.raises(error, match=words):
        value(query.replace(" t", " (VALUES (1, 2)) AS t (x, y)"))


@pytest.mark.parametrize(
    ("expression", "kind"),
    [("1.5", float), ("1.5e0", float), ("-.5", float), ("decimal '1.5'", Decimal), ("15", int)],
)
def test_a_number_with_a_point_is_a_double_and_no_decimal(expression, kind):
    assert type(value(f"SELECT {expression}")) is kind
    assert type(value("SELECT ?", expression)) is kind


def test_nulls_are_last_in_both_directions():
    for direction in ("ASC", "DESC"):
        assert (
            value(f"SELECT array_agg(x ORDER BY x {direction}) FROM (VALUES 1, NULL, 2) AS t (x)")[
                -1
            ]
            is None
        )


def test_parameters_are_literals_in_the_order_of_the_marks():
    assert value("SELECT ? || CAST(? AS varchar)", "'a'", "1") == "a1"
    for wrong in (("'a'",), ("'a'", "1", "2"), ("a", "1"), ("1; DROP", "1")):
        with pytest.raises(QueryFailed):
            value("SELECT ? || CAST(? AS varchar)", *wrong)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("SELECT 1", statements.Select),
        ("  with a as (select 1) select * from a;", statements.Select),
        (
            "CREATE TABLE a.b WITH (format = 'PARQUET') AS SELECT 1 x WITH NO DATA",
            statements.CreateTableAs,
        ),
        (
            (
                "UNLOAD (SELECT ')' AS a) TO 's3://b/c/' WITH (format = 'PARQUET', "
                "partitioned_by = ARRAY['a'])"
            ),
            statements.Unload,
        ),
        ("INSERT INTO t (a, b) VALUES (1, 2)", statements.Insert),
        ("INSERT INTO t (SELECT 1)", statements.Insert),
        ("CREATE OR REPLACE VIEW v AS SELECT 1 a", statements.CreateView),
        ("SHOW TABLES", statements.Ddl),
        ("EXECUTE p USING 1, 'a,b'", statements.Execute),
    ],
)
def test_a_statement_is_known_by_its_words(text, kind):
    assert isinstance(statements.read(text), kind)


def test_the_query_in_an_unload_keeps_its_place_in_the_text():
    text = "UNLOAD (SELECT ')' AS a,\n nosuch(1)) TO 's3://b/c/' WITH (format = 'PARQUET')"
    with pytest.raises(QueryFailed, match=r"line 2:2: Function 'nosuch' not registered"):
        check.parsed(statements.read(text).query)


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM t",
        "UPDATE t SET a = 1",
        "SELECT 1; SELECT 2",
        "",
        "EXPLAIN SELECT 1",
        "CREATE TABLE t (a int)",
    ],
)
def test_what_the_stack_does_not_take_is_refused_at_once(text):
    with pytest.raises(Malformed):
        statements.read(text)


@pytest.mark.parametrize(
    "hive",
    [
        "string",
        "int",
        "bigint",
        "double",
        "decimal(10,2)",
        "date",
        "timestamp",
        "array<string>",
        "map<string,int>",
        "struct<a:int,b:array<double>>",
    ],
)
def test_a_hive_type_survives_the_way_through_duckdb(hive):
    assert types.glue(types.duckdb(hive)) == hive
