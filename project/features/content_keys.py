"""The keys `extract:` and `profile:` of a feature view, and the parameters of our extractors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ..reading import quantities, yaml
from ..reading.common_shapes import COLUMN, NAME_SHAPE
from ..reading.names import did_you_mean
from ..reading.quantities import Mistake
from ..reading.report import ProblemReport, child
from ..reading.shapes import (
    LATER,
    WRONG,
    Free,
    ListOf,
    MapOf,
    Number,
    OneOf,
    Record,
    RecordKey,
    Schema,
    Text,
)
from ..specs.content import MOST_DIMENSIONS

PREFIX = "isthmus."
_FUNCTION = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+"
_DIMENSIONS = RecordKey(
    shape=Number(whole=True, least=1, most=MOST_DIMENSIONS),
    description="The number of columns of a vector. Default 16.",
)
PARAMETERS: Mapping[str, Record] = {
    "isthmus.text": Record(
        noun="isthmus.text",
        keys={
            "dimensions": _DIMENSIONS,
            "tokenizer": RecordKey(
                shape=OneOf(words=("characters", "words", "sudachi")),
                description="What a text is cut into: runs of 3 to 5 characters (the default), "
                "words between spaces and punctuation, or the Japanese words of SudachiPy.",
            ),
            "terms": RecordKey(
                shape=Number(whole=True, least=10, most=200_000),
                description="The most terms that are weighed, those of most texts first. Default "
                "50,000.",
            ),
        },
    ),
}
_LATER_EXTRACTORS = ("isthmus.image",)
_OWN = Record(noun="parameters", keys={"dimensions": _DIMENSIONS})


def is_builtin(extractor: str) -> bool:
    """Return whether an extractor's name is one of Isthmus's own, as isthmus.text is."""
    return extractor.startswith(PREFIX)


def _extractor(text: str) -> str:
    """Return an extractor's name unchanged; raise Mistake unless it can be one."""
    if not re.fullmatch(_FUNCTION, text):
        raise Mistake(
            f"{text!r} does not name a function",
            "write isthmus.text, or module.function, the module being a file beside project.yaml",
        )
    if text in _LATER_EXTRACTORS:
        raise Mistake(
            f"{text} is {LATER}",
            "write an extractor of your own, module.function beside project.yaml; it has "
            f"{', '.join(PARAMETERS)}",
        )
    if is_builtin(text) and text not in PARAMETERS:
        raise Mistake(
            f"{text} is no extractor of Isthmus", did_you_mean(text, PARAMETERS, has="it has")
        )
    return text


_EXTRACT = Record(
    noun="extract",
    keys={
        "from": RecordKey(
            shape=NAME_SHAPE,
            required=True,
            example="item_published",
            description="The event that tells the content: it has the entity's key.",
        ),
        "reads": RecordKey(
            shape=ListOf(of=COLUMN, most=16),
            required=True,
            example="[title]",
            description="Its attributes of type string that hold the content.",
        ),
        "with": RecordKey(
            shape=Text(
                what="an extractor", pattern=_FUNCTION, parse=_extractor, example="isthmus.text"
            ),
            required=True,
            example="isthmus.text",
            description="isthmus.text, or module.function, the module beside project.yaml.",
        ),
        "parameters": RecordKey(
            shape=MapOf(of=Free()),
            example="{dimensions: 16}",
            description="Given to the extractor by name.",
        ),
    },
)


class ExtractShape(msgspec.Struct, frozen=True):
    """The mapping `extract`: a record whose `parameters` are typed by the extractor."""

    def read(self, node: yaml.YamlNode, key: str, report: ProblemReport) -> Any:
        """Return the mapping's values by key, or report what is wrong with it."""
        values = _EXTRACT.read(node, key, report)
        if values is WRONG or not isinstance(node, yaml.Mapping):
            return values
        entry = node.entries.get("parameters")
        if entry is None or not report.sound(key):
            return values
        place, record = child(key, "parameters"), PARAMETERS.get(values["with"])
        if record is not None:
            values["parameters"] = record.read(entry, place, report)
        elif isinstance(entry, yaml.Mapping) and (own := entry.entries.get("dimensions")):
            _OWN.keys["dimensions"].shape.read(own, child(place, "dimensions"), report)
        return values

    def schema(self) -> Schema:
        """Return the JSON Schema of the YAML values that this shape accepts."""
        return _EXTRACT.schema() | {
            "allOf": [
                {
                    "if": {"properties": {"with": {"const": name}}, "required": ["with"]},
                    "then": {"properties": {"parameters": shape.schema()}},
                }
                for name, shape in PARAMETERS.items()
            ]
        }


PROFILE = Record(
    noun="profile",
    keys={
        "of": RecordKey(
            shape=NAME_SHAPE,
            required=True,
            example="item_text",
            description="The view whose vectors are averaged: one with extract.",
        ),
        "by": RecordKey(
            shape=NAME_SHAPE,
            required=True,
            example="click",
            description="The event that tells what the entity did: it has both entities' keys.",
        ),
        "window": RecordKey(
            shape=Text(
                what="a duration",
                pattern=quantities.DURATION,
                parse=quantities.duration,
                example="30d",
            ),
            required=True,
            example="30d",
            description="How far back the mean goes, from each event of `by`.",
        ),
    },
)
