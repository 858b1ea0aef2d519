"""Queries as DuckDB's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from .errors import not_run


def query(_here: Any, _meaning: Any) -> str:
    raise not_run("queries in DuckDB")


def condition(_here: Any, _meaning: Any) -> str:
    raise not_run("row restrictions")


@contextlib.contextmanager
def worded(_running: Any) -> Iterator[None]:
    yield
