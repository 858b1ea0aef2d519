"""Queries parsed as Athena parses them, and refused where Athena would refuse them."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from itertools import pairwise
from typing import Any, ClassVar

from sqlglot import expressions as exp
from sqlglot.dialects.trino import Trino
from sqlglot.errors import ParseError, TokenError
from sqlglot.parsers.trino import TrinoParser
from sqlglot.tokenizer_core import Token, TokenType

from ..errors import QueryFailed
from . import vocabulary as allowed
from .errors import Malformed, position

_SPECIAL = ("CAST", "TRY_CAST", "EXTRACT", "LISTAGG", "POSITION", "SUBSTRING", "TRIM")
_UNITS = frozenset({"SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "YEAR"})
_BEFORE_SUBSCRIPT = (
    TokenType.R_PAREN,
    TokenType.R_BRACKET,
    TokenType.IDENTIFIER,
    TokenType.VAR,
    TokenType.STRING,
    TokenType.ARRAY,
)


WRITTEN = "written"  # in a question mark's meta: where in the text it is


def _parse_placeholder(parser: Any) -> exp.Placeholder:
    """Parse a ? as a placeholder node, with its position in the text."""
    mark = exp.Placeholder()
    mark.meta[WRITTEN] = mark.meta["start"] = parser._prev.start  # noqa: SLF001  sqlglot has no other way to the token that was read
    return mark


class Strict(Trino):
    """Trino's dialect in which every function keeps the name that was written.

    sqlglot would turn other engines' names into its own.
    """

    class Parser(TrinoParser):
        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
            name: TrinoParser.FUNCTION_PARSERS[name] for name in _SPECIAL
        }
        NO_PAREN_FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
            n: TrinoParser.NO_PAREN_FUNCTION_PARSERS[n] for n in ("ANY", "CASE")
        }
        PLACEHOLDER_PARSERS: ClassVar[dict[TokenType, Any]] = {
            TokenType.PLACEHOLDER: _parse_placeholder
        }


def parsed(text: str) -> exp.Query:
    """Parse a query in Athena's SQL (SELECT, WITH, VALUES, set operation) into a syntax tree.

    Raises:
        Malformed: It does not parse.
        QueryFailed: It is not in Athena's language (SYNTAX_ERROR and the like).
    """
    return accept(text).copy()


@lru_cache(
    maxsize=32
)  # a statement is parsed to be taken, then to be run; a view for each of its readers
def accept(text: str) -> exp.Query:
    """Return the syntax tree of a valid query; the tree is shared, so it must not be changed.

    Raises: as `parsed`.
    """
    try:
        tokens = Strict().tokenize(text)
        _check_tokens(text, tokens)
        tree = _parse(text, tokens)
    except TokenError as error:
        raise Malformed(f"mismatched input: {str(error).splitlines()[0]}") from error
    except ParseError as error:
        raise _parse_error(error) from error
    for written in list(tree.find_all(exp.UnicodeString)) if tree is not None else ():
        written.replace(exp.Literal.string(_unescaped(text, written)))
    if isinstance(tree, exp.Values):
        width = (
            len(tree.expressions[0].expressions)
            if isinstance(tree.expressions[0], exp.Tuple)
            else 1
        )
        names = [exp.to_identifier(f"_col{index}") for index in range(width)]
        tree.set("alias", exp.TableAlias(this=exp.to_identifier("_values"), columns=names))
        tree = exp.select("*").from_(tree)
    if not isinstance(tree, exp.Query):
        raise Malformed("mismatched input. Expecting: a query")
    conditional = 0
    for node in tree.walk():
        _check_node(text, node)
        conditional += isinstance(node, exp.Join) and _has_condition(node)
    if conditional != sum(token.token_type == TokenType.JOIN for token in tokens):
        raise Malformed(
            "mismatched input '<EOF>'. Expecting: 'ON' or 'USING' after JOIN",
            position=position(text, len(text)),
        )
    return tree


def syntax(text: str) -> None:
    """Raise an error for a SQL text that does not parse.

    Raises:
        Malformed: It does not parse.
    """
    with suppress(QueryFailed):
        accept(text)


def _parse(text: str, tokens: list[Token]) -> exp.Expr | None:
    """Parse a query's tokens into the syntax tree of one statement; None for several statements."""
    statements = Strict().parser().parse(tokens, text)
    return statements[0] if len(statements) == 1 else None


def _unescaped(text: str, node: exp.UnicodeString) -> str:
    """Return the decoded text of a Unicode literal, U&'...'.

    An escape is followed by itself, by four hexadecimal digits, or by + and six (Trino, "Character
    types").
    """
    mark = node.args["escape"].this if isinstance(node.args.get("escape"), exp.Expr) else "\\"
    pattern = re.compile(
        f"{re.escape(mark)}({re.escape(mark)}|[0-9A-Fa-f]{{4}}|\\+[0-9A-Fa-f]{{6}}|)"
    )

    def character(escape: re.Match[str]) -> str:
        code = escape.group(1)
        if code == mark:
            return mark
        try:
            return chr(int(code.removeprefix("+"), 16))
        except (ValueError, OverflowError) as error:
            raise Malformed(
                f"Invalid escape sequence in U&'{node.this}'", position=place(text, node)
            ) from error

    return pattern.sub(character, node.this)


def _has_condition(join: exp.Join) -> bool:
    """Return whether a join has ON or USING, or is of a kind that needs neither."""
    return bool(
        join.args.get("on")
        or join.args.get("using")
        or join.args.get("kind") == "CROSS"
        or join.args.get("method")
    )


def _parse_error(error: ParseError) -> Malformed:
    """Translate a parse error of sqlglot's into the message of Athena."""
    detail = error.errors[0] if error.errors else {}
    word = detail.get("highlight") or "<EOF>"
    line, column = detail.get("line") or 1, detail.get("col") or 1
    what = detail.get("description", "it does not parse")
    return Malformed(
        f"mismatched input '{word}'. Expecting: ... ({what})",
        position=(line, max(1, column - len(word) + 1)),
    )


_NOT_TRINOS = (TokenType.L_BRACE, TokenType.DCOLON, TokenType.PARAMETER)
_AFTER_A_LIST = (TokenType.FROM, TokenType.R_PAREN, TokenType.WHERE)
_Refusal = Callable[[list[Token], Token, Token], bool]
# Of the tokens, one and the one after it: what a tolerant parser would let through.
_REFUSED_PAIRS: tuple[_Refusal, ...] = (
    # a list is written ARRAY[...]
    lambda _tokens, previous, token: (
        token.token_type == TokenType.L_BRACKET and previous.token_type not in _BEFORE_SUBSCRIPT
    ),
    # an interval's number is written as text: INTERVAL '7' DAY
    lambda _tokens, previous, token: (
        (previous.token_type, token.token_type) == (TokenType.INTERVAL, TokenType.NUMBER)
    ),
    # its unit is one of Trino's
    lambda tokens, previous, token: (
        previous.token_type == TokenType.STRING
        and token.text.upper() not in _UNITS
        and _word_before(tokens, previous) == "INTERVAL"
    ),
    # nothing after a comma
    lambda _tokens, previous, token: (
        previous.token_type == TokenType.COMMA and token.token_type in _AFTER_A_LIST
    ),
    # OFFSET comes before LIMIT
    lambda tokens, previous, token: (
        (previous.token_type, token.token_type) == (TokenType.NUMBER, TokenType.OFFSET)
        and _word_before(tokens, previous) == "LIMIT"
    ),
)


def _check_tokens(text: str, tokens: list[Token]) -> None:
    """Raise an error for tokens, and pairs of them, that Trino's SQL does not have.

    Raises:
        Malformed: A token, or a pair, is not Trino's.
        QueryFailed: A cast has a type that is not Trino's (TYPE_NOT_FOUND).
    """
    if not tokens:
        raise Malformed("mismatched input '<EOF>'. Expecting: <statement>", position=(1, 1))
    _check_token(text, tokens[0], refused=tokens[0].token_type == TokenType.FROM)
    for previous, token in pairwise(tokens):
        _check_token(
            text, token, refused=any(refused(tokens, previous, token) for refused in _REFUSED_PAIRS)
        )
        if (
            previous.token_type == TokenType.ALIAS
            and token.text.upper() in allowed.NOT_TYPES
            and _closes_a_cast(tokens, token)
        ):
            raise QueryFailed(
                "TYPE_NOT_FOUND",
                f"Unknown type: {token.text.lower()}",
                position=position(text, token.start),
            )


def _check_token(text: str, token: Token, *, refused: bool) -> None:
    """Raise an error for a token that Trino's SQL does not have, or for any if `refused`."""
    if refused or token.text == "`" or token.token_type in _NOT_TRINOS or _dollar(token):
        raise _mismatch_error(text, token)


def _dollar(token: Token) -> bool:
    """Return whether a token is an unquoted name that begins with a dollar sign."""
    return token.text.startswith("$") and token.token_type not in (
        TokenType.STRING,
        TokenType.IDENTIFIER,
    )


def _closes_a_cast(tokens: list[Token], token: Token) -> bool:
    """Return whether a closing bracket follows a token, as it follows the type in a cast."""
    following = next((t for t in tokens if t.start > token.end), None)
    return following is not None and following.token_type == TokenType.R_PAREN


def _word_before(tokens: list[Token], token: Token) -> str:
    """Return the text, in upper case, of the token before another one; "" for the first."""
    earlier = [t for t in tokens if t.end < token.start]
    return earlier[-1].text.upper() if earlier else ""


def _mismatch_error(text: str, token: Token) -> Malformed:
    """Return Athena's parse error (mismatched input) for a token in a wrong place."""
    return Malformed(
        f"mismatched input '{token.text}'. Expecting: <expression>",
        position=position(text, token.start),
    )


def place(text: str, node: exp.Expr) -> tuple[int, int]:
    """Return the line and column of a syntax tree's node in the query's text, for errors."""
    starts = [part.meta["start"] for part in node.walk() if "start" in part.meta]
    if starts:
        return position(text, min(starts))
    parent = node.parent
    return place(text, parent) if parent is not None else (1, 1)


def _check_node(text: str, node: exp.Expr) -> None:
    """Raise an error if one node of a query's syntax tree is not in Athena's SQL.

    `text` is the query's text, for the position in the error.
    """
    if type(node) not in allowed.NODES:
        raise _syntax_error(
            text,
            node,
            f"{node.sql(dialect='trino')[:60]!r} ({type(node).__name__}) is not in Athena's "
            "language",
        )
    check = _CHECKS.get(type(node))
    if check is not None:
        check(text, node)


def _syntax_error(text: str, node: exp.Expr, message: str) -> QueryFailed:
    """Return a SYNTAX_ERROR failure at the position of a node."""
    return QueryFailed("SYNTAX_ERROR", f"mismatched input: {message}", position=place(text, node))


def _check_select(text: str, node: exp.Expr) -> None:
    """Raise an error for a SELECT without columns, or with a clause that Athena does not have.

    `text` is the query's text, for the position in the error.
    """
    if not node.expressions:
        raise Malformed(
            "mismatched input '<EOF>'. Expecting: <expression>", position=position(text, len(text))
        )
    if (distinct := node.args.get("distinct")) is not None and distinct.args.get("on"):
        raise _syntax_error(text, node, "SELECT DISTINCT ON is not in Athena's language")
    for key in (
        "qualify",
        "kind",
        "hint",
        "into",
        "pivots",
        "cluster",
        "sort",
        "distribute",
        "laterals",
        "sample",
        "connect",
        "prewhere",
    ):
        if node.args.get(key):
            raise _syntax_error(text, node, f"{key.upper()} is not in Athena's language")


def _check_join(text: str, node: exp.Expr) -> None:
    """Raise an error for a kind of JOIN that Athena does not have."""
    kind, side, method = (
        str(node.args.get(key) or "").upper() for key in ("kind", "side", "method")
    )
    if (
        kind not in allowed.JOIN_KINDS
        or side not in allowed.JOIN_SIDES
        or method not in ("", "NATURAL")
    ):
        raise _syntax_error(
            text,
            node,
            f"{' '.join(word for word in (method, side, kind, 'JOIN') if word)} is not in "
            "Athena's language",
        )


def _check_star(text: str, node: exp.Expr) -> None:
    """Raise an error for a * with EXCEPT, REPLACE or RENAME, which Athena does not have."""
    if any(node.args.get(key) for key in ("except_", "except", "replace", "rename")):
        raise _syntax_error(text, node, "SELECT * takes neither EXCLUDE nor REPLACE")


def _check_group(text: str, node: exp.Expr) -> None:
    """Raise an error for GROUP BY ALL, which Athena does not have."""
    if node.args.get("all"):
        raise Malformed(
            "mismatched input 'ALL': GROUP BY ALL is not in Athena's language. Expecting: "
            "<expression>",
            position=place(text, node),
        )


def _check_limit(text: str, node: exp.Expr) -> None:
    """Raise an error for LIMIT BY, which Athena does not have."""
    if node.args.get("expressions"):
        raise _syntax_error(text, node, "LIMIT BY is not in Athena's language")


def _check_set_operation(text: str, node: exp.Expr) -> None:
    """Raise an error for UNION, EXCEPT or INTERSECT with BY NAME, which Athena does not have."""
    if node.args.get("by_name"):
        raise _syntax_error(text, node, "set operations BY NAME are not in Athena's language")


def _check_function(text: str, node: exp.Expr) -> None:
    """Raise an error for an unknown function, or one that is wrongly used with OVER or without."""
    name = str(node.this).lower()
    if name not in allowed.FUNCTIONS:
        raise QueryFailed(
            "FUNCTION_NOT_FOUND", f"Function '{name}' not registered", position=place(text, node)
        )
    over = isinstance(node.parent, exp.Window) and node.arg_key == "this"
    windowed = over or (
        isinstance(node.parent, (exp.IgnoreNulls, exp.RespectNulls, exp.Filter))
        and isinstance(node.parent.parent, exp.Window)
    )
    if name in allowed.WINDOW_ONLY and not windowed:
        raise QueryFailed(
            "MISSING_OVER",
            f"Window function {name} requires an OVER clause",
            position=place(text, node),
        )
    if over and name not in allowed.WINDOW_ONLY | allowed.AGGREGATES:
        raise QueryFailed(
            "FUNCTION_NOT_WINDOW", f"Not a window function: {name}", position=place(text, node)
        )
    if isinstance(node.parent, exp.WithinGroup):
        raise QueryFailed(
            "SYNTAX_ERROR", "WITHIN GROUP is for LISTAGG only", position=place(text, node)
        )


def _check_type(text: str, node: exp.Expr) -> None:
    """Raise an error for a type named in a query that Athena does not have."""
    if node.this not in allowed.TYPES:
        name = node.args.get("kind") or node.sql(dialect="trino")
        raise QueryFailed(
            "TYPE_NOT_FOUND", f"Unknown type: {str(name).lower()}", position=place(text, node)
        )


_CHECKS: dict[type[exp.Expr], Callable[[str, exp.Expr], None]] = {
    exp.Anonymous: _check_function,
    exp.DataType: _check_type,
    exp.Select: _check_select,
    exp.Join: _check_join,
    exp.Star: _check_star,
    exp.Group: _check_group,
    exp.Limit: _check_limit,
    exp.Union: _check_set_operation,
    exp.Except: _check_set_operation,
    exp.Intersect: _check_set_operation,
}
