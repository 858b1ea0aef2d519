"""`rollouts:` -> every step written out, the defaults, and what is only warned of."""

from datetime import timedelta
from decimal import Decimal

import pytest

from isthmus.project.specs.description import Guardrail, Hold, OfficeHours, Rollout, RolloutStep

from .cases import STEPS, P

MINUTE = timedelta(minutes=1)


def steps(example):
    return [
        (int(step.traffic), step.bake // MINUTE) for step in example.spec().rollouts["ranker"].steps
    ]


def test_the_example_says_what_it_says_and_all_else_has_a_default(example):
    assert example.spec().rollouts == {
        "ranker": Rollout(
            endpoint="ranker",
            steps=(
                RolloutStep(traffic=Decimal(25), bake=15 * MINUTE),
                RolloutStep(traffic=Decimal(50), bake=30 * MINUTE, pause=True),
                RolloutStep(traffic=Decimal(100), bake=30 * MINUTE),
            ),
            guardrails=(
                Guardrail(metric="error_rate", max=0.01, min_requests=200),
                Guardrail(metric="latency_p99", max_ratio=1.2),
            ),
        )
    }


def test_everything_of_a_rollout_can_be_written(example):
    example.edit(
        P,
        STEPS,
        STEPS
        + """
    from: champion
    to: challenger
    false_alarm: 1%
    failure_limit: 3
    on_no_data: {hold: 20m}
    on_inconclusive: {hold: 10m, then: abort}
    on_drift: pause
    capacity: keep
    advance: {days: "mon-wed, fri", hours: "09:00-17:30", zone: Asia/Tokyo}
    after: {promote_alias: champion, remove_old: 2h}
    notify: {webhook_env: ROLLOUT_WEBHOOK}
""",
    )
    rollout = example.spec().rollouts["ranker"]
    assert (rollout.false_alarm, rollout.failure_limit, rollout.on_drift, rollout.capacity) == (
        0.01,
        3,
        "pause",
        "keep",
    )
    assert rollout.on_no_data == Hold(hold=20 * MINUTE, then="abort")
    assert rollout.on_inconclusive == Hold(hold=10 * MINUTE, then="abort")
    assert rollout.advance == OfficeHours(days=(0, 1, 2, 4), start=540, end=1050, zone="Asia/Tokyo")
    assert (rollout.after.promote_alias, rollout.after.remove_old, rollout.webhook_env) == (
        "champion",
        timedelta(hours=2),
        "ROLLOUT_WEBHOOK",
    )


def test_half_of_a_hold_has_the_other_halfs_default(example):
    example.edit(
        P, STEPS, STEPS + "    on_inconclusive: {hold: 10m}\n    on_no_data: {then: abort}\n"
    )
    rollout = example.spec().rollouts["ranker"]
    assert rollout.on_inconclusive == Hold(hold=10 * MINUTE, then="pause")
    assert rollout.on_no_data == Hold(hold=30 * MINUTE, then="abort")


def test_a_linear_rollout_of_a_variant_that_has_everything_is_none(example):
    example.edit(P, STEPS, "    strategy: linear\n    step: 30\n    every: 10m\n")
    example.edit(
        P,
        "challenger: {model: ranker@challenger, traffic: 10}",
        "challenger: {model: ranker@challenger, traffic: 100}",
    )
    example.edit(P, "traffic: 90}", "traffic: 0}")
    assert "declared with 100 % already" in example.problems()[0].message


def test_strategies_write_the_same_steps(example):
    example.edit(P, STEPS, "    strategy: linear\n    step: 30\n    every: 10m\n")
    assert steps(example) == [(40, 10), (70, 10), (100, 10)], "above the declared 10 %"
    example.edit(
        P,
        "challenger: {model: ranker@challenger, traffic: 10}",
        "challenger: {model: ranker@challenger, traffic: 0}",
    )
    example.edit(P, "traffic: 90}", "traffic: 100}")
    assert steps(example) == [(30, 10), (60, 10), (90, 10), (100, 10)]
    example.edit(
        P,
        "    strategy: linear\n    step: 30\n    every: 10m\n",
        "    strategy: blue_green\n    bake: 40m\n",
    )
    assert steps(example) == [(100, 40)]
    assert example.problems() == ()


def test_a_last_step_that_is_written_out_stands(example):
    example.edit(P, STEPS, "    steps: [{traffic: 25, bake: 60m}, {traffic: 100, bake: 10m}]\n")
    assert steps(example) == [(25, 60), (100, 10)]


def test_a_latency_may_be_written_in_seconds(example):
    example.edit(P, "max_ratio: 1.2", "max: 0.25s")
    assert example.spec().rollouts["ranker"].guardrails[1].max == 250


@pytest.mark.parametrize(
    ("old", "new", "message", "remedy"),
    [
        (
            "traffic: 25, bake",
            "traffic: 10, bake",
            "10 % is not above the 10 % that challenger is declared with",
            "challenger=0",
        ),
        (
            "traffic: 90}",
            "traffic: 85}\n      other: {model: ranker@champion, traffic: 5}",
            "other is declared with 5 %",
            "ranker other=0",
        ),
    ],
)
def test_what_the_declared_split_makes_impossible_is_a_warning(example, old, new, message, remedy):
    """The split of an endpoint that runs is another matter: `start` looks at it."""
    example.edit(P, old, new)
    (problem,) = example.problems()
    assert problem.severity == "warning"
    assert message in problem.message
    assert remedy in problem.remedy


def test_a_rollout_that_nothing_guards_is_warned_of(example):
    text = (example.path / P).read_text()
    (example.path / P).write_text(text[: text.index("    guardrails:")])
    (problem,) = example.problems()
    assert (problem.severity, "without guardrails" in problem.message) == ("warning", True)


def test_a_rollouts_own_mistake_leaves_the_rest_of_the_project_judged(example):
    example.edit(P, "metric: latency_p99", "metric: latency_p95")
    description, _problems = example.parse()
    assert description is not None
    assert description.spec.rollouts == {}
