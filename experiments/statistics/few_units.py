"""Warnings about arms whose figures rest on few units, or that leave out unlike parts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...reports.columns import plural
from .ratio import ArmRate, carries_enough, cautious_points, fewest_carriers, leave_out_alike
from .sums import FEW, UnitSums


def warnings_of_few(metric: str, arms: Mapping[str, UnitSums]) -> Iterator[str]:
    """Yield a warning for each arm where a few units carry most of a numerator or denominator.

    It says whether the metric is compared all the same, and if not what is missing.
    """
    rates = cautious_points(arms)
    for arm, sums in arms.items():
        if sums.enough and (warning := _warning(arm, sums, rates[arm])):
            yield f"metric {metric}: {warning}"


def warnings_of_dropped(metric: str, arms: Mapping[str, UnitSums]) -> Iterator[str]:
    """Yield a warning for each treatment that leaves out another share of units than the control.

    It is then not compared.
    """
    (control_name, control), *treatments = arms.items()
    for name, treatment in treatments:
        if leave_out_alike(control, treatment):
            continue
        shares = (100 * sums.dropped / sums.units for sums in (treatment, control))
        yield (
            f"metric {metric}: nothing is compared, as drop_above leaves out {next(shares):.3g} % "
            f"of {name}'s units and {next(shares):.3g} % of {control_name}'s: those that are left "
            "are not alike; a higher one leaves out fewer"
        )


def _warning(arm: str, sums: UnitSums, point: ArmRate) -> str | None:
    """Return a text if a few of an arm's units carry most of its sums, else None."""
    units = plural(sums.units, "unit")
    if not sums.comparable:
        return (
            f"nothing is compared, as {arm}'s denominator rests on few of its {units}, as if on "
            f"{sums.equal_units('d'):.0f} equal ones; it takes {FEW} (drop_above leaves out "
            "robots)"
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
