"""A monitor of items: its query's sums, and the figures of groups, days and versions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ...core.runtime.project import Project
from ...feature_store.joins.point_in_time import join_params
from ...feature_store.offline.training_set import join_view
from ...feature_store.views.sources import view_sources
from ...pipelines.evaluation.statistics import Estimate, poisson_interval
from ...project.endpoints.rules import entity_of
from ...project.monitors.monitors import outcome_by
from ...project.specs.monitors import AlarmLimits, Monitor
from ...project.specs.streams import Stream
from . import spread
from . import training_shares as trained
from .intervals import enough
from .items_sql import SUMS, Grouping, items_sql
from .snapshot import GroupFigure, ItemFigure, Scope, newest
from .spread import ExposureSpread, ExposureSums
from .units import version_order
from .windows import MonitorFigures, MonitorWindow

STREAM: Stream = "exposures"
ItemGroup = tuple[Scope, str]  # (scope, label)


class QueryRows(msgspec.Struct, frozen=True, kw_only=True):
    """The query's rows.

    groups: by scope and label, then by group; `everything` is of all groups.
    """

    groups: dict[ItemGroup, dict[str, ExposureSums]]
    everything: dict[ItemGroup, ExposureSums]
    spreads: dict[ItemGroup, ExposureSpread]
    first: ExposureSpread | None  # of the first window; None: it was before anything that is read
    first_units: int
    items: dict[str, int]  # that there are, by group
    never: dict[str, int]  # ... that nobody was shown


def figures(project: Project, monitor: Monitor, reading: MonitorWindow) -> MonitorFigures:
    """Compute the metrics of a monitor of items, by group, day and model version.

    `reading` has the dates and times that are read.

    Raises:
        Invalid: The feature's view has not been materialized.
    """
    endpoint, spec = project.spec.endpoints[monitor.endpoint], project.spec
    event = outcome_by(endpoint, spec)
    groups = grouping(project, monitor)
    answer = read(project, monitor, reading, groups)
    whole = answer.everything.get(("window", ""))
    outcome = spec.objectives[endpoint.objective].outcome
    shown_rows = tuple(
        rows(answer, monitor.alarm, outcomes=event is not None, features="." in monitor.items)
    )
    newest_snapshot = newest(project.target.blobs, monitor.name)
    same_groups = newest_snapshot is not None and newest_snapshot.groups == monitor.items
    versions = [label for scope, label in answer.everything if scope == "version"]
    shares = trained.shares(
        project,
        monitor,
        groups,
        versions,
        newest_snapshot.trained if newest_snapshot and same_groups else {},
    )
    return MonitorFigures(
        units=whole.units if whole else 0,
        rows=(*shown_rows, *trained.rows(shown_rows, shares)),
        trained=shares,
        notes=()
        if event is not None
        else (
            f"organic, clicks / scores: no {outcome} says which exposure it followed (exposure_id)",
        ),
    )


def read(project: Project, monitor: Monitor, reading: MonitorWindow, groups: Grouping) -> QueryRows:
    """Query how often each group's items were shown and clicked, and return the sums.

    `reading` has the dates and times that are read, `groups` the feature by which items are
    grouped.
    """
    endpoint, entity = (
        project.spec.endpoints[monitor.endpoint],
        entity_of(monitor.items, project.spec),
    )
    days = reading.parameters()
    parameters = {name: days[name] for name in ("until", "since", "first", "first_end")}
    parameters |= {
        "endpoint": endpoint.name,
        "entity": entity.name if entity else "",
    } | join_params([groups.view] if groups.view else [])
    if outcome_by(endpoint, project.spec) is not None:
        parameters["known"] = reading.known
    return answer(
        project.target.warehouse.query(
            items_sql(project.spec, endpoint, groups), parameters
        ).to_pylist()
    )


def grouping(project: Project, monitor: Monitor) -> Grouping:
    """Return the feature by which a monitor groups items, or no feature for the items themselves.

    An item counts in the group that it had when it was shown.
    """
    view, dot, feature = monitor.items.partition(".")
    if not dot:
        return Grouping()
    (source,) = view_sources(project.description, (view,))
    return Grouping(
        view=msgspec.structs.replace(join_view(project, source, [feature]), key="entity_key")
    )


def answer(table: Sequence[Mapping[str, Any]]) -> QueryRows:
    """Convert the rows of the query of a monitor of items to its sums, apart by kind of row.

    A kind is `group`, `all`, `spread` or `catalogue`.
    """
    first = {row["kind"]: row for row in table if row["scope"] == "first"}
    table = [row for row in table if row["scope"] != "first"]
    groups: dict[ItemGroup, dict[str, ExposureSums]] = {}
    for row in _of_kind(table, "group"):
        groups.setdefault((row["scope"], row["label"]), {})[row["grp"]] = _sums(row)
    catalogue = _of_kind(table, "catalogue")
    return QueryRows(
        groups={place: dict(sorted(by_group.items())) for place, by_group in groups.items()},
        everything={(row["scope"], row["label"]): _sums(row) for row in _of_kind(table, "all")},
        spreads={(row["scope"], row["label"]): _spread(row) for row in _of_kind(table, "spread")},
        first=_spread(first["spread"]) if first else None,
        first_units=int(first["all"]["n"]) if first else 0,
        items={row["grp"]: int(row["n"]) for row in catalogue},
        never={row["grp"]: int(row["never"]) for row in catalogue},
    )


def _of_kind(table: Sequence[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    """Return the rows of the query that are of one kind, such as `group` or `catalogue`."""
    return [row for row in table if row["kind"] == kind]


def _sums(row: Mapping[str, Any]) -> ExposureSums:
    """Convert a row of the query to a group's sums of exposures and clicks."""
    return ExposureSums(
        units=int(row["n"]),
        **{name: float(row[name]) for name in SUMS if name in ExposureSums.__struct_fields__},
    )


def _spread(row: Mapping[str, Any]) -> ExposureSpread:
    """Convert a row of the query to the sums that a Gini coefficient over items needs."""
    return ExposureSpread(
        items=int(row["n"]),
        **{name: float(row[name]) for name in SUMS if name in ExposureSpread.__struct_fields__},
    )


def rows(
    answer: QueryRows, alarm: AlarmLimits, *, outcomes: bool, features: bool
) -> Iterator[GroupFigure]:
    """Yield the metrics of a monitor of items, as rows of its snapshot.

    Args:
        answer: The query's sums.
        alarm: The limits.
        outcomes: Whether it is known what was clicked.
        features: Groups are values of a feature, so the catalogue says how many items each has.
    """
    yield from _place_rows(answer, ("window", ""), alarm, outcomes=outcomes)
    yield from _gini_rise_row(answer, alarm)
    yield from _catalogue(answer, features=features)
    for place in sorted(place for place in answer.everything if place[0] == "day"):
        yield from _place_rows(answer, place, AlarmLimits(), outcomes=outcomes)
    for place in sorted(
        (place for place in answer.everything if place[0] == "version"),
        key=lambda place: version_order(place[1]),
    ):
        yield from _place_rows(answer, place, alarm, outcomes=outcomes)


def _place_rows(
    answer: QueryRows, place: ItemGroup, alarm: AlarmLimits, *, outcomes: bool
) -> Iterator[GroupFigure]:
    """Yield the metrics of one period or of one model version, as rows of a snapshot.

    `place` names the period or the version, `alarm` has the limits; `outcomes` says whether it is
    known what was clicked.
    """
    if place not in answer.everything:
        return
    everything = answer.everything[place]
    for group, sums in answer.groups[place].items():
        yield _row(
            "shown",
            group,
            spread.shown_share(sums, everything),
            place,
            sums.shown,
            units=sums.units,
        )
        yield _row(
            "seen", group, spread.seen_share(sums, everything), place, sums.shown, units=sums.units
        )
        if outcomes:
            yield from _click_rows(group, sums, everything, place, alarm)
    if outcomes and everything.expected > 0:
        yield from _calibration_rows("", everything, place, alarm)
    items = answer.spreads[place]
    yield _over_items(
        "gini", spread.gini(items, sum(answer.items.values())), place, items, everything.units
    )
    yield _over_items(
        "effective_items", spread.effective_items(items), place, items, everything.units
    )


def _click_rows(
    group: str, sums: ExposureSums, everything: ExposureSums, place: ItemGroup, alarm: AlarmLimits
) -> Iterator[GroupFigure]:
    """Yield the metrics of what was clicked in a group of items, as rows of a snapshot.

    `sums` are the group's exposures and clicks, `everything` those of all groups. `place` names the
    period or the model version, and `alarm` has the limits.
    """
    if everything.organic:
        yield _row(
            "organic",
            group,
            spread.organic(sums, everything),
            place,
            sums.organic,
            units=everything.units,
        )
    if sums.organic:
        ratio = spread.shown_to_organic(sums, everything)
        row = _row("shown_to_organic", group, ratio, place, sums.organic, units=sums.units)
        limit = math.inf if alarm.shown_to_organic is None else alarm.shown_to_organic
        yield msgspec.structs.replace(row, alarm=row.low is not None and row.low > limit)
    if sums.expected > 0:
        yield from _calibration_rows(group, sums, place, alarm)


def _calibration_rows(
    group: str, sums: ExposureSums, place: ItemGroup, alarm: AlarmLimits
) -> Iterator[GroupFigure]:
    """Yield a group's ratio of clicks to the sum of predicted scores, as a row of a snapshot.

    `sums` are its clicks and scores, `place` names the period or the model version, and `alarm` has
    the limits. The interval is the exact one of a Poisson count of clicks (Garwood 1936); the sum
    of scores is taken as known.
    """
    low, high = (end / sums.expected for end in poisson_interval(int(sums.clicks)))
    least, most = alarm.calibration or (-math.inf, math.inf)
    ratio = Estimate(value=sums.clicks / sums.expected, low=low, high=high)
    row = _row("calibration", group, ratio, place, sums.clicks, units=None)
    yield msgspec.structs.replace(row, alarm=high < least or low > most)


def _gini_rise_row(answer: QueryRows, alarm: AlarmLimits) -> Iterator[GroupFigure]:
    """Yield how the Gini coefficient rose since the first window, as a snapshot row."""
    now = answer.spreads.get(("window", ""))
    if now is None or answer.first is None:
        return
    units = min(answer.everything["window", ""].units, answer.first_units)
    row = _over_items(
        "gini_rise",
        spread.rise(now, answer.first, sum(answer.items.values())),
        ("window", ""),
        now,
        units,
    )
    limit = math.inf if alarm.gini_rise is None else alarm.gini_rise
    yield msgspec.structs.replace(row, alarm=row.low is not None and row.low > limit)


def _catalogue(answer: QueryRows, *, features: bool) -> Iterator[GroupFigure]:
    """Yield the rows of a snapshot about all items, and about those that were never shown.

    `features` says that groups are values of a feature, so that the number of items is known.
    """
    total = sum(answer.items.values())
    for group, number in answer.items.items() if features else ():
        yield GroupFigure(figure="catalogue", group=group, value=number / total, count=number)
        yield GroupFigure(
            figure="never_shown", group=group, value=answer.never[group] / number, count=number
        )
    if total:
        yield GroupFigure(
            figure="never_shown", group="", value=sum(answer.never.values()) / total, count=total
        )


def _over_items(
    figure: ItemFigure, estimate: Estimate, place: ItemGroup, spread_: ExposureSpread, units: int
) -> GroupFigure:
    """Return the snapshot's row of a metric over items, such as the Gini coefficient.

    `spread_` are the sums that it is computed from; its interval rests on `units` and exposures.

    `place` names the period or the model version.
    """
    return msgspec.structs.replace(
        _row(figure, "", estimate, place, spread_.shown, units=units), count=spread_.items
    )


def _row(
    figure: ItemFigure,
    group: str,
    estimate: Estimate,
    place: ItemGroup,
    count: float,
    *,
    units: int | None,
) -> GroupFigure:
    """Build the snapshot row of a metric's value and confidence interval.

    Args:
        figure: The metric's name.
        group: The group of items.
        estimate: Its value and interval.
        place: Its scope and label.
        count: The number of observations on which the value rests.
        units: The number of units on which the interval rests; both must be enough. None: it is
            exact.
    """
    scope, label = place
    low, high = (
        (estimate.low, estimate.high) if units is None or enough(units, count) else (None, None)
    )
    return GroupFigure(
        figure=figure,
        group=group,
        value=estimate.value,
        low=low,
        high=high,
        scope=scope,
        of=label,
        count=int(count),
    )
