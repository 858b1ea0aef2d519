"""Change a source's query by DuckDB's own syntax tree: read copies of files, and trace each row.

The tree is what `json_serialize_sql` gives, so nothing is parsed by another dialect's rules.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import duckdb

SyntaxNode = dict[str, Any]
ROW, TABLE, FAULT = "isthmus_row", "isthmus_table", "isthmus_fault"  # columns of traced rows
# within these a cast need not be made, or its failure is expected
_CONDITIONAL_CLASSES = {"CASE", "SUBQUERY", "LAMBDA", "WINDOW"}
_CONDITIONAL_TYPES = {"OPERATOR_COALESCE", "OPERATOR_TRY"}
_CONDITIONAL_FUNCTIONS = {"if", "ifnull", "coalesce", "nullif", "try", "list_transform"}


def parsed(connection: duckdb.DuckDBPyConnection, sql: str) -> SyntaxNode | None:
    """Return a query's syntax tree, or None if DuckDB cannot give it."""
    ((text,),) = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()
    tree: SyntaxNode = json.loads(text)
    return None if tree["error"] or len(tree["statements"]) != 1 else tree


def rendered(connection: duckdb.DuckDBPyConnection, tree: SyntaxNode) -> str:
    """Return the SQL text of a query's syntax tree."""
    text = json.dumps(tree)
    ((sql,),) = connection.execute("SELECT json_deserialize_sql(?::JSON)", [text]).fetchall()
    return str(sql)


def file_references(tree: Any) -> Iterator[SyntaxNode]:
    """Yield the nodes of a SQL syntax tree that read files: 'path' or read_csv(...)."""
    if isinstance(tree, list):
        for item in tree:
            yield from file_references(item)
    if not isinstance(tree, dict):
        return
    if tree.get("type") in {"BASE_TABLE", "TABLE_FUNCTION"}:
        yield tree
    for value in tree.values():
        yield from file_references(value)


def call(
    connection: duckdb.DuckDBPyConnection, node: SyntaxNode
) -> tuple[str, list[str], SyntaxNode]:
    """Return the name, the paths and the options of a DuckDB reader call such as read_csv.

    The paths are empty unless they are literals. An option's value is a syntax node.
    """
    function = node["function"]
    paths: list[str] = []
    options: SyntaxNode = {}
    for argument in function["arguments"]:
        value = argument["expression"]
        if argument["name"]:
            options[argument["name"].lower()] = value
        elif value["type"] == "COMPARE_EQUAL" and value["left"]["class"] == "COLUMN_REF":
            options[value["left"]["column_names"][-1].lower()] = value["right"]
        elif value["class"] == "CONSTANT":
            paths.append(value["literal"]["text"])
        else:
            items = [_literal(item) for item in _arguments(value)]
            paths += [item for item in items if item is not None]
            if None in items:
                return function["function_name"], [], {}
    rendered_options = {name: expression_sql(connection, value) for name, value in options.items()}
    return function["function_name"].lower(), paths, rendered_options


def _arguments(value: SyntaxNode) -> list[SyntaxNode]:
    """Return the arguments of a function call in DuckDB's syntax tree."""
    items: list[SyntaxNode] = value.get("arguments") or value.get("children") or []
    return [item.get("expression", item) for item in items]


def _literal(value: SyntaxNode) -> str | None:
    """Return the value of a SQL literal's node; None for any other expression."""
    return value["literal"]["text"] if value["class"] == "CONSTANT" else None


def replace_by_file(node: SyntaxNode, path: str) -> None:
    """Make a table node of a SQL syntax tree read the file at `path`, under the same alias."""
    alias = node["alias"] or (
        node["function"]["function_name"] if node["type"] == "TABLE_FUNCTION" else ""
    )
    common = {name: node[name] for name in ("sample", "query_location", "column_name_alias")}
    node.clear()
    node.update(
        common,
        type="BASE_TABLE",
        alias=alias,
        schema_name="",
        table_name=path,
        catalog_name="",
        at_clause=None,
        qualified_name={"path": [path]},
    )


def redirect(tree: SyntaxNode, old: str, new: str) -> None:
    """Make each node of a SQL syntax tree that reads the file `old` read the file `new`."""
    for node in file_references(tree["statements"]):
        if node.get("table_name") == old:
            node.update(table_name=new, qualified_name={"path": [new]})


def expression_sql(connection: duckdb.DuckDBPyConnection, expression: SyntaxNode) -> str:
    """Return the SQL text of one expression of a syntax tree."""
    tree = parsed(connection, "SELECT 1")
    assert tree is not None  # noqa: S101  it is SQL
    tree["statements"][0]["node"]["select_list"] = [{**expression, "alias": ""}]
    return rendered(connection, tree).removeprefix("SELECT ")


def traced(
    connection: duckdb.DuckDBPyConnection,
    tree: SyntaxNode,
    tables: Mapping[str, int],
    *,
    tolerant: bool,
) -> SyntaxNode | None:
    """Return a query's tree with columns that tell which row of which file each row is from.

    They are ROW, TABLE (the file's number in `tables`) and, with `tolerant`, some whose names begin
    with FAULT: a cast or strptime that would fail then gives no value, and these columns hold the
    first one that did (attribute, value, type). The tree is None where a result's row is not from
    one row of a file, as after GROUP BY or DISTINCT.
    """
    changed = copy.deepcopy(tree)
    tracer = _Tracer(connection, tables, tolerant=tolerant)
    return changed if tracer.trace(changed["statements"][0]["node"], {}) else None


class _Origin(NamedTuple):
    """The SQL of a row's number and of its file's; `query`: the alias of a query within."""

    query: str | None
    row: str
    table: str
    faults: Sequence[str] = ()

    def columns(self) -> list[str]:
        """Return the SQL columns that trace a row: its number, its file and its failed casts."""
        return [f"{self.row} AS {ROW}", f"{self.table} AS {TABLE}", *self.faults]


def _has_star_of(items: list[SyntaxNode], origin: _Origin) -> bool:
    """Return whether a SELECT has the `*` of a subquery, and so already has its tracing columns.

    `items` is its list of columns, and `origin` says what it reads.
    """
    names = ("", origin.query)
    return origin.query is not None and any(
        item["class"] == "STAR" and item["relation_name"] in names for item in items
    )


class _Tracer:
    """A walk through a query's SELECTs that adds columns to them."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, tables: Mapping[str, int], *, tolerant: bool
    ) -> None:
        self._connection, self._tables, self._tolerant = connection, tables, tolerant
        self._done: set[int] = set()
        self._faults: dict[int, list[str]] = {}  # columns, by query

    def trace(self, node: SyntaxNode, outer: Mapping[str, SyntaxNode]) -> bool:
        """Add to a SELECT the columns that tell each row's origin; return whether it could be done.

        `outer` are the named queries (WITH) that it can use.
        """
        tables = dict(outer)
        for entry in node["cte_map"]["map"]:
            if not entry["value"]["aliases"]:
                tables[entry["key"].lower()] = entry["value"]["query_node"]
        if node["type"] == "SET_OPERATION_NODE":
            if node["setop_type"] != "UNION" or not node["setop_all"]:
                return False
            branches: list[SyntaxNode] = node["children"]
            return not any(map(_is_of_query, branches)) and all(
                self.trace(branch, tables) for branch in branches
            )
        if id(node) in self._done:
            return True
        if (
            node["type"] != "SELECT_NODE"
            or node["group_expressions"]
            or node["having"]
            or any(modifier["type"] == "DISTINCT_MODIFIER" for modifier in node["modifiers"])
        ):
            return False
        origin = self._origin(node["from_table"], tables)
        if origin is None:
            return False
        self._done.add(id(node))
        faults = self._faulty(node["select_list"]) if self._tolerant else ""
        columns = [] if _has_star_of(node["select_list"], origin) else origin.columns()
        if self._tolerant:
            self._faults[id(node)] = [*origin.faults, f"{FAULT}_{len(self._faults)}"]
            # each branch of a UNION has the column
            columns.append(f"{faults or 'NULL'} AS {self._faults[id(node)][-1]}")
        if columns:
            added = parsed(self._connection, f"SELECT {', '.join(columns)}")
            assert added is not None  # noqa: S101  it is SQL
            node["select_list"] += added["statements"][0]["node"]["select_list"]
        return True

    def _origin(self, table: SyntaxNode, queries: Mapping[str, SyntaxNode]) -> _Origin | None:
        """Return the SQL of a row's number and file, by the first table of a FROM; None if unknown.

        `queries` are the named queries (WITH) that it can use.
        """
        while table["type"] == "JOIN":
            table = table["left"]
        if table["type"] == "BASE_TABLE":
            name = table["table_name"]
            if name in self._tables:
                alias = table["alias"] or name.rpartition("/")[2].partition(".")[0]
                row = f"{_name(alias)}.file_row_number"
                return _Origin(None, row, str(self._tables[name]))
            query = queries.get(name.lower())
            alias = table["alias"] or name
        elif table["type"] == "SUBQUERY":
            query, alias = table["subquery"]["node"], table["alias"]
        else:
            return None
        if query is None or table["column_name_alias"] or query["type"] != "SELECT_NODE":
            return None
        inner = {name: node for name, node in queries.items() if node is not query}
        if not self.trace(query, inner):
            return None
        prefix = f"{_name(alias)}." if alias else ""
        faults = self._faults.get(id(query), [])
        return _Origin(alias, f"{prefix}{ROW}", f"{prefix}{TABLE}", faults)

    def _faulty(self, items: list[SyntaxNode]) -> str:
        """Turn a SELECT's casts into TRY_CAST; return SQL for the first that fails in a row.

        `items` is its list of columns.
        """
        cases = []
        for item in items:
            outputs = [(item["alias"], item)]
            if item["class"] == "STAR":
                outputs = [(entry["key"], entry["value"]) for entry in item["replace_list"]]
            elif not item["alias"] and item["class"] == "CAST":
                outputs = [(item["child"].get("column_names", [""])[-1], item)]
            for name, expression in outputs:
                for operand, result, kind in self._casts(expression):
                    cases.append(
                        f"WHEN ({operand}) IS NOT NULL AND ({result}) IS NULL THEN struct_pack("
                        f"attribute := {_text(name)}, value := CAST({operand} AS VARCHAR), "
                        f"type := {_text(kind)})"
                    )
        return f"CASE {' '.join(cases)} END" if cases else ""

    def _casts(self, expression: Any) -> Iterator[tuple[str, str, str]]:
        """Turn the casts in an expression into TRY_CAST; yield (operand, result, type) of each."""
        if isinstance(expression, list):
            for item in expression:
                yield from self._casts(item)
        if not isinstance(expression, dict):
            return
        if (
            expression.get("class") in _CONDITIONAL_CLASSES
            or expression.get("type") in _CONDITIONAL_TYPES
            or expression.get("function_name") in _CONDITIONAL_FUNCTIONS
        ):
            return
        for value in list(expression.values()):
            yield from self._casts(value)
        if expression.get("class") == "CAST" and not expression["try_cast"]:
            kind = expression["type_expr"].get("type_name", "")
            if kind.upper() not in {"VARCHAR", "TEXT", "STRING"}:
                expression["try_cast"] = True
                yield self._sql(expression["child"]), self._sql(expression), kind
        elif expression.get("function_name") == "strptime":
            expression["function_name"] = "try_strptime"
            expression["qualified_name"] = {"path": ["try_strptime"]}
            yield (
                self._sql(_arguments(expression)[0]),
                self._sql(expression),
                _literal(_arguments(expression)[1]) or "TIMESTAMP",
            )

    def _sql(self, expression: SyntaxNode) -> str:
        """Return the SQL text of an expression of the syntax tree."""
        return expression_sql(self._connection, expression)


def _is_of_query(node: SyntaxNode) -> bool:
    """Return whether a SELECT reads the rows of another query, instead of a table or file."""
    table = node.get("from_table")
    while table and table["type"] == "JOIN":
        table = table["left"]
    return not table or table["type"] != "BASE_TABLE"


def _name(name: str) -> str:
    """Return an identifier in the double quotes of SQL."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def _text(text: str) -> str:
    """Return text as a string literal of SQL."""
    escaped = text.replace("'", "''")
    return f"'{escaped}'"
