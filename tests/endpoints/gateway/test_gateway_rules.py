"""A gateway whose endpoint has rules: what it reads for them, what the answer says, and what is
logged.
"""

from __future__ import annotations

import json

import msgspec
import pytest

from isthmus.endpoints.deploy.parameters import comparison
from isthmus.endpoints.gateway.decide.live_document import LiveArm
from isthmus.project.specs.description import FeatureView, Parameter
from isthmus.project.specs.rules import Block, Boost, Cap, Condition, Pin, Reserve
from isthmus.tests.endpoints import shop
from isthmus.tests.endpoints.shop import NOW, Shop, live, run

KIND, CATEGORY = "item_profile.item_kind", "item_profile.item_category"
AD = (Condition(attribute=KIND, among=("ad",)),)
KINDS = {"1": "x", "2": "ad", "3": "x", "4": "recalled", "7": "x"}
RULES = (
    Cap(by=CATEGORY, max=1),
    Pin(key="item_id", item=7, position=1, when=(Condition(attribute="platform", among=("ios",)),)),
    Boost(where=AD, times="$ad_boost"),
    Block(where=(Condition(attribute=KIND, among=("recalled",)),)),
)


def spec(*rules, **fields):
    boost = Parameter(name="ad_boost", type="float", default=1.0, min=0)
    endpoint = msgspec.structs.replace(
        shop.ENDPOINT, rules=rules, parameters={"ad_boost": boost}, **fields
    )
    view = FeatureView(name="item_profile", entity="item", path="", sql="")
    return msgspec.structs.replace(
        shop.SPEC, endpoints={"ranker": endpoint}, feature_views={"item_profile": view}
    )


class Ruled(Shop):
    def __init__(self, document=None, rules=RULES, **fields):
        self.reads = []
        super().__init__(document, spec=spec(*rules, **fields))
        self.project.target.online.get = self.read
        self.gateway._models._cache = None
        self.asked = []
        invoke = self.host.invoke
        self.host.invoke = lambda name, rows, **options: (
            self.asked.append(rows),
            invoke(name, rows, **options),
        )[1]

    def read(self, wanted):
        self.reads.append(wanted)
        rows = [
            {"feature_timestamp": NOW, "item_kind": KINDS[key], "item_category": int(key) % 2}
            for key in wanted["item_profile"]
        ]
        return {"item_profile": rows}


def test_features_of_rules_are_read_in_one_call_with_a_pinned_items_and_no_model_gets_them():
    with Ruled() as opened:
        opened.rank(platform="ios", item_id=[1, 2, 3, 4], slots=4)
        assert opened.reads == [{"item_profile": ["1", "2", "3", "4", "7"]}]
        assert opened.asked == [[{}] * 5]
        opened.rank(platform="web")
        assert opened.reads[1] == {"item_profile": ["1", "2", "3"]}


def test_the_answer_and_the_log_say_what_was_done():
    arms = (LiveArm("control", 5000, {}), LiveArm("treatment", 10_000, {"ad_boost": 9.0}))
    with Ruled(live(run(arms=arms))) as opened:
        ranking = opened.rank(platform="ios", item_id=[1, 2, 3, 4], slots=4)
        assert (ranking.items, ranking.propensities) == ((7, 2), (1.0, 1.0))
        assert ranking.rules == (
            "block item_kind=recalled: -4",
            "boost item_kind=ad: 2 2 -> 1",
            "pin 7 -> 1",
            "cap item_category 1: 3 3 -> out, 1 4 -> out",
        )
        assert ranking.scores == (4.0, 1.0)
        (row,) = opened.rows["rankings"]
        assert (row["candidates"], row["model_order"], row["eligible"]) == (
            "[1,2,3,4,7]",
            "[4,3,2,1,0]",
            "[0,1,2,4]",
        )
        assert json.loads(row["rules"]) == list(ranking.rules)
        assert len(row["rules_digest"]) == 16
        names = ("block item_kind=recalled", "boost item_kind=ad", "pin 7", "cap item_category 1")
        assert opened.gateway.tally.ruled == dict.fromkeys(names, 1)


def test_a_place_that_stays_empty_is_told_by_the_positions():
    with Ruled(rules=(Reserve(where=AD, positions=(1,)),)) as opened:
        assert opened.rank().positions == ()
        empty = opened.rank(item_id=[1, 3], slots=2)
        assert (empty.items, empty.positions, empty.rules) == (
            (3,),
            (2,),
            ("reserve item_kind=ad: 1 stays empty",),
        )
        assert [row["position"] for row in opened.rows["exposures"]][-1:] == [2]


@pytest.mark.parametrize(
    ("rules", "share"),
    [((Cap(by=CATEGORY, max=1),), 1.0), ((Cap(by=CATEGORY, max=1), Cap(by=KIND, max=1)), 0.0)],
)
def test_an_arm_explores_only_where_the_propensities_are_known(rules, share):
    arms = (LiveArm("control", 5000, {}), LiveArm("treatment", 10_000, {"explore": 100}))
    with Ruled(live(run(arms=arms)), rules=rules) as opened:
        ranking = opened.rank(slots=3)
        assert {row["explored"] for row in opened.rows["exposures"]} == {share == 1.0}
        assert opened.rows["rankings"][0]["explore"] == share
        assert all(row["propensity"] > 0 for row in opened.rows["exposures"])
        assert not (share and ranking.rules)


def test_the_order_is_explained_rule_by_rule_and_nothing_is_logged():
    with Ruled(
        live(
            run(
                arms=(LiveArm("control", 5000, {}), LiveArm("treatment", 10_000, {"ad_boost": 9.0}))
            )
        )
    ) as opened:
        explanation = opened.gateway.explain(
            {**shop.REQUEST, "platform": "ios", "item_id": [1, 2, 3, 4], "slots": 4}
        )
        assert str(explanation).splitlines() == [
            "ranker   champion ranker@1   blend_up.1 treatment",
            "  by the model               4 3 2 1",
            "  block item_kind=recalled   3 2 1     block item_kind=recalled: -4",
            "  boost item_kind=ad         2 3 1     boost item_kind=ad: 2 2 -> 1",
            "  pin 7                      7 2 3 1   pin 7 -> 1",
            "  cap item_category 1        7 2       cap item_category 1: 3 3 -> out, 1 4 -> out",
        ]
        assert explanation.parameters == {"ad_boost": 9.0}
        assert not any(opened.rows.values())


def test_a_parameter_that_a_rule_reads_is_not_told_as_one_that_nobody_takes():
    endpoint = spec(*RULES).endpoints["ranker"]
    assert comparison(endpoint, [shop.MANIFEST]) == ()
    assert (
        "no deployed model takes ad_boost"
        in comparison(msgspec.structs.replace(endpoint, rules=()), [shop.MANIFEST])[0]
    )
