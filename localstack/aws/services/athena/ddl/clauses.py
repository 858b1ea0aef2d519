"""Clauses that Hive's statements share: columns and pairs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from ..sql.words import TokenCursor

T = TypeVar("T")


def several(tokens: TokenCursor, item: Callable[[TokenCursor], T]) -> list[T]:
    """Parse `( item, ... )` of a DDL statement; return the items as `item` parses them."""
    tokens.expect("(")
    items = [item(tokens)]
    while not tokens.accept(")"):
        tokens.expect(",")
        items.append(item(tokens))
    return items


def columns(tokens: TokenCursor) -> list[dict[str, str]]:
    """Parse `( name type [COMMENT 'text'], ... )` into columns of Glue."""
    return several(tokens, column)


def column(tokens: TokenCursor) -> dict[str, str]:
    """Parse `name type [COMMENT 'text']`; return it as a column of Glue."""
    name = tokens.identifier()
    start, depth = tokens.index, 0
    while (token := tokens.peek()) is not None:
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
        tokens.index += 1
    kind = re.sub(r"\s+", "", tokens.blanked(start, tokens.index).strip()).lower()
    read = {"Name": name, "Type": {"integer": "int", "real": "float"}.get(kind, kind)}
    return {**read, "Comment": tokens.string()} if tokens.accept("COMMENT") else read


def pairs(tokens: TokenCursor) -> dict[str, str]:
    """Parse `( 'key' = 'value', ... )` of a DDL statement into a dictionary."""
    return dict(several(tokens, lambda tokens: _pair(tokens, tokens.string())))


def values(tokens: TokenCursor) -> dict[str, str]:
    """Parse `( column = value, ... )` of a DDL statement into a dictionary."""
    return dict(several(tokens, lambda tokens: _pair(tokens, tokens.identifier())))


def _pair(tokens: TokenCursor, key: str) -> tuple[str, str]:
    """Parse the `= value` after `key` in a DDL statement, and return both."""
    tokens.expect("=")
    return key, tokens.next("<value>").text
