"""Conditions and selectors: the part of CEL that compiled pipelines use. Pure.

CEL is github.com/google/cel-spec. Operators, `in`, the ternary, indexes, fields, int(), double(),
string(), bool(), size(), parseJson() and the string methods.
"""

from __future__ import annotations

import ast
import json
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+\.\d*(?:[eE][+-]?\d+)?|\d+(?:[eE][+-]?\d+)?)
    |(?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>&&|\|\||[=!<>]=|[-+*/%<>!?:.,()\[\]]))""",
    re.VERBOSE,
)
_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}
_CONSTANTS = {"true": True, "false": False, "null": None}


class BadExpression(Exception):
    """The text is no expression, or cannot be evaluated over these values."""


class Node(msgspec.Struct, frozen=True):
    """A call of `kind` over `parts`; a leaf's one part is its value or name."""

    kind: str
    parts: tuple[Any, ...]


def parse(text: str) -> Node:
    """Parse the text of a condition into its syntax tree; raise BadExpression if malformed."""
    reader = _Reader(text)
    node = reader.ternary()
    if reader.sign or reader.at < len(reader.tokens):
        raise BadExpression(f"{text!r}: {reader.tokens[reader.at][1]!r} is not expected there.")
    return node


def evaluate(text: str, scope: Mapping[str, Any]) -> Any:
    """Evaluate an expression over the named values in `scope`, and return the result.

    Raises BadExpression if it is malformed, or if a value is missing or of a wrong type.
    """
    try:
        return _value(parse(text), scope)
    except (
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        ZeroDivisionError,
        AttributeError,
    ) as error:
        raise BadExpression(f"{text!r} cannot be evaluated: {error}") from error


def holds(condition: str, inputs: Mapping[str, Any]) -> bool:
    """Return whether a trigger policy's condition is true over an executor's `inputs`.

    Raises:
        BadExpression: The condition is no expression, or its value is not true or false.
    """
    value = evaluate(condition, {"inputs": inputs})
    if not isinstance(value, bool):
        raise BadExpression(f"{condition!r} is {value!r}, which is neither true nor false.")
    return value


def select(selector: str, value: Any) -> Any:
    """Apply a parameter_expression_selector to an upstream output, and return the result.

    The expression knows the value as string_value.
    """
    return evaluate(
        selector, {"string_value": value if isinstance(value, str) else json.dumps(value)}
    )


class _Reader:
    """A recursive descent parser, one method for each level of precedence."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str]] = []
        end = len(text.rstrip())
        position = 0
        while position < end:
            token = _TOKEN.match(text, position)
            if token is None or token.lastgroup is None:
                raise BadExpression(f"{text!r}: {text[position:].strip()[:20]!r} cannot be read.")
            self.tokens.append((token.lastgroup, token[token.lastgroup]))
            position = token.end()
        self.at = 0

    @property
    def sign(self) -> str:
        """The next operator or bracket in the text, or `in`; else an empty text."""
        kind, word = self.tokens[self.at] if self.at < len(self.tokens) else ("", "")
        return word if kind == "sign" or word == "in" else ""

    def take(self, *signs: str) -> str:
        """Consume the next sign if it is one of these, and return it; else return ""."""
        if self.sign and self.sign in signs:
            self.at += 1
            return self.tokens[self.at - 1][1]
        return ""

    def expect(self, sign: str) -> None:
        """Consume a sign; raise BadExpression if another one comes."""
        if not self.take(sign):
            raise BadExpression(f"{self.text!r}: {sign!r} is missing.")

    def ternary(self) -> Node:
        """Parse `condition ? one : other` into a node of the syntax tree."""
        node = self.either()
        if not self.take("?"):
            return node
        yes = self.either()
        self.expect(":")
        return Node("if", (node, yes, self.ternary()))

    def either(self) -> Node:
        """Parse operands joined by `||` into a node of the syntax tree."""
        return self.binary(self.both, "||")

    def both(self) -> Node:
        """Parse operands joined by `&&` into a node of the syntax tree."""
        return self.binary(self.comparison, "&&")

    def comparison(self) -> Node:
        """Parse operands of a comparison or of `in` into a node of the syntax tree."""
        return self.binary(self.sum, *_COMPARE, "in")

    def sum(self) -> Node:
        """Parse operands joined by + and - into a node of the syntax tree."""
        return self.binary(self.product, "+", "-")

    def product(self) -> Node:
        """Parse operands joined by *, / and % into a node of the syntax tree."""
        return self.binary(self.unary, "*", "/", "%")

    def binary(self, below: Callable[[], Node], *signs: str) -> Node:
        """Parse operands of the left-associative operators `signs`; `below` parses an operand."""
        node = below()
        while sign := self.take(*signs):
            node = Node(sign, (node, below()))
        return node

    def unary(self) -> Node:
        """Parse an operand with ! or - before it."""
        sign = self.take("!", "-")
        return Node(f"unary {sign}", (self.unary(),)) if sign else self.member()

    def member(self) -> Node:
        """Parse a value with fields, indexes and method calls behind it."""
        node = self.primary()
        while sign := self.take(".", "["):
            if sign == "[":
                node = Node("index", (node, self.ternary()))
                self.expect("]")
                continue
            name = self.name()
            node = (
                Node("call", (name, node, *self.arguments()))
                if self.take("(")
                else Node("field", (node, name))
            )
        return node

    def primary(self) -> Node:
        """Parse a literal, a name, a call, a list, or an expression in parentheses."""
        if self.take("("):
            node = self.ternary()
            self.expect(")")
            return node
        if self.take("["):
            return Node("list", self.arguments("]"))
        kind, word = self.tokens[self.at] if self.at < len(self.tokens) else ("", "its end")
        self.at += 1
        if kind == "number":
            return Node("constant", (float(word) if set(word) & set(".eE") else int(word),))
        if kind == "string":
            return Node("constant", (ast.literal_eval(word),))
        if kind != "name":
            raise BadExpression(f"{self.text!r}: {word!r} is not expected there.")
        if word in _CONSTANTS:
            return Node("constant", (_CONSTANTS[word],))
        return Node("call", (word, *self.arguments())) if self.take("(") else Node("name", (word,))

    def name(self) -> str:
        """Parse a name; raise BadExpression if none comes."""
        kind, word = self.tokens[self.at] if self.at < len(self.tokens) else ("", "its end")
        if kind != "name":
            raise BadExpression(f"{self.text!r}: {word!r} is no name.")
        self.at += 1
        return word

    def arguments(self, end: str = ")") -> tuple[Node, ...]:
        """Parse comma-separated arguments up to the closing bracket `end`; return their nodes."""
        arguments: list[Node] = []
        while not self.take(end):
            if arguments:
                self.expect(",")
            arguments.append(self.ternary())
        return tuple(arguments)


_Value = Callable[[Node], Any]
# what its parts are to each kind that does not simply take the values of all of them
_FORMS: Mapping[str, Callable[[tuple[Any, ...], _Value], Any]] = {
    "constant": lambda parts, _: parts[0],
    "list": lambda parts, value: [value(part) for part in parts],
    "field": lambda parts, value: value(parts[0])[parts[1]],
    "index": lambda parts, value: value(parts[0])[value(parts[1])],
    "if": lambda parts, value: value(parts[1]) if _truth(value(parts[0])) else value(parts[2]),
    "&&": lambda parts, value: _truth(value(parts[0])) and _truth(value(parts[1])),
    "||": lambda parts, value: _truth(value(parts[0])) or _truth(value(parts[1])),
    "in": lambda parts, value: value(parts[0]) in value(parts[1]),
    "unary !": lambda parts, value: not _truth(value(parts[0])),
    "unary -": lambda parts, value: -value(parts[0]),
    "call": lambda parts, value: _call(parts[0], [value(part) for part in parts[1:]]),
}


def _value(node: Node, scope: Mapping[str, Any]) -> Any:
    """Evaluate a node of an expression's syntax tree over the named values in `scope`."""

    def value(part: Node) -> Any:
        return _value(part, scope)

    if node.kind == "name":
        return scope[node.parts[0]]
    if form := _FORMS.get(node.kind):
        return form(node.parts, value)
    return _binary(node.kind, value(node.parts[0]), value(node.parts[1]))


def _binary(sign: str, left: Any, right: Any) -> Any:
    """Return the result of the binary operator `sign` for two values."""
    if sign in _COMPARE:
        if isinstance(left, bool) != isinstance(right, bool) or isinstance(left, str) != isinstance(
            right, str
        ):
            if sign in ("==", "!="):  # values of unlike types are unlike
                return sign == "!="
            raise TypeError(f"{left!r} and {right!r} have no order")
        return _COMPARE[sign](left, right)
    if sign in _ARITHMETIC:
        return _ARITHMETIC[sign](left, right)
    if sign == "%":
        return left - right * int(left / right)  # of the dividend's sign
    return int(left / right) if isinstance(left, int) and isinstance(right, int) else left / right


def _truth(value: Any) -> bool:
    """Return a value that is true or false; raise TypeError for any other."""
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "int": int,
    "double": float,
    "string": lambda value: value if isinstance(value, str) else json.dumps(value),
    "bool": lambda value: _truth(
        value if isinstance(value, bool) else {"true": True, "false": False}[value]
    ),
    "size": len,
    "parseJson": json.loads,
    "startsWith": lambda value, start: value.startswith(start),
    "endsWith": lambda value, end: value.endswith(end),
    "contains": lambda value, part: part in value,
    "matches": lambda value, pattern: re.search(pattern, value) is not None,
}


def _call(name: str, arguments: list[Any]) -> Any:
    """Return the result of an expression's function or method `name` for its arguments."""
    if name not in _FUNCTIONS:
        raise BadExpression(f"the function {name} is not supported by the local stack.")
    return _FUNCTIONS[name](*arguments)
