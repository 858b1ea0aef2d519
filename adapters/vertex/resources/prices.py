"""Prices of an endpoint's replicas by the hour, of counted answers, and of what BigQuery reads.

They are from Google's list in the user's cache (price_list.py), else from a table. The table has
on-demand prices of a node of online prediction for a custom model
(cloud.google.com/vertex-ai/pricing), where independent copies of that page agree; `TABLE` says how
old they are. A price that is in neither is unknown, as that of an online store's Bigtable node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from ....endpoints.port import VariantSpec
from ....errors import Invalid
from ....target import Estimate, Profile
from ...common.price_list import PriceList, current_list
from ..machines import container_limits, serving_machine, serving_replicas

PROVIDER = "google"  # in the cache

_ACCELERATED = "AG"  # A2, A3, G2: the families with an accelerator
TABLE = "2026-06"  # year and month of the oldest copy

_TABLE: Mapping[str, Mapping[str, str]] = {
    "us-central1": {"n1-standard-2": "0.1095", "n1-standard-4": "0.219", "n1-standard-8": "0.438"},
}

# USD a million documents read, and a million written, of Firestore's standard edition
# (firebase.google.com/docs/firestore/standard-edition)
_DOCUMENTS: Mapping[str, tuple[str, str]] = {"us-central1": ("0.30", "0.90")}

# USD a TiB that a query on demand processes, beyond a month's first
# (cloud.google.com/bigquery/pricing), by the same rule
_SCANNED: Mapping[str, str] = {"us-central1": "6.25"}
_TIB_IN_TB = Decimal(10) ** 12 / Decimal(2) ** 40


def scanning(profile: Profile) -> Decimal | None:
    """Return the USD for each TB (10**12 bytes) that BigQuery reads on demand, or None.

    It is unknown where slots are reserved. Only the columns that a query names are billed, and at
    least 10 MB of each table.
    """
    price = _SCANNED.get(str(profile.options.get("location", "")))
    return None if price is None else Decimal(price) * _TIB_IN_TB


def count_price(profile: Profile) -> Decimal | None:
    """Return the USD for counting a million endpoint answers in Firestore, or None if unknown.

    An answer costs one read and one write of a document. Deletions and further writes are not
    included.
    """
    price = _DOCUMENTS.get(str(profile.options.get("location", "")))
    return None if price is None else sum(map(Decimal, price), Decimal(0))


def current(profile: Profile, location: str | None = None) -> PriceList:
    """Return Google's fetched price list of a location (by default the profile's), if any.

    Without one, and offline, it is the table that Isthmus ships.
    """
    location = location or str(profile.options.get("location", ""))
    listed = current_list(PROVIDER, location, profile)
    return listed or PriceList(
        date=TABLE,
        hourly={machine: Decimal(price) for machine, price in _TABLE.get(location, {}).items()},
    )


def hourly(prices: PriceList, machine: str, count: int) -> Decimal | None:
    """Return the USD an hour of `count` machines of a type, or None if that is unknown."""
    price = machine_price(prices.hourly, machine)
    return None if price is None else price * count


def machine_price(prices: Mapping[str, Decimal], machine: str) -> Decimal | None:
    """Return a machine's USD an hour by prices of machines or of their parts, or None."""
    return prices[machine] if machine in prices else _of_parts(prices, machine)


def _of_parts(prices: Mapping[str, Decimal], machine: str) -> Decimal | None:
    """Return a machine's USD an hour, added up of its CPUs and memory, or None if unknown.

    A machine with an accelerator is unknown, as that is a part of its own.
    """
    family = machine.partition("-")[0].upper()
    core, ram = prices.get(f"{family} Core"), prices.get(f"{family} Ram")
    if core is None or ram is None or family[0] in _ACCELERATED:
        return None
    try:
        shape = container_limits(machine)
    except Invalid:
        return None
    return core * Decimal(shape.cpu) + ram * Decimal(str(shape.memory_gb))


def total(prices: PriceList, replicas: Mapping[str, int]) -> Decimal | None:
    """Return the USD an hour of replicas by machine type; None if a price is unknown."""
    costs = [hourly(prices, machine, count) for machine, count in replicas.items()]
    known_costs = [cost for cost in costs if cost is not None]
    return sum(known_costs, Decimal(0)) if len(known_costs) == len(costs) else None


def fewest(profile: Profile, variants: Iterable[VariantSpec]) -> dict[str, int]:
    """Return how many replicas of each machine type the variants need at least."""
    replicas: dict[str, int] = {}
    for variant in variants:
        machine = serving_machine(profile, variant)
        replicas[machine] = replicas.get(machine, 0) + serving_replicas(profile, variant)[0]
    return replicas


def estimate(profile: Profile, variants: Iterable[VariantSpec]) -> Estimate:
    """Estimate the USD that endpoint variants cost an hour in the profile's location.

    The nodes of the online store are left out: their price is not in the table.
    """
    replicas, prices = fewest(profile, variants), current(profile)
    nodes = ", ".join(f"{count} x {machine}" for machine, count in replicas.items())
    return Estimate(
        hourly_cost=total(prices, replicas),
        machines=f"{nodes} without the online store's nodes",
        table=prices.date,
    )
