"""Types of expressions, inferred from their text and the tables' columns, for the rules.

Trino divides decimals to the larger of the two scales, and a date plus days is a date; DuckDB does
neither.
"""

# ruff: noqa: SIM905  lists of words read better as lines of words
from __future__ import annotations

from collections.abc import Mapping

import msgspec
from sqlglot import expressions as exp


class TypeFamily(msgspec.Struct, frozen=True):
    """A type, as far as a rule depends on it."""

    name: str  # int, decimal, double, date, timestamp, json, array, char, other
    scale: int = 0


INT, DOUBLE, DATE, TIMESTAMP, OTHER = (
    TypeFamily("int"),
    TypeFamily("double"),
    TypeFamily("date"),
    TypeFamily("timestamp"),
    TypeFamily("other"),
)
JSON, ARRAY, CHAR = TypeFamily("json"), TypeFamily("array"), TypeFamily("char")
_NAMED = {
    "json": JSON,
    "array": ARRAY,
    "char": CHAR,
    "double": DOUBLE,
    "float": DOUBLE,
    "real": DOUBLE,
    "date": DATE,
    "timestamp": TIMESTAMP,
}
_NODES: dict[type[exp.Expr], TypeFamily] = {
    exp.CurrentDate: DATE,
    exp.ParseJSON: JSON,
    exp.Array: ARRAY,
}
_INTS = frozenset({"tinyint", "smallint", "int", "integer", "bigint"})
_DOUBLES = frozenset(
    """ln log log2 log10 exp sqrt cbrt sin cos tan asin acos atan atan2 sinh cosh tanh rand random
    pi e degrees radians pow power stddev stddev_pop stddev_samp variance var_pop var_samp corr
    covar_pop covar_samp regr_slope regr_intercept kurtosis skewness to_unixtime geometric_mean
    percent_rank cume_dist infinity nan""".split(),
)
_COUNTS = frozenset(
    """count count_if approx_distinct row_number rank dense_rank ntile length strpos year month day
    hour minute second quarter week day_of_week day_of_month day_of_year date_diff cardinality
    millisecond codepoint""".split(),
)
_ARRAYS = frozenset(
    """array_agg array_distinct array_except array_intersect array_remove array_sort array_union
    filter flatten map_entries map_keys map_values regexp_extract_all regexp_split sequence slice
    split transform""".split(),
)
_AS_FIRST = frozenset(
    """sum min max min_by max_by abs arbitrary any_value first_value last_value lag lead nth_value
    nullif try round""".split(),
)
_FUNCTIONS = {
    **dict.fromkeys(_DOUBLES, DOUBLE),
    **dict.fromkeys(_COUNTS, INT),
    **dict.fromkeys(_ARRAYS, ARRAY),
    "date": DATE,
    "json_parse": JSON,
    "json_extract": JSON,
}
# the arguments whose widest type a function's is
_AS_ARGUMENTS = {
    **dict.fromkeys(_AS_FIRST, slice(1)),
    **dict.fromkeys(("coalesce", "greatest", "least"), slice(None)),
    "if": slice(1, None),
}


class Types:
    """The kinds of a statement's columns and expressions.

    A column has a kind if it is the same in every table of the statement; the statement's own
    aliases have theirs.
    """

    def __init__(self, columns: Mapping[str, set[str]], query: exp.Expr) -> None:
        self._columns = {
            name: {_kind_of_hive_type(kind) for kind in kinds} for name, kinds in columns.items()
        }
        self._aliases: dict[str, list[exp.Expr]] = {}
        for alias in query.find_all(exp.Alias):
            self._aliases.setdefault(alias.alias.lower(), []).append(alias.this)
        self._busy: set[str] = set()

    def kind_of(self, node: exp.Expr | None) -> TypeFamily | None:  # noqa: C901, PLR0911  one line a kind
        """Return the inferred kind of type (integer, decimal, array ...) of an expression.

        None: it is unknown.
        """
        if node is None or isinstance(node, exp.Null):
            return None
        if isinstance(node, exp.Literal):
            return OTHER if node.is_string else _literal(str(node.this))
        if isinstance(node, (exp.Cast, exp.TryCast)):
            return _kind_of_type(node.to)
        if isinstance(
            node,
            (
                exp.Paren,
                exp.Neg,
                exp.Window,
                exp.Filter,
                exp.IgnoreNulls,
                exp.RespectNulls,
                exp.Distinct,
            ),
        ):
            return self.kind_of(
                node.this if node.this is not None else (node.expressions or [None])[0]
            )
        if isinstance(node, exp.Column):
            return self._column(node.name.lower())
        if type(node) in _NODES:
            return _NODES[type(node)]
        if isinstance(node, (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)):
            return self._arithmetic(node)
        if isinstance(node, exp.DPipe):
            return ARRAY if ARRAY in (self.kind_of(node.left), self.kind_of(node.right)) else OTHER
        if isinstance(node, exp.Case):
            return self._widest(
                [
                    *(branch.args.get("true") for branch in node.args["ifs"]),
                    node.args.get("default"),
                ]
            )
        if isinstance(node, exp.Anonymous):
            return self._function(node)
        return OTHER

    def _column(self, name: str) -> TypeFamily | None:
        """Return a column's kind of type if all of the query's tables agree on it, else None."""
        if name in self._busy:
            return None
        kinds: set[TypeFamily | None] = set(self._columns.get(name, ()))
        self._busy.add(name)
        kinds |= {self.kind_of(alias) for alias in self._aliases.get(name, ())}
        self._busy.discard(name)
        return kinds.pop() if len(kinds) == 1 else None

    def _function(self, node: exp.Anonymous) -> TypeFamily | None:
        """Return the type of a function's result, or None if unknown."""
        name, arguments = str(node.this).lower(), node.expressions
        first = arguments[0] if arguments else None
        if name in _FUNCTIONS:
            return _FUNCTIONS[name]
        if name == "concat":
            return ARRAY if self.kind_of(first) == ARRAY else OTHER
        if name == "avg":
            kind = self.kind_of(first)
            return DOUBLE if kind == INT else kind
        if name in ("date_add", "date_trunc"):
            return DATE if len(arguments) > 1 and self.kind_of(arguments[-1]) == DATE else OTHER
        if name in _AS_ARGUMENTS:
            return self._widest(arguments[_AS_ARGUMENTS[name]])
        return OTHER

    def _arithmetic(self, node: exp.Binary) -> TypeFamily | None:
        """Return the type of an arithmetic expression's result, or None if unknown."""
        left, right = self.kind_of(node.left), self.kind_of(node.right)
        if DOUBLE in (left, right):
            return DOUBLE
        if DATE in (left, right):
            return (
                DATE
                if isinstance(node.right, exp.Interval) or isinstance(node.left, exp.Interval)
                else OTHER
            )
        if left is None or right is None:
            return None
        if left.name == right.name == "int":
            return INT
        if {left.name, right.name} <= {"int", "decimal"}:
            return TypeFamily(
                "decimal",
                left.scale + right.scale
                if isinstance(node, exp.Mul)
                else max(left.scale, right.scale),
            )
        return OTHER

    def _widest(self, nodes: list[exp.Expr | None]) -> TypeFamily | None:
        """Return the common type to which Trino coerces several expressions, or None if unknown."""
        kinds = [
            self.kind_of(node)
            for node in nodes
            if node is not None and not isinstance(node, exp.Null)
        ]
        known_kinds = [kind for kind in kinds if kind is not None]
        if not known_kinds or len(known_kinds) < len(kinds):
            return None
        if DOUBLE in known_kinds:
            return DOUBLE
        if any(kind.name == "decimal" for kind in known_kinds):
            return TypeFamily("decimal", max(kind.scale for kind in known_kinds))
        return known_kinds[0]


def _literal(text: str) -> TypeFamily:
    """Return the type of a number literal.

    A number with a point is a double in Athena, where Trino has a decimal: the suites of
    awswrangler and PyAthena compare floats.
    """
    return DOUBLE if "." in text or "e" in text.lower() else INT


def _kind_of_type(kind: exp.DataType) -> TypeFamily:
    """Return the kind of type (integer, decimal, array ...) to which a cast converts."""
    name = kind.this.value.lower()
    if name in _INTS:
        return INT
    if name == "decimal":
        return TypeFamily(
            "decimal", int(kind.expressions[1].name) if len(kind.expressions) > 1 else 0
        )
    return _NAMED.get(name, OTHER)


def _kind_of_hive_type(kind: str) -> TypeFamily:
    """Return the kind of type (integer, decimal, array ...) of a Glue column, by its Hive type."""
    kind = kind.lower()
    if kind.startswith("decimal"):
        digits = kind.partition(",")[2].rstrip(")")
        return TypeFamily("decimal", int(digits) if digits else 0)
    return INT if kind in _INTS else _NAMED.get(kind.partition("<")[0].partition("(")[0], OTHER)
