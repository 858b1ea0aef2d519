"""The format of local.db: given to a new one, brought to an older one once, refused when it is
newer.
"""

import resource
import sqlite3
from contextlib import closing

import pytest

from isthmus.adapters.local.home import FORMAT, database
from isthmus.core.user_state import make
from isthmus.errors import Refused
from isthmus.tests.adapters.local import processes


def user_version(home):
    with closing(sqlite3.connect(home / "local.db")) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


def older(home):
    """A database with a row and no format, as before there were formats."""
    make(home)
    with closing(sqlite3.connect(home / "local.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB NOT NULL, token INTEGER "
            "NOT NULL, written TEXT NOT NULL)"
        )
        connection.execute(
            "INSERT INTO state VALUES ('k', CAST('one' AS BLOB), 1, '2026-01-01T00:00:00+00:00')"
        )


def test_a_new_database_has_this_format(home, local):
    local.state.put("k", b"one", expect=None)
    assert user_version(home) == FORMAT


def test_an_older_database_gets_this_format_and_keeps_its_rows(home, local):
    older(home)
    assert local.state.get("k").value == b"one"
    assert user_version(home) == FORMAT


def test_a_disk_that_takes_nothing_is_told_in_its_own_words_and_the_format_comes_later(home):
    """SQLite has rolled back by itself then: to roll back once more was an error, which hid the
    disk's.
    """
    older(home)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(sqlite3.OperationalError, match="disk"):
            database(home)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    database(home).close()
    assert user_version(home) == FORMAT


def test_processes_that_open_an_older_database_at_once_bring_it_to_this_format_once(home):
    older(home)
    code = """
    sys.stdin.readline()
    print(target.state.get("k").value.decode())
    """
    openers = [processes.start(home, code) for _ in range(4)]
    for opener in openers:
        opener.stdin.write("go\n")
        opener.stdin.flush()
    assert [processes.finish(opener) for opener in openers] == [["one"]] * 4
    assert user_version(home) == FORMAT


def test_a_newer_database_is_refused_before_a_byte_of_it_changes(home):
    older(home)
    with closing(sqlite3.connect(home / "local.db", isolation_level=None)) as connection:
        connection.execute(f"PRAGMA user_version = {FORMAT + 4}")
    before = (home / "local.db").read_bytes()
    with pytest.raises(
        Refused,
        match=rf"written by a newer Isthmus \(format {FORMAT + 4}; this one reads up to {FORMAT}\)",
    ):
        database(home)
    assert (home / "local.db").read_bytes() == before
