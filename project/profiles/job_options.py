"""The keys `jobs` of profiles.yaml: the machine of runs' steps, and what a run may cost.

An adapter has them if its provider bills the steps of runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from ...target import Profile
from ..reading import yaml
from ..reading.report import Report
from ..reading.shapes import Key, OneOf, Record, Schema, Text

_LIMIT = Text(what="a run's budget", pattern=r"[0-9]+(\.[0-9]+)? USD", example="5.00 USD")
_LIMITS = Record(
    noun="jobs.budget",
    keys={
        "limit": Key(shape=_LIMIT, required=True, example="5.00 USD"),
        "unknown": Key(
            shape=OneOf(words=("allow", "refuse")),
            description="What becomes of a run whose cost nobody knows (refuse).",
        ),
    },
)


class _RunBudget(msgspec.Struct, frozen=True):
    """A limit, or a limit and what becomes of an unknown cost."""

    def read(self, node: yaml.Node, key: str, report: Report) -> Any:
        """Read a run's budget from YAML: a limit as text, or a mapping with a limit."""
        return (_LIMITS if isinstance(node, yaml.Mapping) else _LIMIT).read(node, key, report)

    def schema(self) -> Schema:
        """Return the JSON Schema of the YAML values that this shape accepts."""
        return {"anyOf": [_LIMIT.schema(), _LIMITS.schema()]}


def jobs_key(machine: Text) -> Key:
    """Return the profiles.yaml key `jobs` of an adapter, with the shape of its machines' names."""
    return Key(
        shape=Record(
            noun="jobs",
            keys={
                "machine": Key(shape=machine, description="Of steps that name none."),
                "budget": Key(
                    shape=_RunBudget(),
                    description="A run is refused before it starts if earlier runs say that it "
                    "costs more, and where nobody knows, unless `{limit: 5.00 USD, unknown: "
                    "allow}` says otherwise.",
                ),
            },
        ),
        description="The machine of the steps of runs, and what a run may cost.",
    )


def jobs(profile: Profile) -> Mapping[str, Any]:
    """Return the profile's `jobs` settings."""
    written = profile.options.get("jobs")
    return written if isinstance(written, dict) else {}


def run_budget(profile: Profile) -> Decimal | None:
    """Return the most USD that a run may cost on the target, or None if it has no such limit."""
    written = jobs(profile).get("budget")
    limit = str((written.get("limit") if isinstance(written, dict) else written) or "")
    return Decimal(limit.removesuffix(" USD")) if limit else None


def takes_unknown_run_costs(profile: Profile) -> bool:
    """Return whether the budget of runs accepts a run whose cost is not known."""
    written = jobs(profile).get("budget")
    return isinstance(written, dict) and written.get("unknown") == "allow"
