"""A statement word by word.

Positions in a query stay those of the whole text: the rest is blanked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from sqlglot.dialects.dialect import Dialect
from sqlglot.dialects.hive import Hive
from sqlglot.dialects.trino import Trino
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

from .errors import Malformed, position

Name = tuple[str | None, str]  # database, table


def _single(keywords: Mapping[str, TokenType]) -> dict[str, TokenType]:
    """Return the keywords of a dialect that are single words, with their token types."""
    return {text: kind for text, kind in keywords.items() if " " not in text}


class HiveWords(Hive):
    """Hive's words without commands: SHOW is a word like any other."""

    class Tokenizer(Hive.Tokenizer):
        COMMANDS: ClassVar[set[TokenType]] = set()
        KEYWORDS: ClassVar[dict[str, TokenType]] = _single(Hive.Tokenizer.KEYWORDS)


class TrinoWords(Trino):
    class Tokenizer(Trino.Tokenizer):
        COMMANDS: ClassVar[set[TokenType]] = set()
        KEYWORDS: ClassVar[dict[str, TokenType]] = _single(Trino.Tokenizer.KEYWORDS)


class TokenCursor:
    """A cursor over the words of a statement."""

    def __init__(self, text: str, dialect: type[Dialect] = TrinoWords) -> None:
        try:
            self.tokens: list[Token] = list(dialect().tokenize(text))
        except TokenError as error:
            raise Malformed(f"mismatched input: {str(error).splitlines()[0]}") from error
        self.text = text
        self.index = 0

    def peek(self, ahead: int = 0) -> Token | None:
        """Return the next token, or one further ahead, without taking it; None at the end."""
        index = self.index + ahead
        return self.tokens[index] if index < len(self.tokens) else None

    def follows(self, *words: str) -> bool:
        """Return whether the next tokens are these words."""
        some = self.tokens[self.index : self.index + len(words)]
        return len(some) == len(words) and all(
            t.text.upper() == w and t.token_type != TokenType.STRING
            for t, w in zip(some, words, strict=True)
        )

    def accept(self, *words: str) -> bool:
        """Take these words if they come next, and return whether they did."""
        accepted = self.follows(*words)
        self.index += len(words) * accepted
        return accepted

    def expect(self, *words: str) -> None:
        """Take these words, which must come next.

        Raises:
            Malformed: Other words come next.
        """
        if not self.accept(*words):
            raise self.mismatched(f"'{' '.join(words)}'")

    def mismatched(self, expecting: str) -> Malformed:
        """Return Athena's parse error (mismatched input) for the next token.

        `expecting` says in the message what should have come.
        """
        token = self.peek()
        if token is None:
            return Malformed(
                f"mismatched input '<EOF>'. Expecting: {expecting}",
                position=position(self.text, len(self.text)),
            )
        return Malformed(
            f"mismatched input '{token.text}'. Expecting: {expecting}",
            position=position(self.text, token.start),
        )

    def next(self, expecting: str = "<identifier>") -> Token:
        """Take the next token, which must exist, and return it.

        `expecting` says in the error what should have come.
        """
        token = self.peek()
        if token is None:
            raise self.mismatched(expecting)
        self.index += 1
        return token

    def string(self) -> str:
        """Take a quoted string, and return its text."""
        token = self.next("<string>")
        if token.token_type != TokenType.STRING:
            self.index -= 1
            raise self.mismatched("<string>")
        return token.text

    def number(self) -> int:
        """Take a whole number, and return it."""
        token = self.next("<number>")
        if not re.fullmatch("[0-9]+", token.text):
            self.index -= 1
            raise self.mismatched("<number>")
        return int(token.text)

    def identifier(self) -> str:
        """Take an identifier, and return it in lower case."""
        token = self.next()
        # to Hive's words a text; Athena's own, as SHOW CREATE VIEW, take it as a name
        quoted = self.text[token.start] == '"'
        if (token.token_type == TokenType.STRING and not quoted) or not re.fullmatch(
            r"[\w$-]+", token.text
        ):
            self.index -= 1
            raise self.mismatched("<identifier>")
        return token.text.lower()

    def name(self) -> Name:
        """Take a table's name, and return its database, if any, and its name."""
        parts = [self.identifier()]
        while self.accept("."):
            parts.append(self.identifier())
        return (parts[-2] if len(parts) > 1 else None, parts[-1])

    def done(self) -> None:
        """Raise an error if anything follows before the statement's end."""
        self.accept(";")
        if self.peek() is not None:
            raise self.mismatched("<EOF>")

    def closing(self) -> int:
        """Return the index of the bracket that closes the one just before the cursor."""
        depth, index = 1, self.index
        while index < len(self.tokens):
            depth += self.tokens[index].token_type == TokenType.L_PAREN
            depth -= self.tokens[index].token_type == TokenType.R_PAREN
            if depth == 0:
                return index
            index += 1
        raise Malformed(
            "mismatched input '<EOF>'. Expecting: ')'", position=position(self.text, len(self.text))
        )

    def blanked(self, start: int, end: int) -> str:
        """Return the statement's text up to token `end`, with spaces for all before token `start`.

        So positions in errors stay those of the whole text.
        """
        if start >= len(self.tokens):
            raise self.mismatched("<query>")
        first = self.tokens[start].start
        last = self.tokens[end - 1].end + 1 if end > start else first
        return re.sub(r"[^\n]", " ", self.text[:first]) + self.text[first:last]

    def rest(self) -> str:
        """Return the rest of the statement's text with what is before it replaced by spaces.

        So positions in errors stay those of the whole text.
        """
        end = len(self.tokens)
        while end > self.index and self.tokens[end - 1].token_type == TokenType.SEMICOLON:
            end -= 1
        return self.blanked(self.index, end)
