"""Statements that change tables."""

from __future__ import annotations

from typing import Any

from .errors import not_run
from .job import Outcome

KINDS: tuple[str, ...] = ()


def run(_here: Any, meaning: Any, _running: Any) -> Outcome:
    raise not_run(meaning.statement.kind)
