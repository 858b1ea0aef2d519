"""Scenario files are read strictly: what they say, and what is wrong with them, by line."""

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from isthmus.errors import ProjectError
from isthmus.project.specs.description import Rollout, RolloutStep
from isthmus.rollouts.rehearsal.scenario import (
    Answers,
    At,
    Killed,
    Outage,
    Person,
    Provider,
    Second,
    Somebody,
    Stopped,
)
from isthmus.rollouts.rehearsal.scenario_file import read
from isthmus.rollouts.world import VariantBehaviour

MINUTE = timedelta(minutes=1)
STEPS = tuple(RolloutStep(traffic=Decimal(share), bake=10 * MINUTE) for share in (25, 50, 100))
ROLLOUTS = {"ranker": Rollout(endpoint="ranker", steps=STEPS)}

WHOLE = """\
rollout: ranker
traffic: 1200/min
world: {error_rate: 0.2%, latency_ms: 4, spread: 0.3, room: 900/min}
events:
  - {at: step 1 + 3m, challenger: {error_rate: 3%, latency_ms: 9}, for: 20m}
  - {at: step 2, metrics: outage, for: 20m}
  - {at: 12m, provider: throttled, times: 3}
  - {at: 12m, provider: lost reply}
  - {at: start, provider: busy 4m}
  - {at: step 3, provider: somebody sets challenger=90}
  - {at: step 1, controller: killed after shift}
  - {at: step 1, controller: stopped 90s before write}
  - {at: 13m, controller: a second one starts}
  - {at: 14m, person: abort, because: looks odd}
expect: {end: aborted, stage: 1, within: 8m, by: error_rate}
"""


def written(folder, text):
    path = folder / "errors.yaml"
    path.write_text(text)
    return read(path, ROLLOUTS)


def test_a_file_says_what_happens_when_and_how_it_ends(tmp_path):
    scenario = written(tmp_path, WHOLE)
    assert (scenario.name, scenario.per_minute, scenario.room) == ("errors", 1200, 900)
    assert scenario.usual == VariantBehaviour(error_rate=0.002, latency_ms=4, spread=0.3)
    assert [event.happens for event in scenario.events] == [
        Answers(variant="challenger", changes={"error_rate": 0.03, "latency_ms": 9}),
        Outage(),
        Provider(does="throttled", times=3),
        Provider(does="lost reply"),
        Provider(does="busy", span=4 * MINUTE),
        Somebody(changes={"challenger": Decimal(90)}),
        Killed(when="after", operation="shift"),
        Stopped(when="before", operation="write", span=timedelta(seconds=90)),
        Second(),
        Person(verb="abort", because="looks odd"),
    ]
    assert [event.at for event in scenario.events][:3] == [
        At(stage=1, after=3 * MINUTE),
        At(stage=2),
        At(after=12 * MINUTE),
    ]
    assert scenario.events[0].lasts == 20 * MINUTE
    assert scenario.events[0].text == "challenger error_rate 3% latency_ms 9, for 20m"


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("rollout: ranker", "rollout: rankr", 1, "rankr is not a rollout of project.yaml"),
        ("1200/min", "1200", 2, "'1200' is not a number of requests a minute"),
        ("error_rate: 0.2%", "error_rate: 0.2", 3, "'0.2' is not a percentage"),
        ("room:", "rom:", 3, "rom is not a key of a world"),
        ("step 1 + 3m", "step 1 and 3m", 5, "'step 1 and 3m' is not a time of a scenario"),
        ("step 2", "step 4", 6, "there is no step 4"),
        (
            "challenger: {error_rate",
            "chalenger: {error_rate",
            5,
            "chalenger is not a key of an event",
        ),
        ("metrics: outage", "metrics: late", 6, "'late' is not known here"),
        ("provider: throttled", "provider: slow", 7, "'slow' is nothing that a provider does"),
        ("provider: lost reply", "because: why", 8, "nothing happens"),
        (
            "provider: lost reply",
            "provider: lost reply, metrics: outage",
            8,
            "provider and metrics happen at once",
        ),
        (
            "provider: lost reply",
            "provider: lost reply, for: 3m",
            8,
            "for says nothing about provider",
        ),
        ("sets challenger=90", "sets third=90", 10, "the rollout has no variant third"),
        (
            "killed after shift",
            "killed in shift",
            11,
            "'killed in shift' is nothing that happens to a controller",
        ),
        ("person: abort", "person: stop", 14, "'stop' is not known here"),
        ("stage: 1", "stage: 7", 15, "there is no step 7"),
        ("end: aborted, ", "", 15, "end is missing"),
        ("traffic: 1200/min", "trafic: 1200/min", 2, "trafic is not a key of a scenario"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path, old, new, line, words):
    assert old in WHOLE
    with pytest.raises(ProjectError) as error:
        written(tmp_path, WHOLE.replace(old, new, 1))
    assert any(
        problem.line == line and words in problem.message for problem in error.value.problems
    ), error.value


def test_a_file_that_is_not_there_is_told_with_its_neighbour(tmp_path):
    (tmp_path / "errors.yaml").write_text(WHOLE)
    with pytest.raises(ProjectError, match=r"did you mean errors\.yaml"):
        read(tmp_path / "error.yaml", ROLLOUTS)


def test_the_scenario_of_the_manual_is_one(tmp_path):
    manual = (Path(__file__).parents[3] / "docs" / "rollouts.md").read_text()
    block = next(
        block
        for block in re.findall(r"```yaml\n(.*?)```", manual, re.DOTALL)
        if block.startswith("rollout: ")
    )
    scenario = written(tmp_path, block.replace("rollout: home", "rollout: ranker"))
    assert len(scenario.events) == 6
    assert scenario.expect.within == 8 * MINUTE
