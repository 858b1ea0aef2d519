"""Checked queries in DuckDB's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from sqlglot import expressions as exp
from sqlglot.errors import ErrorLevel, UnsupportedError

from ..errors import NotRun, QueryFailed
from ..schemas import Table
from ..tables.catalog import Catalog
from ..tables.files import HIDDEN
from . import checks as check
from . import functions, rules, scopes
from .inference import Types
from .lengths import Digits, Length, Lengths, type_with_length
from .parameters import bind


class Translated(msgspec.Struct, frozen=True, kw_only=True):
    """A query for DuckDB, and what has to be loaded for it."""

    text: str  # what was written
    sql: str
    # the same with comparisons in the place of equalities: DuckDB compares a text and a number for
    # equality, Trino does not
    probe: str
    tables: dict[str, Table]  # by the names that they have in `sql`
    # the names that `sql` mentions; None with a star, which reads all
    columns: frozenset[str] | None
    hidden: frozenset[str]  # of HIDDEN, what `sql` mentions
    # columns that are compared with constants, for injected partitions
    fixed: dict[str, frozenset[str]]
    lengths: tuple[Length, ...]  # of the result's columns; empty: not known


def translate(
    text: str, catalog: Catalog, database: str, now: datetime, parameters: Sequence[str] = ()
) -> Translated:
    """Translate a query from Athena's SQL into DuckDB's, and list the tables that it reads.

    Args:
        text: The query's text.
        catalog: The Glue catalog.
        database: The database of tables that are named without any.
        now: The time on the stack's clock.
        parameters: The values of the query's question marks.

    Raises:
        Malformed: It does not parse.
        QueryFailed: Athena would refuse it.
    """
    query = check.parsed(text)
    bind(text, query, parameters)
    lookup = _TableLookup(catalog)
    query = _with_tables(text, query, lookup, database)
    fixed = _literals_by_column(query)
    hidden = frozenset(node.name.lower() for node in query.find_all(exp.Identifier)) & HIDDEN.keys()
    _hide(query, lookup.read, hidden)
    _name_columns(query)
    columns = _columns(query)
    limits = Lengths(lookup.read)
    lengths = tuple(length for _, length in limits.columns_of(query) or ())
    _replace_typeof(query, limits)
    types = Types(lookup.kinds, query)
    rules.rewrite(text, query, types, now)
    _literals(query)
    probe = _duckdb_sql(_strict(query.copy()))
    return Translated(
        text=text,
        sql=_duckdb_sql(query),
        probe=probe,
        tables=lookup.read,
        columns=columns,
        hidden=hidden,
        fixed=fixed,
        lengths=lengths,
    )


class _TableLookup(msgspec.Struct, frozen=True):
    """The tables of a query, as far as they have been looked up."""

    catalog: Catalog
    read: dict[str, Table] = {}  # by the names that they get in DuckDB
    kinds: dict[str, set[str]] = {}  # column -> Hive's types


def _with_tables(
    text: str, query: exp.Query, lookup: _TableLookup, database: str, *, depth: int = 0
) -> exp.Query:
    """Replace a query's tables by their names in DuckDB, and views by their queries.

    `lookup` finds and collects the tables, `database` is the one of names without any, and `depth`
    the number of views around this query.
    """
    if depth > 20:
        raise QueryFailed(
            "VIEW_IS_RECURSIVE", "Statement stack depth is exceeded: a view refers to itself"
        )
    reads = scopes.tables(text, query, lookup.catalog, database)
    by_node = {id(read.node): read.table for read in reads}

    def columns(node: exp.Table) -> scopes.Names:
        table = by_node.get(id(node))
        return frozenset(column.name for column in table.every) if table is not None else None

    scopes.check_aliases(text, query, scopes.columns_with_ctes(query, columns))
    for read in reads:
        for column in read.table.every:
            lookup.kinds.setdefault(column.name, set()).add(column.type)
        alias = read.node.args.get("alias") or exp.TableAlias(
            this=exp.to_identifier(read.node.name)
        )
        if read.table.view is not None:
            inner = check.parsed(read.table.view)
            inner = _with_tables(
                read.table.view, inner, lookup, read.table.database, depth=depth + 1
            )
            _name_columns(inner)
            read.node.replace(exp.Subquery(this=inner, alias=alias.copy()))
            continue
        name = f"t_{read.table.database}_{read.table.name}"
        lookup.read[name] = read.table
        read.node.set("db", None)
        read.node.set("catalog", None)
        read.node.set("this", exp.to_identifier(name))
        read.node.set("alias", alias)
    for named in query.find_all(exp.Column):
        if (
            named.args.get("db") is not None
            and named.args.get("catalog") is None
            and not _is_field(named, reads)
        ):
            named.set("db", None)
    return query


def _hide(query: exp.Query, tables: Mapping[str, Table], hidden: frozenset[str]) -> None:
    """Exclude the hidden columns of tables, such as "$path", from every `*` of a query.

    `tables` are the query's by their names in DuckDB, and `hidden` the columns to exclude.
    """
    if not hidden:
        return
    for table in query.find_all(exp.Table):
        select = table.find_ancestor(exp.Select)
        if table.name not in tables or select is None:
            continue
        for item in select.expressions:
            star = (
                item.this
                if isinstance(item, exp.Column) and item.table in ("", table.alias_or_name)
                else item
            )
            if isinstance(star, exp.Star):
                star.set(
                    "except_", [exp.to_identifier(name, quoted=True) for name in sorted(hidden)]
                )


def _is_field(column: exp.Column, reads: list[scopes.Read]) -> bool:
    """Return whether a.b.c names a field of column b, and not a column of table a.b.

    `reads` are the tables that the query reads.
    """
    database = column.args["db"].name.lower()
    return not any(read.table.database == database for read in reads)


def _literals_by_column(query: exp.Expr) -> dict[str, frozenset[str]]:
    """Return the literals that a query compares each column with by = or IN.

    The values of a projected partition column of the type injected are known by them alone.
    """
    fixed: dict[str, set[str]] = {}
    for node in query.find_all(exp.EQ, exp.In):
        column = node.this
        values = node.expressions if isinstance(node, exp.In) else [node.expression]
        if (
            isinstance(column, exp.Column)
            and values
            and all(isinstance(value, exp.Literal) for value in values)
        ):
            fixed.setdefault(column.name.lower(), set()).update(value.name for value in values)
    return {name: frozenset(values) for name, values in fixed.items()}


def _name_columns(query: exp.Query) -> None:
    """Give each unnamed expression of a SELECT the name _colN, as Trino does."""
    select: exp.Expr = query
    while isinstance(select, (exp.SetOperation, exp.Subquery)):
        select = select.left if isinstance(select, exp.SetOperation) else select.this
    if not isinstance(select, exp.Select):
        return
    named = (exp.Alias, exp.Column, exp.Star, exp.Dot)
    items = enumerate(select.expressions)
    select.set(  # all at once: sqlglot walks through the list for each that is replaced
        "expressions",
        [
            item
            if isinstance(item, named)
            else exp.alias_(item, f"_col{index}", quoted=True, copy=False)
            for index, item in items
        ],
    )


def _replace_typeof(query: exp.Expr, limits: Lengths) -> None:
    """Replace typeof(x) by its result where DuckDB does not know the type's length.

    `limits` knows the lengths.
    """
    for call in list(query.find_all(exp.Anonymous)):
        if (
            str(call.this).lower() == "typeof"
            and len(call.expressions) == 1
            and (length := limits.length_of(call.expressions[0])) is not None
        ):
            kind = type_with_length(
                "TIME" if isinstance(length, Digits) else "VARCHAR", length
            ).lower()
            call.replace(exp.cast(functions.raw(kind), "varchar"))


def _literals(query: exp.Query) -> None:
    """Cast string literals to VARCHAR and numbers such as 1.5 to double.

    DuckDB would take a bare text for whatever it is compared with, Trino does not.
    """
    for node in list(query.find_all(exp.Literal)):
        if node.meta.get(functions.RAW):
            continue
        if not node.is_string:
            node.set("this", _double(node.name))
        elif not isinstance(node.parent, (exp.Cast, exp.Interval, exp.Escape, exp.AtTimeZone)):
            node.replace(exp.cast(node.copy(), "varchar"))


def _double(number: str) -> str:
    """Return the SQL text of a number with a point as a double."""
    return f"{number}e0" if "." in number and "e" not in number.lower() else number


def _strict(query: exp.Query) -> exp.Query:
    """Replace = and IN by comparisons in which DuckDB checks types as strictly as Trino."""
    for node in list(query.find_all(exp.EQ, exp.NEQ, exp.In)):
        if isinstance(node, exp.In):
            if node.expressions:
                node.replace(
                    exp.Paren(
                        this=exp.or_(
                            *(
                                exp.LTE(this=node.this.copy(), expression=v.copy())
                                for v in node.expressions
                            )
                        )
                    )
                )
            continue
        node.replace(exp.LTE(this=node.this.copy(), expression=node.expression.copy()))
    return query


def _columns(query: exp.Query) -> frozenset[str] | None:
    """Return the column names that a query mentions, so that only these are loaded.

    None: all columns count. The query must not have been rewritten, as rules turn names into text.
    """
    if not all(map(_is_count, (star.parent for star in query.find_all(exp.Star)))):
        return None
    if any(join.args.get("method") for join in query.find_all(exp.Join)):
        return None  # NATURAL joins by names that are not written
    return frozenset(node.name.lower() for node in query.find_all(exp.Identifier))


def _is_count(node: exp.Expr | None) -> bool:
    """Return whether an expression is count(*)."""
    return isinstance(node, exp.Anonymous) and str(node.this).lower() == "count"


def _duckdb_sql(query: exp.Query) -> str:
    """Return a query's syntax tree as DuckDB's SQL text.

    The tree is changed on the way: nobody uses it afterwards.
    """
    try:
        return query.sql(
            dialect="duckdb", identify=True, unsupported_level=ErrorLevel.RAISE, copy=False
        )
    except UnsupportedError as error:
        raise NotRun(str(error)) from error
