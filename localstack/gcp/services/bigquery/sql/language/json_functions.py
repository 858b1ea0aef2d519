"""Write functions of JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ...errors import not_run
from ..analysis.resolved_tree import ResolvedNode
from . import literals
from .translator import SqlTranslator
from .type_kinds import JSON, type_kind

_PATH = re.compile(r"\$(\.\w+|\[\d+\])*")


def _value(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for JSON_VALUE in a GoogleSQL query."""
    path = node.argument_list[1] if len(node.argument_list) > 1 else None
    if path is not None and (
        path.kind != "literal" or not _PATH.fullmatch(path.value.value.string_value)
    ):
        raise not_run("a JSON path of this kind")
    if path is None or type_kind(node) != JSON:
        raise not_run("JSON_VALUE of STRING, or without a path")
    document, place = (
        t.expression(node.argument_list[0]),
        literals.text(path.value.value.string_value),
    )
    simple = f"json_type({document}, {place}) IN ('VARCHAR', 'BOOLEAN', 'BIGINT', 'UBIGINT')"
    other = (
        f"json_type({document}, {place}) = 'DOUBLE' THEN error('NOT RUN: a JSON number with a "
        "point')"
    )
    return f"CASE WHEN {simple} THEN json_extract_string({document}, {place}) WHEN {other} END"


FUNCTIONS: Mapping[str, Callable[[SqlTranslator, ResolvedNode], str]] = {
    "json_value": _value,
    "json_extract_scalar": _value,
}
