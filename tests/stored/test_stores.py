"""What each release stored on a laptop, opened by this version."""

import json
import sqlite3
from contextlib import closing

import pytest

from isthmus.adapters.local.home import FORMAT
from isthmus.tests.cli.running import isthmus, tree
from isthmus.tests.stored.copies import RELEASES, copied, user_version

ASK = '{"visitor_id": "v1", "item_id": [1, 2, 3], "slots": 2}'
NEW = "event_id,event_timestamp,item_id,position\nlater,2026-01-04T23:20:00Z,7,1\n"


@pytest.fixture(params=RELEASES)
def store(request, tmp_path):
    return copied(request.param, tmp_path / "starter")


def state(folder):
    with closing(sqlite3.connect(folder / ".isthmus" / "local.db")) as database:
        return {
            key: json.loads(value)
            for key, value in database.execute("SELECT key, value FROM state")
        }


def rows(folder):
    """Every row of local.db, by table."""
    with closing(sqlite3.connect(folder / ".isthmus" / "local.db")) as database:
        names = [
            name
            for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        return {
            name: sorted(map(repr, database.execute(f'SELECT * FROM "{name}"'))) for name in names
        }


def newer(folder, sql):
    with closing(
        sqlite3.connect(folder / ".isthmus" / "local.db", isolation_level=None)
    ) as database:
        database.execute(sql)


def test_there_is_a_store_of_0_1_0():
    assert "0.1.0" in RELEASES


def test_reading_an_old_store_gives_its_database_a_format_and_changes_nothing_else(store):
    before, version = rows(store), user_version(store)
    status = isthmus(store, "status").out
    assert "known up to 2026-01-05 00:00" in status
    assert "champion ranker@1" in status
    assert "ranker@1" in isthmus(store, "models", "list").out
    assert version < FORMAT
    assert user_version(store) == FORMAT
    assert {name: rows(store)[name] for name in before} == before


def test_the_runs_of_an_old_store_are_listed_shown_and_compared(store):
    listed = isthmus(store, "runs", "list", "--json").json
    assert [(run["name"], run["status"]) for run in listed] == [
        ("r1", "done"),
        ("r2", "done"),
        ("r3", "failed"),
    ]
    assert "ranker@1" in isthmus(store, "runs", "show", "r1").out
    assert "auc" in isthmus(store, "runs", "compare", "r1", "r2").out
    assert isthmus(store, "runs", "why-rerun", "r2").code == 0


def changes(folder):
    return [
        line.split()
        for line in isthmus(folder, "plan").out.splitlines()
        if line.lstrip()[:2] in ("+ ", "- ", "~ ")
    ]


def test_a_plan_finds_the_tables_and_views_of_an_old_store_as_they_are_declared_but_for_the_columns_that_came_since(
    store,
):
    tables, exposures, rankings, endpoint = changes(store)
    added = "(adds correction, stored_timestamp)"
    assert " ".join(tables) == f"~ event table impression {added}, click {added} apply"
    logged = "assignments, parameters, config, credit, features, scored_by"
    assert (
        " ".join(exposures)
        == f"~ event stream exposures (adds correction, stored_timestamp, {logged}) apply"
    )
    assert " ".join(rankings) == "+ event stream rankings apply"
    isthmus(store, "apply")
    assert changes(store) == [endpoint]  # its processes do not run


def test_an_old_store_takes_new_events_once_apply_gave_it_the_columns_and_publishes_them(store):
    said = isthmus(store, "ingest", ok=False)
    assert (
        said.err.split("\n")[0] == "error  local has no correction, stored_timestamp in click_raw"
    )
    assert "isthmus apply" in said.err
    isthmus(store, "apply")
    again = isthmus(store, "ingest", "--json").json
    assert [report["stored"] for report in again] == [0, 0]
    assert all(report["read"] == report["already_there"] > 0 for report in again)
    (store / "data" / "new.csv").write_text(NEW)
    (report,) = isthmus(store, "ingest", "data/new.csv", "--event", "impression", "--json").json
    assert report["stored"] == 1
    before = state(store)["views/item_history"]
    isthmus(store, "materialize")
    after = state(store)["views/item_history"]
    assert after["rows"] > before["rows"]
    assert after["schema"] == 1
    assert state(store)["tables/items"]["done"]


@pytest.mark.slow
def test_an_old_store_trains_its_next_runs_promotes_and_serves(store):
    try:
        (run,) = isthmus(store, "train", "models/history.yaml", "--json").json
        assert run["name"] == "r4"
        assert run["version"] == "ranker@1"  # the same model has the same digest as before
        isthmus(store, "train", "models/flat.yaml")
        assert state(store)["runs/counter"] == {"schema": 1, "last": 5}
        isthmus(store, "deploy", "home")
        answer = isthmus(store, "endpoints", "invoke", "home", ASK, "--json").json
        assert answer["version"] == "ranker@1"
        assert set(answer["items"]) <= {1, 2, 3}
        assert isthmus(store, "traffic", "home", "champion=100").code == 0
        isthmus(store, "models", "promote", "ranker@2", "--because", "a person says so")
        promotions = {
            key: document for key, document in state(store).items() if "/promotions/" in key
        }
        assert [document.get("schema") for _, document in sorted(promotions.items())] == [None, 1]
    finally:
        isthmus(store, "destroy", "--yes")


@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("plan",),
        ("apply",),
        ("ingest",),
        ("materialize",),
        ("train", "models/flat.yaml"),
        ("deploy", "home"),
        ("destroy", "--yes"),
    ],
    ids=" ".join,
)
def test_a_newer_database_is_refused_by_every_command_and_left_as_it_is(command, tmp_path):
    store = copied(RELEASES[-1], tmp_path / "starter")
    newer(store, f"PRAGMA user_version = {FORMAT + 1}")
    before = tree(store / ".isthmus")
    said = isthmus(store, *command, ok=False)
    assert said.code == 1
    assert (
        f"local.db was written by a newer Isthmus (format {FORMAT + 1}; this one reads up to {FORMAT})"
        in said.err
    )
    assert "update Isthmus" in said.err
    left_by_locks = {"lock", "local.db-shm", "local.db-wal"}
    assert {
        name: digest
        for name, digest in tree(store / ".isthmus").items()
        if name not in left_by_locks
    } == before


@pytest.mark.parametrize(
    ("key", "command"),
    [
        ("views/item_history", ("materialize",)),
        ("tables/items", ("apply",)),
        ("project", ("plan",)),
        ("runs/counter", ("train", "models/flat.yaml")),
        ("traffic/home", ("traffic", "home", "champion=100")),
        ("models/ranker/promotions/000001", ("models", "promote", "ranker@2", "--because", "so")),
    ],
)
def test_a_newer_state_document_is_refused_and_left_as_it_is(key, command, tmp_path):
    store = copied(RELEASES[-1], tmp_path / "starter")
    newer(store, f"UPDATE state SET value = CAST('{{\"schema\": 7}}' AS BLOB) WHERE key = '{key}'")
    said = isthmus(store, *command, ok=False)
    assert said.code == 1
    known = 3 if key.startswith("traffic/") else 1
    assert (
        f"state {key} was written by a newer Isthmus (format 7; this one reads up to {known})"
        in said.err
    )
    assert state(store)[key] == {"schema": 7}


def test_a_newer_record_is_refused_and_not_left_out_of_the_list(tmp_path):
    store = copied(RELEASES[-1], tmp_path / "starter")
    (store / ".isthmus" / "runs" / "r2" / "record.json").write_text('{"schema": 7}')
    said = isthmus(store, "runs", "list", ok=False)
    assert said.code == 1
    assert "record.json was written by a newer Isthmus (format 7" in said.err
