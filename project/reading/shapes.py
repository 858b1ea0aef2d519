"""Shapes of values: each reads a YAML node and gives its own JSON Schema.

So the loader and the schema cannot disagree. What is wrong with a node is reported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import msgspec

from . import yaml
from .names import did_you_mean, nearest
from .quantities import Mistake
from .report import ProblemReport, child, item

Schema = dict[str, Any]


class Wrong(Enum):
    """The result of reading a value that was reported as wrong."""

    WRONG = "wrong"


WRONG = Wrong.WRONG
LATER = "not supported yet by this version"


class Shape(Protocol):
    """The form that a YAML value must have: how it is read, and its JSON Schema."""

    def read(self, node: yaml.YamlNode, key: str, report: ProblemReport) -> Any:
        """Return a YAML value as plain Python, or report at `key` what is wrong with it."""

    def schema(self) -> Schema:
        """Return the JSON Schema of the YAML values that this shape accepts."""
        ...


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """A string; `parse` turns it into a value or raises Mistake.

    `numbers`: a bare number is taken as its text.
    """

    what: str = "text"
    pattern: str | None = None
    parse: Callable[[str], Any] = str
    example: str = ""
    numbers: bool = False

    def read(self, node: yaml.YamlNode, key: str, report: ProblemReport) -> Any:
        """Return a YAML scalar's parsed text, or report that the shape refuses it."""
        if not isinstance(node, yaml.Scalar) or node.value is None:
            report.add(
                key,
                f"{shown(node)} is not {self.what}",
                f"write {self.example}" if self.example else None,
            )
            return WRONG
        try:
            value = self.parse(node.text)
        except Mistake as mistake:
            report.add(key, mistake.message, mistake.remedy)
            return WRONG
        if (
            self.parse is str
            and self.pattern is not None
            and not re.fullmatch(self.pattern, node.text)
        ):
            report.add(
                key,
                f"{node.text!r} is not {self.what}",
                f"write it like {self.example}" if self.example else None,
            )
            return WRONG
        number = isinstance(node.value, int | float) and not isinstance(node.value, bool)
        if not isinstance(node.value, str) and not (self.numbers and number):
            report.add(key, f"{node.text} is not text", f'write it in quotes: "{node.text}"')
            return WRONG
        return value

    def schema(self) -> Schema:
        """Return the JSON Schema of the YAML values that this shape accepts."""
        text: Schema = {"type": "string"}
        if self.pattern is not None:
            text["pattern"] = f"^({self.pattern})$"
        if self.example:
            text["examples"] = [self.example]
        return {"anyOf": [{"type": "number", "minimum": 0}, text]} if self.numbers else text


def _filled(text: str) -> str:
    """Return a text unchanged; raise Mistake if it is empty, as no such value may be."""
    if not text.strip():
        raise Mistake("it is empty", "write a value, or leave the key out")
    return text


FILLED = Text(what="text", parse=_filled)


class Folder(msgspec.Struct, frozen=True, kw_only=True):
    """A folder's path, told from the project's own folder.

    `resolve` gives the absolute one; what is left out is `default`.
    """

    default: str

    def read(self, node: yaml.YamlNode, key: str, report: ProblemReport) -> Any:
        """Return a folder's path from a YAML scalar, or report that it is empty."""
        return FILLED.read(node, key, report)

    def schema(self) -> Schema:
        """Return the JSON Schema of the YAML values that this shape accepts."""
        return FILLED.schema()

    def resolve(self, text: str | None, project: Path) -> str:
        """Return a folder's full path; a relative one starts at the project's folder."""
        return str(project / Path(text or self.default).expanduser())


def _typed(node: yaml.YamlNode) -> object:
    """Return the value of a YAML scalar, in the type that its text has.

    A ${NAME} that was replaced is converted as if its value were written out.
    """
    if not isinstance(node, yaml.Scalar):
        return None
    return yaml.scalar(node.text).value if node.variable else node.value


class Number(msgspec.Struct, frozen=True, kw_only=True):
    whole: bool = False
    least: float | None = None
    most: float | None = None

    def read(self, node: yaml.YamlNode, key: str, report: ProblemReport) -> Any:
        """Return a YAML scalar's number, or report one of a wrong type or out of range."""
        value = _typed(node)
        kinds = int if self.whole else int | float
        if (
            isinstance(value, bool)
            or not isinstance(value, kinds)
            or (isinstance(value, float) and not abs(value) < float("inf"))
        ):
            report.add(key, f"{shown(node)} is not a {'whole ' if self.whole else ''}number")
            return WRONG
        if self.least is not None and value < self.least:
            report.add(
                key, f"{shown(node)} is below {self.least:g}", f"write {self.least:g} or more"
            )
            return WRONG
        if self.most is not None and value > self.most:
            report.add(key, f"{shown(node)} is above {self.most:g}", f"write {self.most:g} or less")
            return WRONG
        return value

    def schema(self) -> Schema:
        """Return the JSON Schema of the YAML values that this shape accepts."""
        schema: Schema = {"type": "integer" if self.whole else "number"}
        if self.least is not None:
            schema["minimum"] = self.least
        if self.most is not None:
            schema["maximum"] = self.most
        return schema


class Flag(msgspec.Struct, frozen=True):
    def read(self, node: yaml.YamlNode, key: str, report: ProblemReport) -> Any:
        """Return a YAML scalar's bool, or report that it is neither true nor false."""
        if isinstance(value := _typed(node), bool):
            return value
        report.add(key, f"{shown(node)} is neither true nor false", "write true or false")
        return WRONG

    def schema(self) -> Schema:
        """Return the JSON Schema of the YAML values that this shape accepts."""
        return {"type": "boolean"}


class OneOf(msgspec.Struct, frozen=True, kw_only=True):
    """A word of a short list; `later` are words that a later version knows."""

    words: tuple[str, ...]
    later: tuple[str, ...] = ()
    near: dict[str, str] = {}  # what people write instead, beyond typing mistakes

    def read(self, node: yaml.YamlNode, key: str, report: ProblemReport) -> Any:
        """Return a YAML scalar that is one of the allowed words, or report another."""
        text = node.text if isinstance(node, yaml.Scalar) else ""
        if text in self.words:
            return text
        if text in self.later:
            report.add(key, f"{text} is {LATER}", f"it knows {', '.join(self.words)}")
            return WRONG
        guess = (
            f"did you mean {self.near[text]}?   one of {', '.join(self.words)}"
            if text in self.near
            else None
        )
        report.add(
            key,
            f"{shown(node)} is not known here",
            guess or did_you_mean(text, self.words, has="one of"),
        )
        return WRONG

    def schema(self) -> Schema:
        """Return the JSON Schema of the YAML values that this shape accepts."""
        return {"enum": list(self.words)}


class Free(msgspec.Struct, frozen=True):
    """A value that is not ours to judge: any JSON."""

    def read(self, node: yaml.YamlNode, key: str, report: ProblemReport) -> Any:  # noqa: ARG002  the shape of all shapes
        """Return any YAML value as dicts, lists and scalars, unchecked."""
        return yaml.plain(node)

    def schema(self) -> Schema:
        """Return the JSON Schema of the YAML values that this shape accepts."""
        return {}


class ListOf(msgspec.Struct, frozen=True, kw_only=True):
    of: Any  # a Shape: msgspec cannot check a Protocol
    least: int = 1
    most: int | None = None

    def read(self, node: yaml.YamlNode, key: str, report: ProblemReport) -> Any:
        """Return a YAML list's values, each read by one shape; report a wrong length."""
        if not isinstance(node, yaml.Sequence):
            report.add(
                key, f"{shown(node)} is not a list", "write [a, b], or one line with - for each"
            )
            return WRONG
        if len(node.items) < self.least or (self.most is not None and len(node.items) > self.most):
            length = f"{self.least}" if self.most == self.least else f"at least {self.least}"
            report.add(
                key,
                f"a list of {len(node.items)}, where {length} "
                f"{'is' if length.endswith(' 1') else 'are'} needed",
            )
            return WRONG
        values = [
            self.of.read(value, item(key, position), report)
            for position, value in enumerate(node.items)
        ]
        return WRONG if any(value is WRONG for value in values) else tuple(values)

    def schema(self) -> Schema:
        """Return the JSON Schema of the YAML values that this shape accepts."""
        schema: Schema = {"type": "array", "items": self.of.schema(), "minItems": self.least}
        if self.most is not None:
            schema["maxItems"] = self.most
        return schema


class MapOf(msgspec.Struct, frozen=True, kw_only=True):
    """Free names to values of one shape. `names` judges a name: (what is wrong, remedy) or None."""

    of: Any
    names: Callable[[str], tuple[str, str] | None] = lambda _name: None
    pattern: str = ".*"
    least: int = 0
    own: dict[str, Any] = {}  # names with a shape of their own

    def read(self, node: yaml.YamlNode, key: str, report: ProblemReport) -> Any:
        """Return a YAML mapping of free names to values, each read by one shape."""
        entries = mapping(node, key, report)
        if entries is None:
            return WRONG
        if len(entries) < self.least:
            report.add(key, "nothing is in it", f"it needs at least {self.least}")
            return WRONG
        values: dict[str, Any] = {}
        for name, value in entries.items():
            if name not in self.own and (problem := self.names(name)):
                report.add(child(key, name), *problem)
            values[name] = self.own.get(name, self.of).read(value, child(key, name), report)
        return values

    def schema(self) -> Schema:
        """Return the JSON Schema of the YAML values that this shape accepts."""
        anything = self.pattern == ".*"
        schema: Schema = {"type": "object", "minProperties": self.least}
        if anything:
            return schema | {"additionalProperties": self.of.schema()}
        if self.own:
            schema["properties"] = {name: shape.schema() for name, shape in self.own.items()}
        return schema | {
            "patternProperties": {f"^{self.pattern}$": self.of.schema()},
            "additionalProperties": False,
        }


class RecordKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key of a record."""

    shape: Any
    required: bool = False
    description: str = ""
    example: str = ""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Known keys; others are errors. Reads to a dict of the sound ones.

    `later` are keys that people write for what is not there yet, each with what to write instead.
    """

    noun: str  # "an event": how errors call it
    keys: dict[str, RecordKey]
    later: dict[str, str] = {}

    def read(self, node: yaml.YamlNode, key: str, report: ProblemReport) -> Any:
        """Return a YAML mapping with fixed keys as a dict; report unknown and missing keys."""
        entries = mapping(node, key, report)
        if entries is None:
            return WRONG
        values: dict[str, Any] = {}
        misspelt: set[str | None] = set()
        for name, value in entries.items():
            if name in self.keys:
                result = self.keys[name].shape.read(value, child(key, name), report)
                if result is not WRONG:
                    values[name] = result
            elif name in self.later:
                report.add(child(key, name), f"{name} is {LATER}", self.later[name])
            elif isinstance(value, yaml.Scalar) and value.text in self.later:  # `type: funnel`
                report.add(child(key, name), f"{value.text} is {LATER}", self.later[value.text])
            else:
                misspelt.add(nearest(name, self.keys))
                report.add(
                    child(key, name),
                    f"{name} is not a key of {self.noun}",
                    did_you_mean(name, self.keys, has=f"{self.noun} has"),
                )
        for name, about in self.keys.items():
            if about.required and name not in entries and name not in misspelt:
                report.add(
                    key,
                    f"{name} is missing",
                    f"write {name}: {about.example}"
                    if about.example
                    else f"{self.noun} needs {name}",
                )
        return values

    def schema(self) -> Schema:
        """Return the JSON Schema of the YAML values that this shape accepts."""
        properties: Schema = {}
        for name, about in self.keys.items():
            properties[name] = dict(about.shape.schema())
            if about.description:
                properties[name]["description"] = about.description
        schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
        if required := [name for name, about in self.keys.items() if about.required]:
            schema["required"] = required
        return schema


def mapping(
    node: yaml.YamlNode, key: str, report: ProblemReport
) -> Mapping[str, yaml.YamlNode] | None:
    """Return the entries of a YAML mapping; an empty value (`local:`) has none.

    None, after reporting it, when it is something else.
    """
    if isinstance(node, yaml.Mapping):
        return node.entries
    if isinstance(node, yaml.Scalar) and node.value is None:
        return {}
    report.add(
        key,
        f"{shown(node)} is not a mapping",
        "write keys and values: {key: value}, or one line with key: value for each",
    )
    return None


def shown(node: yaml.YamlNode) -> str:
    """Return a YAML node as short text for an error message."""
    if isinstance(node, yaml.Mapping):
        return "a mapping"
    if isinstance(node, yaml.Sequence):
        return "a list"
    return repr(node.value) if isinstance(node.value, str) else (node.text or "nothing")
