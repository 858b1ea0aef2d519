"""The monitors of a run's endpoint, arm by arm.

They tell of a treatment that wins by narrowing, or by serving some better than others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from ...core.runtime.project import Project
from ...project.endpoints.rules import entity_of
from ...project.specs.monitors import Monitor
from ...project.specs.reach import path
from ..design.runs import FrozenRun
from ..measure.run_cells import CountedPeriod
from ..statistics.ranges import FigureInterval, as_range
from . import parity, spread
from .arms_sql import satisfied_sql, spread_sql
from .items_sql import SPREAD_SUMS
from .parity import UnitCounts
from .spread import ExposureSpread
from .units import NOBODY_SAID, group_of

Rows = Sequence[Mapping[str, Any]]


class ArmFigure(msgspec.Struct, frozen=True, kw_only=True):
    """A monitor's figure in each arm, 95 % of one look; it decides nothing.

    concentration: Gini of what is shown over the items that any arm showed, with `differences` to
    the control. satisfied_ratio: the satisfied share of `group` over that of `against`, two values
    of `attribute`.
    """

    figure: Literal["concentration", "satisfied_ratio"]
    arms: dict[str, FigureInterval]
    differences: dict[str, FigureInterval] = {}
    attribute: str = ""
    group: str = ""
    against: str = ""


def arm_figures(project: Project, run: FrozenRun, reading: CountedPeriod) -> tuple[ArmFigure, ...]:
    """Return, for each arm of a run, the bias metrics that the endpoint's monitors watch.

    They are the concentration of exposures where a monitor watches items, and the ratio of
    satisfied shares where one watches units. `reading` is the period to query.
    """
    name = run.definition.layer.endpoint
    monitors = [monitor for monitor in project.spec.monitors.values() if monitor.endpoint == name]
    return (
        *_concentrations(project, run, reading, monitors),
        *_ratios(project, run, reading, monitors),
    )


def _concentrations(
    project: Project, run: FrozenRun, reading: CountedPeriod, monitors: Sequence[Monitor]
) -> Iterator[ArmFigure]:
    """Yield the Gini coefficient of exposures by arm, for each kind of items that is monitored."""
    arms = [arm.name for arm in run.arms]
    entities = dict.fromkeys(
        entity_of(monitor.items, project.spec) for monitor in monitors if monitor.items
    )
    for entity in entities if project.target.warehouse.observe("exposures") is not None else ():
        parameters = {
            "run": run.run,
            "endpoint": run.definition.layer.endpoint,
            "entity": entity.name if entity else "",
        }
        rows = project.target.warehouse.query(
            spread_sql(), parameters | {"since": reading.since, "until": reading.until}
        ).to_pylist()
        figure = concentration(arms, rows)
        if figure is not None:
            yield figure


def concentration(arms: Sequence[str], rows: Rows) -> ArmFigure | None:
    """Return the Gini coefficient of each arm's exposures, over the items that any arm showed.

    `rows` are those of the query by arm. None if an arm showed too little.
    """
    spreads = {
        row["arm"]: ExposureSpread(
            items=int(row["n"]), **{name: float(row[name]) for name in SPREAD_SUMS}
        )
        for row in rows
    }
    if not all(name in spreads and spreads[name].shown >= spreads[""].items for name in arms):
        return None
    control, *treatments = arms
    catalogue = spreads[""].items
    return ArmFigure(
        figure="concentration",
        arms={name: as_range(spread.gini(spreads[name], catalogue)) for name in arms},
        differences={
            name: as_range(spread.rise(spreads[name], spreads[control], catalogue))
            for name in treatments
        },
    )


def _ratios(
    project: Project, run: FrozenRun, reading: CountedPeriod, monitors: Sequence[Monitor]
) -> Iterator[ArmFigure]:
    """Yield the ratio of satisfied shares by arm, for each monitored attribute of units.

    A unit is satisfied if an outcome, such as a purchase, followed.
    """
    watched = [monitor for monitor in monitors if monitor.units]
    endpoint = project.spec.endpoints[run.definition.layer.endpoint]
    state = project.target.warehouse.observe("rankings") if watched else None
    reaches = (
        path(
            project.spec.objectives[endpoint.objective].outcome, endpoint.unit, project.spec.events
        )
        is not None
    )
    if (
        state is None
        or "attributes" not in {column.name for column in state.columns}
        or not reaches
    ):
        return
    moments = {
        "until": reading.until,
        "known": reading.known,
        "since": reading.since,
        "earliest": reading.since,
    }
    parameters = moments | {"run": run.run, "endpoint": endpoint.name}
    rows = project.target.warehouse.query(
        satisfied_sql(project.spec, endpoint), parameters
    ).to_pylist()
    for monitor in watched:
        figure = satisfied_ratio(monitor.units, [arm.name for arm in run.arms], rows)
        if figure is not None:
            yield figure


def satisfied_ratio(attribute: str, arms: Sequence[str], rows: Rows) -> ArmFigure | None:
    """Return for each arm the ratio of the satisfied shares of two groups of units.

    A unit is satisfied if an outcome followed. The groups are the two values of `attribute` that
    are furthest apart in the control. None if an arm has too few units of one.
    """
    kinds: dict[str, dict[str, UnitCounts]] = {name: {} for name in arms}
    for row in rows:
        group = group_of(row["attributes"], attribute)
        if row["arm"] in kinds and group != NOBODY_SAID:
            of_arm, units = kinds[row["arm"]], int(row["units"])
            of_arm[group] = of_arm.get(group, UnitCounts(0)) + UnitCounts(
                units, units * row["satisfied"]
            )
    worst = parity.lowest_over_highest(kinds[arms[0]])
    if worst is None:
        return None
    pairs = {
        name: [groups.get(worst.lowest, UnitCounts(0)), groups.get(worst.highest, UnitCounts(0))]
        for name, groups in kinds.items()
    }
    if not all(parity.comparable(*pair) for pair in pairs.values()):
        return None
    ratios = {name: as_range(parity.ratio(*pair)) for name, pair in pairs.items()}
    return ArmFigure(
        figure="satisfied_ratio",
        attribute=attribute,
        group=worst.lowest,
        against=worst.highest,
        arms=ratios,
    )
