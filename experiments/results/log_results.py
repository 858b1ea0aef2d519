"""What a log says of two arms that were assigned elsewhere: a query a metric, then arithmetic."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from ...core.runtime.project import Project
from ...errors import Invalid, NotFound
from ...pipelines.evaluation.statistics import Estimate
from ...project.specs.description import Objective
from ...project.specs.experiments import Analysis, ExperimentGuardrail
from ...reports.results import Shown
from ...times import utc_milliseconds
from ..measure import log_cells as cells
from ..measure.log_cells import Cells
from ..statistics import split, verdict
from ..statistics.inference import Unplanned
from ..statistics.ratio import Difference, compare, interval
from ..statistics.split import Split
from ..statistics.sums import NOTHING, Sums
from ..statistics.verdict import Judgement, Verdict


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """An objective in both arms. `rates` and `difference` are None where there is too little."""

    name: str
    outcome: str
    goal: Literal["maximise", "minimise"]
    arms: dict[str, Sums]
    rates: dict[str, Estimate | None]
    difference: Difference | None
    guardrail: ExperimentGuardrail | None = None
    judged: Judgement | None = None  # of a guardrail


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What the deciding metric would have shown at the end of a day."""

    day: str  # YYYY-MM-DD, the last that is counted
    units: int
    difference: Difference | None


class Results(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """The deciding metric, what must not be harmed, what is told; and every day's look of the past."""

    experiment: str
    exposure: str  # what a row is
    unit: (
        str | None
    )  # the attribute whose rows are not independent of each other; None: the log names none
    as_of: datetime
    control: str
    treatment: str
    inference: Unplanned
    metric: Metric
    guardrails: tuple[Metric, ...] = ()
    also: tuple[Metric, ...] = ()
    split: Split | None = None
    twice: int = 0  # units that are in both arms: left out
    unnamed: int = 0  # rows without a unit: left out
    looks: tuple[Look, ...] = ()
    verdict: Verdict

    @property
    def headline(self) -> str:
        """The verdict's word and the figure that it rests on."""
        if self.metric.difference is None:
            return f"{self.verdict.word}: too few {self.metric.outcome}s"
        of = self.metric.difference.relative
        return (
            f"{self.verdict.word}: {self.metric.name} {100 * of.value:+.0f} % "
            f"({100 * of.low:+.0f} .. {100 * of.high:+.0f} %)"
        )

    def __str__(self) -> str:
        from .log_text import text

        return text(self)


def results(project: Project, name: str, *, as_of: datetime | None = None) -> Results:
    """Compare the arms on all rows whose outcome is known at `as_of` (default: now).

    NotFound: no such experiment. Invalid: an arm has no rows.
    """
    experiment = of_project(project, name)
    objectives = project.spec.objectives
    moment = utc_milliseconds(as_of or project.now())
    inference: Unplanned = "fixed" if project.spec.now is not None else "always"
    deciding = objectives[experiment.metric]
    read = cells.read(project, experiment, deciding, moment)
    _both_arms(project, experiment, deciding, read, moment)

    def other(metric: str, guardrail: ExperimentGuardrail | None = None) -> Metric:
        objective = objectives[metric]
        return _metric(
            objective, cells.read(project, experiment, objective, moment), inference, guardrail
        )

    metric = _metric(deciding, read, inference)
    guardrails = tuple(other(guardrail.metric, guardrail) for guardrail in experiment.guardrails)
    checked = _split(experiment, metric)
    return Results(
        experiment=name,
        exposure=deciding.exposure,
        unit=deciding.unit,
        as_of=moment,
        control=str(experiment.control),
        treatment=str(experiment.treatment),
        inference=inference,
        metric=metric,
        guardrails=guardrails,
        also=tuple(map(other, experiment.also)),
        split=checked,
        twice=read.twice,
        unnamed=read.unnamed,
        looks=looks(read, inference),
        verdict=_verdict(metric, guardrails, checked, read.twice, deciding),
    )


def of_project(project: Project, name: str) -> Analysis:
    experiment = project.spec.analyses.get(name)
    if experiment is None:
        have = ", ".join(project.spec.analyses) or "none"
        raise NotFound(f"project.yaml has no experiment {name}", remedy=f"it has {have}")
    return experiment


def looks(read: Cells, inference: Unplanned) -> tuple[Look, ...]:
    """One a day. Each counts the units that are in both arms in the end as left out."""
    so_far = dict.fromkeys(read.arms, NOTHING)
    seen: list[Look] = []
    for day in read.days:
        so_far = {arm: sums + read.arms[arm].get(day, NOTHING) for arm, sums in so_far.items()}
        control, treatment = so_far.values()
        seen.append(
            Look(
                day=day,
                units=control.units + treatment.units,
                difference=compare(control, treatment, inference),
            )
        )
    return tuple(seen)


def _metric(
    objective: Objective,
    read: Cells,
    inference: Unplanned,
    guardrail: ExperimentGuardrail | None = None,
) -> Metric:
    arms = read.total()
    control, treatment = arms.values()
    difference = compare(control, treatment, inference)
    return Metric(
        name=objective.name,
        outcome=objective.outcome,
        goal=objective.goal,
        arms=arms,
        rates={name: interval(arm) for name, arm in arms.items()},
        difference=difference,
        guardrail=guardrail,
        judged=verdict.judge(guardrail, difference) if guardrail else None,
    )


def _split(experiment: Analysis, metric: Metric) -> Split | None:
    if experiment.weights is None:
        return None
    planned = dict(zip(metric.arms, experiment.weights, strict=True))
    return split.check({name: arm.units for name, arm in metric.arms.items()}, planned)


def _verdict(
    metric: Metric,
    guardrails: tuple[Metric, ...],
    checked: Split | None,
    twice: int,
    objective: Objective,
) -> Verdict:
    control, treatment = metric.arms.values()
    if unsound := verdict.unsound(checked, control.units + treatment.units, twice):
        return unsound
    word, why = verdict.decide(
        metric.difference,
        metric.goal,
        verdict.by_metric((g.name, g.judged) for g in guardrails if g.judged),
    )
    if word == "undecided":
        too_few = (
            ""
            if metric.difference
            else f"Below 100 units or 10 {metric.outcome}s an arm there is nothing to compare."
        )
        shown = verdict.size(
            control, min(control.units, treatment.units), objective.unit or objective.exposure
        )
        why = " ".join(part for part in (why or too_few, shown) if part)
    return Verdict(word=word, why=why)


def _both_arms(
    project: Project, experiment: Analysis, objective: Objective, read: Cells, moment: datetime
) -> None:
    attribute = experiment.attribute
    for name, arm in read.total().items():
        if not arm.d:
            raise Invalid(
                f"experiments.{experiment.name}: no {objective.exposure} has {attribute} = "
                f"{name} before {moment:%Y-%m-%d %H:%M}",
                remedy=f"{attribute} is {_values(project, experiment, objective)}",
            )


def _values(project: Project, experiment: Analysis, objective: Objective) -> str:
    arm = experiment.attribute
    sql = (
        f"SELECT {arm} AS arm, count(*) AS n FROM {objective.name} GROUP BY {arm} ORDER BY n "
        "DESC LIMIT 12"
    )
    rows = project.target.warehouse.query(sql, {}).to_pylist()
    return ", ".join(f"{row['arm']} ({row['n']:,})" for row in rows) or "on no row: isthmus ingest"
