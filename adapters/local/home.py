"""The folder where the laptop keeps everything, and the one SQLite file in it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ...target import Target


def home(target: Target) -> Path:
    """`.isthmus/` of the project, made on first use."""
    folder = Path(target.profile.options["home"])
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def database(target: Target) -> sqlite3.Connection:
    """A connection to `.isthmus/local.db`: WAL, autocommit (write transactions are explicit: BEGIN IMMEDIATE), 30 s of patience.

    Each adapter file creates its own tables with IF NOT EXISTS. One connection serves one thread at a time.
    """
    connection = sqlite3.connect(home(target) / "local.db", timeout=30, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection
