"""What adapters share, without any adapter: names, dates, features of a view, an event's values, a
query's errors.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.adapters.common.adoption import not_ours
from isthmus.adapters.common.event_values import event_values, rules_of
from isthmus.adapters.common.online import latest_sql, merged
from isthmus.adapters.common.pipelines.registry import check_alias, no_version
from isthmus.adapters.common.storage.blob_names import (
    LAST,
    BlobNames,
    listed_below,
    parts_of,
    upload_uris,
)
from isthmus.adapters.common.warehouse import duckdb_functions, queries
from isthmus.adapters.common.warehouse.conformance import by_date
from isthmus.adapters.common.warehouse.letters import TO_LOWER, TO_UPPER
from isthmus.adapters.common.warehouse.tables import TableDocument
from isthmus.errors import Invalid, NotFound
from isthmus.events.port import Column
from isthmus.events.tables.column_types import COLUMN_TYPES

UNHURRIED = settings(deadline=None)  # the machine may be busy

NAMES = BlobNames(root="s3://bucket/shop", temporary=".tmp-", reserved=frozenset({"warehouse"}))
MOMENTS = st.lists(
    st.datetimes(min_value=datetime(1960, 1, 1), max_value=datetime(2030, 1, 1)).map(  # noqa: DTZ001
        lambda t: t.replace(microsecond=0)
    ),
    max_size=12,
).map(sorted)


@UNHURRIED
@given(MOMENTS, st.integers(1, 5))
def test_rows_in_the_order_of_their_time_fall_into_runs_of_one_date_each(moments, chunk):
    batch = pa.record_batch(
        [pa.array(moments, pa.timestamp("ms")), pa.array(range(len(moments)))], names=["at", "row"]
    )
    table = pa.Table.from_batches(
        [batch.slice(start, chunk) for start in range(0, len(moments), chunk)], batch.schema
    )
    for data in (batch, table):
        runs = list(by_date(data, "at"))
        assert [date for date, _ in runs] == sorted({f"{moment:%Y-%m-%d}" for moment in moments})
        assert [row for _, rows in runs for row in rows.column("row").to_pylist()] == list(
            range(len(moments))
        )
        assert all(
            {f"{moment:%Y-%m-%d}" for moment in rows.column("at").to_pylist()} == {date}
            for date, rows in runs
        )


FEATURES = st.dictionaries(st.sampled_from("abcde"), st.sampled_from(list(COLUMN_TYPES))).map(
    lambda types: tuple(Column(name=name, type=kind) for name, kind in types.items())
)


@UNHURRIED
@given(FEATURES, FEATURES)
def test_a_view_gains_features_and_nothing_else(old, new):
    types = {feature.name: feature.type for feature in new}
    if any(types.get(feature.name) != feature.type for feature in old):
        with pytest.raises(Invalid, match="online view ctr: feature"):
            merged("ctr", old, new)
    else:
        features = merged("ctr", old, new)
        assert features[: len(old)] == old  # a feature keeps its place: rows are stored by it
        assert {feature.name: feature.type for feature in features} == types


def test_a_feature_that_is_no_longer_required_is_still_the_same_feature():
    old, new = (Column(name="a", type="int64", required=True),), (Column(name="a", type="int64"),)
    assert merged("ctr", old, new) == old


def test_the_latest_row_is_the_newest_by_event_time_then_by_when_it_was_known():
    rows = (
        "(VALUES ('k', 1, 1, 'old'), ('k', 2, 1, 'newer'), ('k', 2, 2, 'corrected'), ('k', 1, 9, "
        "'late'), ('l', 5, 5, 'other'))"
    )
    history = (
        f"(SELECT * FROM {rows} AS t(entity_key, event_timestamp, created_timestamp, x)) AS history"
    )
    sql = latest_sql(
        history, ("entity_key",), (Column(name="x", type="string"),), "created_timestamp <= 9"
    )
    assert sorted(duckdb.sql(sql).fetchall()) == [("k", "corrected"), ("l", "other")]


PART = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=5)


@UNHURRIED
@given(st.lists(PART, min_size=1, max_size=4))
def test_a_uri_is_its_parts_or_is_refused(parts):
    uri = f"{NAMES.root}/{'/'.join(parts)}"
    if (
        any(part in {".", ".."} or part.startswith(".tmp-") for part in parts)
        or parts[0] == "warehouse"
    ):
        with pytest.raises(Invalid):
            parts_of(uri, NAMES)
    else:
        assert parts_of(uri, NAMES) == parts
        assert listed_below(uri, NAMES) == ("/".join(parts[:-1]), "/".join(parts))


@pytest.mark.parametrize(
    "uri", ["s3://bucket/shop", "s3://bucket/shopping/a", "s3://other/shop/a", "a", ""]
)
def test_what_is_not_below_the_root_is_no_blob(uri):
    with pytest.raises(Invalid, match="is not below s3://bucket/shop"):
        parts_of(uri, NAMES)


def test_a_folder_goes_up_with_its_manifest_last_and_without_what_is_not_finished(tmp_path):
    for name in ("a.txt", LAST, "z.txt", "deep/manifest.json", ".tmp-1"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    uris = [uri for _, uri in upload_uris(tmp_path, "s3://bucket/shop/m/", NAMES)]
    assert uris == [
        f"s3://bucket/shop/m/{name}" for name in ("a.txt", "deep/manifest.json", "z.txt", LAST)
    ]
    with pytest.raises(NotFound):
        upload_uris(Path(tmp_path / "nowhere"), "s3://bucket/shop/m", NAMES)


@pytest.mark.parametrize("alias", ["", "7", "default"])
def test_an_alias_is_neither_a_number_nor_the_providers(alias):
    with pytest.raises(Invalid):
        check_alias(alias)
    check_alias("production")


def test_a_version_that_is_not_there_is_answered_with_those_that_are():
    assert no_version("ranker", 7, {}).remedy == "train one of its configurations"
    assert (
        no_version("ranker", 7, {1: (), 2: {"b", "a"}}).remedy
        == "there is ranker@1, ranker@2 (a) (b)"
    )


STREAM = TableDocument(
    name="click",
    columns=(
        Column(name="event_id", type="string", required=True),
        Column(name="event_timestamp", type="timestamp", required=True),
        Column(name="price", type="float64"),
    ),
    time_column="event_timestamp",
    stream_key="event_id",
)
NOON = datetime(2026, 7, 1, 23, 30, tzinfo=UTC)
EVENT = {"event_id": "e1", "event_timestamp": NOON, "dt": "2026-07-01", "price": 3}


def test_an_events_values_come_in_the_columns_order_with_their_date():
    assert event_values(rules_of(STREAM), EVENT, lambda _, value: value) == (
        ["e1", NOON, 3.0],
        "2026-07-01",
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"colour": 1}, "unknown column colour; `isthmus apply` adds what a stream lacks"),
        ({"event_id": None}, "event_id is missing"),
        ({"event_id": ""}, "event_id is missing"),
        ({"event_timestamp": NOON.replace(tzinfo=None)}, "event_timestamp has no time zone"),
        ({"dt": "2026-07-02"}, "dt is 2026-07-02 and event_timestamp is on 2026-07-01"),
        (
            {"event_timestamp": NOON + timedelta(hours=1)},
            "dt is 2026-07-01 and event_timestamp is on 2026-07-02",
        ),
        ({"price": True}, "price is float64, not bool"),
    ],
)
def test_an_event_that_does_not_fit_says_why(change, reason):
    with pytest.raises(Invalid) as refusal:
        event_values(rules_of(STREAM), EVENT | change, lambda _, value: value)
    assert refusal.value.message == reason


def test_a_querys_error_has_its_place_and_the_table_that_was_probably_meant():
    with duckdb.connect() as db:
        db.execute("CREATE TABLE events_click (a BIGINT)")
        sql = "SELECT a\nFROM event_click"
        with pytest.raises(duckdb.Error) as raised:
            queries.bind(db, sql, {})
        error = queries.sql_error(
            queries.with_position(db, raised.value, sql, {}), ["events_click"]
        )
        assert error.message == "SQL, line 2, column 6: Table with name event_click does not exist!"
        assert error.remedy.startswith("did you mean events_click?   there are ")
        relation, values = queries.bind(
            db, "SELECT a FROM events_click WHERE a > $least", {"least": 1, "unused": 2}
        )
        assert (relation.columns, values) == (["a"], {"least": 1})
        for wrong in ("DELETE FROM events_click", "SELECT 1; SELECT 2"):
            with pytest.raises(Invalid, match="a query is one SELECT statement"):
                queries.bind(db, wrong, {})


def test_who_can_give_up_an_endpoint_is_named_where_it_is_marked_as_anothers():
    profile = SimpleNamespace(adapter="somewhere")
    assert not_ours("E1", "other", profile).remedy.startswith("let other give it up")
    assert not_ours("E1", None, profile).remedy == "isthmus import somewhere endpoint E1 --adopt"


def test_duckdbs_macros_change_the_case_of_the_letters_that_translate_does():
    with duckdb.connect() as connection:
        duckdb_functions.define(connection)
        select = "SELECT chr(n::INTEGER) AS c, lower({0}c), upper({0}c) FROM range({1}) AS t(n)"
        letters = connection.execute(select.format("", "1, 55296")).fetchall()
        letters += connection.execute(select.format("", "57344, 1114112")).fetchall()
        beside_another = connection.execute(select.format("'Aßi' || ", "1, 1500")).fetchall()
    assert len(letters) > 1_000_000
    changed = [(c, TO_LOWER.get(c, c), TO_UPPER.get(c, c)) for c, _, _ in letters]
    assert [pair for pair in zip(letters, changed, strict=True) if pair[0] != pair[1]] == []
    assert beside_another == [(c, f"aßi{low}", f"AßI{up}") for c, low, up in changed[:1499]]
