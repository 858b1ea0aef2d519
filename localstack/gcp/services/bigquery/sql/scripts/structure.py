"""Check a script before any of it runs: declarations, labels, jumps and parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ...errors import BigQueryError, invalid, invalid_query, not_run
from ..analysis.analyzer import AnalysisRequest
from ..analysis.resolved_tree import ResolvedNode
from .parsing import label_of, text_of

_REFUSED = {
    "begin_statement": "BEGIN TRANSACTION",
    "commit_statement": "COMMIT TRANSACTION",
    "rollback_statement": "ROLLBACK TRANSACTION",
    "call_statement": "CALL",
    "create_procedure_statement": "CREATE PROCEDURE",
}
REFUSED = frozenset(_REFUSED)
_LOOPS = ("while_statement", "repeat_statement", "for_in_statement")
_JUMPS = ("break_statement", "continue_statement")
_PARTS = (
    "elseif_clause_list", "elseif_clause", "when_then_clause_list", "when_then_clause",
    "exception_handler_list", "exception_handler",
)  # fmt: skip


class _Surroundings(msgspec.Struct, frozen=True):
    """The surroundings of a statement.

    `labels` says of each whether it is a loop's.
    """

    names: frozenset[str] = frozenset()
    labels: Mapping[str, bool] = {}
    loop: bool = False
    handler: bool = False


def check(question: AnalysisRequest, nodes: Sequence[ResolvedNode]) -> None:
    """Raise an error for the first mistake in the structure of a parsed script, before it runs.

    Raises:
        BigQueryError: `invalidQuery` in Google's words; `notImplemented`, where a statement is of a
            kind that does not run here.
    """
    if not question.renames:
        raise invalid(
            "configuration.query.destinationTable cannot be set for scripts",
            "query.destinationTable",
        )
    _check_list(question.sql, nodes, _Surroundings(), declares=True)


def check_parameters(question: AnalysisRequest, nodes: Sequence[ResolvedNode]) -> None:
    """Raise an error if a parameter in a script has no value in the request."""
    parts = [part for node in nodes for part in node.walk() if part.kind == "parameter_expr"]
    names = {part.name.id_string.lower() for part in parts if "name" in part}
    places = sum("name" not in part for part in parts)
    if names and places:
        raise invalid_query("Cannot mix named and positional parameters in scripts")
    supplied = sum(not parameter.name for parameter in question.parameters)
    if places > supplied:
        raise invalid_query(
            f"Script has {places} positional parameters but only {supplied} were supplied"
        )
    if unknown := sorted(names - set(question.named)):
        raise invalid_query(f"Unknown named query parameter: {unknown[0]}")


def _check_list(
    sql: str, nodes: Sequence[ResolvedNode], around: _Surroundings, *, declares: bool
) -> None:
    """Check a list of statements within `around`; DECLARE must come first.

    `around` holds the variables, labels and loop around them; `declares` allows DECLARE.
    """
    for node in nodes:
        if node.kind == "variable_declaration":
            if not declares:
                raise _error_at(
                    sql,
                    node,
                    "Variable declarations are allowed only at the start of a block or script",
                )
            for identifier in node.variable_list.identifier_list:
                around = _with_name(sql, identifier, around)
        elif node.kind != "system_variable_assignment":
            declares = False
    for node in nodes:
        _check(sql, node, around)


def _with_name(sql: str, identifier: ResolvedNode, around: _Surroundings) -> _Surroundings:
    """Return a statement's surroundings (variables, labels, loop) with one more variable."""
    name = identifier.id_string.lower()
    if name in around.names:
        raise _error_at(sql, identifier, f"Variable '{identifier.id_string}' redeclaration")
    return msgspec.structs.replace(around, names=around.names | {name})


def _check(sql: str, node: ResolvedNode, around: _Surroundings) -> None:
    """Check one statement of a script, and those within it, against its surroundings."""
    if node.kind in _REFUSED:
        raise not_run(f"the script statement {_REFUSED[node.kind]}")
    if node.kind == "raise_statement" and "message" not in node and not around.handler:
        raise _error_at(
            sql, node, "Cannot re-raise an existing exception outside of an exception handler"
        )
    if node.kind in _JUMPS:
        _check_jump(sql, node, around)
    elif node.kind in (*_LOOPS, "begin_end_block"):
        _check_parts(sql, node, _inside(sql, node, around))
    elif node.kind in ("if_statement", "case_statement"):
        _check_parts(sql, node, around)


def _check_jump(sql: str, node: ResolvedNode, around: _Surroundings) -> None:
    """Raise an error if a BREAK or CONTINUE is in no loop, or its label does not exist."""
    word, label = text_of(sql, node).split()[0].upper(), label_of(node)
    if not label and not around.loop:
        raise _error_at(sql, node, f"{word} is only allowed inside of a loop body")
    if label and label not in around.labels:
        raise _error_at(sql, node, f"Label {label} does not exist or is out of scope")
    if label and node.kind == "continue_statement" and not around.labels[label]:
        raise _error_at(sql, node, f"{word} with label must refer to a loop")


def _inside(sql: str, node: ResolvedNode, around: _Surroundings) -> _Surroundings:
    """Return the surroundings (variables, labels, loop) of the statements in a loop or block."""
    loop, label = node.kind in _LOOPS, label_of(node)
    if label in around.labels:
        raise _error_at(sql, node, f"Label {label} already exists")
    if node.kind == "for_in_statement":
        around = _with_name(sql, node.variable, around)
    labels = {**around.labels, label: loop} if label else around.labels
    return msgspec.structs.replace(around, labels=labels, loop=around.loop or loop)


def _check_parts(sql: str, node: ResolvedNode, around: _Surroundings) -> None:
    """Check the statement lists within a statement, such as the branches of IF."""
    for part in node.children():
        if part.kind == "statement_list":
            _check_list(
                sql, part.statement_list, around, declares=part.variable_declarations_allowed
            )
        elif part.kind in _PARTS:
            inner = (
                msgspec.structs.replace(around, handler=True)
                if part.kind == "exception_handler"
                else around
            )
            _check_parts(sql, part, inner)


def _error_at(sql: str, node: ResolvedNode, words: str) -> BigQueryError:
    """Return an `invalidQuery` error that ends with the line and column of a node in `sql`."""
    text_before = sql.encode()[: node.parse_location_range.start].decode()
    line, column = text_before.count("\n") + 1, len(text_before.rpartition("\n")[2]) + 1
    return invalid_query(f"{words} at [{line}:{column}]")
