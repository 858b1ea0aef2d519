"""What a run cost, and what one will cost: sums of seconds and prices, and the budget of runs."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.adapters import targets
from isthmus.errors import Refused
from isthmus.pipelines.graphs.graph import Pipeline, Step, check
from isthmus.pipelines.port import RunState, StepState
from isthmus.pipelines.runs.costs import (
    RunCost,
    StepCost,
    cost_of,
    cost_uri,
    find_cost,
    keep_cost,
    total,
)
from isthmus.pipelines.runs.document import RunDocument, StepResult, write
from isthmus.pipelines.runs.estimates import PlannedRuns, estimate_runs, one_run, require_budget
from isthmus.pipelines.runs.step_results import step_folder
from isthmus.project.load import load
from isthmus.target import Profile, RunPrices, StepRate

NOON = datetime(2026, 12, 3, 12, tzinfo=UTC)
PROJECT = "name: shop\nentities: {}\nevents: {}\n"
PROFILES = """
targets:
  production:
    adapter: sagemaker
    account: "123456789012"
    region: us-east-1
    bucket: s3://example
    jobs:
      machine: ml.m5.large
      budget: {budget}
"""


class Prices:
    """A provider with a price of one machine, and seconds of its own for one step."""

    def __init__(self, hourly="3.60", fee="0", seconds=None):
        self.hourly = Decimal(hourly) if hourly else None
        self.fee, self.seconds = Decimal(fee), seconds or {}

    def run_prices(self, _profile, steps):
        rate = StepRate(machine="big", hourly=self.hourly)
        return RunPrices(table="2026-07", rates={step.name: rate for step in steps}, fee=self.fee)

    def billed_seconds(self, _target, _run_id):
        return self.seconds


@pytest.fixture
def billed(tmp_path):
    """Return a function that makes a target of files, which bills as `Prices` says."""

    def make(prices=None, **options):
        profile = Profile(
            name="production",
            adapter="local",
            project="shop",
            options={"home": str(tmp_path / "home")} | options,
        )
        target = targets.load(profile)
        target.adapter = msgspec.structs.replace(
            target.adapter, jobs_priced=prices or Prices(), remote=True
        )
        return target

    return make


def project_on(target, description=None):
    return SimpleNamespace(target=target, description=description)


STEPS = (Step(name="rows", function="a:b"), Step(name="fit", function="a:c", kind="training"))
PIPELINE = Pipeline(name="history", steps=STEPS)
RUN = one_run(PIPELINE)


def document(target, run="r1", **more):
    fields = {
        "run": run,
        "run_id": run,
        "pipeline": "history",
        "project_file": None,
        "folder": "/",
        "profile": target.profile,
        "version": "1",
        "retry_of": None,
        "submitted": NOON,
        "parameters": {},
        "steps": check(PIPELINE),
        "settled": {},
    }
    return RunDocument(**fields | more)


def lasting(name, seconds, phase="done"):
    ended = NOON + timedelta(seconds=seconds) if phase == "done" else None
    return StepState(name=name, phase=phase, started=NOON, ended=ended)


def state(*steps):
    return RunState(run_id="r1", phase="done", steps=steps)


def kept(store, run, seconds, **more):
    """Keep the cost of an earlier run with these seconds by step."""
    steps = tuple(
        StepCost(step=name, machine="big", seconds=each, hourly=Decimal("3.60"))
        for name, each in seconds.items()
    )
    fields = {
        "run": run,
        "pipeline": "history",
        "target": "production",
        "usd": Decimal(1),
        "table": "2026-07",
        "billed": True,
        "fee": Decimal(0),
        "steps": steps,
    }
    write(store.blobs, cost_uri(store.blobs, run), RunCost(**fields | more))


def test_a_cost_is_seconds_by_price_of_each_step_and_the_runs_fee(billed):
    target = billed(Prices(fee="0.03"))
    cost = cost_of(target, document(target), state(lasting("rows", 100), lasting("fit", 50)))
    assert cost.usd == Decimal("0.18")
    assert cost.seconds == 150
    assert str(cost) == "0.1800 USD (150 s of big, price table of 2026-07)"


def test_the_seconds_that_the_provider_bills_are_those_that_count(billed):
    target = billed(Prices(seconds={"fit": 7.0}))
    cost = cost_of(target, document(target), state(lasting("rows", 100), lasting("fit", 50)))
    assert [(step.step, step.seconds) for step in cost.steps] == [("rows", 100), ("fit", 7)]


def test_a_step_that_did_not_begin_or_was_known_at_submit_costs_nothing(billed):
    target = billed()
    settled = document(target, settled={"rows": "cached"})
    waiting = StepState(name="fit", phase="waiting")
    cost = cost_of(target, settled, state(lasting("rows", 0), waiting))
    assert (cost.usd, cost.steps) == (0, ())


@pytest.mark.parametrize(
    ("prices", "phase", "why"),
    [
        (Prices(hourly=None), "done", "no price of big for jobs in the table of 2026-07"),
        (Prices(), "running", "nobody says how long fit ran"),
    ],
)
def test_an_unknown_part_makes_the_whole_unknown_and_says_which(billed, prices, phase, why):
    target = billed(prices)
    cost = cost_of(target, document(target), state(lasting("rows", 9), lasting("fit", 9, phase)))
    assert (cost.usd, str(cost)) == (None, f"unknown: {why}")


def test_where_an_adapter_has_no_prices_of_jobs_the_cost_is_unknown_and_never_zero(billed):
    target = billed()
    target.adapter = msgspec.structs.replace(target.adapter, jobs_priced=None)
    cost = cost_of(target, document(target), state(lasting("rows", 9), lasting("fit", 9)))
    assert (cost.usd, cost.billed) == (None, True)
    assert estimate_runs(project_on(target), RUN).usd is None


def test_this_machine_bills_nothing_and_says_so(tmp_path):
    profile = Profile(
        name="local", adapter="local", project="shop", options={"home": str(tmp_path / "home")}
    )
    target = targets.load(profile)
    cost = cost_of(target, document(target), state(lasting("rows", 9), lasting("fit", 9)))
    assert (cost.usd, cost.billed) == (0, False)
    assert str(cost) == "0.00 USD: local bills nothing   18.0 s of steps"
    assert str(estimate_runs(project_on(target), RUN)) == "cost    0.00 USD: local bills nothing"


def test_a_kept_cost_stays_as_the_prices_of_its_day_were(billed):
    target, dear = billed(Prices("3.60")), billed(Prices("7.20"))
    steps = state(lasting("rows", 100), lasting("fit", 0))
    first = keep_cost(target, document(target), steps)
    assert keep_cost(dear, document(dear), steps) == first == find_cost(target.blobs, "r1")


@given(
    st.lists(
        st.tuples(st.integers(0, 10**7), st.one_of(st.none(), st.integers(0, 50))), max_size=6
    ),
    st.one_of(st.none(), st.integers(0, 5)),
)
def test_a_sum_is_known_only_if_each_part_is(parts, fee):
    costs = [
        StepCost(
            step=f"s{number}",
            machine="m",
            seconds=seconds / 1000,
            hourly=None if hourly is None else Decimal(hourly),
        )
        for number, (seconds, hourly) in enumerate(parts)
    ]
    usd = total(costs, None if fee is None else Decimal(fee))
    if fee is None or any(hourly is None for _, hourly in parts):
        assert usd is None
    else:
        expected = fee + sum(seconds * hourly for seconds, hourly in parts) / 3_600_000
        assert float(usd) == pytest.approx(expected, abs=1e-6)


def test_an_estimate_takes_each_step_from_the_newest_run_of_its_pipeline_in_which_it_ran(billed):
    target = billed()
    kept(target, "r1", {"rows": 999.0, "fit": 999.0})
    kept(target, "r2", {"rows": 40.0, "fit": 20.0})
    kept(target, "r9", {"rows": 5.0, "fit": 5.0}, pipeline="another")
    kept(target, "r10", {"rows": 5.0, "fit": 5.0}, target="staging")
    kept(target, "r11", {"fit": 60.0})
    estimate = estimate_runs(project_on(target), RUN)
    assert (estimate.seconds, estimate.usd) == (100, Decimal("0.1"))
    assert estimate.runs == ("r2", "r11")
    assert str(estimate) == (
        "cost    about 0.1000 USD: 100 s as in r2, r11 on big, price table of 2026-07"
    )


def test_each_of_several_runs_has_its_fee_and_steps_of_equal_work_the_mean_of_one_run(billed):
    target = billed(Prices(fee="0.03"))
    kept(target, "r1", {"rows": 40.0})
    kept(target, "r2", {"trial_1": 999.0}, pipeline="tune")
    kept(target, "r3", {"trial_5": 10.0, "trial_6": 30.0, "own": 500.0}, pipeline="tune")
    rounds = [
        Pipeline(name="tune", steps=tuple(Step(name=f"trial_{n}", function="a:b") for n in numbers))
        for numbers in ((1, 2, 3), (4,))
    ]
    study = PlannedRuns(
        about="a study",
        pipelines=(Pipeline(name="history", steps=STEPS[:1]), *rounds),
        alike=lambda name: name.partition("_")[0],
    )
    estimate = estimate_runs(project_on(target), study)
    assert (estimate.seconds, estimate.runs) == (40 + 4 * 20, ("r1", "r3"))
    assert estimate.usd == 3 * Decimal("0.03") + Decimal("0.12")
    target.blobs.delete(cost_uri(target.blobs, "r1"))
    assert str(estimate_runs(project_on(target), study)).startswith(
        "cost    unknown: history has no earlier run on production to judge by; at most "
    )


def test_a_step_that_took_an_earlier_result_is_no_measure_of_its_work(billed):
    target = billed()
    result = StepResult(
        run="r2",
        step="fit",
        key="k",
        parts={},
        outputs={},
        artifacts={},
        started=NOON,
        ended=NOON,
        attempts=0,
        cached_from="r1",
    )
    write(target.blobs, f"{step_folder(target.blobs, 'r2', 'fit')}/step.json", result)
    steps = state(lasting("rows", 9), lasting("fit", 9))
    cost = keep_cost(target, document(target, run="r2"), steps)
    assert [step.cached for step in cost.steps] == [False, True]
    assert estimate_runs(project_on(target), RUN).seconds is None


def test_without_an_earlier_run_a_cost_is_unknown_and_the_time_limits_say_the_most(billed):
    estimate = estimate_runs(project_on(billed()), RUN)
    assert (estimate.usd, estimate.most) == (None, Decimal("7.80"))  # 2 x (1 h + 5 min) x 3.60
    assert str(estimate) == (
        "cost    unknown: history has no earlier run on production to judge by; at most 7.80 USD "
        "by the time limits of its steps"
    )


@pytest.fixture
def described(tmp_path):
    """Return a function that gives a project's description with this budget of runs."""

    def make(budget):
        (tmp_path / "project.yaml").write_text(PROJECT)
        (tmp_path / "profiles.yaml").write_text(PROFILES.replace("{budget}", budget))
        return load(tmp_path)

    return make


def budgeted(billed, described, budget, prices=None, **options):
    parsed = {"limit": "1.00 USD", "unknown": "allow"} if "allow" in budget else budget
    target = billed(prices, jobs={"budget": parsed}, **options)
    return project_on(target, described(budget))


def test_a_run_above_the_budget_is_refused_with_file_line_key_figures_and_remedy(billed, described):
    project = budgeted(billed, described, "1.00 USD")
    kept(project.target, "r4", {"rows": 1000.0, "fit": 1000.0})
    with pytest.raises(Refused) as refused:
        require_budget(project, RUN)
    assert refused.value.message == (
        "profiles.yaml:10: targets.production.jobs.budget: a run of history would cost about 2.00 "
        "USD (2,000 s as in r4 on big), which is above 1.00 USD; nothing was started"
    )
    assert "raise the budget" in refused.value.remedy


def test_a_run_within_the_budget_is_not_refused_and_twenty_of_it_are(billed, described):
    project = budgeted(billed, described, "1.00 USD")
    kept(project.target, "r4", {"rows": 100.0, "fit": 100.0})
    assert require_budget(project, RUN).usd == Decimal("0.2")
    twenty = PlannedRuns(about="twenty runs", pipelines=(PIPELINE,) * 20)
    with pytest.raises(Refused, match=r"twenty runs would cost about 4\.00 USD"):
        require_budget(project, twenty)


@pytest.mark.parametrize("prices", [Prices(), Prices(hourly=None)])
def test_an_unknown_cost_is_refused_with_what_allows_it(billed, described, prices):
    project = budgeted(billed, described, "1.00 USD", prices)
    with pytest.raises(Refused, match="nobody knows what a run of history costs") as refused:
        require_budget(project, RUN)
    assert "budget: {limit: 1.00 USD, unknown: allow}" in refused.value.remedy


def test_an_unknown_cost_is_let_through_where_time_limits_fit_it_is_allowed_or_offline(
    billed, described
):
    fits = budgeted(billed, described, "7.80 USD")
    assert require_budget(fits, RUN).usd is None
    allowed = budgeted(billed, described, "{limit: 1.00 USD, unknown: allow}", Prices(hourly=None))
    assert require_budget(allowed, RUN).usd is None
    offline = budgeted(billed, described, "1.00 USD", endpoint_url="http://127.0.0.1:9")
    assert require_budget(offline, RUN).usd is None


def test_a_known_cost_above_the_budget_is_refused_though_unknown_ones_are_allowed(
    billed, described
):
    project = budgeted(billed, described, "{limit: 1.00 USD, unknown: allow}")
    kept(project.target, "r4", {"rows": 1000.0, "fit": 1000.0})
    with pytest.raises(Refused, match="is above"):
        require_budget(project, RUN)
