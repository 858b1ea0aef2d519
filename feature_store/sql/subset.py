"""Judge SQL by the neutral subset of DuckDB's: what every target can say with one meaning. Pure.

The subset is an allow-list of syntax-tree nodes and of their parts (forms.py) with rules on single
nodes (rules.py). The text alone is judged here; types and names are judged by views/schema.py,
against the project's relations. It cannot see sums beyond 64 bits (an error on the clouds).
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError, TokenError
from sqlglot.optimizer.scope import traverse_scope

from ..port import SqlProblem
from .forms import FORMS, PARTS, STRANGERS
from .rules import troubles

__all__ = ["SqlProblem", "check", "digest", "parse", "tables"]


@lru_cache(maxsize=256)
def check(sql: str) -> tuple[SqlProblem, ...]:
    """Return every problem of a SQL statement that not all targets can run, by line."""
    tree = _parse(sql)
    if isinstance(tree, SqlProblem):
        return (tree,)
    problems = dict.fromkeys(_walk(tree, sql))  # the same thing twice on a line is said once
    return tuple(sorted(problems, key=lambda problem: problem.line))


def parse(sql: str) -> exp.Query:
    """Return the syntax tree of a SQL statement that `check` accepts; the caller may change it.

    Raises:
        ValueError: `check` refuses the statement.
    """
    tree = _parse(sql)
    if isinstance(tree, SqlProblem):
        raise ValueError(f"line {tree.line}: {tree.what}: {tree.why}")  # noqa: TRY004  the text is wrong, not its type
    return tree.copy()


def digest(sql: str) -> str:
    """Return a digest of a SQL statement's meaning: layout and comments do not count."""
    text = sqlglot.parse_one(sql, read="duckdb").sql(dialect="duckdb", comments=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def tables(sql: str) -> frozenset[str]:
    """Return the names of the relations that a query reads, in lower case, without its own CTEs.

    The result is empty if the query cannot be parsed.
    """
    return frozenset(reads(sql))


def parameter_names(tree: exp.Query) -> frozenset[str]:
    """Return the names of a query's parameters, without the `$`."""
    return frozenset(placeholder.name for placeholder in tree.find_all(exp.Placeholder))


def reads(sql: str) -> Counter[str]:
    """Return how many times a query names each relation that it reads, in lower case."""
    tree = _parse(sql)
    if isinstance(tree, SqlProblem):
        return Counter()
    try:
        scopes = traverse_scope(tree)
    except SqlglotError:  # two sources of one name: DuckDB will say so with its place
        return Counter(table.name.lower() for table in tree.find_all(exp.Table))
    sources = (source for scope in scopes for source in scope.sources.values())
    return Counter(source.name.lower() for source in sources if isinstance(source, exp.Table))


def line_of(node: exp.Expr, default: int = 1) -> int:
    """Return the line of a syntax node in its SQL text, from 1.

    It is the node's own mark, else the first of its children's, else its nearest parent's.
    """
    marks = [int(inner.meta["line"]) for inner in node.walk() if "line" in inner.meta]
    if marks:
        return min(marks)
    return line_of(node.parent, default) if node.parent is not None else default


def _parse(sql: str) -> exp.Query | SqlProblem:
    """Parse a SELECT into a syntax tree, or return the problem why it cannot be parsed."""
    try:
        statements = [
            tree
            for tree in _statements(sql)
            if tree is not None and not isinstance(tree, exp.Semicolon)
        ]
    except (ParseError, TokenError, RecursionError) as error:
        return _unparsed(sql, error)
    if not statements:
        return SqlProblem(line=1, what="no statement", why="write one SELECT")
    if len(statements) > 1:
        return SqlProblem(
            line=line_of(statements[1]),
            what=f"{len(statements)} statements",
            why="a view is exactly one SELECT",
        )
    tree = statements[0]
    if not isinstance(tree, exp.Select | exp.Union):
        what = (tree.key if isinstance(tree, exp.Expr) else type(tree).__name__).upper()
        return SqlProblem(line=1, what=what, why="a view is exactly one SELECT")
    return tree


def _unparsed(sql: str, error: Exception) -> SqlProblem:
    """Return the problem that SQL could not be parsed, with its line."""
    if isinstance(error, RecursionError):
        return SqlProblem(
            line=1,
            what="nested too deeply",
            why="no engine takes it: use fewer parentheses, or steps in a WITH",
        )
    if isinstance(error, TokenError):
        return SqlProblem(
            line=_line_of_token_error(sql),
            what="syntax error",
            why=f"a quote or a comment is not closed ({error})",
        )
    first = error.errors[0] if isinstance(error, ParseError) and error.errors else {}
    near = f" near {first['highlight']!r}" if first.get("highlight") else ""
    return SqlProblem(
        line=first.get("line") or 1,
        what=f"syntax error{near}",
        why=first.get("description") or str(error),
    )


@lru_cache(
    maxsize=64
)  # a query is judged, bound and rendered by one text: a copy of a tree takes a quarter of the time
def _statements(sql: str) -> tuple[exp.Expr | None, ...]:
    """Return the syntax trees of a SQL text's statements.

    They are cached and must not be changed.
    """
    opening = re.match(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/|\()*(\w*)", sql, re.DOTALL)
    word = opening.group(1).upper() if opening else ""
    if word and word not in {"SELECT", "WITH", "FROM"}:
        # not given to sqlglot, which would log a warning of its own for statements that it does not
        # know
        line = sql.upper()[: sql.upper().index(word)].count("\n") + 1
        raise ParseError.new(f"{word} does not begin a SELECT", line=line, highlight=word)
    return tuple(sqlglot.parse(sql, dialect="duckdb"))


def _line_of_token_error(sql: str) -> int:
    """Return the line of a SQL text at which the tokenizer fails.

    The shortest beginning of the text that fails ends in that line.
    """
    lines = sql.split("\n")
    for count in range(len(lines), 0, -1):
        try:
            sqlglot.tokenize("\n".join(lines[: count - 1]), dialect="duckdb")
        except TokenError:
            continue
        return count
    return 1


def _line_of_part(part: object, what: str, node: exp.Expr, sql: str) -> int:
    """Return the line of a SQL clause that has no position of its own.

    `part` is the clause, `what` its first word, `node` its parent. The line is that of its
    contents, else that of its first word in the text, else the node's.
    """
    if isinstance(part, exp.Expr) and any("line" in inner.meta for inner in part.walk()):
        return line_of(part)
    word = what.split(maxsplit=1)[0].upper()
    places = (
        token.line
        for token in sqlglot.tokenize(sql, dialect="duckdb")
        if token.text.upper() == word
    )
    return next(places, line_of(node))


def _walk(tree: exp.Expr, sql: str) -> Iterator[SqlProblem]:
    """Yield a problem for each part of a query that not all targets have."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if type(node) not in FORMS:
            what, why = STRANGERS.get(
                type(node), (_named(node), "it is not in the SQL that all targets share")
            )
            yield SqlProblem(line=line_of(node), what=what, why=why)
            continue  # what is inside of it is not worth a second message
        parts = FORMS[type(node)]
        for part, value in node.args.items():
            if value and part not in parts and (part, type(node)) != ("method", exp.Join):
                what, why = PARTS.get(
                    (type(node), part),
                    (f"{part} of {_named(node)}", "it is not in the SQL that all targets share"),
                )
                yield SqlProblem(line=_line_of_part(value, what, node, sql), what=what, why=why)
        for what, why in troubles(node):
            yield SqlProblem(line=line_of(node), what=what, why=why)
        pending += [child for child in node.iter_expressions() if child.arg_key in parts]


def _named(node: exp.Expr) -> str:
    """Return what a message calls a SQL expression: its function's name, or its short text."""
    if isinstance(node, exp.Anonymous):
        return f"{node.name}()"
    if isinstance(node, exp.Func):
        return f"{node.sql_name().lower()}()"
    text = node.sql(dialect="duckdb", comments=False)
    return text if len(text) <= 40 else f"{text[:37]}..."
