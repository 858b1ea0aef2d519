"""One table spells the five column types; here the engines are asked whether they agree."""

import duckdb
import pyarrow as pa
import pytest

from isthmus.events.tables.column_types import (
    COLUMN_TYPES,
    OF_ATTRIBUTE,
    arrow_type,
    of_arrow,
    sql_type,
)


@pytest.mark.parametrize("name", COLUMN_TYPES)
def test_duckdb_and_arrow_mean_the_same_by_a_type(name):
    column = (
        duckdb.sql(f"SELECT CAST(NULL AS {sql_type(name)}) AS x")
        .to_arrow_table()
        .schema.field("x")
        .type
    )
    wanted = (
        pa.timestamp("us") if name == "timestamp" else arrow_type(name)
    )  # DuckDB's TIMESTAMP is in microseconds: `canonical` cuts it
    assert column == wanted
    assert of_arrow(arrow_type(name)) == name
    assert OF_ATTRIBUTE[COLUMN_TYPES[name].attribute] == name


@pytest.mark.parametrize("name", COLUMN_TYPES)
def test_the_literal_of_a_type_does_not_change_it(name):
    sql = f"SELECT typeof(coalesce(CAST(NULL AS {sql_type(name)}), {COLUMN_TYPES[name].zero}))"
    assert duckdb.sql(sql).fetchall() == [(sql_type(name),)]


def test_another_arrow_type_is_none_of_the_five():
    with pytest.raises(KeyError):
        of_arrow(pa.int32())
