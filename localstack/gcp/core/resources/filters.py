"""Google's filter language (AIP-160), which narrows lists. Pure.

    matches('labels.owner=us AND NOT display_name="old"', lookup)

Comparisons (= != < <= > >=, `:` has, =~ !~ regular expressions), AND, OR (which binds closer), NOT,
-, parentheses; two terms side by side are an AND. `field:*` is presence, `*` in the text of = and :
is a wildcard. A bare word or string is handed to `anywhere`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, NoReturn

import msgspec

FieldLookup = Callable[
    [str], object
]  # dotted path -> str, number, bool, datetime, list, dict; None: absent, FilterError: no field
Function = Callable[..., bool]  # (the field's value, the call's arguments) -> whether it fits
FilterTest = Callable[[FieldLookup], bool]
Anywhere = Callable[
    [FieldLookup, str], bool
]  # whether a bare word fits; a function that lives on, as filters are kept with it

_SPACE = re.compile(r"\s*")
_OPERATOR = re.compile(r"<=|>=|!=|=~|!~|=|<|>|:")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')
_NAME = re.compile(r"[^\s()\"',:=<>!~.]+")
_BARE = re.compile(r"[^\s()\"',]+")  # of a value: a time without quotes has colons
_CALL = re.compile(r"([A-Za-z_][\w.]*)\(")


class FilterError(ValueError):
    """The text is no filter, or one over a field that does not exist."""


class _Call(msgspec.Struct, frozen=True):
    """A function call on the right of a comparison."""

    function: Function
    arguments: tuple[str, ...]


def matches(
    text: str,
    lookup: FieldLookup,
    *,
    functions: Mapping[str, Function] | None = None,
    anywhere: Anywhere | None = None,
) -> bool:
    """Return whether the values that `lookup` reads fit the filter; an empty filter fits all.

    Args:
        text: The filter.
        lookup: Returns the value at a field's dotted path.
        functions: The functions that may stand right of = and !=, by name.
        anywhere: Returns whether a bare word fits; without it bare words are refused.

    Raises:
        FilterError: The text is no filter, or names a field that does not exist.
    """
    names = tuple(sorted((functions or {}).items()))
    return _parse(text, names, anywhere)(lookup)


def of_message(message: Any) -> FieldLookup:
    """Return a function that reads the value at a field's path in a protobuf message.

    Enums are given by name, times as datetimes. Field names may be in snake_case or camelCase.
    """
    return lambda path: _value(message, path.split("."), path)


def ordered(items: Sequence[Any], order_by: str) -> list[Any]:
    """Return messages sorted by `order_by`, such as "display_name, create_time desc".

    Raises:
        FilterError: There is no such field.
    """
    rows = list(items)
    for part in reversed([part.strip() for part in order_by.split(",") if part.strip()]):
        path, _, direction = part.partition(" ")
        if direction.strip().lower() not in ("", "asc", "desc"):
            raise FilterError(f"order_by: {part!r} is not a field with `desc` behind it or nothing")
        rows.sort(
            key=lambda row: _sortable(of_message(row)(path)),
            reverse=direction.strip().lower() == "desc",
        )
    return rows


@lru_cache(maxsize=256)
def _parse(
    text: str, functions: tuple[tuple[str, Function], ...], anywhere: Anywhere | None
) -> FilterTest:
    """Parse a filter into a function that tests a resource; cached by its text."""
    return _Parser(text, dict(functions), anywhere).whole()


class _Parser:
    """A recursive descent parser: one method for each level of precedence."""

    def __init__(
        self, text: str, functions: Mapping[str, Function], anywhere: Anywhere | None
    ) -> None:
        self._text = text
        self._at = 0
        self._functions = functions
        self._anywhere = anywhere

    def whole(self) -> FilterTest:
        """Parse the whole filter into a test of a resource."""
        self._skip()
        if self._at == len(self._text):
            return lambda _: True
        test = self._expression()
        if self._at < len(self._text):
            self._wrong("unexpected text")
        return test

    def _expression(self) -> FilterTest:
        """Parse terms joined by AND or blanks, all of which must hold."""
        tests = [self._factor()]
        while self._at < len(self._text) and self._text[self._at] not in "),":
            self._keyword("AND")
            tests.append(self._factor())
        return tests[0] if len(tests) == 1 else lambda lookup: all(test(lookup) for test in tests)

    def _factor(self) -> FilterTest:
        """Parse terms joined by OR, of which one must hold."""
        tests = [self._term()]
        while self._keyword("OR"):
            tests.append(self._term())
        return tests[0] if len(tests) == 1 else lambda lookup: any(test(lookup) for test in tests)

    def _term(self) -> FilterTest:
        """Parse a restriction, a negated term, or an expression in parentheses."""
        if self._keyword("NOT") or self._take("-"):
            test = self._term()
            return lambda lookup: not test(lookup)
        if self._take("("):
            test = self._expression()
            if not self._take(")"):
                self._wrong("a parenthesis is not closed")
            return test
        return self._restriction()

    def _restriction(self) -> FilterTest:
        """Parse the comparison of a field with a value, or a bare word."""
        path = self._path()
        operator = _OPERATOR.match(self._text, self._at)
        if operator is None:
            anywhere = self._anywhere
            if anywhere is None:
                self._wrong(f"{path!r} is compared with nothing")
            return lambda lookup: anywhere(lookup, path)
        self._at = operator.end()
        self._skip()
        argument = self._argument()
        if isinstance(argument, _Call):
            if operator[0] not in ("=", "!="):
                self._wrong("a function follows = or != only")
            expected = operator[0] == "="
            return lambda lookup: argument.function(lookup(path), *argument.arguments) is expected
        compare = _COMPARE[operator[0]]
        return lambda lookup: compare(lookup(path), argument)

    def _path(self) -> str:
        """Parse a field's dotted path, such as labels.team, and return it."""
        parts = []
        while True:
            part = self._string()
            if part is None:
                name = _NAME.match(self._text, self._at)
                if name is None:
                    self._wrong("a field's name is expected")
                part, self._at = name[0], name.end()
            parts.append(part)
            if not self._text.startswith(".", self._at):
                self._skip()
                return ".".join(parts)
            self._at += 1

    def _argument(self) -> str | _Call:
        """Parse the right side of a comparison: a value or a function call."""
        text = self._string()
        if text is None:
            call = _CALL.match(self._text, self._at)
            if call is not None:
                return self._call(call)
            bare = _BARE.match(self._text, self._at)
            if bare is None:
                self._wrong("a value is expected")
            text, self._at = bare[0], bare.end()
        self._skip()
        return text

    def _call(self, call: re.Match[str]) -> _Call:
        """Parse a function call behind its opening parenthesis."""
        function = self._functions.get(call[1])
        if function is None:
            self._wrong(f"there is no function {call[1]}")
        self._at = call.end()
        arguments: list[str] = []
        while not self._take(")"):
            self._skip()
            argument = self._argument()
            if isinstance(argument, _Call):
                self._wrong("a function's argument is a value")
            arguments.append(argument)
            if not self._take(",") and not self._text.startswith(")", self._at):
                self._wrong("a function's arguments are not closed")
        return _Call(function, tuple(arguments))

    def _string(self) -> str | None:
        """Return a quoted string that comes next, without its quotes, or None."""
        string = _STRING.match(self._text, self._at)
        if string is None:
            return None
        self._at = string.end()
        return re.sub(r"\\(.)", r"\1", string[0][1:-1])

    def _keyword(self, word: str) -> bool:
        """Consume a keyword if it comes next; return whether it did."""
        end = self._at + len(word)
        if self._text.startswith(word, self._at) and (
            end == len(self._text) or self._text[end] in " \t\r\n("
        ):
            self._at = end
            self._skip()
            return True
        return False

    def _take(self, mark: str) -> bool:
        """Consume an operator or bracket if it comes next; return whether it did."""
        if not self._text.startswith(mark, self._at):
            return False
        self._at += len(mark)
        self._skip()
        return True

    def _skip(self) -> None:
        """Skip blanks in the filter's text."""
        match = _SPACE.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _wrong(self, what: str) -> NoReturn:
        """Raise FilterError with the filter, the parser's position, and the complaint `what`."""
        raise FilterError(f"invalid filter {self._text!r} at {self._at + 1}: {what}")


def _value(message: Any, path: Sequence[str], whole: str) -> object:
    """Return the value at a field path in a protobuf message, or None.

    None means that a message on the way is not set, or that a map has no such key.
    """
    field = message.DESCRIPTOR.fields_by_name.get(
        re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", path[0]).lower()
    )
    if field is None:
        raise FilterError(f"invalid filter: there is no field {whole!r}")
    value, rest = getattr(message, field.name), path[1:]
    entry = field.message_type is not None and field.message_type.GetOptions().map_entry
    if entry:
        return value.get(".".join(rest)) if rest else dict(value)
    if field.is_repeated:
        return [_plain(field, item) for item in value]
    if field.message_type is not None and not message.HasField(field.name):
        return None
    if (
        rest
        and field.message_type is not None
        and field.message_type.full_name != "google.protobuf.Struct"
    ):
        return _value(value, rest, whole)
    if rest and field.message_type is not None:
        return value[rest[0]] if rest[0] in value else None  # noqa: SIM401  a Struct has no get
    return _plain(field, value)


def _plain(field: Any, value: Any) -> object:
    """Return a field's value in the form that filters compare: enum names, datetimes."""
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    if (
        field.message_type is not None
        and field.message_type.full_name == "google.protobuf.Timestamp"
    ):
        return value.ToDatetime(tzinfo=UTC)
    return value


def _sortable(value: object) -> tuple[bool, Any]:
    """Return a value as a sort key: absent values come first."""
    return (value is not None, value if value is not None else 0)


def _equal(value: object, argument: str) -> bool:
    """Return whether a field's value equals a filter's argument, in which `*` is a wildcard."""
    if value is None:
        return False
    if isinstance(value, str):
        return (
            fnmatchcase(value, argument.replace("[", "[[]").replace("?", "[?]"))
            if "*" in argument
            else value == argument
        )
    return value == _as(value, argument)


def _has(value: object, argument: str) -> bool:
    """Return whether a filter's `:` holds: presence, map key, list member or part of a text."""
    if argument == "*":
        return value not in (None, "", [], {})
    if isinstance(value, Mapping):
        return argument in value
    if isinstance(value, list | tuple):
        return any(_equal(item, argument) for item in value)
    if isinstance(value, str):
        return _equal(
            value.lower(), argument.lower() if "*" in argument else f"*{argument.lower()}*"
        )
    return _equal(value, argument)


def _order(value: object, argument: str) -> int | None:
    """Return -1, 0 or 1 as a field's value is below, at or above the argument; None if unset."""
    if value is None:
        return None
    left: Any = value
    right: Any = _as(value, argument)
    return int(left > right) - int(left < right)


def _as(value: object, argument: str) -> object:
    """Convert a filter's argument to the type of the field's value.

    Raises:
        FilterError: It cannot be converted.
    """
    try:
        if isinstance(value, bool):
            return {"true": True, "false": False}[argument.lower()]
        if isinstance(value, int | float):
            return float(argument)
        if isinstance(value, datetime):
            moment = datetime.fromisoformat(argument)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, KeyError):
        raise FilterError(f"invalid filter: {argument!r} is no {type(value).__name__}") from None
    return argument


_COMPARE: Mapping[str, Callable[[object, str], bool]] = {
    "=": _equal,
    "!=": lambda value, argument: not _equal(value, argument),
    ":": _has,
    "<": lambda value, argument: _order(value, argument) == -1,
    "<=": lambda value, argument: _order(value, argument) in (-1, 0),
    ">": lambda value, argument: _order(value, argument) == 1,
    ">=": lambda value, argument: _order(value, argument) in (0, 1),
    "=~": lambda value, argument: value is not None and re.search(argument, str(value)) is not None,
    "!~": lambda value, argument: value is None or re.search(argument, str(value)) is None,
}
