"""Prices of an endpoint's instances by the hour, and of what Athena reads.

They are from AWS's list in the user's cache (price_list.py), else from a table. The table has
on-demand prices of "Real-Time Inference" (aws.amazon.com/sagemaker/pricing), taken down for the
regions and instances on which independent copies of AWS's list agree; `TABLE` says how old they
are. A price that is in neither is unknown, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from ....endpoints.port import VariantSpec
from ....target import Estimate, Profile
from ...common.price_list import PriceList, current_list
from ..machines import serving_counts, serving_machine

PROVIDER = "aws"  # in the cache
TABLE = "2026-07"  # year and month of the newest copy

_US: Mapping[str, str] = {
    "ml.t3.medium": "0.05",
    "ml.t3.large": "0.10",
    "ml.t3.xlarge": "0.20",
    "ml.t3.2xlarge": "0.399",
    "ml.m5.large": "0.115",
    "ml.m5.xlarge": "0.23",
    "ml.m5.2xlarge": "0.461",
    "ml.m5.4xlarge": "0.922",
    "ml.c5.xlarge": "0.204",
    "ml.c5.2xlarge": "0.408",
    "ml.r5.2xlarge": "0.605",
    "ml.r5.4xlarge": "1.21",
    "ml.g4dn.xlarge": "0.736",
    "ml.g4dn.2xlarge": "0.94",
    "ml.g4dn.12xlarge": "4.89",
    "ml.g5.xlarge": "1.408",
    "ml.g5.2xlarge": "1.515",
    "ml.p3.2xlarge": "3.825",
}
_TABLE: Mapping[str, Mapping[str, str]] = {"us-east-1": _US, "us-east-2": _US, "us-west-2": _US}


# USD a TB of "SQL queries": of aws.amazon.com/athena/pricing, by the same rule
_SCANNED: Mapping[str, Decimal] = {
    "us-east-1": Decimal(5),
    "us-east-2": Decimal(5),
    "us-west-2": Decimal(5),
}


# USD a million requests to on-demand tables, a write of 1 KB, a consistent read of 4 KB:
# aws.amazon.com/dynamodb/pricing, by the same rule
_WRITES: Mapping[str, str] = {"us-east-1": "0.625", "us-east-2": "0.625", "us-west-2": "0.625"}
_READS: Mapping[str, str] = {"us-east-1": "0.125", "us-east-2": "0.125", "us-west-2": "0.125"}


class Machines(msgspec.Struct, frozen=True, kw_only=True):
    """A number of instances of one type."""

    machine: str
    count: int


def current(profile: Profile, region: str | None = None) -> PriceList:
    """Return the fetched AWS price list of a region (by default the profile's), if there is one.

    Without one, and offline, it is the table that Isthmus ships.
    """
    region = region or str(profile.options.get("region", ""))
    listed = current_list(PROVIDER, region, profile)
    table = {machine: Decimal(price) for machine, price in _TABLE.get(region, {}).items()}
    return listed or PriceList(date=TABLE, hourly=table, scanned=_SCANNED.get(region))


def hourly(prices: PriceList, machine: str, count: int) -> Decimal | None:
    """Return the USD an hour of `count` instances of a machine, or None if that is unknown."""
    price = prices.hourly.get(machine)
    return None if price is None else price * count


def total(prices: PriceList, machines: Iterable[Machines]) -> Decimal | None:
    """Return the USD an hour of all machines; None as soon as one price is unknown."""
    costs = [hourly(prices, machine.machine, machine.count) for machine in machines]
    known_costs = [cost for cost in costs if cost is not None]
    return sum(known_costs, Decimal(0)) if len(known_costs) == len(costs) else None


def machines_of(profile: Profile, variants: Iterable[VariantSpec]) -> tuple[Machines, ...]:
    """Return the minimum number of machines of each instance type that the variants need.

    `profile` has the target's settings, such as the instance type of variants that name none.
    """
    counts: dict[str, int] = {}
    for variant in variants:
        machine = serving_machine(profile, variant)
        counts[machine] = counts.get(machine, 0) + serving_counts(profile, variant)[0]
    return tuple(Machines(machine=machine, count=count) for machine, count in counts.items())


def estimate(profile: Profile, variants: Iterable[VariantSpec]) -> Estimate:
    """Estimate the USD that endpoint variants cost an hour in the profile's region."""
    machines, prices = machines_of(profile, variants), current(profile)
    return Estimate(
        hourly_cost=total(prices, machines),
        machines=", ".join(f"{machine.count} x {machine.machine}" for machine in machines),
        table=prices.date,
    )


def scanning(profile: Profile) -> Decimal | None:
    """Return the USD for each TB (10**12 bytes) that Athena reads in the region, or None.

    Less than 10 MB of a query count as 10 MB. None: the price is unknown.
    """
    return current(profile).scanned


def counting(profile: Profile) -> Decimal | None:
    """Return the USD for counting a million endpoint answers in DynamoDB, or None if unknown.

    It holds while a unit's item has 1 KB; each further KB costs a write more.
    """
    region = str(profile.options.get("region", ""))
    return Decimal(_WRITES[region]) + Decimal(_READS[region]) if region in _WRITES else None
