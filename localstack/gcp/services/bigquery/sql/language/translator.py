"""The translator: what a statement's translation carries from node to node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from ...errors import not_run
from ..analysis.parameters import Parameter
from ..analysis.resolved_tree import ResolvedNode
from .type_kinds import FLOAT

Words: TypeAlias = Mapping[
    str, "Callable[[SqlTranslator, ResolvedNode], str]"
]  # by the node's kind


class SqlTranslator:
    """Writes a resolved statement's nodes as SQL of DuckDB.

    `relations` has for each table of the statement, by its number, its SQL and the names of its
    columns.
    """

    def __init__(
        self,
        relations: Sequence[tuple[str, Sequence[str]]],
        parameters: Sequence[Parameter],
        now: datetime,
        *,
        variables: Sequence[Parameter] = (),
        scans: Words,
        expressions: Words,
    ) -> None:
        self.relations = relations
        self._scans = scans
        self._expressions = expressions
        self.parameters = parameters
        self.variables = {variable.name: variable for variable in variables}
        self.bound: dict[int, str] = {}  # columns that stand for an expression
        self.now = now
        self._entries: dict[str, Sequence[Any]] = {}  # WITH: the columns of each query
        self.recursive: list[str] = []
        self._names = 0

    def name(self) -> str:
        """Return a new alias for a subquery, unique within the statement."""
        self._names += 1
        return f"s{self._names}"

    def expression(self, node: ResolvedNode) -> str:
        """Translate a GoogleSQL expression node into DuckDB SQL, and return the SQL text."""
        function = self._expressions.get(node.kind)
        if function is None:
            raise not_run(node.kind.replace("_", " "))
        return function(self, node)

    def scan(self, node: ResolvedNode) -> str:
        """Translate a GoogleSQL scan node into a whole SELECT of DuckDB; return the SQL text."""
        function = self._scans.get(node.kind)
        if function is None:
            raise not_run(node.kind.removesuffix("_scan").replace("_", " ").upper())
        return function(self, node)

    def source(self, node: ResolvedNode) -> str:
        """Return the FROM clause that reads a scan; an empty text for a scan without columns."""
        return (
            "" if node.kind == "single_row_scan" else f" FROM ({self.scan(node)}) AS {self.name()}"
        )

    def entry(self, name: str, columns: Sequence[Any]) -> None:
        """Record the columns of a query of WITH, for the references to it."""
        self._entries[name] = columns

    def entry_columns(self, name: str) -> Sequence[Any]:
        """Return the recorded columns of a query of WITH, by its name."""
        return self._entries[name]


def arguments(t: SqlTranslator, node: ResolvedNode) -> list[str]:
    """Return the DuckDB SQL of each argument of a GoogleSQL function call."""
    return [t.expression(argument) for argument in node.argument_list]


def column_list(node: ResolvedNode) -> str:
    """Return the SELECT list of a scan's columns, under the names that its input gives them."""
    return ", ".join(column(c) for c in node.column_list) or "1 AS none_"


def column(message: Any) -> str:
    """Return the SQL name of a resolved column, which is the same in all SELECTs."""
    return f"c{message.column_id}"


def ordering(item: ResolvedNode, *, keys: int = 2) -> str:
    """Return the SQL of one ORDER BY item; NULL is the smallest value, then NaN, as in BigQuery.

    `keys` is how many SQL expressions the item may become; with 1, NaN is not treated apart.
    """
    name = column(item.column_ref.column)
    direction, other = ("DESC", "ASC") if item.is_descending else ("ASC", "DESC")
    first = item.null_order == 1 if item.null_order else not item.is_descending
    nulls = "NULLS FIRST" if first else "NULLS LAST"
    if item.column_ref.column.type.type_kind == FLOAT and keys > 1:
        return f"isnan({name}) {other} {nulls}, {name} {direction} {nulls}"
    return f"{name} {direction} {nulls}"
