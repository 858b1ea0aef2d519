"""The keys of `endpoints.<endpoint>.rules`: a list of rules, each of one kind."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ..experiments.keys import Targeted
from ..reading import quantities, yaml
from ..reading.names import NAME, did_you_mean
from ..reading.quantities import Mistake
from ..reading.report import ProblemReport, child
from ..reading.shapes import (
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
    mapping,
    shown,
)

FEATURE = rf"{NAME}(\.{NAME})?"
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_PARAMETER = rf"\${NAME}"
_SHORTEST, _LONGEST = timedelta(hours=1), timedelta(days=28)  # windows of caps per unit


def feature_problem(name: str) -> tuple[str, str] | None:
    """Return (problem, remedy) if a ranking rule may not read this feature, else None."""
    if not re.fullmatch(FEATURE, name):
        return (
            f"{name!r} names nothing of a candidate",
            "write view.feature, such as item_profile.item_kind, or an entity's key",
        )
    return None


def _feature(text: str) -> str:
    """Return a feature's name unchanged; raise Mistake if a ranking rule may not read it."""
    if problem := feature_problem(text):
        raise Mistake(*problem)
    return text


def _moment(text: str) -> datetime:
    """Parse a timestamp, or a day, which means its midnight UTC."""
    if not re.fullmatch(_DAY, text):
        return quantities.moment(text)
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError as error:
        raise Mistake(f"{text} is not a day: {error}", "write days as 2019-11-24") from None


class _Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A number, or `$name`: a parameter of the endpoint."""

    whole: bool = False
    least: float | None = None

    def read(self, node: yaml.YamlNode, key: str, report: ProblemReport) -> Any:
        """Read a YAML value that is a number, or `$` with the name of a serving parameter."""
        if isinstance(node, yaml.Scalar) and re.fullmatch(_PARAMETER, node.text):
            return node.text
        if isinstance(node, yaml.Scalar) and isinstance(node.value, str):
            report.add(
                key,
                f"{shown(node)} is not a number",
                "write a number, or $ and the name of a parameter: $ad_boost",
            )
            return WRONG
        return self._number.read(node, key, report)

    def schema(self) -> Schema:
        """Return the JSON Schema of the YAML values that this shape accepts."""
        return {"anyOf": [self._number.schema(), {"type": "string", "pattern": f"^{_PARAMETER}$"}]}

    @property
    def _number(self) -> Number:
        """Return the shape (validator) of the number, with its bounds."""
        return Number(whole=self.whole, least=self.least)


def _length(text: str) -> timedelta:
    """Parse the length of a frequency cap's time window: 1 hour to 28 days."""
    length = quantities.duration(text)
    if not _SHORTEST <= length <= _LONGEST:
        raise Mistake(f"{text} is not between 1h and 28d", "write in: 24h, or 7d")
    return length


_LENGTH = Text(what="a length of time", pattern=quantities.DURATION, parse=_length, example="24h")
_WHERE = MapOf(of=Targeted(), names=feature_problem, pattern=FEATURE, least=1)
_MOMENT = Text(
    what="a day or a time",
    pattern=f"{_DAY}|{quantities.MOMENT}",
    parse=_moment,
    example="2019-11-29",
)
_ANY = {
    "when": RecordKey(
        shape=MapOf(of=Targeted(), pattern=NAME, least=1),
        example="{country: JP}",
        description="Attributes of the request.",
    ),
    "from": RecordKey(
        shape=_MOMENT, example="2019-11-29", description="A day (its midnight, UTC), or a time."
    ),
    "until": RecordKey(
        shape=_MOMENT,
        example="2019-12-01",
        description="A day (its midnight, UTC), or a time: from then on no longer.",
    ),
}
_OF_GROUP = {
    "where": RecordKey(
        shape=_WHERE,
        required=True,
        example="{item_profile.item_kind: ad}",
        description="Which candidates: features as view.feature, or the key. A value, a list, "
        "{not: ...}, {min: , max: }; null meets none.",
    ),
    **_ANY,
}
BLOCK = Record(noun="a block", keys=_OF_GROUP)
BOOST = Record(
    noun="a boost",
    keys={
        **_OF_GROUP,
        "times": RecordKey(
            shape=_Figure(least=0),
            example="1.5",
            description="The score times this, or $parameter.",
        ),
        "add": RecordKey(
            shape=_Figure(), example="0.1", description="The score and this, or $parameter."
        ),
    },
)
RESERVE = Record(
    noun="a reserve",
    keys={
        **_OF_GROUP,
        "positions": RecordKey(
            shape=ListOf(of=Number(whole=True, least=1)),
            required=True,
            example="[3, 8]",
            description="They stand there and nowhere else.",
        ),
    },
)
CAP = Record(
    noun="a cap",
    keys={
        "by": RecordKey(
            shape=Text(
                what="a feature",
                pattern=FEATURE,
                parse=_feature,
                example="item_profile.item_category",
            ),
            required=True,
            example="item_profile.item_category",
            description="view.feature, or the key: at most so many of each of its values.",
        ),
        "max": RecordKey(
            shape=_Figure(whole=True, least=1),
            required=True,
            example="2",
            description="A number, or $parameter.",
        ),
        "per": RecordKey(
            shape=OneOf(words=("response", "unit")),
            required=True,
            example="response",
            description="Response: so many items of an answer. Unit: so many answers that show it "
            "to a unit, in any window.",
        ),
        "in": RecordKey(
            shape=_LENGTH,
            example="24h",
            description="Of a cap per unit: how long the window is, 1h to 28d.",
        ),
        **_ANY,
    },
)
_PIN = {
    "position": RecordKey(shape=Number(whole=True, least=1), required=True, example="1"),
    **_ANY,
}


class _Pin(msgspec.Struct, frozen=True):
    """`{item_id: 7, position: 1}`: beside its own keys one more, an entity's."""

    def read(self, node: yaml.YamlNode, key: str, report: ProblemReport) -> Any:
        """Read a pin rule from YAML: an item by its key, and the position it is shown at."""
        entries = mapping(node, key, report)
        if entries is None:
            return WRONG
        keys = [name for name in entries if name not in _PIN]
        if len(keys) != 1:
            problem = f"{' and '.join(keys)} are two items" if keys else "it names no item"
            report.add(
                key, problem, "write one key of an entity and its value: {item_id: 7, position: 1}"
            )
            return WRONG
        item = {keys[0]: RecordKey(shape=Free())}
        values = Record(noun="a pin", keys=_PIN | item).read(node, key, report)
        return (
            values if keys[0] not in values else {**values, "key": keys[0], "item": values[keys[0]]}
        )

    def schema(self) -> Schema:
        """Return the JSON Schema of the YAML values that this shape accepts."""
        schema = Record(noun="a pin", keys=_PIN).schema()
        return schema | {
            "patternProperties": {f"^{NAME}$": {}},
            "not": {"propertyNames": {"enum": list(_PIN)}},
        }


class _Cap(msgspec.Struct, frozen=True):
    """A cap, which has the key `in` if it is per unit, and else has not."""

    def read(self, node: yaml.YamlNode, key: str, report: ProblemReport) -> Any:
        """Read a cap rule from YAML, and report keys that cannot be combined."""
        values = CAP.read(node, key, report)
        if values is WRONG or "per" not in values:
            return values
        if values["per"] == "response" and "in" in values:
            report.add(
                child(key, "in"),
                "a cap per response has no window",
                "take it out, or write per: unit",
            )
        elif values["per"] == "unit" and "in" not in (mapping(node, key, report) or ()):
            report.add(key, "a cap per unit has no window", "write in: 24h")
        else:
            return values
        return WRONG

    def schema(self) -> Schema:
        """Return the JSON Schema of the YAML values that this shape accepts."""
        per_unit = {"properties": {"per": {"const": "unit"}}}
        return CAP.schema() | {
            "if": per_unit,
            "then": {"required": ["in"]},
            "else": {"properties": {"in": False}},
        }


KINDS: dict[str, Any] = {
    "block": BLOCK,
    "boost": BOOST,
    "pin": _Pin(),
    "reserve": RESERVE,
    "cap": _Cap(),
}


class _Rule(msgspec.Struct, frozen=True):
    """Reads to (kind, its values)."""

    def read(self, node: yaml.YamlNode, key: str, report: ProblemReport) -> Any:
        """Read a ranking rule from YAML: a mapping of one kind (boost, cap, ...) to its keys."""
        entries = mapping(node, key, report)
        if entries is None:
            return WRONG
        unknown = [name for name in entries if name not in KINDS]
        for name in unknown:
            report.add(
                child(key, name),
                f"{name} is not a kind of rule",
                did_you_mean(name, KINDS, has="kinds are"),
            )
        if unknown:
            return WRONG
        if len(entries) != 1:
            report.add(
                key,
                f"{len(entries) or 'no'} kinds of rules in one",
                "write one rule an entry: - block: {where: ...}",
            )
            return WRONG
        (kind,) = entries
        values = KINDS[kind].read(entries[kind], child(key, kind), report)
        return WRONG if values is WRONG else (kind, values)

    def schema(self) -> Schema:
        """Return the JSON Schema of the YAML values that this shape accepts."""
        properties = {kind: shape.schema() for kind, shape in KINDS.items()}
        return {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        }


RULES = ListOf(of=_Rule())
