"""What an answer of an interleaved run shows and credits is told from what its log says it should."""

import json

import msgspec
import pytest

from isthmus.endpoints.gateway.decide.assignment import Interleaving
from isthmus.endpoints.gateway.rank.draft import coins, draft
from isthmus.endpoints.gateway.rank.ranking import plain_arrangement
from isthmus.experiments.measure.draft_audit import Drafts, LoggedPlace, judge
from isthmus.tests.endpoints.gateway.test_draft import answers

DUEL = Interleaving(run="order_duel.1", salt="order_duel.1", variants=("champion", "challenger"))
OWN, OTHER = [0, 1, 2, 3], [0, 3, 2, 1]
CREDIT = {variant: f'{{"order_duel.1":"{variant}"}}' for variant in DUEL.variants}


def row(**fields):
    return {
        "event_id": "q-1-7",
        "assignments": '{"order_duel.1": "interleaved"}',
        "candidates": "[11, 12, 13, 14]",
        "model_order": json.dumps(OWN),
        "rival_order": json.dumps(OTHER),
        "slots": 3,
        "arranged": None,
        "eligible": None,
        "explored": False,
    } | fields


def shown():
    first, second = (plain_arrangement(order, 3).lanes[0] for order in (OWN, OTHER))
    picks, _ = draft(first, second, coins("order_duel.1", "q-1-7"))
    variants = [DUEL.variants[pick.by] for pick in picks]
    return {
        pick.number + 1: LoggedPlace(
            str(11 + pick.candidate), variant, CREDIT[variant] if pick.credited else None
        )
        for pick, variant in zip(picks, variants, strict=True)
    }


def test_what_the_coins_made_is_as_it_should_be_also_where_an_exposure_was_lost():
    places = shown()
    assert judge([(row(), places), (row(), {3: places[3]})], DUEL) == Drafts(drafted=2)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (
            LoggedPlace("11", "champion", CREDIT["champion"]),
            "place 1 has 11 of champion, which credits",
        ),
        (
            LoggedPlace("13", "champion", None),
            "place 1 has 13 of champion, which credits nobody; the draft has 11",
        ),
    ],
    ids=["a credit for what both would pick", "another item"],
)
def test_another_credit_or_item_is_found_and_named(place, told):
    seen = judge([(row(), shown() | {1: place})], DUEL)
    assert (seen.drafted, seen.differ) == (1, 1)
    assert seen.examples[0].startswith(f"q-1-7: {told}")


def test_a_draft_of_other_coins_is_found():
    rows = [(row(event_id=f"q-1-{number}"), shown()) for number in range(20)]
    assert 0 < judge(rows, DUEL).differ < 20, "a coin may fall alike"


@pytest.mark.parametrize(
    ("fields", "counted"),
    [
        ({"explored": True}, "explored"),
        ({"rival_order": None}, "alone"),
        ({"eligible": "[0, 1]"}, "ruled"),
    ],
)
def test_what_was_not_drafted_from_the_log_alone_may_credit_nobody_or_under_rules_its_own_variant(
    fields, counted
):
    credited = {2: LoggedPlace("12", "champion", CREDIT["champion"])}
    seen = judge(
        [(row(**fields), {1: LoggedPlace("11", "champion", None)}), (row(**fields), credited)], DUEL
    )
    assert (getattr(seen, counted), seen.drafted, seen.differ) == (
        2,
        0,
        0 if counted == "ruled" else 1,
    )
    others = judge(
        [(row(**fields), {2: LoggedPlace("12", "champion", CREDIT["challenger"])})], DUEL
    )
    assert others.differ == 1


def test_answers_to_units_of_no_arm_or_of_another_run_are_not_its():
    rows = [
        (row(assignments=text), {})
        for text in (None, '{"order_duel.2": "interleaved"}', '{"blend_up.1": "low"}')
    ]
    assert judge(rows, DUEL) == Drafts()


def ruled(number):
    """An answer under a boost, a pin, a reserved group and a cap, as the gateway draws and logs it."""
    request = f"q-1-{number}"
    ((pair, drawn),) = answers(0.0, 1, coin=coins("order_duel.1", request))
    places = {
        place.position: LoggedPlace(
            str(place.item),
            DUEL.variants[place.by],
            CREDIT[DUEL.variants[place.by]] if place.credited else None,
        )
        for place in drawn.places
    }
    logged = msgspec.json.encode(drawn.overruled.arranged).decode()
    return row(
        event_id=request,
        candidates=json.dumps(pair[0].items),
        eligible=json.dumps(drawn.overruled.eligible),
        arranged=logged,
    ), places


def test_a_draft_under_rules_is_made_again_of_what_they_arranged():
    rows = [ruled(number) for number in range(20)]
    assert judge(rows, DUEL) == Drafts(drafted=20)
    credited = next(at for at, place in rows[0][1].items() if place.credit)
    other = msgspec.structs.replace(rows[0][1][credited], credit=None)
    seen = judge([(rows[0][0], rows[0][1] | {credited: other})], DUEL)
    assert (seen.differ, seen.examples[0].startswith(f"q-1-0: place {credited} has")) == (1, True)
    assert (
        judge(
            [(rows[0][0] | {"event_id": f"q-1-{number}"}, rows[0][1]) for number in range(1, 20)],
            DUEL,
        ).differ
        > 0
    )
