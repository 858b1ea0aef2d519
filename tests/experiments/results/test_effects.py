"""Sums that leave no room for an interval: nothing varies, nothing was shown, nobody came, or a
loss grew.
"""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from isthmus.errors import Invalid
from isthmus.experiments.design import runs
from isthmus.experiments.measure import run_cells
from isthmus.experiments.results import effects, run_results
from isthmus.experiments.results.effects import ComparedMetrics
from isthmus.experiments.results.looks import Look, Looks
from isthmus.experiments.results.results import MetricArms
from isthmus.experiments.results.text import value_text
from isthmus.experiments.statistics import verdict
from isthmus.experiments.statistics.sums import UnitSums
from isthmus.project.specs.experiments import Experiment, ExperimentArm, Metric, Plan, Total

NOW = datetime(2026, 3, 1, tzinfo=UTC)
BOUGHT = Metric(name="bought", kind="any", numerator=Total(event="purchase"))
CTR = Metric(
    name="ctr", kind="rate", numerator=Total(event="click"), denominator=Total(event="impression")
)
PLAN = Plan(minimum_effect=Decimal(8), days=14)
ARMS = tuple(ExperimentArm(name=name) for name in ("control", "treatment"))


def shares(units, outcomes):
    return UnitSums(units=units, y=outcomes, d=units, yy=outcomes, yd=outcomes, dd=units)


def judged(control, treatment, metric=BOUGHT, plan=PLAN):
    """What a first look says of the deciding metric, and the plan's size."""
    experiment = Experiment(name="test", layer="home", arms=ARMS, metric=(metric.name,), plan=plan)
    sums = {metric.name: {"control": control, "treatment": treatment}}
    units = control.units + treatment.units
    comparison = ComparedMetrics(experiment=experiment, metrics={metric.name: metric})
    looks = Looks().with_look(
        Look(until=NOW, units=units), effects.units_needed(comparison, sums), {}
    )
    horizons = effects.horizons(
        comparison,
        looks,
        effects.information_by_metric(comparison, sums),
        units=units,
        moment=NOW,
    )
    (effect,) = effects.effects(comparison, sums, horizons)
    return effect, looks


@pytest.mark.parametrize("treatment", [shares(200, 200), shares(200, 150)])
def test_a_control_in_which_nothing_varies_sizes_no_plan_and_decides_nothing_yet(treatment):
    effect, looks = judged(shares(200, 200), treatment)
    assert (looks.planned, looks.closed, effect.side, effect.relative.low) == (
        None,
        None,
        "open",
        None,
    )


def test_a_difference_between_two_constants_is_none_of_a_plan_that_is_not_sized():
    five, six = (
        UnitSums(units=200, y=200 * y, d=200, yy=200 * y * y, yd=200 * y, dd=200)
        for y in (5.0, 6.0)
    )
    effect, looks = judged(
        five,
        six,
        Metric(name="revenue", kind="sum", numerator=Total(event="purchase", attribute="amount")),
    )
    assert (looks.planned, effect.side, effect.absolute.low) == (None, "open", None)


@pytest.mark.parametrize("plan", [PLAN, None])
def test_outcomes_without_anything_that_was_shown_have_no_rate(plan):
    strange = UnitSums(units=200, y=50, d=0, yy=50, yd=0, dd=0)
    effect, looks = judged(strange, strange, CTR, plan)
    assert (effect.relative, effect.side, looks.planned) == (None, "open", None)
    assert (
        value_text(strange.rate, MetricArms(metric=CTR, role="decides", arms={}, rates={})) == "-"
    )


def test_a_loss_that_grows_is_no_rise_and_the_arm_that_loses_less_goes_first():
    def loss(mean):
        return UnitSums(
            units=20_000,
            y=20_000 * mean,
            d=20_000,
            yy=20_000 * (mean**2 + 1),
            yd=20_000 * mean,
            dd=20_000,
        )

    effect, _ = judged(loss(-5.0), loss(-6.0), plan=None)
    assert (effect.relative.value, effect.side) == (None, "worse")
    better, _ = judged(loss(-5.0), loss(-4.0), plan=None)
    both = [effect, effects.replace(better, arm="other")]
    assert effects.best_first(both, "bought", ["treatment", "other"]) == ["other", "treatment"]


@pytest.mark.parametrize("judgements", [("broken", "holds"), ("holds", "broken")])
def test_a_metric_with_a_limit_to_either_side_is_as_bad_as_its_worse_one(judgements):
    worst = verdict.by_metric(
        [("errors", "inconclusive"), *(("bought", judged) for judged in judgements)]
    )
    assert worst == {"errors": "inconclusive", "bought": "broken"}


def test_values_whose_squares_have_no_number_are_told_with_their_metric():
    revenue = Metric(
        name="revenue", kind="sum", numerator=Total(event="purchase", attribute="amount")
    )
    row = {
        "arm": 0,
        "segment": "",
        "first_day": NOW,
        "day": NOW,
        "units": 1,
        "m0_y": 1e200,
        "m0_yy": float("inf"),
    }
    with pytest.raises(Invalid, match="metric revenue: its values are too large"):
        run_cells.cell(row, run_cells.CellQuery(metrics=(revenue,), arms=("control",)))


def test_units_of_a_day_are_those_of_the_whole_days_and_on_the_first_day_those_of_its_part():
    came = {0: 800, 1: 600, 2: 100}
    days = {NOW + day * timedelta(1): number for day, number in came.items()}
    cells = [
        run_cells.Cell(
            arm="a", segment="", first=at.date(), day=at.date(), sums={"bought": shares(n, 0)}
        )
        for at, n in days.items()
    ]

    def a_day(number):
        return run_results._units_a_day(
            run_cells.RunCells(arms=("a",), cells=tuple(cells[:number])),
            NOW + (number - 0.5) * timedelta(1),
        )

    assert [a_day(number) for number in (1, 2, 3)] == [800, 800, 700]


def test_an_old_log_counts_its_last_moment_with_its_outcomes_and_a_live_one_what_is_known():
    spec = SimpleNamespace(
        now=NOW, objectives={"ctr": SimpleNamespace(within=timedelta(minutes=30))}
    )
    ctr = (effects.replace(CTR, objective="ctr"),)
    assert run_cells.cutoffs(spec, ctr, NOW) == (
        NOW + timedelta(milliseconds=1),
        NOW + timedelta(minutes=30),
    )
    assert run_cells.cutoffs(spec, ctr, NOW - timedelta(1)) == (NOW - timedelta(1),) * 2
    assert run_cells.cutoffs(SimpleNamespace(now=None), ctr, NOW) == (NOW, NOW)


def test_an_old_log_is_read_from_its_beginning_and_a_live_one_from_the_day_before_the_start():
    run = SimpleNamespace(at=datetime(2026, 11, 26, 1, tzinfo=UTC))
    assert runs.first_day(run, SimpleNamespace(now=NOW)) < date(2026, 3, 1)
    assert runs.first_day(run, SimpleNamespace(now=None)) == date(2026, 11, 25)


class FarFromZero:
    """A warehouse whose 1,000 units add ten million each, and differ by one; sums are of what is
    left of the shifts that are asked for.

    In the time before they added twenty million each, and half of them two more: not the half that
    adds one more now.
    """

    values = np.arange(1000) % 2 + 1e7
    past = np.arange(1000) // 500 * 2 + 2e7

    def observe(self, _table):
        return self

    def query(self, _sql, asked):
        y, x = self.values - asked["shift0"], self.past - asked["shift0_x"]
        came = NOW - timedelta(28)
        row = {"arm": 0, "segment": "", "first_day": came, "day": came, "units": len(y)}
        sums = {"y": y, "yy": y * y, "x": x, "xx": x * x, "yx": y * x}
        return pa.Table.from_pylist(
            [row | {f"m0_{name}": float(of.sum()) for name, of in sums.items()}]
        )


def test_what_an_endpoint_did_is_asked_again_where_the_squares_of_large_values_lose_their_digits(
    monkeypatch,
):
    monkeypatch.setattr(run_cells, "cells_sql", lambda *_, **__: "")
    metric = Metric(
        name="revenue",
        kind="sum",
        numerator=Total(event="purchase", attribute="amount"),
        before=timedelta(days=2),
    )
    spec = SimpleNamespace(
        now=None, objectives={}, endpoints={"ranker": SimpleNamespace(unit="visitor_id")}
    )
    project = SimpleNamespace(spec=spec, target=SimpleNamespace(warehouse=FarFromZero()))
    sums = run_cells.read_endpoint(project, "ranker", metric, NOW).sums_at(metric, NOW, None)["all"]
    assert sums.covariance("y", "y") == pytest.approx(0.25, rel=2e-3)
    assert sums.mean("y") == pytest.approx(1e7 + 0.5)
    assert sums.covariance("x", "x") == pytest.approx(1, rel=2e-3)
    assert sums.mean("x") == pytest.approx(2e7 + 1)
    assert sums.linear("x") == pytest.approx(0, abs=1e-6), (
        "what they did before says nothing of what they do now"
    )
