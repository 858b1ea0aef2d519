"""What one target refuses of a rollout, with the line and what is possible there."""

from datetime import timedelta
from decimal import Decimal

import pytest

from isthmus.adapters.rows import rows
from isthmus.project.load import load
from isthmus.project.scaffold import create
from isthmus.rollouts.verbs.target_check import check_target
from isthmus.tests.example import copied

STEPS = "{traffic: 25, bake: 15m}"


@pytest.fixture
def problems(tmp_path):
    """What a target of whole percents, whose metrics come 3 minutes late, says of the example with
    another first step.
    """

    def check(step):
        folder = tmp_path / "openbandit"
        file = copied(folder)
        text = file.read_text()
        assert STEPS in text
        file.write_text(text.replace(STEPS, step))
        description = load(folder)
        capabilities = rows(traffic_resolution=Decimal(1), metrics_delay=timedelta(minutes=3))
        problems = check_target(
            description, description.spec.rollouts["ranker"], "vertex", capabilities
        )
        line = 1 + text[: text.index(STEPS)].count("\n")
        assert {(problem.file, problem.line) for problem in problems} <= {("project.yaml", line)}
        return [(problem.message, problem.remedy) for problem in problems]

    return check


def test_a_step_that_is_possible_is_not_spoken_of(problems):
    assert problems("{traffic: 25, bake: 5m}") == []


def test_the_last_step_that_nobody_wrote_is_not_told_of(tmp_path):
    create(folder := tmp_path / "openbandit", example="openbandit")
    path = folder / "project.yaml"
    path.write_text(
        path.read_text().replace("bake: 15m", "bake: 4m").replace("bake: 30m", "bake: 4m")
    )
    description = load(folder)
    problems = check_target(
        description,
        description.spec.rollouts["ranker"],
        "cloud",
        rows(metrics_delay=timedelta(minutes=3)),
    )
    assert [problem.message.split(":")[0] for problem in problems] == [
        f"rollouts.ranker.steps[{at}].bake" for at in (0, 1)
    ]


def test_a_linear_rollouts_bake_is_told_once_where_it_is_written(tmp_path):
    create(folder := tmp_path / "openbandit", example="openbandit")
    text = (folder / "project.yaml").read_text()
    steps = text[text.index("    steps:") :].partition("\n    guardrails:")[0]
    (folder / "project.yaml").write_text(
        text.replace(steps, "    strategy: linear\n    step: 20\n    every: 4m")
    )
    description = load(folder)
    capabilities = rows(traffic_resolution=Decimal("0.01"), metrics_delay=timedelta(minutes=3))
    (problem,) = check_target(
        description, description.spec.rollouts["ranker"], "cloud", capabilities
    )
    assert (
        problem.message
        == "rollouts.ranker.every: 4m is too short on cloud, where metrics come up to 3m late"
    )


def test_a_share_between_the_targets_steps_is_refused_with_its_neighbours(problems):
    assert problems("{traffic: 20.5, bake: 15m}") == [
        (
            (
                "rollouts.ranker.steps[0].traffic: vertex splits traffic in whole percents: 20.5 "
                "cannot be set, and is not rounded"
            ),
            "use 20 or 21",
        )
    ]


def test_a_bake_must_leave_two_minutes_beyond_the_metrics_delay(problems):
    assert problems("{traffic: 25, bake: 4m}") == [
        (
            (
                "rollouts.ranker.steps[0].bake: 4m is too short on vertex, where metrics come up "
                "to 3m late"
            ),
            "write 5m or more",
        )
    ]
