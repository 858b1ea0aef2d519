"""What kind of statement a text is, and its parts. Positions in a query stay those of the whole text: the rest is blanked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import ClassVar

import msgspec
from sqlglot.dialects.dialect import Dialect
from sqlglot.dialects.hive import Hive
from sqlglot.dialects.trino import Trino
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

from .errors import Malformed, position

Name = tuple[str | None, str]  # database, table


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
    """Hive's: ddl.py reads on."""

    text: str
    words: tuple[str, ...]  # the first few, upper case


Statement = Select | CreateTableAs | Unload | Insert | CreateView | Execute | Prepare | Deallocate | Ddl
_HIVE = ("CREATE EXTERNAL", "CREATE DATABASE", "CREATE SCHEMA", "DROP", "ALTER", "MSCK", "SHOW", "DESCRIBE", "DESC")
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


def _single(keywords: Mapping[str, TokenType]) -> dict[str, TokenType]:
    """Without those of several words, such as PARTITIONED BY: a token is a word."""
    return {text: kind for text, kind in keywords.items() if " " not in text}


class HiveWords(Hive):
    """Hive's words without commands: SHOW is a word like another."""

    class Tokenizer(Hive.Tokenizer):
        COMMANDS: ClassVar[set[TokenType]] = set()
        KEYWORDS: ClassVar[dict[str, TokenType]] = _single(Hive.Tokenizer.KEYWORDS)


class TrinoWords(Trino):
    class Tokenizer(Trino.Tokenizer):
        COMMANDS: ClassVar[set[TokenType]] = set()
        KEYWORDS: ClassVar[dict[str, TokenType]] = _single(Trino.Tokenizer.KEYWORDS)


class Words:
    """A cursor over the words of a statement."""

    def __init__(self, text: str, dialect: type[Dialect] = TrinoWords) -> None:
        try:
            self.tokens: list[Token] = list(dialect().tokenize(text))
        except TokenError as error:
            raise Malformed(f"mismatched input: {str(error).splitlines()[0]}") from error
        self.text = text
        self.index = 0

    def peek(self, ahead: int = 0) -> Token | None:
        index = self.index + ahead
        return self.tokens[index] if index < len(self.tokens) else None

    def follows(self, *words: str) -> bool:
        some = self.tokens[self.index : self.index + len(words)]
        return len(some) == len(words) and all(
            t.text.upper() == w and t.token_type != TokenType.STRING for t, w in zip(some, words, strict=True)
        )

    def accept(self, *words: str) -> bool:
        accepted = self.follows(*words)
        self.index += len(words) * accepted
        return accepted

    def expect(self, *words: str) -> None:
        if not self.accept(*words):
            raise self.mismatched(f"'{' '.join(words)}'")

    def mismatched(self, expecting: str) -> Malformed:
        token = self.peek()
        if token is None:
            return Malformed(f"mismatched input '<EOF>'. Expecting: {expecting}", at=position(self.text, len(self.text)))
        return Malformed(f"mismatched input '{token.text}'. Expecting: {expecting}", at=position(self.text, token.start))

    def next(self, expecting: str = "<identifier>") -> Token:
        token = self.peek()
        if token is None:
            raise self.mismatched(expecting)
        self.index += 1
        return token

    def string(self) -> str:
        token = self.next("<string>")
        if token.token_type != TokenType.STRING:
            self.index -= 1
            raise self.mismatched("<string>")
        return token.text

    def number(self) -> int:
        token = self.next("<number>")
        if not re.fullmatch("[0-9]+", token.text):
            self.index -= 1
            raise self.mismatched("<number>")
        return int(token.text)

    def identifier(self) -> str:
        token = self.next()
        quoted = self.text[token.start] == '"'  # to Hive's words a text; Athena's own, as SHOW CREATE VIEW, take it as a name
        if (token.token_type == TokenType.STRING and not quoted) or not re.fullmatch(r"[\w$-]+", token.text):
            self.index -= 1
            raise self.mismatched("<identifier>")
        return token.text.lower()

    def name(self) -> Name:
        parts = [self.identifier()]
        while self.accept("."):
            parts.append(self.identifier())
        return (parts[-2] if len(parts) > 1 else None, parts[-1])

    def done(self) -> None:
        self.accept(";")
        if self.peek() is not None:
            raise self.mismatched("<EOF>")

    def closing(self) -> int:
        """The index of the bracket that closes the one before the cursor."""
        depth, index = 1, self.index
        while index < len(self.tokens):
            depth += self.tokens[index].token_type == TokenType.L_PAREN
            depth -= self.tokens[index].token_type == TokenType.R_PAREN
            if depth == 0:
                return index
            index += 1
        raise Malformed("mismatched input '<EOF>'. Expecting: ')'", at=position(self.text, len(self.text)))

    def blanked(self, start: int, end: int) -> str:
        """The text from token to token (the last is not in it), at its own place."""
        if start >= len(self.tokens):
            raise self.mismatched("<query>")
        first = self.tokens[start].start
        last = self.tokens[end - 1].end + 1 if end > start else first
        return re.sub(r"[^\n]", " ", self.text[:first]) + self.text[first:last]

    def rest(self) -> str:
        end = len(self.tokens)
        while end > self.index and self.tokens[end - 1].token_type == TokenType.SEMICOLON:
            end -= 1
        return self.blanked(self.index, end)


def read(text: str) -> Statement:
    """What a text asks for, by its first words. Malformed when it is no statement of Athena's."""
    words = _words(text)
    start = [token.text.upper() for token in words.tokens[:2]]
    if " ".join(start).startswith(_HIVE):
        return Ddl(text.strip().rstrip(";"), tuple(token.text.upper() for token in words.tokens[:4]))
    if start[0] in _REFUSED:
        raise _refused(start[0])
    statement = next((statement for first, statement in _STATEMENTS if words.accept(*first)), None)
    return statement(words) if statement else Select(words.rest())


def _words(text: str) -> Words:
    """Of one statement, without the semicolons at its end."""
    words = Words(text)
    while words.tokens and words.tokens[-1].token_type == TokenType.SEMICOLON:
        words.tokens.pop()
    if not words.tokens:
        raise Malformed("Query is empty")
    if any(token.token_type == TokenType.SEMICOLON for token in words.tokens):
        raise Malformed("Only one sql statement is allowed")
    return words


def _refused(word: str) -> Malformed:
    if word == "EXPLAIN":
        return Malformed("the local AWS stack does not run EXPLAIN; Athena does", at=(1, 1))
    return Malformed(f"Queries of this type are not supported: {word}", at=(1, 1))


def preparable(text: str) -> Select | Insert | CreateTableAs | Unload:
    """The statement that PREPARE would hold. Malformed for one that cannot be prepared."""
    statement = read(text)
    if not isinstance(statement, (Select, Insert, CreateTableAs, Unload)):
        raise Malformed("PREPARE takes SELECT, INSERT INTO, CREATE TABLE AS and UNLOAD only", at=(1, 1))
    return statement


def _execute(words: Words) -> Execute:
    name = words.identifier()
    parameters: list[str] = []
    if words.accept("USING"):
        start, depth = words.index, 0
        for index in range(words.index, len(words.tokens)):
            depth += words.tokens[index].text == "("
            depth -= words.tokens[index].text == ")"
            if words.tokens[index].text == "," and depth == 0 and words.tokens[index].token_type == TokenType.COMMA:
                parameters.append(words.blanked(start, index).strip())
                start = index + 1
        parameters.append(words.blanked(start, len(words.tokens)).strip())
    return Execute(name, tuple(parameters))


def _unload(words: Words) -> Unload:
    words.expect("(")
    start, end = words.index, words.closing()
    query = words.blanked(start, end)
    words.index = end + 1
    words.expect("TO")
    location = words.string()
    words.expect("WITH")
    unload = Unload(query, location, _properties(words))
    words.done()
    return unload


def _insert(words: Words) -> Insert:
    name = words.name()
    columns: tuple[str, ...] = ()
    following = words.peek(1)
    if following is not None and following.text.upper() not in ("SELECT", "WITH", "VALUES", "(") and words.accept("("):
        end = words.closing()
        columns = tuple(token.text.lower() for token in words.tokens[words.index : end] if token.token_type != TokenType.COMMA)
        words.index = end + 1
    return Insert(name, columns, words.rest())


def _create_view(words: Words, *, replace: bool) -> CreateView:
    name = words.name()
    words.expect("AS")
    return CreateView(name, words.rest(), replace)


def _prepare(words: Words) -> Prepare:
    name = words.identifier()
    words.expect("FROM")
    query = words.rest().strip()
    preparable(query)
    return Prepare(name, query)


def _create_table(words: Words) -> CreateTableAs:
    exists_ok = words.accept("IF", "NOT", "EXISTS")
    name = words.name()
    properties: dict[str, str | tuple[str, ...]] = {}
    if words.accept("WITH"):
        properties = _properties(words)
    if not words.accept("AS"):
        what = (
            "CREATE TABLE needs AS and a query; a table over files is CREATE EXTERNAL TABLE, and the local AWS stack has no Iceberg tables"
        )
        raise Malformed(f"mismatched input: {what}", at=(1, 1))
    data = True
    tail = [token.text.upper() for token in words.tokens[-3:]]
    if tail == ["WITH", "NO", "DATA"]:
        data = False
        del words.tokens[-3:]
    elif tail[-2:] == ["WITH", "DATA"]:
        del words.tokens[-2:]
    return CreateTableAs(name, words.rest(), properties, data, exists_ok)


def _properties(words: Words) -> dict[str, str | tuple[str, ...]]:
    """( name = 'text' | number | true | ARRAY['a', ...], ... )."""
    words.expect("(")
    properties: dict[str, str | tuple[str, ...]] = {}
    while True:
        name = words.next("<property>").text.lower()
        words.expect("=")
        if words.accept("ARRAY"):
            words.expect("[")
            values = []
            while not words.accept("]"):
                values.append(words.string().lower())
                words.accept(",")
            properties[name] = tuple(values)
        else:
            properties[name] = words.next("<value>").text
        if words.accept(")"):
            return properties
        words.expect(",")


_STATEMENTS: tuple[tuple[tuple[str, ...], Callable[[Words], Statement]], ...] = (
    (("UNLOAD",), _unload),
    (("INSERT", "INTO"), _insert),
    (("CREATE", "OR", "REPLACE", "VIEW"), lambda words: _create_view(words, replace=True)),
    (("CREATE", "VIEW"), lambda words: _create_view(words, replace=False)),
    (("CREATE", "TABLE"), _create_table),
    (("PREPARE",), _prepare),
    (("EXECUTE",), _execute),
    (("DEALLOCATE", "PREPARE"), lambda words: Deallocate(words.identifier())),
)
