"""Partial answers: `fields=items(name,size),nextPageToken` of Google's JSON APIs. Pure."""

from __future__ import annotations

import re
from typing import Any

from .errors import invalid

Tree = dict[str, "Tree"]  # an empty one: all that is below
_TOKEN = re.compile(r"[^,()/]+|[,()/]")


def selected(answer: dict[str, Any], fields: str | None) -> dict[str, Any]:
    """Return the part of a JSON response that its request's `fields` parameter selects.

    Raises GcpError if `fields` is malformed.
    """
    if not fields:
        return answer
    tokens = _TOKEN.findall(fields.replace(" ", ""))
    tree = _fields(tokens)
    if tokens:
        raise invalid(f"Invalid field selection {fields}", "fields")
    result: dict[str, Any] = _chosen(answer, tree)
    return result


def _fields(tokens: list[str]) -> Tree:
    """Parse tokens of `fields` into a tree, up to a closing parenthesis or the end."""
    tree: Tree = {}
    while tokens and tokens[0] not in ",()/":
        below = tree.setdefault(tokens.pop(0), {})
        while len(tokens) > 1 and tokens[0] == "/":
            tokens.pop(0)
            below = below.setdefault(tokens.pop(0), {})
        if tokens and tokens[0] == "(":
            tokens.pop(0)
            below.update(_fields(tokens))
            if not tokens or tokens.pop(0) != ")":
                raise invalid("Invalid field selection: a parenthesis is not closed", "fields")
        if not tokens or tokens[0] != ",":
            break
        tokens.pop(0)
    return tree


def _chosen(value: Any, tree: Tree) -> Any:
    """Return the part of a JSON value that a tree of field names selects."""
    if not tree:
        return value
    if isinstance(value, list):
        return [_chosen(item, tree) for item in value]
    if isinstance(value, dict):
        return {
            name: _chosen(item, tree.get(name, tree.get("*", {})))
            for name, item in value.items()
            if name in tree or "*" in tree
        }
    return value
