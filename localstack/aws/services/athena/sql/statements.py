"""Kinds of statements, and their parts."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from sqlglot.tokenizer_core import TokenType

from .errors import Malformed
from .words import Name, TokenCursor


class Select(msgspec.Struct, frozen=True):
    query: str


class CreateTableAs(msgspec.Struct, frozen=True):
    name: Name
    query: str
    properties: dict[str, str | tuple[str, ...]]
    data: bool = True
    exists_ok: bool = False


class Unload(msgspec.Struct, frozen=True):
    query: str
    location: str
    properties: dict[str, str | tuple[str, ...]]


class Insert(msgspec.Struct, frozen=True):
    name: Name
    columns: tuple[str, ...]
    query: str


class CreateView(msgspec.Struct, frozen=True):
    name: Name
    query: str
    replace: bool


class Execute(msgspec.Struct, frozen=True):
    """EXECUTE of a prepared statement."""

    name: str
    parameters: tuple[str, ...]


class Prepare(msgspec.Struct, frozen=True):
    name: str
    query: str


class Deallocate(msgspec.Struct, frozen=True):
    name: str


class Ddl(msgspec.Struct, frozen=True):
    """A statement of Hive's: ddl/statements.py reads on."""

    text: str
    words: tuple[str, ...]  # the first few, upper case


Statement = (
    Select | CreateTableAs | Unload | Insert | CreateView | Execute | Prepare | Deallocate | Ddl
)
_HIVE = (
    "CREATE EXTERNAL",
    "CREATE DATABASE",
    "CREATE SCHEMA",
    "DROP",
    "ALTER",
    "MSCK",
    "SHOW",
    "DESCRIBE",
    "DESC",
)
_REFUSED = (
    "DELETE",
    "UPDATE",
    "MERGE",
    "OPTIMIZE",
    "VACUUM",
    "EXPLAIN",
    "GRANT",
    "REVOKE",
    "CALL",
    "SET",
    "USE",
    "TRUNCATE",
    "COMMIT",
    "START",
    "ROLLBACK",
)


def read(text: str) -> Statement:
    """Parse a SQL text into one of Athena's kinds of statement, by its first words.

    Raises:
        Malformed: Athena has no such statement.
    """
    words = _statement_tokens(text)
    start = [token.text.upper() for token in words.tokens[:2]]
    if " ".join(start).startswith(_HIVE):
        return Ddl(
            text.strip().rstrip(";"), tuple(token.text.upper() for token in words.tokens[:4])
        )
    if start[0] in _REFUSED:
        raise _unsupported_statement(start[0])
    statement = next((statement for first, statement in _STATEMENTS if words.accept(*first)), None)
    return statement(words) if statement else Select(words.rest())


def _statement_tokens(text: str) -> TokenCursor:
    """Return the tokens of a SQL text that holds one statement, without final semicolons."""
    words = TokenCursor(text)
    while words.tokens and words.tokens[-1].token_type == TokenType.SEMICOLON:
        words.tokens.pop()
    if not words.tokens:
        raise Malformed("Query is empty")
    if any(token.token_type == TokenType.SEMICOLON for token in words.tokens):
        raise Malformed("Only one sql statement is allowed")
    return words


def _unsupported_statement(word: str) -> Malformed:
    """Return the error for a kind of statement, by its first word, that is not supported.

    It says whether Athena or this stack lacks the statement.
    """
    if word == "EXPLAIN":
        return Malformed("the local AWS stack does not run EXPLAIN; Athena does", position=(1, 1))
    return Malformed(f"Queries of this type are not supported: {word}", position=(1, 1))


def preparable(text: str) -> Select | Insert | CreateTableAs | Unload:
    """Parse a SQL text as a statement that PREPARE can hold.

    Raises:
        Malformed: It cannot be prepared.
    """
    statement = read(text)
    if not isinstance(statement, (Select, Insert, CreateTableAs, Unload)):
        raise Malformed(
            "PREPARE takes SELECT, INSERT INTO, CREATE TABLE AS and UNLOAD only", position=(1, 1)
        )
    return statement


def _execute(tokens: TokenCursor) -> Execute:
    """Parse EXECUTE name [USING value, ...]."""
    name = tokens.identifier()
    parameters: list[str] = []
    if tokens.accept("USING"):
        start, depth = tokens.index, 0
        for index in range(tokens.index, len(tokens.tokens)):
            depth += tokens.tokens[index].text == "("
            depth -= tokens.tokens[index].text == ")"
            if (
                tokens.tokens[index].text == ","
                and depth == 0
                and tokens.tokens[index].token_type == TokenType.COMMA
            ):
                parameters.append(tokens.blanked(start, index).strip())
                start = index + 1
        parameters.append(tokens.blanked(start, len(tokens.tokens)).strip())
    return Execute(name, tuple(parameters))


def _unload(tokens: TokenCursor) -> Unload:
    """Parse UNLOAD (query) TO location WITH (properties)."""
    tokens.expect("(")
    start, end = tokens.index, tokens.closing()
    query = tokens.blanked(start, end)
    tokens.index = end + 1
    tokens.expect("TO")
    location = tokens.string()
    tokens.expect("WITH")
    unload = Unload(query, location, _properties(tokens))
    tokens.done()
    return unload


def _insert(tokens: TokenCursor) -> Insert:
    """Parse INSERT INTO table [(column, ...)] query."""
    name = tokens.name()
    columns: tuple[str, ...] = ()
    following = tokens.peek(1)
    if (
        following is not None
        and following.text.upper() not in ("SELECT", "WITH", "VALUES", "(")
        and tokens.accept("(")
    ):
        end = tokens.closing()
        columns = tuple(
            token.text.lower()
            for token in tokens.tokens[tokens.index : end]
            if token.token_type != TokenType.COMMA
        )
        tokens.index = end + 1
    return Insert(name, columns, tokens.rest())


def _create_view(tokens: TokenCursor, *, replace: bool) -> CreateView:
    """Parse CREATE [OR REPLACE] VIEW name AS query; `replace`: it has OR REPLACE."""
    name = tokens.name()
    tokens.expect("AS")
    return CreateView(name, tokens.rest(), replace)


def _prepare(tokens: TokenCursor) -> Prepare:
    """Parse PREPARE name FROM query."""
    name = tokens.identifier()
    tokens.expect("FROM")
    query = tokens.rest().strip()
    preparable(query)
    return Prepare(name, query)


def _create_table(tokens: TokenCursor) -> CreateTableAs:
    """Parse CREATE TABLE name [WITH (properties)] AS query."""
    exists_ok = tokens.accept("IF", "NOT", "EXISTS")
    name = tokens.name()
    properties: dict[str, str | tuple[str, ...]] = {}
    if tokens.accept("WITH"):
        properties = _properties(tokens)
    if not tokens.accept("AS"):
        what = (
            "CREATE TABLE needs AS and a query; a table over files is CREATE EXTERNAL TABLE, and "
            "the local AWS stack has no Iceberg tables"
        )
        raise Malformed(f"mismatched input: {what}", position=(1, 1))
    data = True
    tail = [token.text.upper() for token in tokens.tokens[-3:]]
    if tail == ["WITH", "NO", "DATA"]:
        data = False
        del tokens.tokens[-3:]
    elif tail[-2:] == ["WITH", "DATA"]:
        del tokens.tokens[-2:]
    return CreateTableAs(name, tokens.rest(), properties, data, exists_ok)


def _properties(tokens: TokenCursor) -> dict[str, str | tuple[str, ...]]:
    """Parse `( name = 'text' | number | true | ARRAY['a', ...], ... )` into a dictionary."""
    tokens.expect("(")
    properties: dict[str, str | tuple[str, ...]] = {}
    while True:
        name = tokens.next("<property>").text.lower()
        tokens.expect("=")
        if tokens.accept("ARRAY"):
            tokens.expect("[")
            values = []
            while not tokens.accept("]"):
                values.append(tokens.string().lower())
                tokens.accept(",")
            properties[name] = tuple(values)
        else:
            properties[name] = tokens.next("<value>").text
        if tokens.accept(")"):
            return properties
        tokens.expect(",")


_STATEMENTS: tuple[tuple[tuple[str, ...], Callable[[TokenCursor], Statement]], ...] = (
    (("UNLOAD",), _unload),
    (("INSERT", "INTO"), _insert),
    (("CREATE", "OR", "REPLACE", "VIEW"), lambda words: _create_view(words, replace=True)),
    (("CREATE", "VIEW"), lambda words: _create_view(words, replace=False)),
    (("CREATE", "TABLE"), _create_table),
    (("PREPARE",), _prepare),
    (("EXECUTE",), _execute),
    (("DEALLOCATE", "PREPARE"), lambda words: Deallocate(words.identifier())),
)
