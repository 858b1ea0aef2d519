"""YAML as trees that know their lines.

One document, no duplicate keys, no anchors, no tags, no templating. Plain scalars follow YAML
1.2's core schema, as JSON and editors do: `no` and `on` are strings, `1e-3` is a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from ...errors import Problem

if TYPE_CHECKING:
    from yaml.events import Event

_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_DEEPEST = 100


class Scalar(msgspec.Struct, frozen=True, kw_only=True):
    value: str | int | float | bool | None
    text: str  # as written: `0.10` stays exact
    line: int
    variable: bool = False  # the environment's: text, but where a number or a flag belongs


class Sequence(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[YamlNode, ...]
    line: int


class Mapping(msgspec.Struct, frozen=True, kw_only=True):
    entries: dict[str, YamlNode]
    lines: dict[str, int]  # of the keys
    line: int


YamlNode = Scalar | Sequence | Mapping


def scalar(text: str, line: int = 0, *, quoted: bool = False) -> Scalar:
    """Return a YAML scalar whose text is converted to bool, int, float, None or str."""
    if quoted:
        value: str | int | float | bool | None = text
    elif text in _WORDS:
        value = _WORDS[text]
    elif _INTEGER.fullmatch(text):
        value = int(text) if len(text) <= 40 else text  # Python refuses to read very long integers
    elif _FLOAT.fullmatch(text):
        value = float(text)
    else:
        value = text
    return Scalar(value=value, text=text, line=line)


def plain(node: YamlNode) -> Any:
    """Return a YAML tree as dicts, lists and scalars, as JSON has them."""
    if isinstance(node, Mapping):
        return {key: plain(value) for key, value in node.entries.items()}
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return node.value


def read(text: str, file: str) -> tuple[YamlNode | None, tuple[Problem, ...]]:
    """Parse the text of a YAML file into a tree with line numbers, and list its problems.

    The tree is None if the text is empty or no YAML. Duplicate keys and the like are problems of a
    tree that is returned.
    """
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    composer = _Composer(file)
    try:
        tree = composer.document(yaml.parse(text, Loader=loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if mark and _by_tab(text, mark.line):
            why = "this is not YAML: the line begins with a tab"
            return None, (
                Problem(file=file, line=mark.line + 1, message=why, remedy="indent with spaces"),
            )
        what = " ".join(part for part in (error.context, error.problem) if part)
        return None, (
            Problem(
                file=file,
                line=mark.line + 1 if mark else 0,
                message=f"this is not YAML: {what}",
                remedy="look for a missing quote, bracket or colon here or just above; indent with "
                "spaces",
            ),
        )
    except yaml.YAMLError as error:  # a character that YAML does not allow
        return None, (
            Problem(file=file, line=0, message=f"this is not YAML: {' '.join(str(error).split())}"),
        )
    except _TooDeepError as error:
        return None, (
            Problem(
                file=file,
                line=error.line,
                message=f"more than {_DEEPEST} levels deep",
                remedy="write it flatter",
            ),
        )
    return tree, tuple(composer.problems)


def _by_tab(text: str, line: int) -> bool:
    """Return whether a line of a text is indented by a tab, which YAML forbids.

    `line` is its number, from 1.
    """
    lines = text.splitlines()
    return line < len(lines) and re.match(r" *\t", lines[line]) is not None


class _TooDeepError(Exception):
    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


class _Composer:
    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def document(self, events: Iterator[Event]) -> YamlNode | None:
        """Build the YAML tree from the parser's events; report a second document."""
        from yaml import events as kinds

        tree: YamlNode | None = None
        documents = 0
        for event in events:
            if isinstance(event, kinds.DocumentStartEvent):
                documents += 1
                if documents == 2:
                    self._wrong(
                        event,
                        "a second document",
                        "one file holds one document: take out the line ---",
                    )
            elif isinstance(event, kinds.NodeEvent):
                node = self._node(event, events, 0)
                tree = node if documents == 1 else tree
        return None if isinstance(tree, Scalar) and tree.value is None else tree

    def _node(
        self, event: Any, events: Iterator[Event], depth: int
    ) -> YamlNode:  # PyYAML's stubs know no fields of an event
        """Build a YAML node from the parser's events; report anchors and aliases."""
        from yaml import events as kinds

        line = _line_number(event)
        if depth > _DEEPEST:
            raise _TooDeepError(line)
        if isinstance(event, kinds.AliasEvent):
            self._wrong(
                event,
                f"*{event.anchor}: aliases are not used in these files",
                "write the value out",
            )
            return Scalar(value=None, text="", line=line)
        if event.anchor:
            self._wrong(
                event,
                f"&{event.anchor}: anchors are not used in these files",
                "write the value out where it is used",
            )
        if event.tag:
            self._wrong(
                event,
                f"{event.tag}: tags are not used in these files",
                "write the plain value; quotes make it a string",
            )
        if isinstance(event, kinds.ScalarEvent):
            return scalar(event.value, line, quoted=not event.implicit[0])
        if isinstance(event, kinds.SequenceStartEvent):
            items: list[YamlNode] = []
            while not isinstance(event := next(events), kinds.SequenceEndEvent):
                items.append(self._node(event, events, depth + 1))
            return Sequence(items=tuple(items), line=line)
        return self._mapping(line, events, depth)

    def _mapping(self, line: int, events: Iterator[Event], depth: int) -> Mapping:
        """Build a YAML mapping from the parser's events; report duplicate keys."""
        from yaml import events as kinds

        entries: dict[str, YamlNode] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := next(events), kinds.MappingEndEvent):
            key = self._node(event, events, depth + 1)
            value = self._node(next(events), events, depth + 1)
            if not isinstance(key, Scalar):
                self._wrong(event, "a key is a list or a mapping", "a key is a plain word")
            elif key.text in entries:
                self._wrong(
                    event,
                    f"{key.text} is written twice; the first is in line {lines[key.text]}",
                    "keep one of the two",
                )
            else:
                entries[key.text] = value
                lines[key.text] = key.line
        return Mapping(entries=entries, lines=lines, line=line)

    def _wrong(self, event: Event, message: str, remedy: str) -> None:
        """Record a problem at the line of a parser event."""
        self.problems.append(
            Problem(file=self.file, line=_line_number(event), message=message, remedy=remedy)
        )


def _line_number(event: Event) -> int:
    """Return the line number, from 1, of a YAML parser event."""
    return int(event.start_mark.line) + 1 if event.start_mark else 0
