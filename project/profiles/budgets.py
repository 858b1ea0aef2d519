"""Budgets in profiles.yaml: `5.00 USD`, or `{limit: 5.00 USD, unknown: allow}`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from ..reading import yaml
from ..reading.report import ProblemReport
from ..reading.shapes import OneOf, Record, RecordKey, Schema, Shape, Text


class _Budget(msgspec.Struct, frozen=True):
    """A limit, or a limit and what becomes of an unknown cost."""

    limit: Text
    limits: Record

    def read(self, node: yaml.YamlNode, key: str, report: ProblemReport) -> Any:
        """Read a budget from YAML: a limit as text, or a mapping with a limit."""
        shape = self.limits if isinstance(node, yaml.Mapping) else self.limit
        return shape.read(node, key, report)

    def schema(self) -> Schema:
        """Return the JSON Schema of the YAML values that this shape accepts."""
        return {"anyOf": [self.limit.schema(), self.limits.schema()]}


def budget_shape(noun: str, *, what: str, example: str, unknown: str) -> Shape:
    """Return the shape of a budget in profiles.yaml.

    Args:
        noun: The key, as errors name it.
        what: What the limit is, as errors name it.
        example: A limit with its unit, which all limits must have: `1.00 USD/h`.
        unknown: The description of the key `unknown`.
    """
    unit = example.partition(" ")[2]
    limit = Text(what=what, pattern=rf"[0-9]+(\.[0-9]+)? {unit}", example=example)
    return _Budget(
        limit=limit,
        limits=Record(
            noun=noun,
            keys={
                "limit": RecordKey(shape=limit, required=True, example=example),
                "unknown": RecordKey(shape=OneOf(words=("allow", "refuse")), description=unknown),
            },
        ),
    )


def budget_limit(written: object) -> Decimal | None:
    """Parse the limit of a budget in profiles.yaml to USD, or None if it has none.

    `written` is the YAML value: a text with a unit, or a mapping.
    """
    limit = written.get("limit") if isinstance(written, dict) else written
    return Decimal(str(limit).partition(" ")[0]) if limit else None


def takes_unknown(written: object) -> bool:
    """Return whether a budget in profiles.yaml accepts what has no known cost.

    `written` is the YAML value: a text with a unit, or a mapping.
    """
    return isinstance(written, dict) and written.get("unknown") == "allow"
