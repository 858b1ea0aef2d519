"""Functions in SQL, scripts and wildcard tables, by the genuine client; what a function gives is
the reference implementation's.
"""

import datetime as dt
from decimal import Decimal

import pytest
from google.api_core.exceptions import BadRequest, MethodNotImplemented, NotFound
from google.cloud import bigquery
from google.cloud.bigquery import ScalarQueryParameter


def placed(*values):
    return bigquery.QueryJobConfig(
        query_parameters=[ScalarQueryParameter(None, "INT64", value) for value in values]
    )


def test_a_function_of_one_request_is_no_script(client):
    sql = (
        "CREATE TEMP FUNCTION square(x ANY TYPE) AS (x * x);\n"
        "CREATE TEMP FUNCTION more(x INT64, y FLOAT64) RETURNS FLOAT64 AS (square(x) + y);\n"
        "SELECT more(x, 1), more(y => 0.5, x => x), square(2.5) FROM UNNEST([1, 3]) x ORDER BY x"
    )
    job = client.query(sql)
    assert [tuple(row) for row in job.result()] == [(2.0, 1.5, 6.25), (10.0, 9.5, 6.25)]
    assert job.statement_type == "SELECT"
    assert client.query(sql, bigquery.QueryJobConfig(dry_run=True)).schema[0].field_type == "FLOAT"


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        (
            "CREATE TEMP FUNCTION f(x INT64) AS (x);\nSELECT f('a')",
            r"Unable to coerce type STRING to expected type INT64 at \[2:8\]",
        ),
        (
            "CREATE TEMP FUNCTION f(x INT64) AS (x + foo);\nSELECT f(1)",
            r"Unrecognized name: foo at \[1:41\]",
        ),
        ("CREATE TEMP FUNCTION f(x INT64) AS (x);\nSELECT F(1)", "Function not found: F"),
        (
            "DECLARE x INT64;\nSET x = 'a'",
            r"type STRING which cannot be coerced to target type INT64",
        ),
        ("DECLARE x INT64 DEFAULT 2;\nSELECT y", r"Unrecognized name: y at \[2:8\]"),
        ("SET x = 1;", "Undeclared variable: x"),
        ("BEGIN RAISE USING MESSAGE = 'too late'; END", "too late"),
        ("BEGIN RAISE USING MESSAGE = CAST(NULL AS STRING); END", "NULL"),
    ],
)
def test_what_is_wrong_in_a_script_is_said_in_google_s_words_at_its_place(rows, sql, words):
    with pytest.raises(BadRequest, match=words):
        rows(sql)


def test_what_scripts_cannot_do_here_is_refused_by_its_name(rows):
    for sql, name in (
        (
            "CREATE TEMP FUNCTION f(x INT64) RETURNS INT64 LANGUAGE js AS 'return x'; SELECT f(1)",
            "functions in js",
        ),
        ("BEGIN TRANSACTION; SELECT 1; COMMIT TRANSACTION", "BEGIN TRANSACTION"),
        ("CALL shop.p(1)", "CALL"),
    ):
        with pytest.raises(MethodNotImplemented, match=name):
            rows(sql)


def test_an_argument_is_computed_once(rows):
    zero = "CREATE TEMP FUNCTION zero(x FLOAT64) AS (x - x); "
    assert rows(
        zero
        + "SELECT SUM(ABS(zero(RAND()))), SUM(zero(x * 2.5)) FROM UNNEST(GENERATE_ARRAY(1, 100)) x"
    ) == [(0.0, 0.0)]


def test_a_function_that_duckdb_does_not_run_is_the_reference_implementation_s(rows):
    assert rows(
        "CREATE TEMP FUNCTION wide(x INT64) AS (FORMAT('%05d', x)); SELECT wide(x) FROM "
        "UNNEST([7]) x"
    ) == [("00007",)]


def test_a_dataset_keeps_functions_which_views_call_and_which_read_tables(client, rows):
    client.query_and_wait("CREATE TABLE shop.t AS SELECT x FROM UNNEST([1, 2, 3]) x")
    client.query_and_wait(
        "CREATE FUNCTION shop.above(k INT64) AS ((SELECT SUM(x) FROM shop.t WHERE x > k))"
    )
    client.query_and_wait("CREATE VIEW shop.v AS SELECT x, shop.above(x) AS s FROM shop.t")
    assert rows("SELECT `shop.above`(0), s FROM shop.v WHERE x = 2") == [(6, 3)]
    client.query_and_wait("CREATE OR REPLACE FUNCTION shop.above(k INT64) AS (k)")
    assert rows("SELECT shop.above(5)") == [(5,)]
    with pytest.raises(BadRequest, match="still in use"):
        client.delete_dataset("shop")
    client.query_and_wait("DROP FUNCTION shop.above")
    with pytest.raises(NotFound, match="Routine"):
        client.query_and_wait("DROP FUNCTION shop.above")


def test_a_script_has_variables_branches_and_loops(rows):
    sql = """
DECLARE i, total INT64 DEFAULT 0;
DECLARE label STRING;
WHILE i < 6 DO
  SET i = i + 1;
  IF MOD(i, 2) = 0 THEN CONTINUE; ELSEIF i = 5 THEN BREAK; END IF;
  SET total = total + i;
END WHILE;
FOR row IN (SELECT x, x * 10 AS y FROM UNNEST([1, 2]) x) DO SET total = total + row.y; END FOR;
outer_loop: LOOP
  REPEAT SET total = total + 1; IF total > 35 THEN LEAVE outer_loop; END IF; UNTIL FALSE END REPEAT;
END LOOP;
CASE i WHEN 4 THEN SET label = 'four'; WHEN 5 THEN SET (label, i) = ('five', -1); END CASE;
SELECT i, total, label, FORMAT('%d', total) FROM UNNEST([total]) total;
RETURN;
SELECT 'never'
"""
    assert rows(sql) == [(-1, 36, "five", "36")]


def test_a_block_handles_what_fails_in_it_and_its_variables_end_with_it(rows):
    sql = """
DECLARE x INT64 DEFAULT 1;
BEGIN
  DECLARE y INT64 DEFAULT 0;
  SET x = DIV(1, y);
EXCEPTION WHEN ERROR THEN
  BEGIN
    RAISE;
  EXCEPTION WHEN ERROR THEN SELECT x, @@error.message AS words;
  END;
END
"""
    assert rows(sql) == [(1, "division by zero: 1 / 0")]


def test_statements_are_made_while_a_script_runs(client, rows):
    sql = """
DECLARE n INT64;
EXECUTE IMMEDIATE 'SELECT ? * @@row_count' INTO n USING 4;
EXECUTE IMMEDIATE FORMAT('CREATE TABLE shop.%s AS SELECT @n AS n', 'made') USING 20 AS n;
INSERT shop.made VALUES (21), (22);
SET n = @@row_count;
SET @@dataset_id = 'shop';
SELECT SUM(n), n FROM made GROUP BY n HAVING n = (SELECT MAX(n) FROM made)
"""
    assert rows(sql) == [(22, 22)]
    assert rows(
        "DECLARE x INT64 DEFAULT ?;\nSET x = x + ?;\nSELECT x, ?", job_config=placed(1, 10, 5)
    ) == [(11, 5)]


def test_a_script_that_is_wrong_is_refused_before_any_of_it_runs(client, rows):
    for sql, words in (
        (
            "SELECT 1; DECLARE x INT64",
            r"allowed only at the start of a block or script at \[1:65\]",
        ),
        ("DECLARE x INT64; BEGIN DECLARE X STRING; END", r"'X' redeclaration at"),
        ("DECLARE x INT64; FOR x IN (SELECT 1 AS a) DO SELECT 1; END FOR", "'x' redeclaration"),
        ("IF TRUE THEN BREAK; END IF", "BREAK is only allowed inside of a loop body"),
        ("LOOP LEAVE b; END LOOP", "Label b does not exist"),
        ("a: BEGIN CONTINUE a; END", "CONTINUE with label must refer to a loop"),
        ("a: LOOP a: BEGIN SELECT 1; END; END LOOP", "Label a already exists"),
        ("RAISE", "Cannot re-raise"),
        ("SELECT ?", "1 positional parameters but only 0 were supplied"),
        ("SELECT @p", "Unknown named query parameter: p"),
    ):
        with pytest.raises(BadRequest, match=words):
            rows(f"BEGIN CREATE TABLE shop.early AS SELECT 1 AS x; BEGIN {sql}; END; END")
    with pytest.raises(MethodNotImplemented, match="CALL"):
        rows("CREATE TABLE shop.early AS SELECT 1 AS x; CALL shop.p(1)")
    assert list(client.list_tables("shop")) == []


def test_a_script_has_no_destination_and_the_result_of_its_last_statement(client, rows):
    with pytest.raises(BadRequest, match="destinationTable cannot be set for scripts"):
        rows(
            "SELECT 1; SELECT 2",
            job_config=bigquery.QueryJobConfig(destination="shop-project.shop.t"),
        )
    assert rows("SELECT 1; CREATE TABLE shop.t (x INT64)") == []


def test_a_value_is_coerced_to_the_type_of_its_variable(rows):
    sql = """
DECLARE f FLOAT64;
DECLARE d DATE;
DECLARE n NUMERIC;
SET (f, d) = (1, '2024-01-01');
EXECUTE IMMEDIATE 'SELECT 2' INTO n;
SET f = LENGTH(FORMAT('%05d', CAST(f AS INT64)));
SELECT f, d, n
"""
    assert rows(sql) == [(5.0, dt.date(2024, 1, 1), Decimal(2))]
    assert rows("DECLARE x, y INT64 DEFAULT 1; SET (x, y) = NULL; SELECT x, y") == [(None, None)]
    with pytest.raises(BadRequest, match="Assigning multiple values to variable: x"):
        rows("DECLARE x INT64; SET (x, x) = (1, 2)")


def test_a_declaration_has_one_value_and_an_array_without_a_value_is_null(rows):
    sql = (
        "DECLARE a, b STRING DEFAULT GENERATE_UUID(); DECLARE l ARRAY<INT64>; SELECT a = b, "
        "ARRAY_LENGTH(l), FORMAT('%T', l)"
    )
    assert rows(sql) == [(True, None, "NULL")]


def test_a_case_s_expression_and_conditions_take_parameters_by_their_place(rows):
    sql = "CASE ? WHEN 0 THEN SELECT 'zero', ?; WHEN ? THEN SELECT 'same', ?; END CASE"
    assert rows(sql, job_config=placed(2, 3, 2, 4)) == [("same", 4)]


def test_a_labelled_block_is_left_from_its_handler(rows):
    assert rows("a: BEGIN SELECT DIV(1, 0); EXCEPTION WHEN ERROR THEN LEAVE a; END; SELECT 1") == [
        (1,)
    ]


def test_a_statement_that_is_made_sees_no_variable_and_into_takes_a_query(client, rows):
    for sql, words in (
        ("EXECUTE IMMEDIATE 'SELECT x'", "Unrecognized name: x"),
        (
            "EXECUTE IMMEDIATE 'CREATE TABLE shop.t AS SELECT 1 AS y' INTO x",
            "INTO clause must use a query",
        ),
        ("EXECUTE IMMEDIATE 'SELECT ?' USING 1, 2 AS y", "all positional or all named"),
    ):
        with pytest.raises(BadRequest, match=words):
            rows(f"DECLARE x INT64 DEFAULT 1; {sql}")


def test_a_system_variable_beside_what_duckdb_does_not_run_is_refused_by_name(rows):
    with pytest.raises(MethodNotImplemented, match="FORMAT"):
        rows("DECLARE x INT64; SELECT FORMAT('%05d', 7), @@row_count")


def test_a_function_of_one_request_goes_before_a_stored_one(client, rows):
    client.query_and_wait("CREATE FUNCTION shop.f() AS (1)")
    config = bigquery.QueryJobConfig(default_dataset="shop-project.shop")
    assert rows("CREATE TEMP FUNCTION f() AS (2); SELECT f(), shop.f()", job_config=config) == [
        (2, 1)
    ]


def test_a_wildcard_reads_the_tables_of_its_prefix_with_the_newest_one_s_columns(client, rows):
    for day, columns in (
        ("20240101", "1 AS n, 'x' AS old"),
        ("20240102", "2 AS n, [7] AS l"),
        ("20240103", "3 AS n, [8] AS l"),
    ):
        client.query_and_wait(f"CREATE TABLE shop.e_{day} AS SELECT {columns}")
    client.query_and_wait("CREATE TABLE shop.other AS SELECT 9 AS n")
    assert rows("SELECT * FROM `shop.e_*` ORDER BY n") == [(1, []), (2, [7]), (3, [8])]
    assert rows(
        "SELECT _TABLE_SUFFIX AS s, FORMAT('%d', n) FROM `shop.e_2024*` WHERE _TABLE_SUFFIX "
        "> '0102'"
    ) == [("0103", "3")]
    with pytest.raises(BadRequest, match='Invalid field name "_TABLE_SUFFIX"'):
        rows("SELECT _TABLE_SUFFIX FROM `shop.e_*`")
    dry = client.query("SELECT n FROM `shop.e_*`", bigquery.QueryJobConfig(dry_run=True))
    assert dry.total_bytes_processed == 24
    with pytest.raises(NotFound, match=r"shop\.none_\* does not match any table"):
        rows("SELECT * FROM `shop.none_*`")
    with pytest.raises(BadRequest, match="DML"):
        rows("DELETE FROM `shop.e_*` WHERE n = 1")
    client.query_and_wait("CREATE TABLE shop.e_20240104 AS SELECT 'x' AS n")
    with pytest.raises(BadRequest, match="Cannot read field 'n' of type INT64 as STRING"):
        rows("SELECT n FROM `shop.e_*`")
    client.query_and_wait("CREATE VIEW shop.e_v AS SELECT 1 AS n")
    with pytest.raises(BadRequest, match="Views cannot be queried through prefix"):
        rows("SELECT n FROM `shop.e_*` WHERE _TABLE_SUFFIX = '20240101'")
