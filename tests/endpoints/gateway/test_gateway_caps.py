"""A gateway whose endpoint caps what a unit is shown: what it asks of the counters, when it counts,
and what it says without them.
"""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from isthmus.core.plugins import installed
from isthmus.endpoints.gateway.decide import breaker
from isthmus.endpoints.gateway.decide import caps as capping
from isthmus.endpoints.gateway.decide.live_document import LiveArm
from isthmus.endpoints.gateway.processes.tally import Tally
from isthmus.endpoints.gateway.rank.unit_caps import Counting
from isthmus.errors import ModelError, NotFound, OutcomeUnknown, Unavailable, Unsupported
from isthmus.project.specs.description import Parameter
from isthmus.project.specs.rules import Boost, Condition, Pin, UnitCap
from isthmus.target import Profile, Target
from isthmus.tests.conformance.toy_models import until
from isthmus.tests.endpoints import shop
from isthmus.tests.endpoints.shop import NOW, Shop, live, run

CAP = UnitCap(by="item_id", max=2, window=timedelta(hours=24))
HOUR = timedelta(hours=1)


def spec(*rules, **fields):
    return msgspec.structs.replace(
        shop.SPEC,
        endpoints={"ranker": msgspec.structs.replace(shop.ENDPOINT, rules=rules, **fields)},
    )


class Capped(Shop):
    """The host scores items by their place: the last one is the best."""

    def __init__(self, *rules, document=None, **fields):
        super().__init__(document, spec=spec(*(rules or (CAP,)), **fields))
        self.counts = self.project.target.counters

    def at(self, moment):
        self.project.now = self.project.wall = lambda: moment


def test_a_unit_is_shown_an_item_so_often_and_others_are_not_held_back():
    with Capped() as opened:
        assert [opened.rank(slots=1).items for _ in range(4)] == [(3,), (3,), (2,), (2,)]
        full = opened.rank(slots=1)
        assert (full.items, full.rules, full.propensities) == (
            (1,),
            ("cap item_id 2/24h: -3 -2",),
            (1.0,),
        )
        assert opened.rank(visitor_id="visitor-2", slots=1).items == (3,)
        opened.at(NOW + 25 * HOUR)
        assert opened.rank(slots=1).items == (3,)
        assert opened.gateway.tally.ruled == {"cap item_id 2/24h": 3}


def test_an_answer_reads_once_and_counts_once_before_it_is_logged():
    with Capped() as opened:
        put = opened.gateway._writer.put
        opened.gateway._writer.put = lambda rows: (opened.counts.calls.append("log"), put(rows))[1]
        opened.rank()
        assert opened.counts.calls == ["get", "add", "log"]
        assert opened.counts.until == NOW + 25 * HOUR
        assert sorted(
            name.rpartition("/")[2] for name in opened.counts.documents["ranker", "visitor-1"]
        ) == ["2", "3"]


def test_without_such_a_rule_or_where_none_holds_nothing_is_asked():
    boost = Boost(where=(Condition(attribute="item_id", among=(1,)),), times=2.0)
    on_web = msgspec.structs.replace(CAP, when=(Condition(attribute="platform", among=("web",)),))
    for rule in (
        boost,
        on_web,
        msgspec.structs.replace(CAP, since=NOW + HOUR),
        msgspec.structs.replace(CAP, until=NOW),
    ):
        with Capped(rule) as opened:
            opened.rank(platform="ios")
            assert opened.counts.calls == []


def test_counts_of_a_cap_that_does_not_hold_for_a_request_are_needed_as_long():
    """A unit has one document: an answer that a short window alone holds for must not let what a
    longer one has counted vanish.
    """
    for_a_month = UnitCap(
        by="item_id",
        max=9,
        window=timedelta(days=30),
        when=(Condition(attribute="platform", among=("web",)),),
    )
    with Capped(CAP, for_a_month) as opened:
        opened.rank(platform="web")
        needed = opened.counts.until
        opened.rank(platform="ios")
        assert opened.counts.until == needed == NOW + timedelta(days=30) * 25 / 24


def test_an_answer_that_fails_counts_nothing():
    with Capped() as opened:
        opened.host.invoke = lambda *_, **__: (_ for _ in ()).throw(
            ModelError("it broke", status=500, body="")
        )
        with pytest.raises(ModelError):
            opened.rank()
        assert opened.counts.calls == ["get"]


def test_an_explanation_says_what_is_full_and_counts_nothing():
    with Capped() as opened:
        for _ in range(2):
            opened.rank(slots=1)
        explanation = opened.gateway.explain(shop.REQUEST)
        assert str(explanation).splitlines()[1:] == [
            "  by the model        3 2",
            "  cap item_id 2/24h   2 1   cap item_id 2/24h: -3",
        ]
        assert opened.counts.calls == ["get", "add", "get", "add", "get"]
        opened.counts.away = Unavailable("the store is away")
        assert opened.gateway.explain(shop.REQUEST).problems == (
            "caps per unit were not checked: the store is away",
        )


MISSING = NotFound("ranker has no counters", remedy="isthmus deploy ranker makes them")


@pytest.mark.parametrize("error", [Unavailable("it is away"), OutcomeUnknown("lost"), MISSING])
def test_where_the_store_is_away_caps_are_not_checked_and_the_answer_says_so(error):
    with Capped() as opened:
        for _ in range(2):
            opened.rank(slots=1)
        opened.counts.away = error
        ranking = opened.rank(slots=1)
        text = f"{error}; {error.remedy}" if error.remedy else str(error)
        assert (ranking.items, ranking.rules) == ((3,), ())
        assert ranking.problems == (
            f"caps per unit were not checked: {text}",
            f"caps per unit do not count this answer: {text}",
        )
        assert (opened.gateway.tally.capless, len(opened.rows["exposures"])) == (1, 3)
        opened.counts.away = None
        assert (opened.rank(slots=1).items, opened.rank(slots=1).problems) == ((2,), ())


def test_a_store_that_does_not_answer_is_waited_for_once_and_asked_in_the_background_until_it_is_back(
    monkeypatch,
):
    monkeypatch.setattr(breaker, "SLOW", 0.0)  # every failure took its time
    with Capped() as opened:
        opened.gateway._counting._counters._between = 0.01
        again, opened.counts.away = threading.Event(), Unavailable("no answer within 2 s")
        get, opened.counts.get = (
            opened.counts.get,
            lambda *asked: (again.wait(60) if opened.counts.calls else 0, get(*asked))[1],
        )
        said = (
            "caps per unit were not checked: no answer within 2 s",
            "caps per unit do not count this answer: no answer within 2 s",
        )
        assert [opened.rank().problems for _ in range(3)] == [said] * 3
        assert opened.counts.calls == ["get"], (
            "neither the first answer's count nor those that followed asked"
        )
        assert opened.gateway.problems == (
            "caps per unit are not checked, the store is away: no answer within 2 s",
        )
        assert opened.gateway.tally.capless == 3
        again.set()
        until(lambda: len(opened.counts.calls) > 2)
        assert set(opened.counts.calls) == {"get"}
        opened.counts.away = None
        until(lambda: not opened.gateway.problems)
        assert opened.rank().problems == ()


def test_what_fails_at_once_is_asked_again_by_the_next_answer():
    with Capped() as opened:
        opened.counts.away = Unavailable("connection refused")
        opened.rank()
        assert (opened.counts.calls, opened.gateway.problems) == (["get", "add"], ())


def test_an_answer_that_was_not_checked_is_counted_if_the_store_is_back():
    with Capped() as opened:
        opened.counts.get = lambda *_: (_ for _ in ()).throw(Unavailable("a moment"))
        assert opened.rank().problems == ("caps per unit were not checked: a moment",)
        assert sum(opened.counts.documents["ranker", "visitor-1"].values()) == 2


def test_eligible_items_are_logged_and_propensities_are_of_those_that_are_left():
    with Capped(CAP, Pin(key="item_id", item=3, position=2), explore=Decimal(100)) as opened:
        opened.counts.documents["ranker", "visitor-1"] = dict.fromkeys(names(1, 3), 2)
        ranking = opened.rank(item_id=[1, 2, 3, 4], slots=3)
        assert (ranking.items[1], set(ranking.items[::2])) == (3, {2, 4})
        assert ranking.propensities == (0.5, 1.0, 0.5)
        assert ranking.rules == ("cap item_id 2/24h: -3 -1", "pin 3 -> 2")
        (row,) = opened.rows["rankings"]
        assert row["eligible"] == "[1,2,3]"


def names(*items):
    return capping.entries([CAP], [{"item_id": item} for item in items], NOW)


def test_an_arm_sets_the_most_and_both_arms_count_alike():
    arms = (LiveArm("control", 5000, {}), LiveArm("treatment", 10_000, {"often": 1}))
    often = msgspec.structs.replace(CAP, max="$often")
    parameters = {"often": Parameter(name="often", type="int", default=2, min=1)}
    with Capped(often, document=live(run(arms=arms)), parameters=parameters) as opened:
        other = next(f"v{n}" for n in range(99) if shop.arm_of(f"v{n}") == "control")
        shown = {
            unit: [opened.rank(visitor_id=unit, slots=1).items[0] for _ in range(3)]
            for unit in ("visitor-1", other)
        }
        assert shown == {"visitor-1": [3, 2, 1], other: [3, 3, 2]}


def test_units_that_ask_at_once_from_many_threads_are_each_capped():
    with Capped() as opened:

        def asks(worker):
            return [opened.rank(visitor_id=f"v{worker}", slots=1).items for _ in range(50)]

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(asks, range(4)))
        assert [Counter(item for items in of for item in items) for of in answers] == [
            {1: 2, 2: 2, 3: 2}
        ] * 4


def test_a_target_that_cannot_count_is_refused_by_name_before_anybody_is_served():
    adapter = installed.adapter("local")
    without = msgspec.structs.replace(
        adapter, ports={name: of for name, of in adapter.ports.items() if name != "counters"}
    )
    place = shop.project(spec=spec(CAP))
    place.target = Target(
        Profile(name="plain", adapter="local", project="shop", options={}), without
    )
    with pytest.raises(Unsupported, match="plain"):
        Counting(place, place.spec.endpoints["ranker"], Tally())
