"""A query's database serves the next one, and nothing of a query is in it then."""

import shutil

import duckdb
import pytest

from isthmus_stack.aws.services.athena.queries import databases
from isthmus_stack.aws.services.athena.queries.databases import Databases

LEAVES = """SELECT (SELECT count(*) FROM duckdb_tables()), (SELECT count(*) FROM duckdb_views() WHERE NOT internal),
 current_setting('TimeZone'), current_setting('integer_division'), current_setting('enable_external_access'), 7 / 2, trino_divide(1, 2)"""


@pytest.fixture
def pool(tmp_path, monkeypatch):
    monkeypatch.setattr(
        databases, "_resident", lambda: 100 << 20
    )  # other threads of this process take memory, too
    return Databases(tmp_path / "athena", 20 << 20)


def folders(tmp_path):
    return {path.name for path in (tmp_path / "athena").iterdir()}


def test_a_query_finds_nothing_of_the_one_before_in_the_same_database(pool, tmp_path):
    with pool.session() as session:
        fresh = session.execute(LEAVES).fetchone()
        session.execute("CREATE TEMP TABLE clicks AS SELECT 1 AS a")
        session.execute("SET TimeZone = 'Asia/Tokyo'")
        session.execute("SET integer_division = false")
    before = folders(tmp_path)
    with pool.session() as session:
        assert session.execute(LEAVES).fetchone() == fresh == (0, 0, "UTC", True, False, 3, 0.5)
        with pytest.raises(duckdb.CatalogException):
            session.execute("SELECT * FROM clicks")
        assert folders(tmp_path) == before
        assert len(before) == 1


def test_two_queries_at_once_have_two_databases_and_a_third_gets_one_of_them(pool, tmp_path):
    with pool.session() as one, pool.session() as other:
        one.execute("CREATE TEMP TABLE clicks AS SELECT 1 AS a")
        assert other.execute("SELECT count(*) FROM duckdb_tables()").fetchone() == (0,)
        two = folders(tmp_path)
    with pool.session():
        assert folders(tmp_path) == two
        assert len(two) == 2


def test_more_databases_than_a_few_do_not_wait_for_a_query(pool, tmp_path, monkeypatch):
    monkeypatch.setattr(databases, "_IDLE", 1)
    with pool.session(), pool.session():
        pass
    assert len(folders(tmp_path)) == 1


def _failed(session):
    with pytest.raises(duckdb.Error):
        session.execute("SELECT error('stopped')")
    raise ValueError


def _spilled(session):
    """More than the memory, which the database writes into its folder."""
    session.execute(
        "CREATE TEMP TABLE n AS SELECT range AS a, md5(CAST(range AS VARCHAR)) AS b FROM "
        "range(700000)"
    )


@pytest.mark.parametrize("use", [_failed, _spilled], ids=["fails", "spills"])
def test_the_database_of_a_query_that_fails_or_spills_is_closed_and_its_files_are_gone(
    pool, tmp_path, use
):
    try:
        with pool.session() as session:
            use(session)
    except ValueError:
        pass
    assert folders(tmp_path) == set()


def test_a_database_whose_empty_folder_was_tidied_away_serves_the_next_query(pool, tmp_path):
    with pool.session():
        pass
    shutil.rmtree(tmp_path / "athena")
    with pool.session() as session:
        _spilled(session)
    assert folders(tmp_path) == set()


@pytest.mark.parametrize("grown", [33 << 20, None], ids=["grown", "not known"])
def test_a_database_after_which_the_process_is_larger_is_closed_as_it_alone_gives_the_memory_back(
    pool, tmp_path, monkeypatch, grown
):
    sizes = iter([None, None] if grown is None else [100 << 20, (100 << 20) + grown])
    monkeypatch.setattr(databases, "_resident", lambda: next(sizes))
    with pool.session() as session:
        session.execute("SELECT 1")
    assert folders(tmp_path) == set()
