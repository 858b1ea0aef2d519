"""Warehouse.query with `into`: rows come in their order, some at a time, and are not returned."""

from itertools import islice

import pyarrow as pa
import pytest

from isthmus.errors import Invalid
from isthmus.tests.conformance.data.clicks import rows

pytestmark = pytest.mark.ports("warehouse")

# 48 x 48 x 48 rows: more than any target hands over at a time
MANY = """
SELECT a.item AS first, b.item AS second, c.item AS third, a.event_id, a.event_timestamp, c.score
FROM clicks_raw AS a CROSS JOIN clicks_raw AS b CROSS JOIN clicks_raw AS c
WHERE a.item >= $least
ORDER BY first DESC, second, third
"""


def test_they_are_the_rows_of_the_query_in_its_order_and_of_its_types(warehouse):
    warehouse.append("clicks_raw", rows(*range(48)), batch="b1")
    sizes, held = [], []

    def take(tables):
        sizes.clear()
        held.clear()
        for table in tables:
            sizes.append(table.num_rows)
            held.append(table)

    returned = warehouse.query(MANY, {"least": 0}, into=take)
    whole = warehouse.query(MANY, {"least": 0})
    assert len(sizes) > 1
    assert max(sizes) <= 100_000 < sum(sizes) == whole.num_rows == 48**3
    assert pa.concat_tables(held).equals(whole)
    assert returned.num_rows == 0
    assert returned.schema.equals(whole.schema)


def test_they_need_not_all_be_read(warehouse):
    warehouse.append("clicks_raw", rows(*range(48)), batch="b1")
    first = []
    warehouse.query(MANY, {"least": 0}, into=lambda tables: first.extend(islice(tables, 1)))
    assert first[0]["first"][0].as_py() == 47
    assert first[0].num_rows < 48**3
    assert warehouse.query("SELECT count(*) AS n FROM clicks_raw", {})["n"].to_pylist() == [48]


def test_of_no_rows_there_are_the_columns(warehouse):
    seen = []
    returned = warehouse.query(
        MANY, {"least": 0}, into=lambda tables: seen.extend(table.num_rows for table in tables)
    )
    assert sum(seen) == 0
    assert returned.column_names[:3] == ["first", "second", "third"]


def test_a_wrong_query_is_refused_before_anything_is_handed_over(warehouse):
    called = []
    with pytest.raises(Invalid, match="nope"):
        warehouse.query("SELECT nope FROM clicks_raw", {}, into=called.append)
    assert called == []


def test_what_goes_wrong_in_the_taker_is_its_own_error(warehouse):
    warehouse.append("clicks_raw", rows(1), batch="b1")

    def take(_tables):
        raise LookupError("of the taker")

    with pytest.raises(LookupError, match="of the taker"):
        warehouse.query("SELECT event_id FROM clicks_raw", {}, into=take)
    assert warehouse.query("SELECT event_id FROM clicks_raw", {}).num_rows == 1
