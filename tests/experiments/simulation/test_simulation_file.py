"""A simulation's file is read strictly: what it says, and everything that is wrong with it, by
line.
"""

from datetime import timedelta

import pytest

from isthmus.errors import ProjectError
from isthmus.experiments.simulation.simulation import Action, Bots, BrokenSplit, LateEvents
from isthmus.experiments.simulation.simulation_file import read

from ..shop import Shop

WHOLE = """\
experiment: blend_up
days: 14
visitors: 500
sessions: 2
items: 40
candidates: 10
slots: 3
seed: 7
events:
  click: {of: impression, chance: 20%, after: 30s}
  impression: {}
  purchase: {of: click, chance: 10%, attributes: {amount: [10, 20.5]}}
effects: {treatment: {click: +10%, purchase: -5%}}
seasons: {daily: 60%, weekly: 20%}
late: {share: 5%, by: 2d}
bots: {share: 2%, requests: 40}
broken: {arm: treatment, loses: 10%}
attributes: {platform: [ios, web]}
"""


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return Shop(tmp_path_factory.mktemp("shop")).project.spec


def written(folder, text, spec):
    path = folder / "week.yaml"
    path.write_text(text)
    return read(path, spec)


def test_a_file_says_who_comes_what_they_do_and_what_is_true(tmp_path, spec):
    simulation = written(tmp_path, WHOLE, spec)
    assert (simulation.name, simulation.endpoint, simulation.experiment) == (
        "week",
        "ranker",
        "blend_up",
    )
    assert (simulation.days, simulation.visitors, simulation.sessions, simulation.seed) == (
        14,
        500,
        2,
        7,
    )
    assert (simulation.items, simulation.candidates, simulation.slots) == (40, 10, 3)
    assert simulation.actions == (
        Action(event="impression"),
        Action(event="click", of="impression", chance=0.2, after=timedelta(seconds=30)),
        Action(event="purchase", of="click", chance=0.1, attributes={"amount": (10, 20.5)}),
    ), "what follows stands after what it follows"
    assert simulation.effects == {"treatment": {"click": 0.1, "purchase": -0.05}}
    assert (simulation.daily, simulation.weekly) == (0.6, 0.2)
    assert simulation.late == LateEvents(share=0.05, by=timedelta(days=2))
    assert (simulation.bots, simulation.broken) == (
        Bots(share=0.02, requests=40),
        BrokenSplit(arm="treatment", loses=0.1),
    )


def test_an_endpoint_is_driven_without_an_experiment(tmp_path, spec):
    text = "endpoint: ranker\ndays: 1\nvisitors: 10\nevents: {impression: {}}\n"
    simulation = written(tmp_path, text, spec)
    assert (simulation.experiment, simulation.endpoint) == (None, "ranker")


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        (
            "experiment: blend_up",
            "experiment: blendup",
            1,
            "blendup is not an experiment of project.yaml",
        ),
        ("experiment: blend_up", "endpoint: rank", 1, "rank is not an endpoint of project.yaml"),
        ("experiment: blend_up\n", "", 1, "it needs an experiment to try, or an endpoint to drive"),
        (
            "experiment: blend_up\n",
            "experiment: blend_up\nendpoint: ranker\n",
            1,
            "it needs an experiment to try, or an endpoint to drive",
        ),
        ("days: 14", "days: 0", 2, "0 is below 1"),
        ("visitors: 500", "visitor: 500", 3, "visitor is not a key of a simulation"),
        ("chance: 20%", "chance: 0.2", 10, "'0.2' is not a percentage"),
        ("chance: 20%", "chance: likes", 10, "it names a function, and there is no world"),
        ("of: impression", "of: impresion", 10, "impresion is not among these events"),
        (
            "impression: {}",
            "impression: {of: purchase}",
            10,
            "click, impression, purchase follow each other in a circle",
        ),
        ("impression: {}", "impresion: {}", 11, "impresion is not an event of project.yaml"),
        (", attributes: {amount: [10, 20.5]}", "", 12, "nothing says its amount"),
        ("[10, 20.5]", "[]", 12, "a list is not a value, or a list of values"),
        ("treatment: {click", "treatmnt: {click", 13, "treatmnt is not an arm of blend_up"),
        ("+10%", "10", 13, "'10' is not a relative effect"),
        ("-5%", "-100%", 13, "-100% leaves nothing"),
        ("purchase: -5%", "refund: -5%", 13, "refund is not among these events"),
        (
            "click: +10%",
            "click: +401%",
            13,
            "click has a chance of 20 %, which +401 % cannot change so",
        ),
        (
            "click: +10%",
            "impression: -10%",
            13,
            "impression has a chance of 100 %, which -10 % cannot change so",
        ),
        ("daily: 60%", "daily: often", 14, "'often' is not a percentage"),
        (", by: 2d", "", 15, "by is missing"),
        ("requests: 40", "requests: many", 16, "'many' is not a whole number"),
        ("arm: treatment", "arm: treatmnt", 17, "treatmnt is not an arm of blend_up"),
        ("candidates: 10", "candidates: 41", 6, "41 candidates are more than the 40 items"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path, spec, old, new, line, words):
    assert old in WHOLE
    with pytest.raises(ProjectError) as refused:
        written(tmp_path, WHOLE.replace(old, new), spec)
    assert [problem.line for problem in refused.value.problems if words in problem.message] == [
        line
    ]


def test_all_mistakes_are_told_at_once(tmp_path, spec):
    text = (
        WHOLE.replace("days: 14", "days: none")
        .replace("+10%", "10")
        .replace("share: 2%", "share: 2")
    )
    with pytest.raises(ProjectError) as refused:
        written(tmp_path, text, spec)
    assert {problem.line for problem in refused.value.problems} == {2, 13, 16}


def test_an_endpoint_has_no_arms(tmp_path, spec):
    text = (
        "endpoint: ranker\ndays: 1\nvisitors: 10\nevents: {impression: {}}\neffects: {treatment: "
        "{impression: +1%}}\n"
    )
    with pytest.raises(ProjectError, match="an endpoint has no arms"):
        written(tmp_path, text, spec)


def test_a_file_that_is_not_there_is_told_with_its_neighbour(tmp_path, spec):
    (tmp_path / "week.yaml").write_text(WHOLE)
    with pytest.raises(ProjectError, match=r"there is no such file") as refused:
        read(tmp_path / "weak.yaml", spec)
    assert "week.yaml" in refused.value.problems[0].remedy
