"""The results of a run that the gateway assigned: one query, then arithmetic.

Each look is recorded, and what it showed is stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import msgspec

from ...core.runtime.project import Project
from ...endpoints.gateway.decide.live_document import Change
from ...errors import Invalid, Refused
from ...project.specs.experiments import MODEL_VERSION
from ...times import midnight, utc_milliseconds
from ..design import runs
from ..design.runs import FrozenRun, RecordedRun
from ..measure import run_cells
from ..measure.cells_sql import win_rate
from ..measure.run_cells import CountedPeriod, RunCells
from ..monitors import arms as arm_monitors
from ..statistics import split, verdict
from ..statistics.conclusion import Conclusion, RunAge, TreatmentFigures, conclude, unsound
from ..statistics.few_units import warnings_of_dropped, warnings_of_few
from ..statistics.inference import LookSchedule
from ..statistics.sample_size import days_left
from ..statistics.split import UnitSplit
from . import effects as arms_judging
from . import interleaving, store
from . import looks as recorded_looks
from .effects import ComparedMetrics, SumsByArm
from .looks import Look, Looks
from .results import DayEffect, Effect, MetricArms, Results
from .trends import read_trends

_RECENT = 7  # days from which it is told how many units come


def compare_run(
    project: Project,
    recorded: RecordedRun,
    *,
    as_of: datetime | None = None,
    despite_split: bool = False,
) -> Results:
    """Compare the arms of a run, record this look at the results, and store them.

    Args:
        project: The project.
        recorded: The run, and what was changed since its start.
        as_of: Where the log, as it is known now, is cut: events that arrived later count when they
            happened before. Nothing is recorded.
        despite_split: Answer also where the units did not come as planned.

    Raises:
        Invalid: Nobody was assigned.
        Refused: The split is not as planned, so every figure would be biased. No look is recorded;
            the split itself is stored, so that the page can show it.
    """
    run = recorded.frozen
    comparison = _comparison(run)
    stopped = _stop_time(recorded.own_changes, as_of)
    moment = utc_milliseconds(as_of or project.now())
    looks = recorded_looks.read(project.target.state, run.run)
    if as_of is not None:
        looks = looks.until(moment)
    # what the look that ended the plan shows stays: later data decide nothing
    until = min(moment, looks.closed.until) if looks.closed else moment
    metrics = comparison.metrics.values()
    reading = run_cells.reading(project, run, metrics, until, stopped)
    cells = _cells(project, run, comparison, reading)
    if comparison.experiment.plan and (
        repeated := looks.repeated(_complete_units(comparison, cells, reading.until))
    ):
        # what the same units do since would be looked at for nothing: the plan spends by units
        until = min(moment, repeated.until)
        reading = run_cells.reading(project, run, metrics, until, stopped)
        cells = _cells(project, run, comparison, reading)
    checked = _check_split(run, cells, reading.until, stopped)
    look = partial(_with_look, comparison, cells, reading.until)
    is_recorded = as_of is None and not checked.alarm
    looks = (
        recorded_looks.record(project.target.state, run.run, look) if is_recorded else look(looks)
    )
    basis = _RunData(
        run=run,
        comparison=comparison,
        cells=cells,
        looks=looks,
        reading=reading,
        moment=moment,
        stopped=stopped,
        split=checked,
    )
    shown = _results(project, basis)
    if as_of is None:
        store.keep(project.target.blobs, shown)
    return _require_trust(shown, despite_split=despite_split)


def _comparison(run: FrozenRun) -> ComparedMetrics:
    """Return what a run compares: its metrics, or the wins of two interleaved variants."""
    metrics, experiment = run.definition.metrics, run.definition.experiment
    if experiment.interleave:
        metrics = {name: win_rate(metric) for name, metric in metrics.items()}
    return ComparedMetrics(experiment=experiment, metrics=metrics)


def _cells(
    project: Project, run: FrozenRun, comparison: ComparedMetrics, reading: CountedPeriod
) -> RunCells:
    """Read the sums of a run's metrics by arm and day from the log."""
    if comparison.experiment.interleave:
        return run_cells.read_wins(project, run, comparison.first, reading)
    metrics = tuple(comparison.metrics.values())
    daily = () if comparison.leaves_out else (comparison.first.name,)
    return run_cells.read(project, run, metrics, reading, daily=daily)


class _Judging(Protocol):
    """Make figures of sums by metric and arm: effects.py of arms, interleaving.py of variants."""

    def units_needed(self, comparison: ComparedMetrics, sums: SumsByArm) -> int | None:
        """Return how many units of all arms the plan takes, or None without a plan or data."""

    def information_by_metric(
        self, comparison: ComparedMetrics, sums: SumsByArm
    ) -> dict[str, float]:
        """Return the statistical information (1 / variance) on each metric that is tested."""
        ...

    def arms_of(self, comparison: ComparedMetrics, sums: SumsByArm) -> tuple[MetricArms, ...]:
        """Return the totals and rates of every metric in every arm."""
        ...

    def effects(
        self, comparison: ComparedMetrics, sums: SumsByArm, horizons: Mapping[str, LookSchedule]
    ) -> tuple[Effect, ...]:
        """Return each treatment's effect on every metric."""
        ...

    def over_time(
        self, comparison: ComparedMetrics, cells: RunCells, looks: Looks, until: datetime
    ) -> tuple[DayEffect, ...]:
        """Return the effect on the first deciding metric as it was at the end of each day."""
        ...


def _judging(comparison: ComparedMetrics) -> _Judging:
    """Return the module that computes the run's results: `interleaving`, or `effects` for arms."""
    return interleaving if comparison.experiment.interleave else arms_judging


def last_look(project: Project, run: str, *, despite_split: bool = False) -> Results | None:
    """Return the newest stored results of a run, without a query of the log.

    None: nobody has looked yet.

    Raises:
        Refused: The split was not as planned then.
    """
    shown = store.newest(project.target.blobs, run)
    return shown and _require_trust(shown, despite_split=despite_split)


def _require_trust(shown: Results, *, despite_split: bool) -> Results:
    """Return the results; raise an error if the split of units is not as planned."""
    if shown.split.alarm and not despite_split:
        raise Refused(
            f"no results yet: {shown.split}. Every figure would be biased; nothing is shown "
            "without --despite-split",
            remedy=f"isthmus experiment audit {runs.experiment_of(shown.run)}; by day, segment and "
            "model version: isthmus ui",
        )
    return shown


def _stop_time(changes: Iterable[Change], as_of: datetime | None) -> datetime | None:
    """Return when a run was stopped or shipped, if it was by `as_of`, else None.

    `changes` is the run's history.
    """
    ends = (change.at for change in changes if change.what in ("stopped", "shipped"))
    return next((end for end in ends if as_of is None or end <= as_of), None)


def _with_look(
    comparison: ComparedMetrics, cells: RunCells, until: datetime, looks: Looks
) -> Looks:
    """Return the recorded looks at the results up to `until`, with this look added."""
    judging, sums = _judging(comparison), comparison.sums(cells, until)
    return looks.with_look(
        Look(until=until, units=_complete_units(comparison, cells, until)),
        judging.units_needed(comparison, sums),
        judging.information_by_metric(comparison, sums),
    )


def _complete_units(comparison: ComparedMetrics, cells: RunCells, until: datetime) -> int:
    """Return the number of units of all arms whose outcome windows are over at `until`.

    An outcome window is how long a unit's events count.
    """
    arms = comparison.sums(cells, until)[comparison.first.name]
    return sum(sums.units for sums in arms.values())


def _check_split(
    run: FrozenRun, cells: RunCells, until: datetime, stopped: datetime | None
) -> UnitSplit:
    """Check whether the units came to the arms in the planned shares, until `until`.

    Raises Invalid if no unit was assigned. The last day of a stopped run counts as over, because no
    more units come.
    """
    counts = cells.units()
    if not sum(counts.values()):
        raise Invalid(
            f"no results yet: no unit of {run.run} was assigned",
            remedy=f"isthmus experiment status {runs.experiment_of(run.run)}",
        )
    plan = run.definition.experiment.plan
    days = cells.by_first_day().items()
    return split.check(
        counts,
        run.definition.experiment.weights,
        days=[(day, units) for day, units in days if stopped or day < until.date()],
        planned_days=plan.days if plan and plan.days else split.DAYS,
    )


class _RunData(msgspec.Struct, frozen=True, kw_only=True):
    """The data on which a look rests."""

    run: FrozenRun
    comparison: ComparedMetrics
    cells: RunCells
    looks: Looks
    reading: CountedPeriod
    moment: datetime
    stopped: datetime | None
    split: UnitSplit

    @property
    def assigned(self) -> int:
        """Return the number of assigned units, including those whose outcomes may still come."""
        return sum(self.split.counts.values())


def _results(project: Project, basis: _RunData) -> Results:
    """Compute all results of a run from the sums that were read; return them."""
    comparison, cells, looks = basis.comparison, basis.cells, basis.looks
    until, plan = basis.reading.until, comparison.experiment.plan
    layer, interleaves = basis.run.definition.layer, comparison.experiment.interleave is not None
    judging, sums = _judging(comparison), comparison.sums(cells, until)
    complete = _complete_units(comparison, cells, until)
    information = judging.information_by_metric(comparison, sums)
    horizons = arms_judging.horizons(comparison, looks, information, units=complete, moment=until)
    effects, metrics = (
        judging.effects(comparison, sums, horizons),
        judging.arms_of(comparison, sums),
    )
    a_day = _units_a_day(cells, until)
    age = _age(basis, a_day)
    segments = _segment_cells(project, basis)
    return Results(
        target=project.target.name,
        run=basis.run.run,
        layer=layer.name,
        endpoint=layer.endpoint,
        unit=project.spec.endpoints[layer.endpoint].unit,
        arms=comparison.experiment.interleave or cells.arms,
        interleaved=interleaves,
        started=basis.run.at,
        stopped=basis.stopped,
        as_of=basis.moment,
        until=until,
        inference="planned" if plan else "always",
        day=int(age.days) + 1,
        days=plan.days if plan else None,
        look=len(looks.earlier(until)) + 1,
        closed=looks.closed.until if looks.closed else None,
        planned=looks.planned,
        complete=complete,
        open=basis.assigned - complete,
        window=comparison.window.days if comparison.window else None,
        a_day=a_day,
        metrics=metrics,
        drop_above=comparison.experiment.drop_above,
        effects=effects,
        split=basis.split,
        split_by_segment=_split_by_segment(project, basis, segments),
        split_by_day={day.isoformat(): counts for day, counts in cells.by_first_day().items()},
        twice=cells.twice,
        trends=(
            ()
            if interleaves or comparison.leaves_out
            else read_trends(project, basis.run, comparison, cells, basis.reading)
        ),
        segments=arms_judging.segments(comparison, segments, until) if segments else (),
        over_time=judging.over_time(comparison, cells, looks, until),
        warnings=tuple(
            warning
            for name, arms in sums.items()
            for warning in (*warnings_of_few(name, arms), *warnings_of_dropped(name, arms))
        ),
        monitors=(
            () if interleaves else arm_monitors.arm_figures(project, basis.run, basis.reading)
        ),
        conclusion=_conclusion(basis, effects, age),
    )


def _segment_cells(project: Project, basis: _RunData) -> RunCells | None:
    """Read the sums of a run's metrics by segment; None if it has no segments."""
    experiment = basis.comparison.experiment
    if not experiment.segments:
        return None
    deciding = [basis.comparison.metrics[name] for name in experiment.metric]
    return run_cells.read_segments(project, basis.run, deciding, basis.reading)


def _split_by_segment(
    project: Project, basis: _RunData, cells: RunCells | None
) -> dict[str, dict[str, dict[str, int]]]:
    """Return the number of units by attribute, value and arm.

    `cells` are the sums by segment. The model version is among the attributes, where it does not
    follow from the arm.
    """
    experiment = basis.comparison.experiment
    splits = {name: cells.by_value(name) for name in experiment.segments} if cells else {}
    if MODEL_VERSION in splits or experiment.aims:
        return splits
    versions = run_cells.read_versions(project, basis.run, basis.reading)
    return splits | ({MODEL_VERSION: versions} if versions else {})


def _units_a_day(cells: RunCells, until: datetime) -> float:
    """Return the mean number of new units a day, over the whole days before `until`.

    Before the first day is over it is the number of units that have come.
    """
    whole_days = min(_RECENT, len(cells.days(until)))
    if not whole_days:
        return sum(cells.units().values())
    recent = [
        sum(counts.values())
        for day, counts in cells.by_first_day().items()
        if 0 < (until.date() - day).days <= whole_days
    ]
    return sum(recent) / whole_days


def _age(basis: _RunData, a_day: float) -> RunAge:
    """Return how many days a run has lasted, how many are left, and whether it is over.

    `a_day` is how many units come in a day.
    """
    plan, window = basis.comparison.experiment.plan, basis.comparison.window
    days = (basis.reading.until - midnight(basis.cells.first_day)) / timedelta(days=1)
    planned_days = plan.days if plan else None
    planned_units = basis.looks.planned
    by_units = (
        days_left(planned_units, basis.assigned, a_day, within=window.days if window else 0)
        if planned_units
        else None
    )
    by_days = None if planned_days is None else max(math.ceil(planned_days - days), 0)
    left = [wait for wait in (by_units, by_days) if wait is not None]
    over = (
        basis.looks.closed is not None
        or basis.stopped is not None
        or (planned_days is not None and days >= planned_days)
    )
    return RunAge(days=days, over=over, left=min(left, default=None))


def _conclusion(basis: _RunData, effects: tuple[Effect, ...], age: RunAge) -> Conclusion:
    """Return the verdict on a run: ship, stop or keep running, with the reason."""
    comparison = basis.comparison
    biased = unsound(basis.split, basis.assigned, basis.cells.twice)
    if comparison.experiment.interleave:
        return interleaving.conclude(comparison, effects[0], age, unsound=biased)
    arms = arms_judging.best_first(effects, comparison.first.name, basis.cells.arms[1:])
    return conclude([_treatment_figures(arm, effects) for arm in arms], age, unsound=biased)


def _treatment_figures(arm: str, effects: tuple[Effect, ...]) -> TreatmentFigures:
    """Return the figures of one treatment from which the conclusion is drawn."""
    own = [effect for effect in effects if effect.arm == arm]
    return TreatmentFigures(
        arm=arm,
        metrics={effect.metric: effect.side for effect in own if effect.role == "decides"},
        guardrails=verdict.by_metric(
            (effect.metric, effect.judged) for effect in own if effect.judged
        ),
    )
