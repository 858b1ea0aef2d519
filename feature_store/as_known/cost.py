"""Estimate what computing views reads and costs, on targets that are paid by bytes.

The as-known check asks before it runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from ...core.runtime.project import Project
from ...events.tables.relations import raw_name, view_name
from ...project.profiles.options import budget
from ...project.specs.description import ProjectSpec
from ..sql.subset import reads
from ..tables.relations import objective_view, static_raw_name
from ..views.sources import view_sources

_TB = Decimal(10) ** 12


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes and the price of computing some views once."""

    size: int  # bytes that are read
    usd_per_tb: Decimal | None = None  # None: unknown
    budget: Decimal | None = None  # USD that the profile's budget allows in an hour

    def times(self, computations: int) -> str:
        """Return the bytes that several computations read, with their cost: `7 GB (0.04 USD)`."""
        cost = self.cost(computations)
        return spoken_bytes(computations * self.size) + (
            f" ({cost:.2f} USD)" if cost is not None else ""
        )

    def cost(self, computations: int) -> Decimal | None:
        """Return the cost in USD of computing the views several times, or None if unpriced."""
        return None if self.usd_per_tb is None else computations * self.size * self.usd_per_tb / _TB

    def is_affordable(self, computations: int) -> bool:
        """Return whether computing the views several times fits the budget.

        True where the cost or the budget is unknown.
        """
        cost = self.cost(computations)
        return cost is None or self.budget is None or cost <= self.budget


def scan(project: Project, views: Sequence[str] | None = None) -> Scan | None:
    """Return the bytes that computing each of these views once reads, with price and budget.

    None where reading costs nothing.
    """
    size = scanned_bytes(project, views)
    return None if size is None else scan_of(project, size)


def scan_of(project: Project, size: int) -> Scan:
    """Return a scan of so many bytes, with the profile's price per TB and its budget."""
    profile, priced = project.target.profile, project.target.adapter.priced
    return Scan(
        size=size,
        usd_per_tb=priced.scan_price(profile) if priced is not None else None,
        budget=budget(profile),
    )


def scanned_bytes(project: Project, views: Sequence[str] | None = None) -> int | None:
    """Return the bytes that computing each of these views (default: all) once reads.

    They are the sizes of the tables' files, as often as the views' SQL names them. An engine that
    reads only some columns or dates of a table reads less. None where reading costs nothing.
    """
    reads: Counter[str] = Counter()
    for source in view_sources(project.description, views):
        for relation, times in _named(source.view.sql, _relations(project.spec)).items():
            reads += Counter(
                {table: times * number for table, number in _tables(project.spec, relation).items()}
            )
    sizes = {
        table: state.size
        for table in reads
        if (state := project.target.warehouse.observe(table)) is not None
    }
    known_sizes = {table: size for table, size in sizes.items() if size is not None}
    return sum(reads[table] * size for table, size in known_sizes.items()) if known_sizes else None


def _relations(spec: ProjectSpec) -> list[str]:
    """Return the names of the relations that a view may read: events, objectives and tables."""
    return [*map(view_name, spec.events), *spec.objectives, *spec.tables]


def _tables(spec: ProjectSpec, relation: str) -> Counter[str]:
    """Return how many times reading an event, objective or table reads each stored table."""
    if relation in spec.tables:
        return Counter({static_raw_name(relation): 1})
    events = {view_name(event): raw_name(event) for event in spec.events}
    if relation in events:
        return Counter({events[relation]: 1})
    sql = objective_view(spec, spec.objectives[relation]).view_sql or ""
    return Counter({events[name]: number for name, number in _named(sql, list(events)).items()})


def _named(sql: str, names: Sequence[str]) -> Counter[str]:
    """Return how many times a SQL text names each of these relations."""
    mentions = reads(sql)
    return Counter({name: mentions[name] for name in names if mentions[name]})


def spoken_bytes(number: int) -> str:
    """Return a number of bytes as text in decimal units, as clouds bill it: `3.4 GB`."""
    size = float(number)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB"
