"""What stops, ships or goes on: guardrails on the side of the harm, the order of the verdicts, and
the figures they are made of.
"""

import math
from decimal import Decimal

import numpy as np
import pytest

from isthmus.experiments.statistics.assessment import compare_secondary, decide
from isthmus.experiments.statistics.conclusion import (
    Conclusion,
    RunAge,
    TreatmentFigures,
    conclude,
)
from isthmus.experiments.statistics.guardrails import Arm, guard
from isthmus.experiments.statistics.inference import LookSchedule
from isthmus.experiments.statistics.ratio import points
from isthmus.experiments.statistics.sums import UnitSums
from isthmus.project.specs.experiments import ExperimentGuardrail

from .test_ratio import rows_of
from .worlds import sums, units

MAY_RISE = ExperimentGuardrail(metric="errors", may="rise", margin=Decimal(10))
MAY_DROP = ExperimentGuardrail(metric="bought", may="drop", margin=Decimal(10))
ONCE = LookSchedule(inference="fixed", units=40_000)


def guarded(guardrail, control, treatment, horizon=ONCE):
    of = points({"control": control, "treatment": treatment})
    return guard(
        guardrail,
        Arm(name="control", sums=control, point=of["control"]),
        Arm(name="treatment", sums=treatment, point=of["treatment"]),
        horizon,
    )


@pytest.mark.parametrize(
    ("guardrail", "control", "treatment", "judged"),
    [
        (MAY_RISE, 2000, 1950, "holds"),
        (MAY_RISE, 2000, 2150, "inconclusive"),
        (MAY_RISE, 2000, 2150 + 400, "broken"),
        (MAY_DROP, 2000, 2050, "holds"),
        (MAY_DROP, 2000, 1850, "inconclusive"),
        (MAY_DROP, 2000, 1850 - 400, "broken"),
        (MAY_RISE, 3, 400, "broken"),  # the control has next to no errors
        (MAY_RISE, 0, 400, "broken"),
        (MAY_DROP, 400, 0, "broken"),
        (MAY_RISE, 3, 4, "inconclusive"),
    ],
)
def test_a_guardrail_holds_by_its_bound_and_is_broken_by_what_always_shows(
    guardrail, control, treatment, judged
):
    assert guarded(guardrail, rows_of(control, 20_000), rows_of(treatment, 20_000)).judged == judged


def test_two_arms_without_a_unit_show_nothing():
    assert (
        guarded(
            MAY_RISE, rows_of(0, 0), rows_of(0, 0), LookSchedule(inference="always", units=0)
        ).judged
        == "inconclusive"
    )


def test_the_bound_is_on_the_side_of_the_harm_at_five_percent():
    control, treatment = rows_of(2000, 20_000), rows_of(2050, 20_000)
    spread = 1.6448536 * math.sqrt(
        0.9 / 2000 * 20_000 / 19_999 + (1 - 0.1025) / 2050 * 20_000 / 19_999
    )
    assert guarded(MAY_RISE, control, treatment).bound == pytest.approx(
        1.025 * math.exp(spread) - 1, rel=1e-4
    )
    assert guarded(MAY_DROP, control, treatment).bound == pytest.approx(
        1.025 * math.exp(-spread) - 1, rel=1e-4
    )


def test_harm_at_the_margin_stops_hardly_any_of_two_thousand_runs_that_are_looked_at_five_times():
    random = np.random.default_rng(20261231)
    runs, looks, step = 2000, 5, 2000
    came = [
        random.binomial(step, rate, (runs, looks)).cumsum(axis=1).tolist() for rate in (0.1, 0.11)
    ]
    stopped = sum(
        any(
            guarded(
                MAY_RISE,
                *(rows_of(side[look], step * (look + 1)) for side in run),
                watched(look, step),
            ).judged
            == "broken"
            for look in range(looks)
        )
        for run in zip(*came, strict=True)
    )
    assert stopped <= 0.025 * runs


def watched(look, step):
    return LookSchedule(inference="always", units=2 * step * (look + 1), planned=20_000)


def shown(metrics=("better",), guardrails=("holds",), arm="treatment"):
    return TreatmentFigures(
        arm=arm,
        metrics={f"m{at}": of for at, of in enumerate(metrics)},
        guardrails={f"g{at}": of for at, of in enumerate(guardrails)},
    )


RUNNING, OVER = RunAge(days=10, left=5), RunAge(days=14, over=True)


@pytest.mark.parametrize(
    ("arm", "age", "headline"),
    [
        (shown(), RUNNING, "ship"),
        (shown(), RunAge(days=3, left=11), "keep running, about 4 days"),
        (shown(), RunAge(days=3, over=True), "ship"),
        (shown(guardrails=("holds", "broken")), RUNNING, "stop: guardrail g1"),
        (shown(("worse",), ("broken",)), OVER, "stop: guardrail g0"),
        (shown(guardrails=("inconclusive",)), RUNNING, "keep running, about 5 days"),
        (shown(guardrails=("inconclusive",)), OVER, "undecided"),
        (shown(("better", "open")), RUNNING, "keep running, about 5 days"),
        (shown(("better", "open")), OVER, "undecided"),
        (shown(("better", "worse")), RUNNING, "stop: worse"),
        (shown(("worse",)), RunAge(days=1, left=13), "stop: worse"),
        (shown(("open",)), RunAge(days=10), "keep running"),
        (shown(("open",)), RunAge(days=10, left=1), "keep running, about 1 day"),
    ],
)
def test_the_verdict_is_the_first_in_the_specifications_order(arm, age, headline):
    assert conclude([arm], age).headline == headline
    unsound = Conclusion(word="invalid", why="The split is not as planned.")
    assert conclude([arm], age, unsound=unsound).headline == "invalid"


def test_of_several_treatments_a_good_one_ships_a_bad_one_alone_stops_nothing_and_harm_in_one_stops_all():
    good, bad, harmful = (
        shown(arm="high"),
        shown(("worse",), arm="low"),
        shown(("open",), ("broken",), arm="mid"),
    )
    assert (conclude([bad, good], RUNNING).word, conclude([bad, good], RUNNING).of) == (
        "ship",
        "high",
    )
    assert conclude([bad, shown(("open",))], RUNNING).word == "keep running"
    assert conclude([bad, shown(("worse",), arm="mid")], RUNNING).headline == "stop: worse"
    assert (
        str(conclude([good, harmful], RUNNING))
        == "stop: guardrail g0. Harm beyond the margin is shown in mid."
    )


def rates(**outcomes):
    return {arm: rows_of(y, 20_000) for arm, y in outcomes.items()}


def test_what_decides_together_is_asked_at_holms_levels():
    metrics = {
        "ctr": rates(control=2000, low=2150, high=2300),
        "bought": rates(control=500, low=505, high=560),
    }
    seen = {
        (of.metric, of.arm): of
        for of in decide(
            metrics, {"ctr": "maximise", "bought": "minimise"}, dict.fromkeys(metrics, ONCE)
        )
    }
    assert {key: of.level for key, of in seen.items()} == {
        ("ctr", "high"): 0.0125,
        ("ctr", "low"): 0.05 / 3,
        ("bought", "low"): 0.025,
        ("bought", "high"): 0.025,
    }
    assert [of.side for of in seen.values()] == ["better", "better", "open", "open"]
    alone = decide({"ctr": rates(control=2000, low=2180)}, {"ctr": "minimise"}, {"ctr": ONCE})[0]
    assert (alone.level, alone.side, alone.difference) == (0.05, "worse", alone.once)


def test_what_is_told_has_a_q_and_who_has_too_few_has_none():
    told = {
        of.metric: of
        for of in compare_secondary(
            {
                "clicks": rates(control=2000, b=2150),
                "views": rates(control=2000, b=2010),
                "rare": rates(control=3, b=90),
            }
        )
    }
    assert told["clicks"].q < 0.05 < told["views"].q
    assert (told["rare"].q, told["rare"].difference) == (None, None)


def test_a_difference_says_how_much_the_time_before_has_saved():
    random = np.random.default_rng(20261232)
    arms = {name: sums(*units("mean", random, 1, 20_000))[0] for name in ("control", "treatment")}
    (of,) = compare_secondary({"stay": arms})
    assert of.saved == pytest.approx(0.25, abs=0.02)


def test_families_of_deciding_metrics_are_wrong_in_five_percent_together():
    random = np.random.default_rng(20261233)
    runs, metrics = 2000, [f"m{at}" for at in range(4)]
    came = random.binomial(20_000, 0.1, (runs, len(metrics), 2)).tolist()
    goals, horizons = dict.fromkeys(metrics, "maximise"), dict.fromkeys(metrics, ONCE)
    wrong = sum(
        any(
            of.side != "open"
            for of in decide(
                {m: rates(control=c, b=b) for m, (c, b) in zip(metrics, run, strict=True)},
                goals,
                horizons,
            )
        )
        for run in came
    )
    assert abs(wrong - 0.05 * runs) <= 4 * math.sqrt(runs * 0.05 * 0.95)


def test_outcomes_that_are_counted_beside_a_float_total_decide_whether_there_are_enough():
    y = {"units": 1000, "y": 5.0, "yy": 900.0, "d": 1000.0, "yd": 5.0, "dd": 1000.0}
    assert [UnitSums(**y).enough, UnitSums(**y, outcomes=40).enough] == [False, True]
