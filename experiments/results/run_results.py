"""The results of a run that the gateway assigned: one query, then arithmetic; each look is
recorded, and what it showed is kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import msgspec

from ...core.runtime.project import Project
from ...errors import Invalid, NotFound, Refused
from ...project.specs.experiments import MODEL_VERSION
from ...storage import StateStore
from ...times import midnight, utc_milliseconds
from ..design import runs
from ..design.definition import definition_of
from ..design.runs import FrozenRun
from ..measure import run_cells
from ..measure.cells_sql import win_rate
from ..measure.run_cells import Reading, RunCells
from ..monitors import arms as by_arm
from ..statistics import split, verdict
from ..statistics.conclusion import Age, Conclusion, Shown, conclude
from ..statistics.inference import Horizon
from ..statistics.sample_size import days_left
from ..statistics.split import Split
from ..statistics.sums import Sums, rests_on_few
from . import effects as run_judging
from . import interleaving as wins
from . import looks as run_looks
from . import store as run_store
from .effects import Plain
from .interleaving import Arms
from .looks import Look, Looks
from .results import DayEffect, Effect, MetricArms, RunResults

_RECENT = 7  # days from which it is told how many units come


def results(
    project: Project, name: str, *, as_of: datetime | None = None, despite_split: bool = False
) -> RunResults:
    """Compare the arms of an experiment's newest run, or of a run (`name.2`).

    The look is recorded, and what it shows is stored.

    `as_of`: what a look at that time would have said; nothing is recorded. NotFound: it never ran.
    Invalid: nobody was assigned. Refused: the split is not as planned, so every figure would be
    biased. This is no look; it is stored, for the page to tell.
    """
    run = newest_run(project, name)
    plain = _plain(run)
    stopped = _stop_of(project.target.state, run.run, as_of)
    moment = utc_milliseconds(as_of or project.now())
    looks = run_looks.read(project.target.state, run.run)
    if as_of is not None:
        looks = looks.until(moment)
    of = run_cells.reading(project, run, plain.metrics.values(), _not_after(looks, moment), stopped)
    cells = _cells(project, run, plain, of)
    if plain.experiment.plan and (
        stands := looks.repeated(_complete(plain.sums(cells, of.until)[plain.first.name]))
    ):
        # what the same units do since would be looked at for nothing: the plan spends by units
        of = run_cells.reading(
            project, run, plain.metrics.values(), min(moment, stands.until), stopped
        )
        cells = _cells(project, run, plain, of)
    checked = _check_split(run, cells)
    look = partial(_with_look, plain, cells, of.until)
    recorded = as_of is None and not checked.alarm
    looks = run_looks.record(project.target.state, run.run, look) if recorded else look(looks)
    basis = _Basis(
        run=run,
        plain=plain,
        cells=cells,
        looks=looks,
        of=of,
        moment=moment,
        stopped=stopped,
        checked=checked,
    )
    seen = _results(project, basis)
    if as_of is None:
        run_store.keep(project.target.blobs, seen)
    return _require_trust(seen, despite_split=despite_split)


def _plain(run: FrozenRun) -> Plain:
    metrics, experiment = run.definition.metrics, run.definition.experiment
    return Plain(
        experiment=experiment,
        metrics={name: win_rate(of) for name, of in metrics.items()}
        if experiment.interleave
        else metrics,
    )


def _cells(project: Project, run: FrozenRun, plain: Plain, of: Reading) -> RunCells:
    if plain.experiment.interleave:
        return run_cells.read_wins(project, run, plain.first, of)
    return run_cells.read(
        project, run, tuple(plain.metrics.values()), of, daily=(plain.first.name,)
    )


class _Judging(Protocol):
    """From sums, by metric and arm, to figures: run_judging.py, or wins.py."""

    def units_needed(self, plain: Plain, sums: Arms) -> int | None: ...
    def information_by_metric(self, plain: Plain, sums: Arms) -> dict[str, float]: ...
    def arms_of(self, plain: Plain, sums: Arms) -> tuple[MetricArms, ...]: ...
    def effects(
        self, plain: Plain, sums: Arms, at: Mapping[str, Horizon]
    ) -> tuple[Effect, ...]: ...
    def over_time(
        self, plain: Plain, cells: RunCells, looks: Looks, until: datetime
    ) -> tuple[DayEffect, ...]: ...


def _judging(plain: Plain) -> _Judging:
    return wins if plain.experiment.interleave else run_judging


def last(project: Project, name: str, *, despite_split: bool = False) -> RunResults:
    """The newest stored results, without a query.

    NotFound: nobody has looked yet. Refused: the split was not as planned then.
    """
    run = newest_run(project, name).run
    seen = run_store.newest(project.target.blobs, run)
    if seen is None:
        raise NotFound(
            f"nobody has looked at {run} yet", remedy=f"isthmus experiment results {name}"
        )
    return _require_trust(seen, despite_split=despite_split)


def _require_trust(seen: RunResults, *, despite_split: bool) -> RunResults:
    if seen.split.alarm and not despite_split:
        raise Refused(
            f"no results yet: {seen.split}. Every figure would be biased; nothing is shown "
            "without --despite-split",
            remedy=f"isthmus experiment audit {runs.experiment_of(seen.run)}; by day, segment and "
            "model version: isthmus ui",
        )
    return seen


def newest_run(project: Project, name: str) -> FrozenRun:
    """Of an experiment the newest run. NotFound: it never ran."""
    state = project.target.state
    past = list(dict.fromkeys(change.run for change in runs.history(state)))
    of_name = [run for run in past if run == name] or [
        run for run in past if runs.experiment_of(run) == name
    ]
    if not of_name:
        experiment, _, number = name.rpartition(".")
        if not (number.isdigit() and experiment in project.spec.experiments):
            definition_of(project, name)
        raise NotFound(
            f"{name} never ran on {project.target.name}",
            remedy=f"isthmus experiment start {experiment or name}",
        )
    return runs.frozen_run(state, of_name[-1])


def _stop_of(state: StateStore, run: str, as_of: datetime | None) -> datetime | None:
    """When it was stopped or shipped; None: it was not, by `as_of`."""
    changes = runs.history(state, runs.experiment_of(run))
    ends = (
        change.at
        for change in changes
        if change.run == run and change.what in ("stopped", "shipped")
    )
    return next((end for end in ends if as_of is None or end <= as_of), None)


def _not_after(looks: Looks, moment: datetime) -> datetime:
    """What the look that ended the plan shows stays: later data decide nothing."""
    return min(moment, looks.closed.until) if looks.closed else moment


def _with_look(plain: Plain, cells: RunCells, until: datetime, looks: Looks) -> Looks:
    """With this look; of a look at an earlier time what was looked at later is not known."""
    sums = plain.sums(cells, until)
    judging, look = _judging(plain), Look(until=until, units=_complete(sums[plain.first.name]))
    return looks.with_look(
        look, judging.units_needed(plain, sums), judging.information_by_metric(plain, sums)
    )


def _complete(arms: Mapping[str, Sums]) -> int:
    return sum(of_arm.units for of_arm in arms.values())


def _check_split(run: FrozenRun, cells: RunCells) -> Split:
    counts = cells.units()
    if not sum(counts.values()):
        raise Invalid(
            f"no results yet: no unit of {run.run} was assigned",
            remedy=f"isthmus experiment status {runs.experiment_of(run.run)}",
        )
    return split.check(counts, runs.weights(run.definition.experiment))


class _Basis(msgspec.Struct, frozen=True, kw_only=True):
    """What a look rests on."""

    run: FrozenRun
    plain: Plain
    cells: RunCells
    looks: Looks
    of: Reading
    moment: datetime
    stopped: datetime | None
    checked: Split

    @property
    def came(self) -> int:
        return sum(self.checked.counts.values())


def _results(project: Project, on: _Basis) -> RunResults:
    plain, cells, looks, until = on.plain, on.cells, on.looks, on.of.until
    plan, layer = plain.experiment.plan, on.run.definition.layer
    sums = plain.sums(cells, until)
    complete, a_day = _complete(sums[plain.first.name]), _a_day(cells, until)
    judging = _judging(plain)
    horizons = run_judging.horizons(
        plain, looks, judging.information_by_metric(plain, sums), units=complete, moment=until
    )
    effects, metrics = judging.effects(plain, sums, horizons), judging.arms_of(plain, sums)
    age = _age(on, a_day)
    of_segments = _by_segment(project, on)
    return RunResults(
        target=project.target.name,
        run=on.run.run,
        layer=layer.name,
        endpoint=layer.endpoint,
        unit=project.spec.endpoints[layer.endpoint].unit,
        arms=plain.experiment.interleave or cells.arms,
        interleaved=plain.experiment.interleave is not None,
        started=on.run.at,
        stopped=on.stopped,
        as_of=on.moment,
        until=until,
        inference="planned" if plan else "always",
        day=int(age.days) + 1,
        days=plan.days if plan else None,
        look=len(looks.before(until)) + 1,
        closed=looks.closed.until if looks.closed else None,
        planned=looks.planned,
        complete=complete,
        open=on.came - complete,
        window=plain.window.days if plain.window else None,
        a_day=a_day,
        metrics=metrics,
        effects=effects,
        split=on.checked,
        split_by_segment=_split_by_segment(project, on, of_segments),
        split_by_day={day.isoformat(): counts for day, counts in cells.by_first_day().items()},
        twice=cells.twice,
        trends=() if plain.experiment.interleave else run_judging.trends(plain, cells, until),
        segments=run_judging.segments(plain, of_segments, until) if of_segments else (),
        over_time=judging.over_time(plain, cells, looks, until),
        warnings=_warnings({metric.metric.name: metric.arms for metric in metrics}),
        monitors=() if plain.experiment.interleave else by_arm.arm_figures(project, on.run, on.of),
        conclusion=_conclusion(on, effects, age),
    )


def _by_segment(project: Project, on: _Basis) -> RunCells | None:
    """One more query, where the experiment has segments."""
    if not on.plain.experiment.segments:
        return None
    deciding = [on.plain.metrics[name] for name in on.plain.experiment.metric]
    return run_cells.read_segments(project, on.run, deciding, on.of)


def _split_by_segment(
    project: Project, on: _Basis, cells: RunCells | None
) -> dict[str, dict[str, dict[str, int]]]:
    """With the model's version, where it does not follow from the arm."""
    splits = {name: cells.by_value(name) for name in on.plain.experiment.segments} if cells else {}
    if MODEL_VERSION in splits or on.plain.experiment.aims:
        return splits
    versions = run_cells.read_versions(project, on.run, on.of)
    return splits | ({MODEL_VERSION: versions} if versions else {})


def _warnings(sums: Mapping[str, Mapping[str, Sums]]) -> tuple[str, ...]:
    told = (
        rests_on_few(arm, name, of_arm)
        for name, arms in sums.items()
        for arm, of_arm in arms.items()
    )
    return tuple(warning for warning in told if warning)


def _a_day(cells: RunCells, until: datetime) -> float:
    """Units that came in one of the last whole days; on the first day those of its part."""
    whole = min(_RECENT, len(cells.days(until)))
    if not whole:
        return sum(cells.units().values())
    recent = [
        counts
        for day, counts in cells.by_first_day().items()
        if 0 < (until.date() - day).days <= whole
    ]
    return sum(sum(counts.values()) for counts in recent) / whole


def _age(on: _Basis, a_day: float) -> Age:
    plan, window = on.plain.experiment.plan, on.plain.window
    days = (on.of.until - midnight(on.cells.first_day)) / timedelta(days=1)
    of_plan = plan.days if plan else None
    planned = on.looks.planned
    by_units = (
        days_left(planned, on.came, a_day, within=window.days if window else 0) if planned else None
    )
    by_days = None if of_plan is None else max(math.ceil(of_plan - days), 0)
    left = [wait for wait in (by_units, by_days) if wait is not None]
    over = (
        on.looks.closed is not None
        or on.stopped is not None
        or (of_plan is not None and days >= of_plan)
    )
    return Age(days=days, over=over, left=min(left, default=None))


def _conclusion(on: _Basis, effects: tuple[Effect, ...], age: Age) -> Conclusion:
    unsound = verdict.unsound(on.checked, on.came, on.cells.twice)
    if on.plain.experiment.interleave:
        return wins.conclude(on.plain, effects[0], age, unsound=unsound)
    arms = run_judging.best_first(effects, on.plain.first.name, on.cells.arms[1:])
    return conclude([_arm_effects(arm, effects) for arm in arms], age, unsound=unsound)


def _arm_effects(arm: str, effects: tuple[Effect, ...]) -> Shown:
    own = [effect for effect in effects if effect.arm == arm]
    return Shown(
        arm=arm,
        metrics={effect.metric: effect.side for effect in own if effect.role == "decides"},
        guardrails=verdict.by_metric(
            (effect.metric, effect.judged) for effect in own if effect.judged
        ),
    )
