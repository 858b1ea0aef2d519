"""The keys `jobs` of profiles.yaml: the machine of runs' steps, and what a run may cost.

An adapter has them if its provider bills the steps of runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ...target import Profile
from ..reading.shapes import Record, RecordKey, Text
from .budgets import budget_limit, budget_shape, takes_unknown

_BUDGET = budget_shape(
    "jobs.budget",
    what="a run's budget",
    example="5.00 USD",
    unknown="What becomes of a run whose cost nobody knows (refuse).",
)


def jobs_key(machine: Text) -> RecordKey:
    """Return the profiles.yaml key `jobs` of an adapter, with the shape of its machines' names."""
    return RecordKey(
        shape=Record(
            noun="jobs",
            keys={
                "machine": RecordKey(shape=machine, description="Of steps that name none."),
                "budget": RecordKey(
                    shape=_BUDGET,
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
    return budget_limit(jobs(profile).get("budget"))


def takes_unknown_run_costs(profile: Profile) -> bool:
    """Return whether the budget of runs accepts a run whose cost is not known."""
    return takes_unknown(jobs(profile).get("budget"))
