"""A gateway that makes one order of two variants': what it asks, shows and logs, and what it does
where one of them does not answer.
"""

from __future__ import annotations

import json
from collections import Counter

import pytest

from isthmus.endpoints.gateway.decide.live_document import LiveArm
from isthmus.endpoints.gateway.http import ofrep
from isthmus.endpoints.gateway.rank.draft import coins, draft
from isthmus.endpoints.gateway.rank.ranking import plain_arrangement
from isthmus.endpoints.port import Reply
from isthmus.errors import Busy, NotFound
from isthmus.tests.endpoints.shop import Shop, live, run

ARMS = tuple(
    LiveArm(name, 10_000, {"variant": variant})
    for name, variant in (
        ("interleaved", "champion"),
        ("champion", "champion"),
        ("challenger", "challenger"),
    )
)
CREDIT = {variant: f'{{"order_duel.1":"{variant}"}}' for variant in ("champion", "challenger")}
ORDERS = {"champion": [4, 3, 2, 1, 0], "challenger": [4, 0, 1, 2, 3]}  # of five items, best first
ITEMS = [1, 2, 3, 4, 5]


class Duel(Shop):
    """Both put the last item first; then the champion goes down, the challenger up.

    `failing`: what a variant raises.
    """

    def __init__(self, **fields):
        super().__init__(
            live(run("order_duel.1", arms=ARMS, interleave=("champion", "challenger"), **fields))
        )
        self.failing = {}
        self.ids = {}
        self.host.invoke = self.invoke

    def invoke(self, _endpoint, instances, *, variant, request_id, parameters=()):
        self.host.calls.append((variant, dict(parameters)))
        self.ids[variant] = request_id
        if variant in self.failing:
            raise self.failing[variant]
        order = ORDERS[variant or "champion"]
        scores = {
            at: float(len(order) - place) / (2 if variant == "challenger" else 1)
            for place, at in enumerate(order)
        }
        return Reply(
            predictions=tuple(scores[at] for at in range(len(instances))),
            variant=variant or "champion",
            version=1,
        )

    def ask(self, **request):
        return self.rank(item_id=ITEMS, slots=4, **request)


def test_both_variants_are_asked_and_every_place_says_whose_pick_it_is_and_whom_it_credits():
    with Duel() as opened:
        ranking = opened.ask()
        assert sorted(variant for variant, _ in opened.host.calls) == ["challenger", "champion"]
        assert opened.ids == {
            "champion": ranking.request_id,
            "challenger": f"i-{ranking.request_id}",
        }
        assert (ranking.variant, ranking.version) == ("champion+challenger", "ranker@1+ranker@1")
        assert (ranking.assignments, ranking.parameters) == (
            {"order_duel.1": "interleaved"},
            {"blend": 0.5, "tone": "calm"},
        )
        assert ranking.propensities == (1.0, 0.5, 0.5, 0.5)
        rows = opened.rows["exposures"]
        assert (ranking.items[0], rows[0]["credit"]) == (5, None), "both would pick it"
        owners = Counter(row["variant"] for row in rows[1:3])
        assert owners == {"champion": 1, "challenger": 1}
        for row in rows[1:]:
            assert row["credit"] == CREDIT[row["variant"]]
            assert row["version"] == "ranker@1"
            at = int(row["entity_key"]) - 1
            assert row["score"] == (5 - ORDERS[row["variant"]].index(at)) / (
                2 if row["variant"] == "challenger" else 1
            )
        assert [json.loads(row["parameters"]) for row in rows] == [
            {"blend": 0.5, "tone": "calm"}
        ] * 4, "no one variant"


def test_what_was_shown_follows_from_the_log_alone():
    with Duel() as opened:
        for _ in range(20):
            opened.ask()
        shown = Counter()
        for row in opened.rows["rankings"]:
            orders = (json.loads(row[name]) for name in ("model_order", "rival_order"))
            first, second = (plain_arrangement(order, row["slots"]).lanes[0] for order in orders)
            picks, _ = draft(first, second, coins("ranker_v2.1", row["event_id"]))
            for pick in picks:
                place = next(
                    e
                    for e in opened.rows["exposures"]
                    if e["event_id"] == f"{row['event_id']}-{pick.number + 1}"
                )
                variant = ("champion", "challenger")[pick.by]
                assert place["entity_key"] == str(ITEMS[pick.candidate])
                assert (place["variant"], place["credit"]) == (
                    variant,
                    CREDIT[variant] if pick.credited else None,
                )
                shown[place["credit"]] += 1
        assert min(shown[credit] for credit in CREDIT.values()) >= 20, "each round credits both"


@pytest.mark.parametrize("failing", ["champion", "challenger"])
def test_where_one_variant_does_not_answer_the_other_one_does_and_it_credits_nobody_and_is_counted(
    failing,
):
    with Duel() as opened:
        opened.failing[failing] = Busy("too many requests")
        ranking = opened.ask()
        other = {"champion": "challenger", "challenger": "champion"}[failing]
        assert (ranking.variant, ranking.assignments) == (other, {"order_duel.1": "interleaved"})
        assert ranking.items == tuple(ITEMS[at] for at in ORDERS[other][:4])
        assert [row.get("credit") for row in opened.rows["exposures"]] == [None] * 4
        assert opened.rows["rankings"][0].get("rival_order") is None
        assert opened.gateway.tally.undrafted == 1


def test_a_variant_that_is_gone_leaves_the_other_and_without_both_the_call_goes_unaimed():
    with Duel() as opened:
        opened.host.variants = ["champion"]
        assert opened.ask().variant == "champion"
        assert [variant for variant, _ in opened.host.calls] == ["champion"]
    with Duel() as opened:
        opened.failing = {variant: NotFound("it is gone") for variant in ("champion", "challenger")}
        ranking = opened.ask()
        assert (opened.host.calls[-1][0], ranking.assignments) == (None, {})
        assert opened.gateway.tally.gone == 1


def test_where_neither_answers_the_request_fails_as_any_does():
    with Duel() as opened:
        opened.failing = {
            variant: Busy("too many requests") for variant in ("champion", "challenger")
        }
        with pytest.raises(Busy):
            opened.ask()
        assert opened.rows["exposures"] == []


def test_a_request_that_comes_while_the_gateway_closes_is_answered_by_both():
    with Duel() as opened:
        opened.ask()
        opened.gateway.close()
        assert opened.ask().variant == "champion+challenger"


def test_under_rules_that_allow_no_draft_one_variant_answers_and_that_is_counted():
    """They were written since the run began: a start refuses them."""
    with Duel() as opened:
        opened.gateway._rulebook.drawable = False
        assert opened.ask().variant == "champion"
        assert opened.gateway.tally.undrafted == 1


def test_units_of_its_holdout_and_outside_of_it_get_the_first_variant_alone():
    with Duel(holdout=10_000) as opened:
        assert opened.ask().variant == "champion"
        assert opened.rows["assignments"][0]["reason"] == "holdout"
    with Duel(ranges=()) as opened:
        assert opened.ask().variant == "champion"
        assert opened.rows["assignments"] == []


def test_a_shipped_variant_answers_alone():
    with Duel(state="shipped", ships="challenger", ranges=()) as opened:
        ranking = opened.ask()
        assert (ranking.variant, ranking.assignments) == ("challenger", {})


def test_an_explanation_says_that_it_is_one_of_the_two_orders():
    with Duel() as opened:
        explanation = opened.gateway.explain(
            {"visitor_id": "visitor-1", "item_id": ITEMS, "slots": 4}
        )
        (problem,) = explanation.problems
        assert (
            problem
            == "order_duel.1 interleaves champion and challenger for this unit; this is the "
            "order of champion alone"
        )


def test_who_ranks_elsewhere_gets_the_first_variant_is_told_and_is_not_compared():
    with Duel() as opened:
        assigned = opened.gateway.assign({"visitor_id": "visitor-1"})
        assert (assigned.assignments, assigned.parameters["variant"]) == ({}, "champion")
        (problem,) = assigned.problems
        assert problem == (
            "order_duel.1 makes one order of champion's and challenger's, which only /rank "
            "can: champion is given, and counts for neither"
        )
        decision, config = opened.gateway.evaluate("visitor-1", {})
        flag = ofrep.flag("ranker.variant", opened.gateway.endpoint, decision, config)
        assert (flag.value, flag.variant, flag.reason) == ("champion", "default", "STATIC")
        assert opened.rows["assignments"] == []
        opened.ask(visitor_id="visitor-1")
        assert [row["arm"] for row in opened.rows["assignments"]] == ["interleaved"]


def test_a_document_that_interleaves_what_its_arms_do_not_name_is_damaged():
    with Duel() as opened:
        before = opened.ask().variant
        opened.state.put(
            live(
                run("order_duel.1", arms=ARMS[:2], interleave=("champion", "challenger")),
                version=13,
            )
        )
        opened.look()
        assert opened.ask().variant == before, "the last sound document stands"
