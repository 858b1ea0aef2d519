"""A release's store, copied to where a test may change it.

Records name the folder in which they were made, so its name is put in their place: nothing else of the bytes changes.
"""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from isthmus.tests.cli.running import isthmus
from isthmus.tests.stored.keep import PLACE

STORES = Path(__file__).parent
RELEASES = sorted(folder.name for folder in STORES.iterdir() if (folder / "home").is_dir())


def copied(release, folder):
    """The project of a release with its `.isthmus`, in a new folder."""
    shutil.copytree(STORES / release, folder)
    home = (folder / "home").rename(folder / ".isthmus")
    for file in home.rglob("*.json"):
        file.write_bytes(file.read_bytes().replace(bytes(PLACE), bytes(folder)))
    with closing(sqlite3.connect(home / "local.db", isolation_level=None)) as database:
        for table, column in database.execute(
            "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'"
        ).fetchall():
            for kind in ("TEXT", "BLOB"):
                database.execute(
                    f'UPDATE "{table}" SET "{column}" = CAST(replace(CAST("{column}" AS TEXT), ?1, ?2) AS {kind}) '
                    f'WHERE typeof("{column}") = \'{kind.lower()}\' AND instr("{column}", CAST(?1 AS {kind}))',
                    (str(PLACE), str(folder)),
                )
    isthmus(folder, "trust", "--yes")  # it was another user's, on another machine
    return folder


def user_version(folder):
    with closing(sqlite3.connect(folder / ".isthmus" / "local.db")) as database:
        return database.execute("PRAGMA user_version").fetchone()[0]
