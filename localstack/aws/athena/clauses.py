"""Clauses that Hive's statements share: columns and pairs."""

from __future__ import annotations

import re

from .language.statements import Words


def columns(words: Words) -> list[dict[str, str]]:
    """Read `name type [COMMENT 'text'], ... )`."""
    made = []
    while True:
        made.append(column(words))
        if words.accept(")"):
            return made
        words.expect(",")


def column(words: Words) -> dict[str, str]:
    """Read `name type [COMMENT 'text']`."""
    name = words.identifier()
    start, depth = words.index, 0
    while (token := words.peek()) is not None:
        if depth == 0 and (token.text in (",", ")") or token.text.upper() in ("COMMENT", "FIRST", "AFTER")):
            break
        depth += token.text.count("(") + token.text.count("<") - token.text.count(")") - token.text.count(">")
        words.index += 1
    kind = re.sub(r"\s+", "", words.blanked(start, words.index).strip()).lower()
    made = {"Name": name, "Type": {"integer": "int", "real": "float"}.get(kind, kind)}
    return {**made, "Comment": words.string()} if words.accept("COMMENT") else made


def pairs(words: Words) -> dict[str, str]:
    """Read `( 'key' = 'value', ... )`."""
    words.expect("(")
    made = {}
    while True:
        key = words.string()
        words.expect("=")
        made[key] = words.next("<value>").text
        if words.accept(")"):
            return made
        words.expect(",")
