"""The results of two arms that a site assigned: a query of its log for each metric."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from msgspec.structs import replace

from ...core.runtime.project import Project
from ...errors import Invalid, NotFound
from ...project.specs.description import Objective
from ...project.specs.experiments import Analysis, ExperimentGuardrail
from ...times import midnight, utc_milliseconds
from ..measure import log_cells
from ..measure.log_cells import Cells
from ..statistics import split, verdict
from ..statistics.assessment import comparisons
from ..statistics.chance_to_beat import ChanceToBeat, chance_to_beat
from ..statistics.conclusion import Conclusion, compared, unsound
from ..statistics.few_units import warnings_of_dropped, warnings_of_few
from ..statistics.inference import IntervalKind
from ..statistics.ranges import as_range
from ..statistics.ratio import Difference, compare
from ..statistics.split import UnitSplit
from ..statistics.sums import NOTHING, UnitSums
from ..statistics.verdict import Judgement
from .effects import effect_of, metric_arms
from .results import DayEffect, Effect, LogDayEffect, LogResults, MetricArms, Role, SiteLog
from .text import figure_text


def compare_log(project: Project, name: str, *, as_of: datetime | None = None) -> LogResults:
    """Analyse an experiment on a site's own log: compare the arms on rows with known outcomes.

    Args:
        project: The project whose warehouse has the log.
        name: The experiment, one of project.yaml's analyses.
        as_of: Where the log, as it is known now, is cut; by default now.

    Raises:
        NotFound: There is no such experiment.
        Invalid: An arm has no rows.
    """
    experiment = analysis_of(project, name)
    objectives = project.spec.objectives
    moment = utc_milliseconds(as_of or project.now())
    inference: IntervalKind = "fixed" if project.spec.now is not None else "always"
    deciding = objectives[experiment.metric]
    cells = log_cells.read(project, experiment, deciding, moment)
    _require_both_arms(project, experiment, deciding, cells, moment)
    sums = {experiment.metric: cells.total()}
    roles: dict[str, Role] = {experiment.metric: "decides"}
    for metric in (*(guardrail.metric for guardrail in experiment.guardrails), *experiment.also):
        if metric not in sums:
            role: Role = "also" if metric in experiment.also else "guardrail"
            roles[metric] = role
            sums[metric] = log_cells.read(project, experiment, objectives[metric], moment).total()
    differences = {metric: _difference(arms, inference) for metric, arms in sums.items()}
    metrics = tuple(
        metric_arms(project.spec.metrics[metric], roles[metric], arms)
        for metric, arms in sums.items()
    )
    control, treatment = (str(arm) for arm in (experiment.control, experiment.treatment))
    arms = sums[experiment.metric]
    # a log that is closed is looked at once, at its end
    closed_on = date.fromisoformat(cells.days[-1]) if inference == "fixed" else None
    checked = _check_split(experiment, arms, closed_on)
    effects, difference = (
        _effects(project, experiment, differences, arms),
        differences[experiment.metric],
    )
    complete = sum(arm.units for arm in arms.values())
    conclusion = unsound(checked, complete, cells.twice) or _conclusion(
        metrics[0], effects, difference, deciding
    )
    return LogResults(
        target=project.target.name,
        run=name,
        unit=deciding.unit or deciding.exposure,
        arms=(control, treatment),
        started=midnight(date.fromisoformat(cells.days[0])),
        as_of=moment,
        until=moment,
        inference=inference,
        day=len(cells.days),
        look=len(cells.days),
        complete=complete,
        metrics=metrics,
        drop_above=experiment.drop_above,
        effects=effects,
        split=checked,
        twice=cells.twice,
        over_time=over_time(cells, treatment, inference),
        warnings=tuple(
            warning
            for name, of_arm in sums.items()
            for warning in (*warnings_of_few(name, of_arm), *warnings_of_dropped(name, of_arm))
        ),
        conclusion=replace(
            conclusion, of=figure_text(deciding.name, deciding.outcome, effects[0].relative)
        ),
        log=SiteLog(exposure=deciding.exposure, unit=deciding.unit, unnamed=cells.unnamed),
    )


def analysis_of(project: Project, name: str) -> Analysis:
    """Return the declaration of an experiment whose arms another system assigns.

    Raises:
        NotFound: There is none of this name.
    """
    experiment = project.spec.analyses.get(name)
    if experiment is None:
        names = ", ".join(project.spec.analyses) or "none"
        raise NotFound(f"project.yaml has no experiment {name}", remedy=f"it has {names}")
    return experiment


def over_time(cells: Cells, treatment: str, inference: IntervalKind) -> tuple[DayEffect, ...]:
    """Return the effect on the deciding metric as it was at the end of each day.

    `inference` is the kind of interval: "fixed" for one look, "always" for any number of looks.
    Units that are in both arms in the end are left out on every day.
    """
    so_far = dict.fromkeys(cells.arms, NOTHING)
    days: list[DayEffect] = []
    for day in cells.days:
        so_far = {arm: sums + cells.arms[arm].get(day, NOTHING) for arm, sums in so_far.items()}
        difference = _difference(so_far, inference)
        days.append(
            LogDayEffect(
                day=day,
                arm=treatment,
                units=sum(sums.units for sums in so_far.values()),
                relative=as_range(difference.relative) if difference else None,
                absolute=as_range(difference.absolute) if difference else None,
            )
        )
    return tuple(days)


def _difference(arms: Mapping[str, UnitSums], inference: IntervalKind) -> Difference | None:
    """Return how much a metric differs between a log's two arms, or None if data are too few.

    `arms` has the sums by arm. `inference` is the kind of interval: "fixed" for one look, "always"
    for any number of looks.
    """
    control, treatment = arms.values()
    return compare(control, treatment, inference)


def _effects(
    project: Project,
    experiment: Analysis,
    differences: Mapping[str, Difference | None],
    arms: Mapping[str, UnitSums],
) -> tuple[Effect, ...]:
    """Return the effects on a log's deciding metric, guardrails and other metrics."""
    treatment = str(experiment.treatment)

    def effect(metric: str, role: Role) -> Effect:
        goal = project.spec.objectives[metric].goal
        return effect_of(metric, treatment, role, goal, differences[metric])

    def guarded(guardrail: ExperimentGuardrail) -> Effect:
        judged = verdict.judge(guardrail, differences[guardrail.metric])
        return replace(effect(guardrail.metric, "guardrail"), guardrail=guardrail, judged=judged)

    deciding = effect(experiment.metric, "decides")
    side = verdict.side(differences[experiment.metric], deciding.goal)
    chance = _chance_to_beat(project.spec.objectives[experiment.metric], arms)
    return (
        replace(deciding, side=side, chance_to_beat=chance),
        *map(guarded, experiment.guardrails),
        *(effect(metric, "also") for metric in experiment.also),
    )


def _chance_to_beat(objective: Objective, arms: Mapping[str, UnitSums]) -> ChanceToBeat | None:
    """Return the chance that a log's treatment beats its control.

    None: there are too few data, or the log names no unit, so that nobody knows the variance.
    """
    (pair,) = comparisons(arms).values()
    if pair is None or objective.unit is None:
        return None
    return chance_to_beat(pair.control, pair.treatment, objective.goal)


def _check_split(
    experiment: Analysis, arms: Mapping[str, UnitSums], closed_on: date | None
) -> UnitSplit:
    """Check whether the units came to the arms as planned; without a plan only count them."""
    counts = {name: arm.units for name, arm in arms.items()}
    if experiment.weights is None:
        return UnitSplit(counts=counts, planned={}, log_odds=0.0)
    planned = dict(zip(arms, experiment.weights, strict=True))
    days = [(closed_on, counts)] if closed_on else []
    return split.check(counts, planned, days=days, planned_days=1)


def _conclusion(
    metric: MetricArms,
    effects: tuple[Effect, ...],
    difference: Difference | None,
    objective: Objective,
) -> Conclusion:
    """Return the verdict on an analysis of a log: better, worse or undecided.

    If it is undecided, it says which effects the log could show.
    """
    judged: list[tuple[str, Judgement]] = [
        (effect.metric, effect.judged) for effect in effects if effect.judged
    ]
    conclusion = compared(difference, metric.metric.goal, verdict.by_metric(judged))
    if conclusion.word != "undecided":
        return conclusion
    control, treatment = metric.arms.values()
    fewest = (
        f"10 that carry {objective.name}" if objective.is_number else f"10 {objective.outcome}s"
    )
    too_few = (
        ""
        if control.enough and treatment.enough
        else f"Below 100 units or {fewest} an arm there is nothing to compare."
    )
    unit = objective.unit or objective.exposure
    size = verdict.size(control, min(control.units, treatment.units), unit)
    why = " ".join(part for part in (conclusion.why or too_few, size) if part)
    return replace(conclusion, why=why)


def _require_both_arms(
    project: Project, experiment: Analysis, objective: Objective, cells: Cells, moment: datetime
) -> None:
    """Raise Invalid if an arm has no row in the log, with the arms that it has."""
    attribute = experiment.attribute
    for name, arm in cells.total().items():
        if not arm.d:
            raise Invalid(
                f"experiments.{experiment.name}: no {objective.exposure} has {attribute} = "
                f"{name} before {moment:%Y-%m-%d %H:%M}",
                remedy=f"{attribute} is {_values_text(project, attribute, objective)}",
            )


def _values_text(project: Project, attribute: str, objective: Objective) -> str:
    """Return the values that an attribute has in the log as text, the most frequent first."""
    sql = (
        f"SELECT {attribute} AS arm, count(*) AS n FROM {objective.name} GROUP BY {attribute} "
        "ORDER BY n DESC LIMIT 12"
    )
    rows = project.target.warehouse.query(sql, {}).to_pylist()
    return ", ".join(f"{row['arm']} ({row['n']:,})" for row in rows) or "on no row: isthmus ingest"
