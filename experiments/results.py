"""What a log says of two arms that were assigned elsewhere: one query, then arithmetic."""

from __future__ import annotations

from datetime import datetime

import msgspec

from ..errors import Invalid, NotFound
from ..feature_store.port import Params
from ..pipelines.statistics import Estimate
from ..project.specs import Experiment, Objective
from ..runtime import Project
from ..times import utc_milliseconds
from . import sizing
from .ratio import Arm, Difference, Inference, compare

_SUMS = ("units", "y", "d", "yy", "yd", "dd")
_ROWS = "({arm} = $control OR {arm} = $treatment) AND event_timestamp < $until AND created_timestamp <= $known"


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """`verdict` is the treatment's: better, worse or undecided, at 95 %. `rates` and `difference` are None where there is too little."""

    experiment: str
    metric: str
    exposure: str  # what a row is
    outcome: str
    unit: str | None  # the attribute whose rows are not independent of each other; None: the log names none
    as_of: datetime
    control: str
    treatment: str
    arms: dict[str, Arm]
    rates: dict[str, Estimate | None]
    difference: Difference | None
    inference: Inference
    twice: int = 0  # units that are in both arms: left out
    unnamed: int = 0  # rows without a unit: left out
    verdict: str
    why: str

    @property
    def headline(self) -> str:
        """The verdict and the figure that it rests on."""
        if self.difference is None:
            return f"{self.verdict}: too few {self.outcome}s"
        relative = self.difference.relative
        return f"{self.verdict}: {self.metric} {100 * relative.value:+.0f} % ({100 * relative.low:+.0f} .. {100 * relative.high:+.0f} %)"

    def __str__(self) -> str:
        return "\n".join([self._head(), *self._arms(), *self._compared(), *self._left_out(), f"verdict   {self.verdict}. {self.why}"])

    def _head(self) -> str:
        whose = f"unit: {self.unit}" if self.unit else f"unit: {self.exposure} (the log names none, so true intervals are wider)"
        return f"{self.experiment}   assigned by the site; {whose}"

    def _arms(self) -> list[str]:
        units = self.unit is not None
        head = ["", *(["units"] if units else []), f"{self.exposure}s", f"{self.outcome}s", self.metric, "95 %"]
        rows = [head]
        for name, arm in self.arms.items():
            interval = self.rates[name]
            shown = "too few" if interval is None else f"{100 * interval.low:.2f} .. {100 * interval.high:.2f}"
            counted = [f"{arm.units:,}"] if units else []
            rows.append([name, *counted, f"{arm.d:,}", f"{arm.y:,}", f"{100 * arm.rate:.3f} %", shown])
        return _grid(rows)

    def _compared(self) -> list[str]:
        if self.difference is None:
            return []
        how = "fixed horizon: the log is closed" if self.inference == "fixed" else "at any look: the log grows"
        of, relative = self.difference.absolute, self.difference.relative
        points = f"{100 * of.value:+.3f} points   {100 * of.low:+.3f} .. {100 * of.high:+.3f}"
        percent = f"{100 * relative.value:+.0f} %   {100 * relative.low:+.0f} .. {100 * relative.high:+.0f} %"
        return [f"  difference   {points}      relative {percent}   {how}"]

    def _left_out(self) -> list[str]:
        twice = [f"  left out: {_counted(self.twice, 'unit')} in both arms"] if self.twice else []
        return twice + ([f"  left out: {_counted(self.unnamed, 'row')} without {self.unit}"] if self.unnamed else [])


def results(project: Project, name: str, *, as_of: datetime | None = None) -> Results:
    """Compare the arms on all rows whose outcome is known at `as_of` (default: now).

    NotFound: no such experiment. Invalid: an arm has no rows.
    """
    experiment = of_project(project, name)
    objective = project.spec.objectives[experiment.metric]
    moment = utc_milliseconds(as_of or project.now())
    arms, twice, unnamed = read_arms(project, experiment, objective, moment)
    control, treatment = str(experiment.control), str(experiment.treatment)
    if empty := [arm for arm in (control, treatment) if not arms[arm].d]:
        raise Invalid(
            f"experiments.{name}: no {objective.exposure} has {experiment.attribute} = {empty[0]} before {moment:%Y-%m-%d %H:%M}",
            remedy=f"{experiment.attribute} is {_values(project, experiment, objective)}",
        )
    inference: Inference = "fixed" if project.spec.now is not None else "always"
    difference = compare(arms[control], arms[treatment], inference)
    verdict, why = _verdict(arms[control], arms[treatment], difference, objective, inference)
    return Results(
        experiment=name,
        metric=objective.name,
        exposure=objective.exposure,
        outcome=objective.outcome,
        unit=objective.unit,
        as_of=moment,
        control=control,
        treatment=treatment,
        arms=arms,
        rates={arm: sums.interval() for arm, sums in arms.items()},
        difference=difference,
        inference=inference,
        twice=twice,
        unnamed=unnamed,
        verdict=verdict,
        why=why,
    )


def of_project(project: Project, name: str) -> Experiment:
    experiment = project.spec.experiments.get(name)
    if experiment is None:
        have = ", ".join(project.spec.experiments) or "none"
        raise NotFound(f"project.yaml has no experiment {name}", remedy=f"it has {have}")
    return experiment


def read_arms(project: Project, experiment: Experiment, objective: Objective, moment: datetime) -> tuple[dict[str, Arm], int, int]:
    """The sums of both arms; how many units are in both; how many rows name no unit. One query."""
    # an old log is complete: outcomes up to the end of the window of its last row count as known
    known = moment + objective.within if project.spec.now is not None and moment == utc_milliseconds(project.spec.now) else moment
    params = {"control": experiment.control, "treatment": experiment.treatment, "until": moment, "known": known}
    answer = project.target.warehouse.query(sums_sql(experiment, objective), params)
    arms = {str(value): Arm(units=0, y=0, d=0, yy=0, yd=0, dd=0) for value in (experiment.control, experiment.treatment)}
    twice = 0
    for row in answer.to_pylist():
        if row["arm"] != row["other"]:
            twice += int(row["units"])
        else:
            arms[str(row["arm"])] = Arm(**{name: int(row[name]) for name in _SUMS})
    return arms, twice, _unnamed(project, experiment, objective, params)


def _unnamed(project: Project, experiment: Experiment, objective: Objective, params: Params) -> int:
    attributes = project.spec.events[objective.exposure].attributes
    if all(attribute.required for attribute in attributes if attribute.name == objective.unit):
        return 0
    sql = f"SELECT count(*) AS n FROM {objective.name} WHERE {_ROWS.format(arm=experiment.attribute)} AND {objective.unit} IS NULL"
    return int(project.target.warehouse.query(sql, params)["n"][0].as_py())


def sums_sql(experiment: Experiment, objective: Objective) -> str:
    """Columns: arm, other (differs from it where units are in both arms), and the sums of `Arm`."""
    arm = experiment.attribute
    of_arms = f"FROM {objective.name} WHERE {_ROWS.format(arm=arm)}"
    sums = "count(*) AS units, sum(y) AS y, sum(d) AS d, sum(y * y) AS yy, sum(y * d) AS yd, sum(d * d) AS dd"
    if objective.unit is None:
        inner = f"SELECT {arm} AS arm, {arm} AS other, outcome AS y, 1 AS d {of_arms}"
    else:
        by_unit = f"{of_arms} AND {objective.unit} IS NOT NULL GROUP BY {objective.unit}"
        inner = f"SELECT min({arm}) AS arm, max({arm}) AS other, sum(outcome) AS y, count(*) AS d {by_unit}"
    return f"SELECT arm, other, {sums} FROM ({inner}) AS isthmus_units GROUP BY arm, other"


def _values(project: Project, experiment: Experiment, objective: Objective) -> str:
    arm = experiment.attribute
    sql = f"SELECT {arm} AS arm, count(*) AS n FROM {objective.name} GROUP BY {arm} ORDER BY n DESC LIMIT 12"
    rows = project.target.warehouse.query(sql, {}).to_pylist()
    return ", ".join(f"{row['arm']} ({row['n']:,})" for row in rows) or "on no row: isthmus ingest"


def _verdict(control: Arm, treatment: Arm, difference: Difference | None, objective: Objective, inference: Inference) -> tuple[str, str]:
    shown = _size(control, min(control.units, treatment.units), objective)
    if difference is None:
        return "undecided", f"Below 100 units or 10 {objective.outcome}s an arm there is nothing to compare." + (
            f" {shown}" if shown else ""
        )
    of = difference.absolute
    if of.low <= 0 <= of.high:
        return "undecided", shown if inference == "fixed" else f"{shown} Look again when there is more."
    better = (of.value > 0) == (objective.goal == "maximise")
    return ("better" if better else "worse"), "The whole interval lies on one side of no difference."


def _size(control: Arm, units: int, objective: Objective) -> str:
    if not control.y:
        return ""
    rise = sizing.effect_shown(control, units)
    least = "no effect below eleven times the control" if rise is None else f"a rise of {percent_up(rise)} % or more"
    needed = f"{rounded(sizing.units_needed(control, 0.2)):,} {objective.unit or objective.exposure}s an arm"
    return f"This size shows {least} four times in five; +20 % takes {needed}."


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def percent_up(share: float) -> int:
    """Whole percents, so that what is promised is shown."""
    return -int(-share * 100 // 1)


def rounded(count: int) -> int:
    """To thousands above ten thousand: more would be made up."""
    return count if count < 10_000 else round(count, -3)


def _grid(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            f"{cell:<{width}}" if column in (0, len(row) - 1) else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(f"  {'   '.join(cells)}".rstrip())
    return lines
