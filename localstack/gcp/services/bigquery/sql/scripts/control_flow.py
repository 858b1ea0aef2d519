"""Run the statements that only a script has.

They are variables, branches, loops, blocks, and EXECUTE IMMEDIATE.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ...data.types import SchemaField
from ...errors import BigQueryError, invalid_query, not_run
from ..analysis import analyzer
from ..analysis.parameters import Parameter
from ..analysis.resolved_tree import ResolvedNode
from .parsing import label_of, makes_function, statements, text_of
from .script import Script, function_definition, variable
from .structure import REFUSED

_UNCAUGHT = (
    "notImplemented",
    "stopped",
    "internalError",
)  # reasons that no handler of a script sees


class _Jump(Exception):
    """A BREAK, CONTINUE or RETURN on its way to the loop, the block or the end of the script.

    `label` is in small letters.
    """

    def __init__(self, *, again: bool = False, label: str = "", ends: bool = False) -> None:
        super().__init__()
        self.again, self.label, self.ends = again, label, ends


def execute(script: Script, nodes: Sequence[ResolvedNode]) -> None:
    """Run all statements of a script, whose structure was checked before.

    Raises:
        BigQueryError: A statement fails; it is that statement's error.
    """
    with contextlib.suppress(_Jump):  # RETURN
        _run(script, nodes)


def _run(script: Script, nodes: Sequence[ResolvedNode]) -> None:
    """Run a list of a script's statements, one after the other."""
    for node in nodes:
        script.running.check()
        _ACTIONS.get(node.kind, _run_statement)(script, node)


def _run_statement(script: Script, node: ResolvedNode) -> None:
    """Run an ordinary SQL statement of a script, such as a query or DML."""
    script.ran(script.question(text_of(script.sql, node), node))


def _create_function(script: Script, node: ResolvedNode) -> None:
    """Run CREATE FUNCTION; a temporary function is the script's own."""
    if not makes_function(node):
        _run_statement(script, node)
        return
    function_name, function = function_definition(
        script.instance, script.question(text_of(script.sql, node), node)
    )
    script.functions[function_name] = function


def _execute_immediate(script: Script, node: ResolvedNode) -> None:
    """Run a script's EXECUTE IMMEDIATE: compute a text, and run it as a statement."""
    sql = script.value(node.sql, SchemaField(name="sql", type="STRING"))[1]
    if sql is None:
        raise invalid_query("EXECUTE IMMEDIATE sql string cannot be NULL")
    parts = statements(sql)
    if len(parts) != 1 or parts[0].kind in OF_SCRIPTS:
        raise invalid_query(
            "EXECUTE IMMEDIATE takes a single statement of SQL, and none of a script"
        )
    using = _arguments(script, node.using_clause.arguments) if "using_clause" in node else ()
    question = msgspec.structs.replace(
        script.question(sql, node.sql), parameters=using, variables=()
    )
    if "into_clause" not in node:
        script.ran(question)
        return
    if parts[0].kind != "query_statement":
        raise invalid_query("EXECUTE IMMEDIATE with INTO clause must use a query statement")
    names = [identifier.id_string for identifier in node.into_clause.identifiers.identifier_list]
    _assign_row(script, names, *script.rows(question))


def _arguments(script: Script, nodes: Sequence[ResolvedNode]) -> tuple[Parameter, ...]:
    """Return the query parameters that the USING of an EXECUTE IMMEDIATE passes.

    Raises:
        BigQueryError: `invalidQuery`, where not all have a name or none, or two have the same.
    """
    arguments = tuple(_argument(script, node) for node in nodes)
    names = {argument.name for argument in arguments}
    if "" in names and len(names) > 1:
        raise invalid_query(
            "EXECUTE IMMEDIATE USING parameters must be all positional or all named."
        )
    if "" not in names and len(names) < len(arguments):
        raise invalid_query("EXECUTE IMMEDIATE USING parameters must have unique names")
    return arguments


def _argument(script: Script, node: ResolvedNode) -> Parameter:
    """Compute one argument of USING, and return it as a query parameter."""
    field, value = script.value(node.expression)
    name = node.alias.identifier.id_string.lower() if "alias" in node else ""
    return Parameter(name=name, field=field, value=value)


def _assign_row(
    script: Script,
    names: Sequence[str],
    fields: Sequence[SchemaField],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Assign a query's only row to the script's variables that INTO names, in order.

    More than one row is an error, and no row assigns NULL.
    """
    _check_different(names)
    if len(names) != len(fields):
        raise invalid_query(
            f"The number of columns ({len(fields)}) is not that of the variables in INTO "
            f"({len(names)})"
        )
    if len(rows) > 1:
        raise invalid_query("EXECUTE IMMEDIATE INTO needs a query of at most one row")
    for name, field in zip(names, fields, strict=True):
        script.assign(name, field, rows[0][field.name] if rows else None)


def _check_different(names: Sequence[str]) -> None:
    """Raise `invalidQuery` if an INTO or SET names a variable twice."""
    small = [name.lower() for name in names]
    if twice := next((name for name in names if small.count(name.lower()) > 1), None):
        raise invalid_query(f"Assigning multiple values to variable: {twice}")


def _declare(script: Script, node: ResolvedNode) -> None:
    """Run a DECLARE statement: add variables to the current scope."""
    declared = _declared_column(script, node) if "type" in node else None
    field, value = (
        script.value(node.default_value, declared) if "default_value" in node else (declared, None)
    )
    for identifier in node.variable_list.identifier_list:
        name = identifier.id_string
        script.scopes[-1][name.lower()] = variable(
            name, declared or field or SchemaField(name=name, type="INTEGER"), value
        )


def _declared_column(script: Script, node: ResolvedNode) -> SchemaField:
    """Return the type that a DECLARE names, as a column."""
    text = text_of(script.sql, node.type).strip()
    if "(" in text or "COLLATE" in text.upper():
        raise not_run(f"a variable with a collation or a type with parameters ({text})")
    meaning = analyzer.analyze(
        script.instance, script.question(f"SELECT CAST(NULL AS {text})", node)
    )
    return meaning.columns[0][1]


def _set(script: Script, node: ResolvedNode) -> None:
    """Run a SET statement of one variable."""
    name = node.variable.id_string
    field = script.variable(name).field
    script.assign(name, field, script.value(node.expression, field)[1])


def _set_several(script: Script, node: ResolvedNode) -> None:
    """Run a SET statement of several variables."""
    names = [identifier.id_string for identifier in node.variables.identifier_list]
    _check_different(names)
    fields = tuple(script.variable(name).field for name in names)
    value = script.value(
        node.struct_expression, SchemaField(name="several", type="RECORD", fields=fields)
    )[1]
    for name, field in zip(names, fields, strict=True):
        script.assign(name, field, None if value is None else value[field.name])


def _set_system(script: Script, node: ResolvedNode) -> None:
    """Run a script's SET of a system variable such as @@dataset_id."""
    name = text_of(script.sql, node.system_variable).strip().lower()
    if name != "@@dataset_id":
        raise not_run(f"SET {name}")
    value = script.value(node.expression, SchemaField(name="dataset", type="STRING"))[1]
    project, _, dataset = (value or "").rpartition(".")
    script.instance.catalog.dataset(project or script.outer.project, dataset)
    script.outer = msgspec.structs.replace(
        script.outer, dataset=(project or script.outer.project, dataset)
    )


def _if(script: Script, node: ResolvedNode) -> None:
    """Run a script's IF statement: the first branch whose condition is true."""
    if script.is_true(node.condition):
        _run(script, node.then_list.statement_list)
        return
    for clause in node.elseif_clauses.elseif_clauses if "elseif_clauses" in node else ():
        if script.is_true(clause.condition):
            _run(script, clause.body.statement_list)
            return
    if "else_list" in node:
        _run(script, node.else_list.statement_list)


def _case(script: Script, node: ResolvedNode) -> None:
    """Run a script's CASE statement: the first branch that matches."""
    clauses = node.when_then_clauses.when_then_clauses
    if "expression" in node:
        place = _first_match(script, node.expression, [clause.condition for clause in clauses])
    else:
        place = next(
            (number for number, clause in enumerate(clauses) if script.is_true(clause.condition)),
            None,
        )
    if place is not None:
        _run(script, clauses[place].body.statement_list)
    elif "else_list" in node:
        _run(script, node.else_list.statement_list)


def _first_match(
    script: Script, expression: ResolvedNode, conditions: Sequence[ResolvedNode]
) -> int | None:
    """Return the index of the first condition that equals a CASE expression, or None.

    The expression is computed once.
    """
    parts = [expression, *conditions]
    first, *others = [f"({text_of(script.sql, part).strip()}\n)" for part in parts]
    whens = " ".join(f"WHEN {other} THEN {number}" for number, other in enumerate(others))
    _, rows = script.rows(script.question(f"SELECT CASE {first} {whens} END AS place", *parts))
    place: int | None = rows[0]["place"]
    return place


def _while(script: Script, node: ResolvedNode) -> None:
    """Run a script's WHILE loop; LOOP is one without a condition."""
    while "condition" not in node or script.is_true(node.condition):
        if _leaves_loop(script, node):
            return


def _repeat(script: Script, node: ResolvedNode) -> None:
    """Run a script's REPEAT ... UNTIL loop."""
    while not _leaves_loop(script, node):
        if script.is_true(node.until_clause.condition):
            return


def _for(script: Script, node: ResolvedNode) -> None:
    """Run a script's FOR ... IN loop: its statements for each row of a query."""
    name = node.variable.id_string
    fields, rows = script.rows(script.question(text_of(script.sql, node.query), node.query))
    record = SchemaField(name=name, type="RECORD", fields=tuple(fields))
    for row in rows:
        script.scopes.append({name.lower(): variable(name, record, row)})
        try:
            if _leaves_loop(script, node):
                return
        finally:
            script.scopes.pop()


def _leaves_loop(script: Script, node: ResolvedNode) -> bool:
    """Run a loop's body once, and return whether a BREAK leaves the loop."""
    script.running.check()
    try:
        _run(script, node.body.statement_list)
    except _Jump as jump:
        if jump.ends or jump.label not in ("", label_of(node)):
            raise
        return not jump.again
    return False


def _block(script: Script, node: ResolvedNode) -> None:
    """Run BEGIN ... END of a script, whose variables are its own."""
    depth = len(script.scopes)
    script.scopes.append({})
    try:
        _run_guarded(script, node, depth)
    except _Jump as jump:
        if not jump.label or jump.label != label_of(node):
            raise
    finally:
        del script.scopes[depth:]


def _run_guarded(script: Script, node: ResolvedNode, depth: int) -> None:
    """Run a block's statements; if one fails, run the block's exception handler.

    `depth` is the number of variable scopes to which the handler returns.
    """
    try:
        _run(script, node.statement_list_node.statement_list)
    except BigQueryError as error:
        if "handler_list" not in node or error.reason in _UNCAUGHT:
            raise
        del script.scopes[depth:]
        _handle(script, node.handler_list.exception_handler_list[0], error)


def _handle(script: Script, handler: ResolvedNode, error: BigQueryError) -> None:
    """Run the exception handler of a block; @@error.message there is the error's."""
    script.errors.append(error)
    try:
        _run(script, handler.statement_list.statement_list)
    finally:
        script.errors.pop()


def _raise(script: Script, node: ResolvedNode) -> None:
    """Run a script's RAISE statement: raise an error, new or the one that is handled."""
    if "message" not in node:
        raise script.errors[-1]
    message = script.value(node.message, SchemaField(name="message", type="STRING"))[1]
    raise invalid_query("NULL" if message is None else message)


def _break(_script: Script, node: ResolvedNode) -> None:
    """Run a script's BREAK statement: leave a loop or block by an exception."""
    raise _Jump(label=label_of(node))


def _continue(_script: Script, node: ResolvedNode) -> None:
    """Run a script's CONTINUE statement: go on with the loop's next round, by an exception."""
    raise _Jump(again=True, label=label_of(node))


def _return(_script: Script, _node: ResolvedNode) -> None:
    """Run a script's RETURN statement: end the script by an exception."""
    raise _Jump(ends=True)


_ACTIONS: Mapping[str, Callable[[Script, ResolvedNode], None]] = {
    "variable_declaration": _declare,
    "single_assignment": _set,
    "assignment_from_struct": _set_several,
    "system_variable_assignment": _set_system,
    "if_statement": _if,
    "case_statement": _case,
    "while_statement": _while,
    "repeat_statement": _repeat,
    "for_in_statement": _for,
    "begin_end_block": _block,
    "raise_statement": _raise,
    "return_statement": _return,
    "break_statement": _break,
    "continue_statement": _continue,
    "execute_immediate_statement": _execute_immediate,
    "create_function_statement": _create_function,
}
OF_SCRIPTS = frozenset(
    {*_ACTIONS, *REFUSED} - {"create_function_statement"}
)  # statements that make a script
