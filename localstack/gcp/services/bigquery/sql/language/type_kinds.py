"""Kinds of types, as the analyzer numbers them (ZetaSQL's TypeKind)."""

from __future__ import annotations

from ..analysis.resolved_tree import ResolvedNode

INT64, BOOL, FLOAT, STRING, BYTES, DATE, ARRAY, STRUCT, TIMESTAMP, TIME, DATETIME = (
    2,
    5,
    7,
    8,
    9,
    10,
    16,
    17,
    19,
    20,
    21,
)
NUMERIC, BIGNUMERIC, JSON = 23, 24, 26


def type_kind(node: ResolvedNode, place: int = 0) -> int:
    """Return the type of a function call's argument at `place`; 0 if it has none there."""
    if place >= len(node.argument_list):
        return 0
    answer: int = node.argument_list[place].type.type_kind
    return answer
