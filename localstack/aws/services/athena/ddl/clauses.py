"""Clauses that Hive's statements share: columns and pairs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from ..sql.words import TokenCursor

T = TypeVar("T")


def several(words: TokenCursor, item: Callable[[TokenCursor], T]) -> list[T]:
    """Parse `( item, ... )` of a DDL statement; return the items as `item` parses them."""
    words.expect("(")
    items = [item(words)]
    while not words.accept(")"):
        words.expect(",")
        items.append(item(words))
    return items


def columns(words: TokenCursor) -> list[dict[str, str]]:
    """Parse `( name type [COMMENT 'text'], ... )` into columns of Glue."""
    return several(words, column)


def column(words: TokenCursor) -> dict[str, str]:
    """Parse `name type [COMMENT 'text']`; return it as a column of Glue."""
    name = words.identifier()
    start, depth = words.index, 0
    while (token := words.peek()) is not None:
        if depth == 0 and (
            token.text in (",", ")") or token.text.upper() in ("COMMENT", "FIRST", "AFTER")
        ):
            break
        depth += (
            token.text.count("(")
            + token.text.count("<")
            - token.text.count(")")
            - token.text.count(">")
        )
        words.index += 1
    kind = re.sub(r"\s+", "", words.blanked(start, words.index).strip()).lower()
    read = {"Name": name, "Type": {"integer": "int", "real": "float"}.get(kind, kind)}
    return {**read, "Comment": words.string()} if words.accept("COMMENT") else read


def pairs(words: TokenCursor) -> dict[str, str]:
    """Parse `( 'key' = 'value', ... )` of a DDL statement into a dictionary."""
    return dict(several(words, lambda words: _pair(words, words.string())))


def values(words: TokenCursor) -> dict[str, str]:
    """Parse `( column = value, ... )` of a DDL statement into a dictionary."""
    return dict(several(words, lambda words: _pair(words, words.identifier())))


def _pair(words: TokenCursor, key: str) -> tuple[str, str]:
    """Parse the `= value` after `key` in a DDL statement, and return both."""
    words.expect("=")
    return key, words.next("<value>").text
