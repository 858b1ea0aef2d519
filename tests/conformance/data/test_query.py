"""`im.query`: the same rows, and the same refusals, on every target."""

from types import SimpleNamespace

import pytest

from isthmus.errors import Invalid
from isthmus.feature_store.offline.query import query
from isthmus.tests.conformance.data.clicks import ids_of, rows

pytestmark = pytest.mark.ports("warehouse")


@pytest.fixture
def project(target, warehouse):
    warehouse.append("clicks_raw", rows(*range(5)), batch="b1")
    return SimpleNamespace(target=target)


def test_rows_come_in_their_order_up_to_the_limit_for_the_parameters(project):
    sql = "SELECT event_id, item FROM clicks_raw WHERE item >= $least ORDER BY item DESC"
    assert query(project, sql, least=2)["event_id"].to_pylist() == ["e4", "e3", "e2"]
    assert query(project, f"{sql}; -- the newest", least=2, limit=2)["item"].to_pylist() == [4, 3]
    assert query(project, f"{sql} LIMIT 3", least=0, limit=2)["item"].to_pylist() == [4, 3]
    assert query(project, f"{sql} LIMIT 1", least=0, limit=2)["item"].to_pylist() == [4]


def test_outputs_need_no_name_of_their_own(project):
    sql = (
        "SELECT 1, 'a', CAST(item AS DOUBLE), item + 1, (SELECT 2), score FROM clicks_raw WHERE "
        "item = 3"
    )
    assert [column.to_pylist() for column in query(project, sql).columns] == [
        [1],
        ["a"],
        [3.0],
        [4],
        [2],
        [0.3],
    ]
    assert query(project, "SELECT 1", limit=5).num_rows == 1


def test_what_is_no_select_of_the_shared_sql_is_refused_and_nothing_is_asked(project, tmp_path):
    (tmp_path / "secret.csv").write_text("a\n1\n")
    asked = len(project.target.calls.calls)
    for sql, words in (
        ("DROP TABLE clicks_raw", "DROP"),
        ("SELECT 1 AS x; DELETE FROM clicks_raw", "2 statements"),
        (f"SELECT * FROM read_csv('{tmp_path}/secret.csv')", "READ_CSV"),
        (f"SELECT * FROM '{tmp_path}/secret.csv'", "secret.csv"),
        ("SELECT event_id FROM clicks_raw WHERE item = $item", r"\$item"),
        ("SELECT event_id\nFROM clicks_raw\nWHERE itm = 1", "line 3"),
    ):
        with pytest.raises(Invalid, match=words):
            query(project, sql)
    with pytest.raises(Invalid, match=r"there is no \$itm"):
        query(project, "SELECT event_id FROM clicks_raw WHERE item = $item", item=1, itm=1)
    assert [call for call in project.target.calls.calls[asked:] if call.mutating] == []
    assert len(ids_of(project.target.warehouse)) == 5
