"""The filter of a subscription, which chooses messages by their attributes.

Source: pubsub/docs/subscription-message-filter.

    attributes:key    attributes.key = "v"    attributes.key != "v"
    hasPrefix(attributes.key, "v")    NOT f    -f    f AND g    f OR g    (f)

AND and OR are not mixed without parentheses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Attributes = Mapping[str, str]
Predicate = Callable[[Attributes], bool]

_LONGEST = 256  # bytes
_TOKEN = re.compile(
    r'\s*(?:("(?:[^"\\]|\\.)*")|(hasPrefix\b)|(AND|OR|NOT)\b|([A-Za-z_][A-Za-z0-9_-]*)|(!=|[=:.,()-]))'
)


class FilterError(ValueError):
    """A filter that is not valid; the message says why."""


def parse(text: str) -> Predicate:
    """Parse a subscription's filter into a function of a message's attributes.

    Raises:
        FilterError: The text is no filter.
    """
    if len(text.encode()) > _LONGEST:
        raise FilterError(f"the filter is longer than {_LONGEST} bytes")
    parser = _Parser(_tokens(text))
    predicate = parser.expression()
    if parser.tokens:
        raise FilterError(f"unexpected {parser.tokens[0]!r}")
    return predicate


def _tokens(text: str) -> list[str]:
    """Split a filter into tokens; raise FilterError if a part of it is no token."""
    tokens, place = [], 0
    text = text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise FilterError(f"unexpected {text[place:].strip()[:20]!r}")
        tokens.append(match[0].strip())
        place = match.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens

    def expression(self) -> Predicate:
        """Parse terms joined by AND, or terms joined by OR."""
        terms = [self.term()]
        word = self.tokens[0] if self.tokens and self.tokens[0] in ("AND", "OR") else ""
        while self.tokens and self.tokens[0] == word:
            self.tokens.pop(0)
            terms.append(self.term())
        if self.tokens and self.tokens[0] in ("AND", "OR"):
            raise FilterError("AND and OR need parentheses to stand in one filter")
        if word == "OR":
            return lambda attributes: any(term(attributes) for term in terms)
        return lambda attributes: all(term(attributes) for term in terms)

    def term(self) -> Predicate:
        """Parse a comparison, a negated term, or an expression in parentheses."""
        if self.tokens[:1] in (["NOT"], ["-"]):
            self.tokens.pop(0)
            inner = self.term()
            return lambda attributes: not inner(attributes)
        if self.tokens[:1] == ["("]:
            self.tokens.pop(0)
            inner = self.expression()
            self._expect(")")
            return inner
        if self.tokens[:1] == ["hasPrefix"]:
            return self._prefix()
        return self._comparison()

    def _prefix(self) -> Predicate:
        """Parse hasPrefix(attributes.KEY, "VALUE") into a function of the attributes."""
        self.tokens.pop(0)
        self._expect("(")
        self._expect("attributes")
        self._expect(".")
        key = self._word()
        self._expect(",")
        value = self._string()
        self._expect(")")
        return lambda attributes: attributes.get(key, "").startswith(value) and key in attributes

    def _comparison(self) -> Predicate:
        """Parse a comparison, or a test for an attribute, into a function of the attributes."""
        self._expect("attributes")
        mark = self._next()
        if mark == ":":
            key = self._word()
            return lambda attributes: key in attributes
        if mark != ".":
            raise FilterError(f"expected attributes: or attributes. and not {mark!r}")
        key = self._word()
        operator = self._next()
        value = self._string()
        if operator == "=":
            return lambda attributes: attributes.get(key) == value
        if operator == "!=":
            return lambda attributes: attributes.get(key) != value
        raise FilterError(f"{operator!r} is no comparison of a filter: = and != are")

    def _next(self) -> str:
        """Consume the next token and return it; raise FilterError at the end."""
        if not self.tokens:
            raise FilterError("the filter ends too early")
        return self.tokens.pop(0)

    def _expect(self, token: str) -> None:
        """Consume the next token; raise FilterError if it is another one."""
        actual = self._next()
        if actual != token:
            raise FilterError(f"expected {token!r} and not {actual!r}")

    def _word(self) -> str:
        """Parse an attribute's key, and return it."""
        token = self._next()
        if token.startswith('"'):
            return _unquoted(token)
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", token):
            raise FilterError(f"{token!r} is no key of an attribute: quote it")
        return token

    def _string(self) -> str:
        """Parse a quoted text, and return it without quotes."""
        token = self._next()
        if not token.startswith('"'):
            raise FilterError(f"{token} is no value: it must be quoted")
        return _unquoted(token)


def _unquoted(token: str) -> str:
    """Return the text of a quoted token, without its quotes."""
    return re.sub(r"\\(.)", r"\1", token[1:-1])
