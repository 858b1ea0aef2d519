"""Take several statements in one job apart by GoogleSQL's own parser."""

from __future__ import annotations

import re

from .....googlesql.analyzer import parsed
from ..analysis.analyzer import analyzer_error
from ..analysis.resolved_tree import ResolvedNode, script

_COMMENT = re.compile(r"--[^\n]*|#[^\n]*|/\*.*?\*/", re.DOTALL)
_CONTROL = re.compile(
    r"(DECLARE|SET|IF|LOOP|WHILE|FOR|BEGIN|COMMIT|ROLLBACK|CASE|CALL|EXECUTE|REPEAT|RAISE|RETURN)\b",
    re.IGNORECASE,
)
_LEAD = "SELECT "
_TEMPORARY = 3  # ASTCreateStatementEnums.Scope


def is_script(sql: str) -> bool:
    """Return whether SQL text may be a script: several statements, or a script's only."""
    return (
        ";" in sql.rstrip("; \t\r\n") or _CONTROL.match(_COMMENT.sub("", sql).strip()) is not None
    )


def statements(sql: str) -> list[ResolvedNode]:
    """Parse a script, and return its statements as syntax nodes.

    Raises:
        BigQueryError: `invalidQuery` where it is not GoogleSQL's grammar.
    """
    from .....googlesql.service import SqlRejected

    try:
        root = script(parsed(sql))
    except SqlRejected as error:
        raise analyzer_error(error.message) from error
    return list(root.statement_list_node.statement_list)


def makes_function(node: ResolvedNode) -> bool:
    """Return whether a statement is CREATE TEMP FUNCTION."""
    return node.kind == "create_function_statement" and node.scope == _TEMPORARY


def label_of(node: ResolvedNode) -> str:
    """Return the label of a loop or block in lower case, or an empty text."""
    return node.label.name.id_string.lower() if "label" in node else ""


def text_of(sql: str, node: ResolvedNode) -> str:
    """Return a node's SQL text, padded with spaces to its position in the script `sql`.

    So an error message names the position in the script.
    """
    data, place = sql.encode(), node.parse_location_range
    return _blank(data[: place.start].decode()) + data[place.start : place.end].decode()


def query_of(sql: str, node: ResolvedNode) -> str:
    """Return an expression as the query `SELECT expression`, at its position in the script.

    The position is kept where there is room for the word SELECT before it.
    """
    data, place = sql.encode(), node.parse_location_range
    blank_before, expression = (
        _blank(data[: place.start].decode()),
        data[place.start : place.end].decode(),
    )
    room = blank_before.rpartition("\n")[2]
    return (
        blank_before[: -len(_LEAD)] + _LEAD if len(room) >= len(_LEAD) else _LEAD + blank_before
    ) + expression


def _blank(text: str) -> str:
    """Return a text with everything but line ends replaced by spaces."""
    return re.sub(r"[^\n]", " ", text)
