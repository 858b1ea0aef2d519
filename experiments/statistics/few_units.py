"""Warnings about arms whose figures rest on a few of their units. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...reports.columns import plural
from .ratio import Point, carries_enough, cautious_points, fewest_carriers
from .sums import FEW, Sums


def warnings_of_few(metric: str, arms: Mapping[str, Sums]) -> Iterator[str]:
    """Yield a warning for each arm where a few units carry most of a numerator or denominator.

    It says whether the metric is compared all the same, and if not what is missing.
    """
    rates = cautious_points(arms)
    for arm, sums in arms.items():
        if sums.enough and (warning := _warning(arm, sums, rates[arm])):
            yield f"metric {metric}: {warning}"


def _warning(arm: str, sums: Sums, point: Point) -> str | None:
    """Return what rests on few of an arm's units, or None."""
    units = plural(sums.units, "unit")
    if not sums.comparable:
        return (
            f"nothing is compared, as {arm}'s denominator rests on few of its {units}, as if on "
            f"{sums.equal_units('d'):.0f} equal ones; it takes {FEW}"
        )
    if not carries_enough(sums, point):
        fewest = fewest_carriers(sums)
        needed = sums.units * fewest / point.equal_units
        return (
            f"nothing is compared, as {arm} has too few units: by how those of all arms vary, its "
            f"{units} weigh as {point.equal_units:.0f} equal ones; it takes {fewest}, which is "
            f"about {needed:,.0f} units"
        )
    if sums.by_row or sums.mean("y") < 0 or sums.equal_units("y") >= FEW:
        return None
    return (
        f"{arm}'s total rests on few of its {units}, as if on "
        f"{sums.equal_units('y'):.0f} equal ones"
    )
