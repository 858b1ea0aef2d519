"""A simulated world: who comes when, and what they do.

The same seed gives the same people, wherever a simulation stopped.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from math import sqrt
from random import Random

import pytest
from msgspec.structs import replace

from isthmus.core.runtime.project import Project
from isthmus.errors import Invalid
from isthmus.experiments.simulation.behaviour import (
    ShownAnswer,
    SimulationSetting,
    events,
    is_lost,
    request,
)
from isthmus.experiments.simulation.simulation import (
    Action,
    Bots,
    BrokenSplit,
    LateEvents,
    Simulation,
    true_effect,
)
from isthmus.experiments.simulation.visits import DAY, Visit, visits
from isthmus.experiments.simulation.world import World, world_of
from isthmus.project.specs.experiments import Metric, Total

from ..shop import Shop

START = datetime(2026, 11, 2, tzinfo=UTC)  # a Monday
ACTIONS = (
    Action(event="impression"),
    Action(event="click", of="impression", chance=0.2, after=timedelta(seconds=30)),
    Action(
        event="purchase",
        of="click",
        chance=0.5,
        after=timedelta(hours=1),
        attributes={"amount": (10.0,)},
    ),
)
PLAIN = Simulation(
    name="plain",
    endpoint="ranker",
    experiment="blend_up",
    days=14,
    visitors=240,
    actions=ACTIONS,
    seed=3,
)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Shop(tmp_path_factory.mktemp("shop")).project


@pytest.fixture
def setting(project):
    def of(simulation, world=None):
        world = world or world_of(project, simulation, "visitor_id", "item_id")
        return SimulationSetting(
            simulation=simulation,
            world=world,
            spec=project.spec,
            endpoint=project.spec.endpoints["ranker"],
            key="item_id",
        )

    return of


def come(setting, days=14, *, since=START, start=START):
    return list(
        visits(
            setting.simulation,
            setting.world,
            "visitor_id",
            since=since,
            start=start,
            end=START + days * DAY,
        )
    )


def test_visits_come_in_order_and_a_stop_between_them_changes_nobody(setting):
    whole = come(setting(PLAIN))
    assert whole == sorted(whole)
    cut = START + timedelta(days=4, hours=7, minutes=13)
    before = list(
        visits(PLAIN, setting(PLAIN).world, "visitor_id", since=START, start=START, end=cut)
    )
    assert before + come(setting(PLAIN), start=cut) == whole
    assert come(setting(replace(PLAIN, seed=4))) != whole


def test_as_many_come_as_the_file_says_and_more_in_the_evening_and_at_the_weekend(setting):
    seasoned = setting(replace(PLAIN, daily=0.8, weekly=0.5))
    firsts = [visit for visit in come(seasoned) if visit.number == 0]
    expected = 14 * PLAIN.visitors
    assert abs(len(firsts) - expected) < 14 * 24, (
        "each hour is rounded to the next whole number below or above"
    )
    evening = sum(visit.at.hour in (19, 20, 21) for visit in firsts)
    morning = sum(visit.at.hour in (7, 8, 9) for visit in firsts)
    assert evening > 5 * morning, "1.79 against 0.21 of the mean"
    by_day = Counter(visit.at.weekday() for visit in firsts)
    assert min(by_day[5], by_day[6]) > 1.5 * max(by_day[day] for day in range(5)), (
        "1.5 against 0.8 of the mean"
    )


def test_a_bot_comes_often_within_an_hour_and_does_nothing(setting):
    bots = setting(replace(PLAIN, bots=Bots(share=0.1, requests=30)))
    coming = come(bots)
    of_bot = Counter(visit.unit for visit in coming if visit.bot)
    people = {visit.unit for visit in coming if not visit.bot}
    n = len(of_bot) + len(people)
    assert abs(len(of_bot) - 0.1 * n) < 4 * sqrt(n * 0.1 * 0.9)
    assert set(of_bot.values()) <= set(range(1, 31))
    visit = next(visit for visit in coming if visit.bot)
    assert {waiting.event["event"] for waiting in events(bots, visit, shown(20), visit.at)} == {
        "impression"
    }


def shown(count, arm=None):
    items = list(range(count))
    return ShownAnswer(
        items=items, positions=range(1, count + 1), exposures=[f"q-1-{n}" for n in items], arm=arm
    )


def alike(simulation):
    """Everybody clicks as likely as the file says."""
    chances = {
        action.event: lambda *_, chance=action.chance: chance
        for action in simulation.actions
        if not action.certain
    }
    return World(
        visitors=lambda *_: [], items={n: {"item_id": n} for n in range(100)}, chances=chances
    )


def test_an_effect_moves_the_chance_of_its_event_and_nothing_else(setting):
    effects = {"treatment": {"click": 0.5}}
    of = setting(replace(PLAIN, effects=effects), alike(PLAIN))
    n = 300
    counted = {}
    for arm in ("control", "treatment"):
        coming = [
            Visit(START, f"v{number}", 0, False, {"visitor_id": f"v{number}"})
            for number in range(n)
        ]
        counted[arm] = Counter(
            waiting.event["event"]
            for visit in coming
            for waiting in events(of, visit, shown(50, arm), START)
        )
    rows = 50 * n
    for arm, chance in (("control", 0.2), ("treatment", 0.3)):
        assert counted[arm]["impression"] == rows
        assert abs(counted[arm]["click"] - chance * rows) < 4 * sqrt(rows * chance * (1 - chance))
        clicks = counted[arm]["click"]
        assert abs(counted[arm]["purchase"] - clicks / 2) < 4 * sqrt(clicks / 4)


def test_events_name_who_saw_what_and_what_they_follow(setting):
    of = setting(
        replace(PLAIN, actions=tuple(replace(action, chance=1.0) for action in ACTIONS)),
        alike(PLAIN),
    )
    visit = Visit(START, "v1", 2, False, {"visitor_id": "v1", "liking": 1.0})
    impression, click, purchase = (waiting.event for waiting in events(of, visit, shown(1), START))
    assert impression == {
        "event": "impression",
        "event_id": "impression-v1-2-1",
        "event_timestamp": START.isoformat(),
        "visitor_id": "v1",
        "item_id": 0,
    }
    assert (click["impression_id"], click["item_id"]) == ("impression-v1-2-1", 0)
    assert (purchase["visitor_id"], purchase["amount"]) == ("v1", 10.0)
    assert START <= datetime.fromisoformat(click["event_timestamp"]) <= START + timedelta(minutes=1)


def test_a_share_of_the_events_comes_late_with_the_time_at_which_it_happened(setting):
    of = setting(replace(PLAIN, late=LateEvents(share=0.3, by=2 * DAY)), alike(PLAIN))
    visit = Visit(START, "v1", 0, False, {"visitor_id": "v1"})
    heard = [
        waiting
        for waiting in events(of, visit, shown(100), START)
        if waiting.event["event"] == "impression"
    ]
    late = [waiting for waiting in heard if waiting.late]
    assert abs(len(late) - 30) < 4 * sqrt(100 * 0.3 * 0.7)
    assert all(START < waiting.due <= START + 2 * DAY for waiting in late)
    assert all(waiting.due == START for waiting in heard if not waiting.late)
    assert {waiting.event["event_timestamp"] for waiting in heard} == {START.isoformat()}


def test_units_are_numbers_where_the_log_has_numbers(project):
    events = project.spec.events
    attributes = tuple(
        replace(a, type="int") if a.name == "visitor_id" else a
        for a in events["impression"].attributes
    )
    numbered = replace(
        project.spec,
        events=events | {"impression": replace(events["impression"], attributes=attributes)},
    )
    beside = Project(replace(project.description, spec=numbered), project.target)
    units = [
        visitor["visitor_id"]
        for visitor in world_of(beside, PLAIN, "visitor_id", "item_id").visitors(
            Random(0), 2, "s3-26110209-"
        )
    ]
    assert units == [326110209000, 326110209001]


def test_a_broken_split_loses_its_share_of_units(setting):
    of = setting(replace(PLAIN, broken=BrokenSplit(arm="treatment", loses=0.25)))
    gone = sum(is_lost(of, f"v{number}") for number in range(4000))
    assert abs(gone - 1000) < 4 * sqrt(4000 * 0.25 * 0.75)
    assert not any(is_lost(setting(PLAIN), f"v{number}") for number in range(100))


def test_a_request_says_of_the_visitor_what_the_endpoint_knows(setting):
    of = setting(
        replace(
            PLAIN,
            attributes={"platform": ("ios", "web"), "mood": ("good",)},
            candidates=7,
            items=30,
        )
    )
    visit = come(of)[0]
    asked = request(of, visit)
    assert asked.keys() == {"visitor_id", "platform", "item_id", "slots"}
    assert len(set(asked["item_id"])) == 7
    assert asked == request(of, visit), "of one visit it is the same"


@pytest.mark.parametrize(
    ("numerator", "denominator", "kind", "true"),
    [
        ("click", "impression", "rate", 0.1),
        ("purchase", None, "sum", 1.1 * 1.2 - 1),
        ("purchase", "click", "rate", 0.2),
        ("purchase", None, "any", None),
        ("visit", None, "sum", None),
    ],
)
def test_the_truth_of_a_metric_follows_from_the_chances_of_its_events(
    numerator, denominator, kind, true
):
    simulation = replace(PLAIN, effects={"treatment": {"click": 0.1, "purchase": 0.2}})
    metric = Metric(
        name="m",
        kind=kind,
        numerator=Total(event=numerator),
        denominator=Total(event=denominator) if denominator else None,
    )
    assert true_effect(simulation, metric, "treatment") == (
        None if true is None else pytest.approx(true)
    )
    assert true_effect(simulation, metric, "control") == (None if true is None else 0)
    own = replace(
        simulation, actions=(ACTIONS[0], replace(ACTIONS[1], function="likes"), ACTIONS[2])
    )
    assert true_effect(own, metric, "treatment") is None, (
        "what the project's world says of a chance depends on what is shown"
    )


def test_a_module_that_is_no_world_is_told_with_what_a_world_has(project):
    for text, words in (
        ("", "has no attribute 'items'"),
        ("def items(random): return [{}]\n", "'item_id'"),
    ):
        (project.folder / "shops_world.py").write_text(text)
        with pytest.raises(Invalid, match=words) as refused:
            world_of(project, replace(PLAIN, world="shops_world"), "visitor_id", "item_id")
        assert "visitors(random, count, prefix)" in refused.value.remedy
        import sys

        sys.modules.pop("shops_world", None)
