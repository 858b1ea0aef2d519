r"""The part of jq that dynamic partitioning uses.

It has paths, slices, objects, pipes, //, text with \(...), and a few functions. Source: jq 1.6
manual, "Basic filters", "Builtin operators and functions".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

JqFilter = Callable[[Any], Any]
_TOKEN = re.compile(
    r'\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>[A-Za-z_]\w*)|(?P<op>//|[.|{}()\[\]:,?]))',
    re.DOTALL,
)


class JqError(ValueError):
    """A query that does not parse, or that cannot be applied to a record."""


def compile_filter(query: str) -> JqFilter:
    """Compile a jq query into a Python function of one JSON value.

    Raises:
        JqError: It does not parse.
    """
    reader = _Reader(query)
    program = reader.pipe()
    if reader.peek() is not None:
        raise JqError(f"jq: syntax error, unexpected {reader.peek()!r} in {query!r}")
    return program


class _Reader:
    """A parser of a query, which makes functions of its parts."""

    def __init__(self, query: str) -> None:
        self.query = query
        self.tokens: list[tuple[str, str]] = []
        position = 0
        text = query.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise JqError(
                    f"jq: syntax error at {text[position : position + 10]!r} in {query!r}"
                )
            kind = str(match.lastgroup)
            self.tokens.append((kind, match.group(kind)))
            position = match.end()
        self.index = 0

    def peek(self) -> str | None:
        """Return the next token of the jq query without taking it; None at the end."""
        return self.tokens[self.index][1] if self.index < len(self.tokens) else None

    def next(self) -> tuple[str, str]:
        """Take the next token of the jq query, and return its kind and its text."""
        if self.index >= len(self.tokens):
            raise JqError(f"jq: syntax error, unexpected end of {self.query!r}")
        self.index += 1
        return self.tokens[self.index - 1]

    def accept(self, word: str) -> bool:
        """Take a token of the jq query if it comes next, and return whether it did."""
        if self.peek() == word:
            self.index += 1
            return True
        return False

    def expect(self, word: str) -> None:
        """Take a token of the jq query, which must come next.

        Raises:
            JqError: Another token comes next.
        """
        if not self.accept(word):
            raise JqError(f"jq: syntax error, expected {word!r} in {self.query!r}")

    def pipe(self) -> JqFilter:
        """Parse jq filters with | between them into one function."""
        left = self.alternative()
        while self.accept("|"):
            left = _piped(left, self.alternative())
        return left

    def alternative(self) -> JqFilter:
        """Parse jq filters with // between them into one function."""
        left = self.postfix()
        while self.accept("//"):
            left = _alternative(left, self.postfix())
        return left

    def postfix(self) -> JqFilter:
        """Parse a jq filter with its suffixes (.name, [...] and ?) into a function."""
        term = self.primary()
        while self.peek() in (".", "[", "?"):
            if self.accept("?"):
                term = _null_on_error(term)
            elif self.accept("["):
                term = _piped(term, self._bracket())
            else:
                self.expect(".")
                term = _piped(term, self._bracket() if self.accept("[") else _field(self._name()))
        return term

    def primary(self) -> JqFilter:  # noqa: PLR0911  one line a kind
        """Parse a jq path, text, number, object, function or bracket into a function."""
        kind, word = self.next()
        if word == ".":
            following = self.tokens[self.index] if self.index < len(self.tokens) else ("", "")
            if following[0] in ("word", "text"):
                return _field(self._name())
            return self._bracket() if self.accept("[") else lambda value: value
        if word == "(":
            inner = self.pipe()
            self.expect(")")
            return inner
        if word == "{":
            return self._object()
        if kind == "text":
            return _text(word)
        if kind == "number":
            number = json.loads(word)
            return lambda _value: number
        if kind == "word":
            return self._word(word)
        raise JqError(f"jq: syntax error, unexpected {word!r} in {self.query!r}")

    def _name(self) -> str:
        """Parse a name or a quoted text in a jq query, and return it."""
        kind, word = self.next()
        return str(json.loads(word)) if kind == "text" else word

    def _bracket(self) -> JqFilter:
        """Parse what follows an opening bracket in a jq query: name, index or slice."""
        kind, word = self.next()
        if kind == "text":
            self.expect("]")
            return _field(json.loads(word))
        start = int(word) if kind == "number" else None
        if word == ":" or self.accept(":"):
            end = int(self.next()[1]) if self.peek() != "]" else None
            self.expect("]")
            return lambda value: None if value is None else value[start:end]
        if start is None:
            raise JqError(f"jq: syntax error at [{word} in {self.query!r}")
        self.expect("]")
        return lambda value: (
            value[start] if isinstance(value, list) and -len(value) <= start < len(value) else None
        )

    def _object(self) -> JqFilter:
        """Parse the fields of a jq object construction into a function that builds it."""
        fields: list[tuple[str, JqFilter]] = []
        while not self.accept("}"):
            name = self._name()
            fields.append((name, self.alternative() if self.accept(":") else _field(name)))
            if self.peek() != "}":
                self.expect(",")
        return lambda value: {name: inner(value) for name, inner in fields}

    def _word(self, name: str) -> JqFilter:
        """Parse a jq function or constant by its name into a function."""
        if name in ("null", "true", "false"):
            constant = json.loads(name)
            return lambda _value: constant
        arguments: list[JqFilter] = []
        if self.accept("("):
            arguments.append(self.pipe())
            self.expect(")")
        function = _FUNCTIONS.get((name, len(arguments)))
        if function is None:
            raise JqError(
                f"jq: {name}/{len(arguments)} is not defined (the local AWS stack knows a "
                "part of jq)"
            )
        return lambda value: function(value, *(argument(value) for argument in arguments))


def _piped(first: JqFilter, then: JqFilter) -> JqFilter:
    """Return a filter that applies the second filter to the result of the first (a | b)."""
    return lambda value: then(first(value))


def _alternative(first: JqFilter, other: JqFilter) -> JqFilter:
    """Return a filter that uses another one where the first gives null or false (a // b)."""

    def apply(value: Any) -> Any:
        try:
            result = first(value)
        except JqError:
            result = None
        return result if result is not None and result is not False else other(value)

    return apply


def _null_on_error(inner: JqFilter) -> JqFilter:
    """Return a filter that yields null where the inner one fails (jq's ?)."""

    def apply(value: Any) -> Any:
        try:
            return inner(value)
        except JqError:
            return None

    return apply


def _field(name: str) -> JqFilter:
    """Return a filter that gives the named field of a JSON object."""

    def apply(value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, dict):
            raise JqError(f"jq: cannot index {type(value).__name__} with {name!r}")
        return value.get(name)

    return apply


def _text(word: str) -> JqFilter:
    r"""Return a filter that gives a quoted jq text with the values of its \(...) filled in."""
    parts = re.split(r"\\\(((?:[^()]|\([^()]*\))*)\)", word[1:-1])
    pieces: list[str | JqFilter] = [
        json.loads(f'"{part}"') if index % 2 == 0 else compile_filter(part)
        for index, part in enumerate(parts)
    ]
    return lambda value: "".join(
        part if isinstance(part, str) else _string(part(value)) for part in pieces
    )


def _string(value: Any) -> str:
    """Return a JSON value as text, as jq's tostring does."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _number(value: Any) -> float:
    """Convert a JSON value to a number, as jq's tonumber does."""
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise JqError(f"jq: cannot parse {value!r} as a number") from error
    return int(number) if number.is_integer() else number


def _strftime(value: Any, form: Any) -> str:
    """Format a time, in seconds since 1970, as jq's strftime does."""
    try:
        return datetime.fromtimestamp(float(value), UTC).strftime(form)
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise JqError("jq: strftime/1 requires parsed datetime inputs") from error


def _fromdate(value: Any) -> int:
    """Parse an ISO 8601 time into seconds since 1970, as jq's fromdate does."""
    try:
        return int(datetime.fromisoformat(value).timestamp())
    except (TypeError, ValueError) as error:
        raise JqError(f"jq: date {value!r} does not match format") from error


_FUNCTIONS: dict[tuple[str, int], Callable[..., Any]] = {
    ("tostring", 0): _string,
    ("tonumber", 0): _number,
    ("floor", 0): lambda value: int(_number(value) // 1),
    ("length", 0): lambda value: 0 if value is None else len(value),
    ("ascii_downcase", 0): lambda value: _string(value).lower(),
    ("ascii_upcase", 0): lambda value: _string(value).upper(),
    ("strftime", 1): _strftime,
    ("todate", 0): lambda value: _strftime(value, "%Y-%m-%dT%H:%M:%SZ"),
    ("fromdate", 0): _fromdate,
    ("fromdateiso8601", 0): _fromdate,
    ("split", 1): lambda value, separator: _string(value).split(separator),
    ("ltrimstr", 1): lambda value, start: _string(value).removeprefix(start),
    ("rtrimstr", 1): lambda value, end: _string(value).removesuffix(end),
}
